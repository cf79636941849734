"""Pods leave nodes with NoExecute taints, each when its tolerations run out.

Time counts from when this controller saw the pod under a taint, as upstream; where taint and pod say since when that is
so, a restart of this process prolongs nothing. A taint that goes in time takes the eviction along, since the state is
looked at again then.
"""

import logging
from datetime import datetime, timedelta
from typing import Any

from apimachinery import errors, kinds, meta
from controllers import nodehealth, objects
from controllers.context import Context, QueueController
from kubeclient.rest import STRATEGIC_MERGE_PATCH

log = logging.getLogger(__name__)

JSON = dict[str, Any]
STAMP_PRECISION = timedelta(seconds=1)  # what is stamped 12:00:07 was up to a second later


def seconds_left(pod: JSON, taints: list[JSON], *, seen: datetime, now: datetime) -> float | None:
    """Seconds until a pod is to go, at most 0 for at once; None for never. `seen`: when first under taints."""
    if not taints:
        return None
    tolerated = nodehealth.toleration_seconds(pod, taints)
    if not tolerated:
        return tolerated
    return tolerated - (now - _began(pod, taints, seen)).total_seconds()


def _began(pod: JSON, taints: list[JSON], seen: datetime) -> datetime:
    """When pod and taints met, never too early. `kubectl taint` leaves `timeAdded` out."""
    stamps = [pod["metadata"]["creationTimestamp"], *(each.get("timeAdded") for each in taints)]
    if not all(stamps):
        return seen
    return min(seen, max(map(meta.parse_time, stamps)) + STAMP_PRECISION)


class TaintEvictionController(QueueController[str]):
    """Deletes pods that a NoExecute taint drives out."""

    name = "noexec_taint_pod"
    workers = 8

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._events = context.events.named("taint-eviction-controller")
        self._seen: dict[str, tuple[str, datetime]] = {}  # pods with time left: their UID, and when that began
        self._nodes = context.informers.informer(kinds.NODE)
        self._pods = context.informers.informer(kinds.POD)
        self._pods.add_index("node", lambda pod: [pod["spec"].get("nodeName") or ""])
        self._pods.add_handler(on_add=self._pod_added, on_update=self._pod_updated)
        self._nodes.add_handler(on_add=self._node_added, on_update=self._node_updated)

    def _pod_added(self, pod: JSON) -> None:
        if self._taints(pod):
            self._queue.add(meta.key(pod))

    def _pod_updated(self, old: JSON, new: JSON) -> None:
        placed = [(each["spec"].get("nodeName"), each["spec"].get("tolerations")) for each in (old, new)]
        if placed[0] != placed[1]:
            self._pod_added(new)

    def _node_added(self, node: JSON) -> None:
        if _no_execute(node):
            self._enqueue_pods(node)

    def _node_updated(self, old: JSON, new: JSON) -> None:
        if _no_execute(old) != _no_execute(new):
            self._enqueue_pods(new)

    def _enqueue_pods(self, node: JSON) -> None:
        for pod in self._pods.by_index("node", meta.name(node)):
            self._queue.add(meta.key(pod))

    def _taints(self, pod: JSON) -> list[JSON]:
        node = self._nodes.get(pod["spec"].get("nodeName") or "")
        return _no_execute(node) if node else []

    async def _reconcile(self, key: str) -> float | None:
        pod = self._pods.get(key)
        now = self._context.clock()
        left = None
        if pod is not None and not meta.is_deleting(pod) and not objects.is_finished(pod):
            uid, seen = self._seen.get(key, ("", now))
            seen = seen if uid == meta.uid(pod) else now
            left = seconds_left(pod, self._taints(pod), seen=seen, now=now)
        if pod is None or left is None:
            self._seen.pop(key, None)
            return None
        self._seen[key] = meta.uid(pod), seen  # an eviction that fails is tried again, not begun anew
        if left > 0:
            return left
        await self._evict(pod)
        del self._seen[key]
        return None

    async def _evict(self, pod: JSON) -> None:
        name, space = meta.name(pod), meta.namespace(pod)
        self._events.event(pod, "Normal", "TaintManagerEviction", f"Marking for deletion Pod {space}/{name}")
        condition = {
            "type": "DisruptionTarget",
            "status": "True",
            "reason": "DeletionByTaintManager",
            "message": "Taint manager: deleting due to NoExecute taint",
            "lastTransitionTime": meta.now(),
        }
        body = {"metadata": {"uid": meta.uid(pod)}, "status": {"conditions": [condition]}}
        try:
            await self._client.patch(
                kinds.POD,
                name,
                body,
                namespace=space,
                subresource="status",
                content_type=STRATEGIC_MERGE_PATCH,
            )
        except errors.NotFound:
            return
        await objects.delete(self._client, kinds.POD, pod)


def _no_execute(node: JSON) -> list[JSON]:
    return [each for each in node["spec"].get("taints") or () if each["effect"] == "NoExecute"]
