"""Nodes that fall silent, and what their conditions mean for pods: the node lifecycle controller.

Two things go on. A monitor looks every few seconds for nodes whose lease, or status, nobody has renewed for the grace
period, measured by this process's own clock from when it saw the renewal; their conditions become Unknown, and their
pods not ready. And each change of a node is worked on at once: its taints follow its conditions, so that a node that
has just become ready takes pods without waiting for the monitor.
"""

import asyncio
import logging
import time
from typing import Any

from apimachinery import errors, kinds, meta
from componentbase import defaults
from componentbase.metrics import METRICS
from controllers import nodehealth
from controllers.context import Context
from controllers.nodehealth import Bucket
from kubeclient.errors import Unreachable
from kubeclient.rest import STRATEGIC_MERGE_PATCH
from kubeclient.workqueue import WorkQueue, work

log = logging.getLogger(__name__)

JSON = dict[str, Any]
WORKERS = 8
ZONE_SIZE = METRICS.gauge("node_collector_zone_size", "Number of registered nodes per zone.", ("zone",))
UNHEALTHY = METRICS.gauge("node_collector_unhealthy_nodes_in_zone", "Number of not Ready nodes per zone.", ("zone",))


class NodeLifecycleController:
    """Conditions to taints, and silence to conditions."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._client = context.client
        self._events = context.events.named("node-controller")
        self._queue: WorkQueue[str] = WorkQueue("node_lifecycle_controller")
        self._heard: dict[str, float] = {}  # by node: when its lease or status was seen renewed
        self._buckets: dict[str, Bucket] = {}
        self._states: dict[str, str] = {}
        self._nodes = context.informers.informer(kinds.NODE)
        self._pods = context.informers.informer(kinds.POD)
        self._leases = context.informers.informer(kinds.LEASE, namespace=defaults.NODE_LEASE_NAMESPACE)
        self._pods.add_index("node", lambda pod: [pod["spec"].get("nodeName") or ""])
        self._nodes.add_handler(on_add=self._node_added, on_update=self._node_updated, on_delete=self._node_deleted)
        self._leases.add_handler(on_add=self._lease, on_update=lambda _, new: self._lease(new))

    async def run(self) -> None:
        """Work until cancelled."""
        now = _now()
        self._heard = {name: now for name in map(meta.name, self._nodes.list())}  # we may have been away
        async with asyncio.TaskGroup() as group:
            group.create_task(self._monitor())
            group.create_task(work(self._queue, self._reconcile, workers=WORKERS))

    def _node_added(self, node: JSON) -> None:
        self._heard[meta.name(node)] = _now()
        self._queue.add(meta.name(node))

    def _node_updated(self, old: JSON, new: JSON) -> None:
        if _heartbeats(old) != _heartbeats(new):
            self._heard[meta.name(new)] = _now()
        if _facts(old) != _facts(new):
            self._queue.add(meta.name(new))

    def _node_deleted(self, node: JSON) -> None:
        name = meta.name(node)
        self._heard.pop(name, None)
        self._events.event(node, "Normal", "RemovingNode", f"Node {name} event: Removing Node {name} from Controller")

    def _lease(self, lease: JSON) -> None:
        if meta.name(lease) in self._heard:
            self._heard[meta.name(lease)] = _now()

    async def _monitor(self) -> None:
        while True:
            nodes = self._nodes.list()
            self._update_zones(nodes)
            for node in nodes:
                try:
                    await self._look_at(node)
                except (errors.StatusError, Unreachable) as error:
                    log.info("node %s: %s", meta.name(node), error)
            await asyncio.sleep(self._context.options.node_monitor_period)

    def _update_zones(self, nodes: list[JSON]) -> None:
        options = self._context.options
        ZONE_SIZE.clear()
        UNHEALTHY.clear()
        for name, (well, ill) in nodehealth.zone_counts(nodes).items():
            ZONE_SIZE.labels(name).set(well + ill)
            UNHEALTHY.labels(name).set(ill)
        states = nodehealth.zone_states(nodes, unhealthy_threshold=options.unhealthy_zone_threshold)
        if states != self._states:
            log.info("zones: %s", states)
            self._states = states
            for node in nodes:
                self._queue.add(meta.name(node))
        large = len(nodes) > options.large_cluster_size_threshold
        slow = options.secondary_node_eviction_rate if large else 0.0
        for name, state in states.items():
            bucket = self._buckets.setdefault(name, Bucket(options.node_eviction_rate, at=_now()))
            bucket.rate = slow if state == nodehealth.PARTIAL else options.node_eviction_rate

    async def _look_at(self, node: JSON) -> None:
        """Mark a node that has been silent for too long."""
        options, name = self._context.options, meta.name(node)
        known = nodehealth.ready(node)
        grace = options.node_startup_grace_period if known is None else options.node_monitor_grace_period
        heard = max(self._heard.get(name, _now()), self._leases.last_failure)  # nobody hears while we are cut off
        if _now() - heard <= grace:
            return
        if known != "Unknown":
            log.warning("node %s has been silent for more than %.0f s", name, grace)
            conditions = nodehealth.silent_conditions(node, now=meta.now())
            status = {**(node.get("status") or {}), "conditions": conditions}
            await self._client.update(kinds.NODE, {**node, "status": status}, subresource="status")
            message = f"Node {name} status is now: NodeNotReady"
            self._events.event(node, "Normal", "NodeNotReady", message)
        await self._mark_pods(name)

    async def _mark_pods(self, node_name: str) -> None:
        """A silent node's pods can't be said to be ready; Services must not send to them."""
        for pod in self._pods.by_index("node", node_name):
            if not meta.is_condition_true(pod, "Ready"):
                continue
            condition = {"type": "Ready", "status": "False", "lastTransitionTime": meta.now()}
            body = {"metadata": {"uid": meta.uid(pod)}, "status": {"conditions": [condition]}}
            self._events.event(pod, "Warning", "NodeNotReady", "Node is not ready")
            try:
                await self._client.patch(
                    kinds.POD,
                    meta.name(pod),
                    body,
                    namespace=meta.namespace(pod),
                    subresource="status",
                    content_type=STRATEGIC_MERGE_PATCH,
                )
            except (errors.NotFound, errors.Conflict):
                continue

    async def _reconcile(self, name: str) -> float | None:
        node = self._nodes.get(name)
        if node is None or meta.is_deleting(node):
            return None
        evict, again = self._may_evict(node)
        wanted = nodehealth.taints(node, evict=evict, now=meta.now())
        if wanted is not None:
            log.info("node %s: taints %s", name, ",".join(f"{each['key']}:{each['effect']}" for each in wanted) or "-")
            body = {"metadata": {"resourceVersion": node["metadata"]["resourceVersion"]}, "spec": {"taints": wanted}}
            await self._client.patch(kinds.NODE, name, body)
        return again

    def _may_evict(self, node: JSON) -> tuple[bool, float | None]:
        """Whether the node may have its NoExecute taint now, or in how many seconds to ask again."""
        if not nodehealth.needs_eviction(node):
            return False, None
        if not self._states or all(state == nodehealth.FULL for state in self._states.values()):
            return False, self._context.options.node_monitor_period
        if nodehealth.has_no_execute(node):
            return True, None
        bucket = self._buckets.get(nodehealth.zone(node))
        wait = bucket.wait(_now()) if bucket else self._context.options.node_monitor_period
        return (True, None) if not wait else (False, wait)


def _heartbeats(node: JSON) -> list[tuple[Any, ...]]:
    """What changes in a status that a kubelet posts (and not in one that we wrote)."""
    conditions = (node.get("status") or {}).get("conditions") or ()
    return [(each["type"], each.get("lastHeartbeatTime")) for each in conditions]


def _facts(node: JSON) -> tuple[Any, ...]:
    """What taints are decided from."""
    conditions = (node.get("status") or {}).get("conditions") or ()
    spec = node["spec"]
    states = [(each["type"], each.get("status")) for each in conditions]
    return states, spec.get("unschedulable"), spec.get("taints"), nodehealth.zone(node)


def _now() -> float:
    return time.monotonic()
