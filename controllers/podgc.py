"""Pods that nobody will clean up: on nodes that are gone, never scheduled and deleted, or finished beyond a number."""

import asyncio
import logging
from collections.abc import Iterable, Mapping
from typing import Any

from apimachinery import errors, kinds, meta
from controllers import nodehealth, objects
from controllers.context import Context
from kubeclient.errors import Unreachable
from kubeclient.rest import STRATEGIC_MERGE_PATCH

log = logging.getLogger(__name__)

JSON = dict[str, Any]
PERIOD_SECONDS = 20.0
QUARANTINE_SECONDS = 40.0
OUT_OF_SERVICE = "node.kubernetes.io/out-of-service"


def surplus_finished(pods: Iterable[JSON], threshold: int) -> list[JSON]:
    """The oldest finished pods beyond the threshold; 0 or less is no limit."""
    finished = sorted((pod for pod in pods if objects.is_finished(pod)), key=objects.creation_order)
    return finished[: len(finished) - threshold] if 0 < threshold < len(finished) else []


def unscheduled_deleting(pods: Iterable[JSON]) -> list[JSON]:
    """Deleted pods that have no node, so no kubelet to end them."""
    return [pod for pod in pods if meta.is_deleting(pod) and not pod["spec"].get("nodeName")]


def on_dead_nodes(pods: Iterable[JSON], nodes: Mapping[str, JSON]) -> list[JSON]:
    """Deleted pods on nodes that an administrator has said to be out of service for good."""
    found = []
    for pod in pods:
        node = nodes.get(pod["spec"].get("nodeName") or "")
        if node is None or not meta.is_deleting(pod) or nodehealth.ready(node) == "True":
            continue
        if any(taint["key"] == OUT_OF_SERVICE for taint in node["spec"].get("taints") or ()):
            found.append(pod)
    return found


class PodGarbageCollector:
    """Looks at all pods every now and then."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._client = context.client
        self._pods = context.informers.informer(kinds.POD)
        self._nodes = context.informers.informer(kinds.NODE)
        self._missing: dict[str, float] = {}  # nodes that pods name and that aren't there, since when

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            try:
                await self.collect()
            except (errors.StatusError, Unreachable) as error:
                log.warning("pods not collected, trying again: %s", error)
            await asyncio.sleep(PERIOD_SECONDS)

    async def collect(self) -> None:
        """One round."""
        pods = self._pods.list()
        nodes = {meta.name(node): node for node in self._nodes.list()}
        for pod in surplus_finished(pods, self._context.options.terminated_pod_gc_threshold):
            await self._delete(pod, "")
        for pod in on_dead_nodes(pods, nodes):
            await self._delete(pod, "PodGC: node is out of service")
        for pod in unscheduled_deleting(pods):
            await self._delete(pod, "")
        gone = await self._gone_nodes({pod["spec"].get("nodeName") or "" for pod in pods} - nodes.keys() - {""})
        for pod in pods:
            if pod["spec"].get("nodeName") in gone:
                await self._delete(pod, "PodGC: node no longer exists")

    async def _gone_nodes(self, missing: set[str]) -> set[str]:
        """Those that have been missing long enough, and of which the API server says so too."""
        now = asyncio.get_running_loop().time()
        self._missing = {name: self._missing.get(name, now) for name in missing}
        gone = set()
        for name, since in self._missing.items():
            if now - since < QUARANTINE_SECONDS:
                continue
            try:
                await self._client.get(kinds.NODE, name)
            except errors.NotFound:
                gone.add(name)
        return gone

    async def _delete(self, pod: JSON, disruption: str) -> None:
        name, space = meta.name(pod), meta.namespace(pod)
        log.info("collecting pod %s/%s %s", space, name, disruption)
        try:
            if disruption:
                await self._mark(pod, disruption)
            await self._client.delete(kinds.POD, name, namespace=space, uid=meta.uid(pod), grace_period_seconds=0)
        except (errors.NotFound, errors.Conflict):
            return

    async def _mark(self, pod: JSON, message: str) -> None:
        condition = {
            "type": "DisruptionTarget",
            "status": "True",
            "reason": "DeletionByPodGC",
            "message": message,
            "lastTransitionTime": meta.now(),
        }
        phase = {} if objects.is_finished(pod) else {"phase": "Failed"}
        await self._client.patch(
            kinds.POD,
            meta.name(pod),
            {"metadata": {"uid": meta.uid(pod)}, "status": {**phase, "conditions": [condition]}},
            namespace=meta.namespace(pod),
            subresource="status",
            content_type=STRATEGIC_MERGE_PATCH,
        )
