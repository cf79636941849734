"""Pods that wait for a node: to be tried (active), after a failure (backoff), or for the cluster to change.

Invariants: a key is in exactly one of active, backoff, unschedulable and gated, or in none while its cycle runs; only
the latest version of a pod is kept. An event moves just those unschedulable pods that a plugin which refused them says
it may help. Whatever was missed is tried again after `LEFT_BEHIND_SECONDS`.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass

from scheduler.podinfo import PodInfo

FIRST_BACKOFF_SECONDS, LONGEST_BACKOFF_SECONDS = 1.0, 10.0
LEFT_BEHIND_SECONDS = 300.0

NODE_CHANGED, POD_REMOVED, POD_PLACED = "node", "pod-removed", "pod-placed"
NODE_REMOVED = "node-removed"  # its domain may be gone, which held the others back
VOLUME_CHANGED = "volume"  # or a claim, or a storage class
# Which events may make a filter change its mind.
HINTS: dict[str, frozenset[str]] = {
    "NodeUnschedulable": frozenset({NODE_CHANGED}),
    "TaintToleration": frozenset({NODE_CHANGED}),
    "NodeAffinity": frozenset({NODE_CHANGED}),
    "NodePorts": frozenset({NODE_CHANGED, POD_REMOVED}),
    "NodeResourcesFit": frozenset({NODE_CHANGED, POD_REMOVED}),
    "VolumeRestrictions": frozenset({POD_REMOVED, VOLUME_CHANGED}),
    "VolumeBinding": frozenset({NODE_CHANGED, VOLUME_CHANGED}),
    "PodTopologySpread": frozenset({NODE_CHANGED, NODE_REMOVED, POD_REMOVED, POD_PLACED}),
    "InterPodAffinity": frozenset({NODE_CHANGED, POD_REMOVED, POD_PLACED}),
}


@dataclass(slots=True)
class Pending:
    """A pod in the queue, with what happened to it so far."""

    pod: PodInfo
    attempts: int = 0
    refused_by: frozenset[str] = frozenset()
    since: float = 0.0


class SchedulingQueue:
    """Higher priority first, then the longer wait. Used from one event loop; `clock` gives seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._order = itertools.count()
        self._active: list[tuple[int, int, str, Pending]] = []
        self._backoff: list[tuple[float, int, str, Pending]] = []
        self._unschedulable: dict[str, Pending] = {}
        self._gated: dict[str, Pending] = {}
        self._known: dict[str, Pending] = {}
        self._changed = asyncio.Event()

    def add(self, pod: PodInfo) -> None:
        """Takes a pod in, or its new version: a changed pod is tried again."""
        before = self._known.get(pod.key)
        if before is not None and before.pod == pod:
            return
        pending = Pending(pod, before.attempts if before and before.pod.uid == pod.uid else 0)
        self._forget(pod.key)
        self._known[pod.key] = pending
        if pod.gates:
            self._gated[pod.key] = pending
        else:
            self._activate(pending)

    def delete(self, key: str) -> None:
        """The pod is gone, or has a node."""
        self._forget(key)

    def retry(self, pending: Pending, *, refused_by: frozenset[str] = frozenset()) -> None:
        """After a failed cycle: wait for an event that helps `refused_by`, or, with none given, for the backoff."""
        if self._known.get(pending.pod.key) is not pending:
            return
        pending.refused_by = refused_by
        pending.since = self._clock()
        if refused_by:
            self._unschedulable[pending.pod.key] = pending
        else:
            self._back_off(pending)

    def on_event(self, event: str) -> None:
        """The cluster changed: moves the pods it may help out of the unschedulable ones."""
        for key, pending in list(self._unschedulable.items()):
            if any(event in HINTS.get(name, {event}) for name in pending.refused_by):
                del self._unschedulable[key]
                self._back_off(pending)

    async def pop(self) -> Pending:
        """Waits for the next pod to try. Its key is in no list until `retry`, `add` or `delete`."""
        while True:
            self._flush()
            while self._active:
                _, _, key, pending = heapq.heappop(self._active)
                if self._known.get(key) is pending:
                    pending.attempts += 1
                    return pending
            self._changed.clear()
            wait = self._backoff[0][0] - self._clock() if self._backoff else LEFT_BEHIND_SECONDS / 10
            try:
                async with asyncio.timeout(max(wait, 0.0)):
                    await self._changed.wait()
            except TimeoutError:
                continue

    def lengths(self) -> dict[str, int]:
        """How many pods wait where, by upstream's names of the queues."""
        waiting = len(self._known) - len(self._unschedulable) - len(self._gated)
        backoff = sum(self._known.get(key) is pending for _, _, key, pending in self._backoff)
        return {
            "active": max(0, waiting - backoff),
            "backoff": backoff,
            "unschedulable": len(self._unschedulable),
            "gated": len(self._gated),
        }

    def _activate(self, pending: Pending) -> None:
        heapq.heappush(self._active, (-pending.pod.priority, next(self._order), pending.pod.key, pending))
        self._changed.set()

    def _back_off(self, pending: Pending) -> None:
        wait = min(FIRST_BACKOFF_SECONDS * 2 ** max(0, pending.attempts - 1), LONGEST_BACKOFF_SECONDS)
        ready = pending.since + wait
        if ready <= self._clock():
            self._activate(pending)
        else:
            heapq.heappush(self._backoff, (ready, next(self._order), pending.pod.key, pending))
            self._changed.set()

    def _flush(self) -> None:
        now = self._clock()
        while self._backoff and self._backoff[0][0] <= now:
            _, _, key, pending = heapq.heappop(self._backoff)
            if self._known.get(key) is pending:
                self._activate(pending)
        for key, pending in list(self._unschedulable.items()):
            if now - pending.since >= LEFT_BEHIND_SECONDS:
                del self._unschedulable[key]
                self._activate(pending)

    def _forget(self, key: str) -> None:
        self._known.pop(key, None)
        self._unschedulable.pop(key, None)
        self._gated.pop(key, None)
