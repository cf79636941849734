"""Rates from two scrapes of a kubelet, and who has figures."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from apiserver.endpoints.usage import node_metrics, pod_metrics
from apiserver.outbound import usage
from apiserver.outbound.kubelet import KubeletClient, Target
from apiserver.outbound.usage import Counter, NodeUsage, Scrape, Usage, Used, between, counters

JSON = dict[str, Any]
CONTAINER = ("default", "web", "c")
NODE: JSON = {"metadata": {"name": "n1", "labels": {"zone": "a"}}}
POD: JSON = {
    "metadata": {"name": "web", "namespace": "default"},
    "spec": {"nodeName": "n1", "containers": [{"name": "c"}], "initContainers": [{"name": "i"}]},
    "status": {"phase": "Running"},
}


def summary(*, node: int, container: int) -> JSON:
    """A kubelet's summary with these seconds of CPU."""

    def stats(seconds: int) -> JSON:
        return {"cpu": {"usageCoreNanoSeconds": seconds * 10**9}, "memory": {"workingSetBytes": 2 << 20}}

    pod = {"podRef": {"name": "web", "namespace": "default"}, "containers": [{"name": "c", **stats(container)}]}
    return {"node": stats(node), "pods": [pod, {"podRef": {"name": "new", "namespace": "default"}}]}


def test_a_rate_is_the_difference_over_the_window() -> None:
    before = Scrape(10.0, counters(summary(node=100, container=7)))
    after = Scrape(20.0, counters(summary(node=105, container=8)))
    seen = between(before, after, "now")
    assert seen.window == 10.0
    assert seen.used == {(): Used(500_000_000, 2 << 20), CONTAINER: Used(100_000_000, 2 << 20)}


def test_a_container_that_started_anew_has_no_rate_yet() -> None:
    before = Scrape(10.0, {CONTAINER: Counter(9, 1)})
    assert between(before, Scrape(20.0, {CONTAINER: Counter(3, 1), (): Counter(1, 1)}), "now").used == {}


def test_the_metrics_server_shape() -> None:
    known = {"n1": NodeUsage("2026-01-01T00:00:00Z", 15.2, {(): Used(1500, 4096), CONTAINER: Used(7, 1024)})}
    assert node_metrics(NODE, known) == {
        "kind": "NodeMetrics",
        "apiVersion": "metrics.k8s.io/v1beta1",
        "metadata": {"name": "n1", "labels": {"zone": "a"}, "creationTimestamp": "2026-01-01T00:00:00Z"},
        "timestamp": "2026-01-01T00:00:00Z",
        "window": "15.200s",
        "usage": {"cpu": "1500n", "memory": "4Ki"},
    }
    found = pod_metrics(POD, known)
    assert found is not None
    assert found["containers"] == [{"name": "c", "usage": {"cpu": "7n", "memory": "1Ki"}}]


@pytest.mark.parametrize(
    "pod",
    [
        {**POD, "status": {"phase": "Pending"}},
        {**POD, "spec": {**POD["spec"], "nodeName": "other"}},
        {**POD, "spec": {**POD["spec"], "containers": [{"name": "c"}, {"name": "just-started"}]}},
    ],
)
def test_a_pod_without_all_its_figures_is_left_out(pod: JSON) -> None:
    assert pod_metrics(pod, {"n1": NodeUsage("now", 15.0, {CONTAINER: Used(7, 1024)})}) is None


@contextlib.asynccontextmanager
async def kubelet(asked: list[str]) -> AsyncIterator[JSON]:
    """A kubelet that counts up, and its Node."""

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        asked.append(request.path)
        return web.json_response(summary(node=len(asked), container=len(asked)))

    server = await asyncio.get_running_loop().create_server(web.Server(handle), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield {
            "metadata": {"name": "n1"},
            "status": {
                "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
                "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
            },
        }
    finally:
        server.close()


class Plain(KubeletClient):
    """Kubelets without TLS."""

    def target(self, node: JSON, *, verify: bool = True) -> Target:
        return replace(super().target(node, verify=verify), tls=None)


async def test_kubelets_are_asked_twice_at_first_and_then_rarely(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usage, "WINDOW_SECONDS", 0.01)
    asked: list[str] = []
    now = 100.0

    def clock() -> float:
        nonlocal now
        now += 0.5
        return now

    async with kubelet(asked) as node, aiohttp.ClientSession() as session:
        gone = {"metadata": {"name": "gone"}}
        read = Usage(Plain(), lambda: session, clock=clock)
        first, second = await asyncio.gather(read.of([node, gone]), read.of([node]))
        assert asked == ["/stats/summary"] * 2
        assert first is second
        assert set(first) == {"n1"}
        assert first["n1"].used[()].cpu_nanocores > 0
        now += usage.FRESH_SECONDS
        later = await read.of([node])
        assert len(asked) == 3
        assert later["n1"].window > usage.FRESH_SECONDS


def test_a_container_that_was_not_there_asks_for_a_second_look() -> None:
    known = Scrape(1.0, {(): Counter(1, 1)})
    assert usage._is_new(known, None)
    assert usage._is_new(Scrape(2.0, {(): Counter(1, 1), CONTAINER: Counter(1, 1)}), known)
    assert not usage._is_new(Scrape(2.0, {(): Counter(1, 1)}), known)
    assert not usage._is_new(None, known)
