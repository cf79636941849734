"""Liveness, readiness and startup probes: a task per running container and probe, and the results by container.

`Counter` is the state machine: a result changes after so many successes or failures in a row. Until a startup probe has
passed the others are not asked. A container without a probe is what the probe would have said on success.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from apimachinery import meta
from apimachinery.meta import JSON

from .handlers import Handlers, Outcome, Target
from .observed import Container, PodState
from .plan import all_containers
from .status import container_statuses

Recorder = Callable[[JSON, str, str, str, str], None]  # pod, type, reason, message, container

log = logging.getLogger(__name__)

LIVENESS, READINESS, STARTUP = "livenessProbe", "readinessProbe", "startupProbe"
NOUNS = {LIVENESS: "Liveness", READINESS: "Readiness", STARTUP: "Startup"}
REPORTED_AS = {LIVENESS: "", READINESS: "ready", STARTUP: "started"}
INITIAL = {LIVENESS: True, READINESS: False, STARTUP: False}


@dataclass(slots=True)
class Counter:
    """The present result and how many answers in a row speak for or against it."""

    result: bool
    success_threshold: int = 1
    failure_threshold: int = 3
    row: int = 0
    last: bool | None = None

    def observe(self, ok: bool) -> bool:
        """Count an answer; True when it settled a result (which may be the one there was)."""
        self.row = self.row + 1 if ok is self.last else 1
        self.last = ok
        if self.row < (self.success_threshold if ok else self.failure_threshold):
            return False
        self.result = ok
        return True


def was_so(pod: JSON, run: Container, field: str) -> bool:
    """Whether this very run is reported as ready or started: a kubelet that restarts must not make it unready."""
    found = (entry for entry in container_statuses(pod) if entry.get("containerID") == f"docker://{run.id}")
    return bool(next(found, {}).get(field))


class Probes:
    """All probes of the node. `wake` is called with a pod's UID when a result of it has changed."""

    def __init__(
        self, group: asyncio.TaskGroup, handlers: Handlers, *, wake: Callable[[str], None], record: Recorder
    ) -> None:
        self._group = group
        self._handlers = handlers
        self._wake = wake
        self._record = record
        self._tasks: dict[tuple[str, str], asyncio.Task[None]] = {}  # (container id, probe)
        self._results: dict[tuple[str, str], bool] = {}
        self._owners: dict[str, str] = {}  # container id -> pod UID
        self.unhealthy: dict[str, str] = {}

    def started(self, run: Container) -> bool:
        """The startup probe has passed (or there is none)."""
        return self._results.get((run.id, STARTUP), True)

    def ready(self, run: Container) -> bool:
        """The readiness probe passes (or there is none)."""
        return self._results.get((run.id, READINESS), True)

    def sync(self, pod: JSON, state: PodState, ips: tuple[str, ...]) -> None:
        """Have a task for every probe of every running container, and none for what does not run any more."""
        uid = meta.uid(pod)
        running = {run.id for run in state.running()}
        for container in all_containers(pod["spec"]):
            run = state.newest(container["name"])
            if run is None or not run.running:
                continue
            for kind in (STARTUP, LIVENESS, READINESS):
                if container.get(kind) and (run.id, kind) not in self._results:
                    self._begin(pod, container, run, kind, ips[0] if ips else "")
        for cid in [cid for cid, owner in self._owners.items() if owner == uid and cid not in running]:
            self._forget(cid)

    def stop(self, uid: str, *, keep_readiness: bool = False) -> None:
        """No more probes for a pod: it is being stopped (readiness may go on until its containers have ended)."""
        for cid in [cid for cid, owner in self._owners.items() if owner == uid]:
            if not keep_readiness:
                self._forget(cid)
                continue
            for kind in (LIVENESS, STARTUP):
                if task := self._tasks.pop((cid, kind), None):
                    task.cancel()

    def _forget(self, cid: str) -> None:
        self._owners.pop(cid, None)
        self.unhealthy.pop(cid, None)
        for kind in NOUNS:
            self._results.pop((cid, kind), None)
            if task := self._tasks.pop((cid, kind), None):
                task.cancel()

    def _begin(self, pod: JSON, container: JSON, run: Container, kind: str, ip: str) -> None:
        self._owners[run.id] = meta.uid(pod)
        self._results[run.id, kind] = initial = INITIAL[kind] or was_so(pod, run, REPORTED_AS[kind])
        if kind == STARTUP and initial:
            return
        target = Target(container=container, run_id=run.id, ip=ip)
        self._tasks[run.id, kind] = self._group.create_task(
            self._probe(pod, target, run, kind), name=f"{kind} {meta.key(pod)} {container['name']}"
        )

    async def _probe(self, pod: JSON, target: Target, run: Container, kind: str) -> None:
        probe: Mapping[str, Any] = target.container[kind]
        period = float(probe.get("periodSeconds") or 10)
        counter = Counter(
            self._results[run.id, kind],
            success_threshold=probe.get("successThreshold") or 1,
            failure_threshold=probe.get("failureThreshold") or 3,
        )
        age = meta.parse_time(meta.now()).timestamp() - meta.parse_time(run.started_at).timestamp()
        age = max(0.0, age)  # a clock that was set back must not hold probes off
        await asyncio.sleep(max(0.0, float(probe.get("initialDelaySeconds") or 0) - age))
        if age > period:
            await asyncio.sleep(random.uniform(0, period))  # a kubelet that restarts does not ask all at once
        while True:
            if kind == STARTUP or self.started(run):
                outcome = await self._handlers.perform(
                    dict(probe), target, timeout_seconds=float(probe.get("timeoutSeconds") or 1)
                )
                if self._settle(pod, run, kind, counter, outcome):
                    return
                await asyncio.sleep(period)
            else:
                await asyncio.sleep(min(period, 1.0))

    def _settle(self, pod: JSON, run: Container, kind: str, counter: Counter, outcome: Outcome) -> bool:
        """Take an answer in; True when nothing is left to be asked."""
        if not outcome.ok:
            text = f"{NOUNS[kind]} probe failed: {outcome.output[:1024]}"
            self._record(pod, "Warning", "Unhealthy", text, run.name)
        before = self._results.get((run.id, kind))
        if before is None:
            return True
        if not counter.observe(outcome.ok):
            return False
        if counter.result is not before:
            self._results[run.id, kind] = counter.result
            self._wake(meta.uid(pod))
        if kind == STARTUP and counter.result:
            return True
        if kind != READINESS and not counter.result:
            self.unhealthy[run.id] = f"Container {run.name} failed {NOUNS[kind].lower()} probe, will be restarted"
            self._wake(meta.uid(pod))
            return True
        return False
