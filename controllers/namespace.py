"""Namespaces that are deleted: everything in them goes first, of every kind the server has, then they do.

Pods go before all else, so that what they use (their secrets, the policies that fence them in) outlives them. While
something is left the namespace's conditions say what, and how much.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from apimachinery import errors, kinds, meta
from apimachinery.kinds import Kind
from controllers.context import Context, QueueController
from controllers.discovery import discover
from kubeclient.errors import Unreachable
from kubeclient.rest import resource_path

log = logging.getLogger(__name__)

JSON = dict[str, Any]
FINALIZER = "kubernetes"
PARALLEL = 8
_SHORTEST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS = 0.1, 5.0
_VERBS = {"list", "delete"}


@dataclass(slots=True)
class Remains:
    """What a round of deletion has left behind."""

    counts: dict[str, int] = field(default_factory=dict)  # by resource
    finalizers: dict[str, int] = field(default_factory=dict)  # by finalizer, instances that have it
    failures: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.counts or self.failures)


def conditions(remains: Remains, *, discovery_failure: str = "") -> list[tuple[str, str, str, str]]:
    """Type, status, reason and message of the namespace's conditions, in upstream's words."""
    counts, finalizers = sorted(remains.counts.items()), sorted(remains.finalizers.items())
    content = ", ".join(f"{resource} has {count} resource instances" for resource, count in counts)
    blocked = ", ".join(f"{finalizer} in {count} resource instances" for finalizer, count in finalizers)
    rows = (
        ("NamespaceDeletionDiscoveryFailure", "DiscoveryFailed", discovery_failure, "ResourcesDiscovered",
         "All resources successfully discovered"),
        ("NamespaceDeletionGroupVersionParsingFailure", "GroupVersionParsingFailed", "", "ParsedGroupVersions",
         "All legacy kube types successfully parsed"),
        ("NamespaceDeletionContentFailure", "ContentDeletionFailed",
         f"Failed to delete all resource types, {len(remains.failures)} remaining: {'; '.join(remains.failures)}"
         if remains.failures else "", "ContentDeleted",
         "All content successfully deleted, may be waiting on finalization"),
        ("NamespaceContentRemaining", "SomeResourcesRemain",
         f"Some resources are remaining: {content}" if content else "", "ContentRemoved",
         "All content successfully removed"),
        ("NamespaceFinalizersRemaining", "SomeFinalizersRemain",
         f"Some content in the namespace has finalizers remaining: {blocked}" if blocked else "",
         "ContentHasNoFinalizers", "All content-preserving finalizers finished"),
    )  # fmt: skip
    return [
        (type_, "True", bad_reason, trouble) if trouble else (type_, "False", good_reason, fine)
        for type_, bad_reason, trouble, good_reason, fine in rows
    ]


class NamespaceController(QueueController[str]):
    """Empties and finalizes namespaces."""

    name = "namespace"
    workers = 10

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._namespaces = context.informers.informer(kinds.NAMESPACE)
        self._namespaces.add_handler(on_add=self._changed, on_update=lambda _, new: self._changed(new))

    def _changed(self, namespace: JSON) -> None:
        if meta.is_deleting(namespace):
            self._queue.add(meta.name(namespace))

    async def _reconcile(self, name: str) -> float | None:
        namespace = self._namespaces.get(name)
        if namespace is None or not meta.is_deleting(namespace):
            return None
        finalizers = namespace["spec"].get("finalizers") or []
        if FINALIZER not in finalizers:
            return None
        failure = ""
        try:
            rows = [row for row in await discover(self._client, verbs=_VERBS) if row.namespaced]
        except (errors.StatusError, Unreachable) as error:
            rows, failure = [], str(error)
        remains = await self._empty(name, rows)
        await self._report(namespace, remains, failure)
        if remains or failure:
            age = (self._context.clock() - meta.parse_time(namespace["metadata"]["deletionTimestamp"])).total_seconds()
            return min(max(age / 5, _SHORTEST_WAIT_SECONDS), _LONGEST_WAIT_SECONDS)
        await self._finalize(name)
        return None

    async def _empty(self, name: str, rows: Sequence[Kind]) -> Remains:
        """Delete what is there: the pods, and when none is left the rest."""
        remains = Remains()
        pods = [row for row in rows if (row.group, row.plural) == ("", kinds.POD.plural)]
        await self._empty_kinds(name, pods, remains)
        if not remains:
            await self._empty_kinds(name, [row for row in rows if row not in pods], remains)
        return remains

    async def _empty_kinds(self, name: str, rows: Sequence[Kind], remains: Remains) -> None:
        slots = asyncio.Semaphore(PARALLEL)

        async def one(row: Kind) -> None:
            async with slots:
                try:
                    await self._empty_kind(name, row, remains)
                except (errors.NotFound, errors.MethodNotAllowed):
                    return
                except (errors.StatusError, Unreachable) as error:
                    remains.failures.append(f"unexpected items still remain in {row.resource}: {error}")

        async with asyncio.TaskGroup() as group:
            for row in rows:
                group.create_task(one(row))

    async def _empty_kind(self, name: str, row: Kind, remains: Remains) -> None:
        present = (await self._client.list(row, namespace=name, metadata_only=True))["items"]
        if not present:
            return
        if "deletecollection" in row.verbs:
            await self._client.request("DELETE", resource_path(row, namespace=name), body=_BACKGROUND)
        else:
            for obj in present:
                await self._client.delete(row, meta.name(obj), namespace=name, propagation_policy="Background")
        left = (await self._client.list(row, namespace=name, metadata_only=True))["items"]
        if left:
            remains.counts[f"{row.plural}.{row.group}"] = len(left)
        for finalizer in (each for obj in left for each in obj["metadata"].get("finalizers") or ()):
            remains.finalizers[finalizer] = remains.finalizers.get(finalizer, 0) + 1

    async def _report(self, namespace: JSON, remains: Remains, failure: str) -> None:
        """Write the conditions; nothing when the first look finds the namespace empty."""
        status = namespace.get("status") or {}
        present = [dict(each) for each in status.get("conditions") or ()]
        if not (remains or failure or present):
            return
        changes = [
            meta.set_condition(present, type=type_, status=value, reason=reason, message=message, now=meta.now())
            for type_, value, reason, message in conditions(remains, discovery_failure=failure)
        ]
        if any(changes):
            body = {"status": {"conditions": present}}
            await self._client.patch(kinds.NAMESPACE, meta.name(namespace), body, subresource="status")

    async def _finalize(self, name: str) -> None:
        """Take our finalizer away; the server then deletes the namespace, if no other is left."""
        try:
            live = await self._client.get(kinds.NAMESPACE, name)
            kept = [each for each in live["spec"].get("finalizers") or () if each != FINALIZER]
            body = {**live, "spec": {**live["spec"], "finalizers": kept}}
            await self._client.update(kinds.NAMESPACE, body, subresource="finalize")
        except errors.NotFound:
            return
        log.info("namespace %s is empty and finalized", name)


_BACKGROUND = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
