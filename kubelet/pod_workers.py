"""All workers of the node: started for every pod bound to it, told of updates, and of what Docker says.

Containers whose pod the API server does not have (it was deleted by force, or while the kubelet was down) get a worker
as well: one that knows only their labels, and stops them.
"""

import asyncio
import logging
from collections.abc import Iterable
from typing import Any

from apimachinery import meta

from .observed import PodState
from .parts import Parts
from .pod_worker import PodWorker

JSON = dict[str, Any]

log = logging.getLogger(__name__)

RESTART_SECONDS = 5.0


class PodWorkers:
    """Workers by pod UID. Handlers are to be called on the event loop."""

    def __init__(self, group: asyncio.TaskGroup) -> None:
        self._group = group
        self._workers: dict[str, PodWorker] = {}
        self.parts: Parts | None = None  # set before the first pod is handed in

    def put(self, pod: JSON) -> None:
        """A pod that was added or changed."""
        worker = self._workers.get(meta.uid(pod))
        if worker is not None:
            worker.update(pod)
            return
        self._start(pod)

    def drop(self, pod: JSON) -> None:
        """A pod that the API server has no more."""
        worker = self._workers.get(meta.uid(pod))
        if worker is not None:
            worker.vanish()

    def wake(self, uid: str) -> None:
        """Look at a pod again."""
        worker = self._workers.get(uid)
        if worker is not None:
            worker.wake()

    def wake_all(self) -> None:
        """Look at every pod again."""
        for worker in self._workers.values():
            worker.wake()

    async def evict(self, uid: str, message: str, *, timeout_seconds: float) -> None:
        """End a pod as evicted; returns once it holds nothing of the node any more, or when time is up."""
        worker = self._workers.get(uid)
        if worker is None:
            return
        log.warning("evicting pod %s: %s", meta.key(worker.pod), message)
        worker.evict(message)
        try:
            async with asyncio.timeout(timeout_seconds):
                await worker.ended.wait()
        except TimeoutError:
            log.warning("pod %s was evicted and has not ended yet", meta.key(worker.pod))

    def pods(self) -> list[JSON]:
        """The pods of this node, as last seen."""
        return [worker.pod for worker in self._workers.values() if not worker.gone]

    def admitted(self) -> Iterable[JSON]:
        """The pods that hold resources of this node."""
        return [worker.pod for worker in self._workers.values() if worker.holds_resources]

    def get(self, namespace: str, name: str) -> JSON | None:
        """A pod of this node by name: the one that is not being deleted, if there are two."""
        found = [p for p in self.pods() if meta.name(p) == name and meta.namespace(p) == namespace]
        return min(found, key=meta.is_deleting) if found else None

    def adopt_orphans(self, observed: dict[str, PodState]) -> None:
        """Stop what runs for pods that nobody knows."""
        for uid, state in observed.items():
            if uid not in self._workers:
                log.info("containers of unknown pod %s are being removed", uid)
                self._start(_orphan(uid, state)).vanish()

    def _start(self, pod: JSON) -> PodWorker:
        assert self.parts is not None, "parts are set before workers start"
        worker = PodWorker(pod, self.parts)
        self._workers[worker.uid] = worker
        self._group.create_task(self._run(worker), name=f"pod {meta.key(pod)}")
        return worker

    async def _run(self, worker: PodWorker) -> None:
        while True:
            try:
                await worker.run()
                break
            except Exception:  # a fault met by one pod must not take the node's other pods along
                log.exception("worker of pod %s failed; it begins again", meta.key(worker.pod))
                await asyncio.sleep(RESTART_SECONDS)
        self._workers.pop(worker.uid, None)


def _orphan(uid: str, state: PodState) -> JSON:
    """As much of a pod as its containers' labels tell."""
    first = state.all()[0]
    containers = [{"name": name, "image": ""} for name in state.runs]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": first.pod_name, "namespace": first.pod_namespace, "uid": uid},
        "spec": {"containers": containers, "terminationGracePeriodSeconds": 1},
    }
