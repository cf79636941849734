"""What nodes and containers use, asked of the kubelets: the figures of metrics.k8s.io (`kubectl top`).

A kubelet counts CPU seconds; what is shown is a rate, so it takes two scrapes. Nothing is scraped until somebody asks.
The answer is kept for some seconds; the scrape before it is the start of the window, and where there is none that is
recent, or one that lacks a container, a second scrape follows the first after a moment. A node that doesn't answer and
a container that isn't in both scrapes have no figures: they are left out, as the metrics server does.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

import aiohttp
import orjson

from apimachinery import errors, meta
from apimachinery.meta import JSON
from apiserver.outbound.kubelet import KubeletClient

FRESH_SECONDS = 15.0
WINDOW_SECONDS = 1.0  # between the two scrapes when nobody asked lately
OLDEST_SECONDS = 120.0  # a window longer than this says little
_REQUEST_SECONDS = 10.0
_AT_ONCE = 16

log = logging.getLogger(__name__)

Owner = tuple[str, ...]  # () is the node; (namespace, pod, container)


class Counter(NamedTuple):
    """CPU time since the start, and memory now."""

    cpu_nanoseconds: int
    memory_bytes: int


class Used(NamedTuple):
    """CPU in billionths of a core, averaged over the window."""

    cpu_nanocores: int
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class Scrape:
    """One answer of a kubelet; `at` is of the monotonic clock."""

    at: float
    counters: dict[Owner, Counter]


@dataclass(frozen=True, slots=True)
class NodeUsage:
    """What a node and its containers used in the `window` seconds before `timestamp`."""

    timestamp: str
    window: float
    used: dict[Owner, Used] = field(default_factory=dict)


def counters(summary: JSON) -> dict[Owner, Counter]:
    """The counters in a kubelet's /stats/summary."""
    found: dict[Owner, Counter] = {}

    def count(owner: Owner, stats: JSON) -> None:
        cpu = (stats.get("cpu") or {}).get("usageCoreNanoSeconds")
        memory = (stats.get("memory") or {}).get("workingSetBytes")
        if cpu is not None and memory is not None:
            found[owner] = Counter(int(cpu), int(memory))

    count((), summary.get("node") or {})
    for pod in summary.get("pods") or ():
        reference = pod["podRef"]
        for container in pod.get("containers") or ():
            count((reference["namespace"], reference["name"], container["name"]), container)
    return found


def between(before: Scrape, after: Scrape, timestamp: str) -> NodeUsage:
    """Rates of what is in both scrapes; a counter that went back belongs to a container that started anew."""
    window = after.at - before.at
    used = {
        owner: Used(int((now.cpu_nanoseconds - then.cpu_nanoseconds) / window), now.memory_bytes)
        for owner, now in after.counters.items()
        if (then := before.counters.get(owner)) is not None and now.cpu_nanoseconds >= then.cpu_nanoseconds
    }
    return NodeUsage(timestamp, window, used)


def _is_new(scrape: Scrape | None, before: Scrape | None) -> bool:
    """Is something seen for the first time, so that a second scrape is wanted soon?"""
    return scrape is not None and (before is None or not scrape.counters.keys() <= before.counters.keys())


class Usage:
    """Scrapes when asked; those who ask at the same time share it."""

    def __init__(
        self,
        kubelets: KubeletClient,
        session: Callable[[], aiohttp.ClientSession],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._kubelets = kubelets
        self._session = session
        self._clock = clock
        self._lock = asyncio.Lock()
        self._scrapes: dict[str, Scrape] = {}  # the latest of each node
        self._shown: dict[str, NodeUsage] = {}
        self._at = -OLDEST_SECONDS
        self._limit = asyncio.Semaphore(_AT_ONCE)

    async def of(self, nodes: Iterable[JSON]) -> dict[str, NodeUsage]:
        """Usage by node name, at most FRESH_SECONDS old."""
        async with self._lock:
            if self._clock() - self._at > FRESH_SECONDS:
                await self._refresh(list(nodes))
                self._at = self._clock()
            return self._shown

    async def _refresh(self, nodes: list[JSON]) -> None:
        before = {name: each for name, each in self._scrapes.items() if self._clock() - each.at < OLDEST_SECONDS}
        self._scrapes = await self._scrape(nodes)
        new = [node for node in nodes if _is_new(self._scrapes.get(meta.name(node)), before.get(meta.name(node)))]
        if new:
            before |= {name: self._scrapes[name] for name in map(meta.name, new)}
            await asyncio.sleep(WINDOW_SECONDS)
            self._scrapes |= await self._scrape(new)
        now = meta.now()
        self._shown = {
            name: between(before[name], after, now)
            for name, after in self._scrapes.items()
            if name in before and after.at > before[name].at
        }

    async def _scrape(self, nodes: list[JSON]) -> dict[str, Scrape]:
        answers = await asyncio.gather(*(self._ask(node) for node in nodes))
        return {meta.name(node): answer for node, answer in zip(nodes, answers, strict=True) if answer is not None}

    async def _ask(self, node: JSON) -> Scrape | None:
        try:
            async with self._limit, asyncio.timeout(_REQUEST_SECONDS):
                target = self._kubelets.target(node)
                url = target.url("/stats/summary")
                async with self._session().get(url, ssl=target.tls or False) as answer:
                    answer.raise_for_status()
                    return Scrape(self._clock(), counters(orjson.loads(await answer.read())))
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError, KeyError, errors.StatusError) as error:
            log.warning("no usage of node %s: its kubelet at /stats/summary: %s", meta.name(node), error or "timed out")
            return None
