"""The scheduler at work: informer events in, one cycle after another, bindings out.

Cycles run one at a time and never wait: the chosen node is taken as used at once (assumed), and the binding goes to
the API server in a task of its own. A binding that fails gives the room back and the pod to the queue. Nothing is kept
on disk: after a restart the informers tell it all again.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import random
import time
from collections.abc import Iterator, Mapping

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from apimachinery import errors, kinds, meta
from apimachinery.kinds import Kind
from apimachinery.meta import JSON
from componentbase.health import Checks
from componentbase.metrics import METRICS
from kubeclient.events import EventRecorder
from kubeclient.informer import InformerFactory
from kubeclient.rest import STRATEGIC_MERGE_PATCH, Client
from scheduler import queue as queues
from scheduler.cluster import Cluster
from scheduler.decision import Decision, decide
from scheduler.framework import Profile
from scheduler.podinfo import PodInfo, pod_info
from scheduler.volumeplans import plan
from scheduler.volumes import BindingFailed, Plan, assume, carry_out, give_up

log = logging.getLogger(__name__)
BINDINGS_IN_FLIGHT = 64
_UNFINISHED = "status.phase!=Succeeded,status.phase!=Failed"
_METADATA = ("name", "namespace", "uid", "deletionTimestamp", "resourceVersion")
_NOT_SCHEDULED = ("PodScheduled", "False")
_INFO = "info"
UNSCHEDULABLE, ERROR, SCHEDULED = "unschedulable", "error", "scheduled"

ATTEMPTS = METRICS.counter(
    "scheduler_schedule_attempts_total", "Attempts to schedule pods, by result.", ["profile", "result"]
)
ATTEMPT_SECONDS = METRICS.histogram(
    "scheduler_scheduling_attempt_duration_seconds", "Latency of a cycle with its binding.", ["profile", "result"]
)
ALGORITHM_SECONDS = METRICS.histogram(
    "scheduler_scheduling_algorithm_duration_seconds", "Latency of the decision alone."
)


def kept(pod: JSON) -> JSON:
    """What the informer keeps of a pod, of thousands: what events, conditions and bindings name, and its PodInfo."""
    metadata, conditions = pod["metadata"], (pod.get("status") or {}).get("conditions") or ()
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {name: metadata[name] for name in _METADATA if name in metadata},
        "status": {"conditions": [one for one in conditions if (one["type"], one["status"]) == _NOT_SCHEDULED]},
        _INFO: pod_info(pod),
    }


class Scheduler(Collector):
    """Schedules the pods whose `schedulerName` is one of `profiles`."""

    def __init__(
        self, client: Client, profiles: Mapping[str, Profile], recorder: EventRecorder, *, seed: int | None = None
    ) -> None:
        self._client = client
        self._profiles = profiles
        self._recorder = recorder
        self._rng = random.Random(seed)
        self._room = asyncio.Semaphore(BINDINGS_IN_FLIGHT)
        self._objects: dict[str, JSON] = {}
        self.cluster = Cluster()
        self.queue = queues.SchedulingQueue(time.monotonic)

    async def run(self, informers: InformerFactory, *, checks: Checks | None = None) -> None:
        """Watches and schedules until cancelled. The check `informer-sync` is there once all is known."""
        self._watch(informers)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(informers.run())
            await informers.wait_synced()
            if checks:
                checks.add("informer-sync", lambda: None, endpoints=("healthz", "readyz"))
            log.info("caches are in sync: %d nodes, %d pods", self.cluster.node_count, len(self.cluster.pods))
            # what is known now stays: collections need not look at it again, nor often at what comes
            gc.collect()
            gc.freeze()
            gc.set_threshold(10_000, 20, 50)
            while True:
                pending = await self.queue.pop()
                await self._room.acquire()
                self._cycle(pending, tasks)

    def collect(self) -> Iterator[Metric]:
        """The gauges, computed when they are scraped (a prometheus-client Collector)."""
        waiting = GaugeMetricFamily("scheduler_pending_pods", "Pods that wait, by queue.", labels=["queue"])
        for name, length in self.queue.lengths().items():
            waiting.add_metric([name], length)
        held = GaugeMetricFamily("scheduler_cache_size", "Nodes and pods in the scheduler's picture.", labels=["type"])
        held.add_metric(["nodes"], self.cluster.node_count)
        held.add_metric(["pods"], len(self.cluster.pods))
        yield from (waiting, held)

    # Events

    def _watch(self, informers: InformerFactory) -> None:
        nodes = informers.informer(kinds.NODE)
        nodes.add_handler(on_add=self._node, on_update=lambda _, node: self._node(node), on_delete=self._node_gone)
        namespaces = informers.informer(kinds.NAMESPACE)
        namespaces.add_handler(
            on_add=self._namespace, on_update=lambda _, namespace: self._namespace(namespace), on_delete=None
        )
        state = self.cluster.volumes
        self._keep(informers, kinds.PERSISTENT_VOLUME_CLAIM, state.claims)
        self._keep(informers, kinds.PERSISTENT_VOLUME, state.volumes)
        self._keep(informers, kinds.STORAGE_CLASS, state.classes)
        pods = informers.informer(kinds.POD, field_selector=_UNFINISHED, transform=kept)
        pods.add_handler(on_add=self._pod, on_update=lambda _, pod: self._pod(pod), on_delete=self._pod_gone)

    def _keep(self, informers: InformerFactory, kind: Kind, kept: dict[str, JSON]) -> None:
        """Keep the objects of a kind that volume binding reads."""

        def put(obj: JSON) -> None:
            kept[meta.key(obj)] = obj
            self._volumes_changed()

        def drop(obj: JSON) -> None:
            kept.pop(meta.key(obj), None)
            self._volumes_changed()

        informers.informer(kind).add_handler(on_add=put, on_update=lambda _, new: put(new), on_delete=drop)

    def _volumes_changed(self) -> None:
        self.cluster.volumes.changed.set()
        self.queue.on_event(queues.VOLUME_CHANGED)

    def _node(self, node: JSON) -> None:
        self.cluster.set_node(node)
        self.queue.on_event(queues.NODE_CHANGED)

    def _node_gone(self, node: JSON) -> None:
        self.cluster.remove_node(meta.name(node))
        self.queue.on_event(queues.NODE_REMOVED)

    def _namespace(self, namespace: JSON) -> None:
        self.cluster.namespaces[meta.name(namespace)] = meta.labels(namespace)

    def _pod(self, pod: JSON) -> None:
        info: PodInfo = pod[_INFO]
        if info.node:
            self._objects.pop(info.key, None)
            self.queue.delete(info.key)
            if self.cluster.pods.get(info.uid) != info:
                self.cluster.add_pod(info, info.node)
                self.queue.on_event(queues.POD_PLACED)
        elif info.scheduler in self._profiles and not meta.is_deleting(pod) and info.uid not in self.cluster.pods:
            self._objects[info.key] = pod
            self.queue.add(info)

    def _pod_gone(self, pod: JSON) -> None:
        if self._objects.pop(meta.key(pod), None) is not None:
            self.cluster.volumes.changed.set()  # its claims may be waited for
        self.queue.delete(meta.key(pod))
        if self.cluster.remove_pod(meta.uid(pod)):
            self.queue.on_event(queues.POD_REMOVED)

    # Cycles

    def _cycle(self, pending: queues.Pending, tasks: asyncio.TaskGroup) -> None:
        """Decides for one pod and hands what follows to a task, which gives the place in flight back."""
        started = time.perf_counter()
        decision = decide(self.cluster, pending.pod, self._profiles[pending.pod.scheduler], self._rng)
        ALGORITHM_SECONDS.observe(time.perf_counter() - started)
        pod = self._objects.get(pending.pod.key)
        if pod is None:
            self._room.release()
        elif decision.node is None:
            self.queue.retry(pending, refused_by=decision.refused_by or frozenset({"NodeAffinity"}))
            tasks.create_task(self._report(pending.pod, pod, decision, started))
        else:
            self.cluster.add_pod(pending.pod, decision.node)
            if pending.pod.claims and (wanted := plan(self.cluster, pending.pod, self.cluster.index[decision.node])):
                assume(self.cluster.volumes, wanted)
                tasks.create_task(self._bind_with_volumes(pending, pod, wanted, started))
            else:
                tasks.create_task(self._bind(pending, pod, decision.node, started))

    async def _bind_with_volumes(self, pending: queues.Pending, pod: JSON, wanted: Plan, started: float) -> None:
        """The claims first. Waiting for them may take long, so meanwhile the place in flight is another's."""
        self._room.release()
        info, state = pending.pod, self.cluster.volumes
        try:
            await carry_out(self._client, state, wanted, alive=lambda: info.key in self._objects)
        except (BindingFailed, errors.StatusError, OSError, TimeoutError) as error:
            self._give_back(info)
            self.queue.retry(pending)
            self._count(info, ERROR, started)
            message = str(error) or "binding volumes: context deadline exceeded"
            if info.key in self._objects:
                self._recorder.event(
                    pod, "Warning", "FailedScheduling", f'running PreBind plugin "VolumeBinding": {message}'
                )
            return
        finally:
            give_up(state, wanted)
        await self._room.acquire()
        await self._bind(pending, pod, wanted.node, started)

    async def _bind(self, pending: queues.Pending, pod: JSON, node: str, started: float) -> None:
        info = pending.pod
        binding = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": meta.name(pod), "namespace": info.namespace, "uid": info.uid},
            "target": {"apiVersion": "v1", "kind": "Node", "name": node},
        }
        try:
            await self._client.create(
                kinds.POD, binding, namespace=info.namespace, name=meta.name(pod), subresource="binding"
            )
        except errors.NotFound:
            self._give_back(info)
        except (errors.StatusError, OSError, TimeoutError) as error:
            self._give_back(info)
            self.queue.retry(pending)
            self._count(info, ERROR, started)
            log.warning("binding %s to %s failed, will try again: %s", info.key, node, error)
        else:
            self._count(info, SCHEDULED, started)
            self._recorder.event(
                pod, "Normal", "Scheduled", f"Successfully assigned {info.namespace}/{meta.name(pod)} to {node}"
            )
        finally:
            self._room.release()

    async def _report(self, info: PodInfo, pod: JSON, decision: Decision, started: float) -> None:
        """Says why the pod has no node: in an event and, where that is news, in its PodScheduled condition."""
        self._count(info, UNSCHEDULABLE, started)
        try:
            self._recorder.event(pod, "Warning", "FailedScheduling", decision.message)
            condition = meta.condition(pod, "PodScheduled") or {}
            if (condition.get("reason"), condition.get("message")) == ("Unschedulable", decision.message):
                return
            wanted = {
                "type": "PodScheduled",
                "status": "False",
                "reason": "Unschedulable",
                "message": decision.message,
                "lastProbeTime": None,
                "lastTransitionTime": condition.get("lastTransitionTime") or meta.now(),
            }
            await self._client.patch(
                kinds.POD,
                meta.name(pod),
                {"status": {"conditions": [wanted]}},
                namespace=info.namespace,
                content_type=STRATEGIC_MERGE_PATCH,
                subresource="status",
            )
        except (errors.StatusError, OSError, TimeoutError) as error:
            log.info("reporting on %s failed: %s", info.key, error)
        finally:
            self._room.release()

    def _give_back(self, info: PodInfo) -> None:
        """Takes back what was assumed: the room it had may do for others."""
        if self.cluster.remove_pod(info.uid):
            self.queue.on_event(queues.POD_REMOVED)

    @staticmethod
    def _count(info: PodInfo, result: str, started: float) -> None:
        ATTEMPTS.labels(info.scheduler, result).inc()
        ATTEMPT_SECONDS.labels(info.scheduler, result).observe(time.perf_counter() - started)
