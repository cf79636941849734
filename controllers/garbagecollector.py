"""The garbage collector: what has lost all its owners is deleted; deletions in the foreground wait for dependents.

Every kind the server has is watched, by metadata alone where nobody needs more; kinds that come later (custom
resources) are found by discovery. `ownergraph` says what to look at. An owner that is neither present in the graph nor
known to be gone is looked up by its UID, and what is deleted or changed is so only at the very version that was looked
at: a stale cache deletes nothing.
"""

import asyncio
import logging
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from apimachinery import errors, kinds, meta
from apimachinery.kinds import Kind
from controllers.context import Context
from controllers.discovery import discover
from controllers.ownergraph import FOREGROUND, ORPHAN, Graph, Node, Reference, Work
from kubeclient.errors import Unreachable
from kubeclient.informer import Informer
from kubeclient.workqueue import WorkQueue, work

log = logging.getLogger(__name__)

JSON = dict[str, Any]
WORKERS = 20
DISCOVERY_PERIOD_SECONDS = 30.0
SYNC_TIMEOUT_SECONDS = 30.0
UNRESOLVED_RETRY_SECONDS = 30.0
IGNORED = {("", "events"), ("events.k8s.io", "events")}
_BUILT_IN = {(each.group, each.plural) for each in kinds.KINDS}
_VERBS = {"delete", "list", "watch"}


@dataclass(slots=True)
class Owners:
    """The owner references of an object, by what is true of them."""

    solid: list[Reference] = field(default_factory=list)
    dangling: list[Reference] = field(default_factory=list)
    waiting: list[Reference] = field(default_factory=list)  # deleted in the foreground, waiting for us
    unknown: list[Reference] = field(default_factory=list)  # of a kind that the server doesn't have now


class GarbageCollector:
    """Deletes what is owned by nothing any more."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._client = context.client
        self._graph = Graph()
        self._examine: WorkQueue[str] = WorkQueue("garbage_collector_attempt_to_delete")
        self._orphan: WorkQueue[str] = WorkQueue("garbage_collector_attempt_to_orphan")
        self._informers: dict[tuple[str, str], Informer] = {}
        self._kinds: dict[tuple[str, str], Kind] = {}  # by group and kind

    async def run(self) -> None:
        """Watch everything, then work until cancelled."""
        async with asyncio.TaskGroup() as group:
            await self._discover()
            try:
                async with asyncio.timeout(SYNC_TIMEOUT_SECONDS):
                    for informer in list(self._informers.values()):
                        await informer.wait_synced()
            except TimeoutError:
                missing = [each.kind.resource for each in self._informers.values() if not each.synced]
                log.warning("garbage collector: not synced yet: %s", ", ".join(missing))
            workers = self._context.options.workers.get("gc", WORKERS)
            group.create_task(work(self._examine, self._attempt, workers=workers))
            group.create_task(work(self._orphan, self._orphan_dependents, workers=workers))
            group.create_task(self._rediscover())

    async def _rediscover(self) -> None:
        while True:
            await asyncio.sleep(DISCOVERY_PERIOD_SECONDS)
            await self._discover()

    async def _discover(self) -> None:
        """Watch the kinds that are new."""
        try:
            rows = await discover(self._client, verbs=_VERBS)
        except (errors.StatusError, Unreachable) as error:
            log.warning("garbage collector: discovery failed, trying again: %s", error)
            return
        for row in rows:
            key = (row.group, row.plural)
            if key in self._informers or key in IGNORED:
                continue
            self._kinds[row.group, row.kind] = row
            informer = self._informer(row)
            self._informers[key] = informer
            observe = partial(self._observe, row)
            informer.add_handler(on_add=observe, on_update=partial(self._changed, row), on_delete=self._forget)
        served = {(row.group, row.plural) for row in rows} | _BUILT_IN
        for gone in self._informers.keys() - served:
            self._context.informers.drop(self._informers.pop(gone))

    def _informer(self, row: Kind) -> Informer:
        """The full informer if some controller has one already, else one of metadata."""
        try:
            known = kinds.by_resource(row.group, row.plural)
        except KeyError:
            known = row
        if self._context.informers.has(known):
            return self._context.informers.informer(known)
        return self._context.informers.informer(row, metadata_only=True, transform=_bare)

    def _changed(self, row: Kind, old: JSON, new: JSON) -> None:
        was, now = old["metadata"], new["metadata"]
        if any(was.get(name) != now.get(name) for name in ("ownerReferences", "finalizers", "deletionTimestamp")):
            self._observe(row, new)

    def _observe(self, row: Kind, obj: JSON) -> None:
        self._enqueue(self._graph.observe(row, obj))

    def _forget(self, obj: JSON) -> None:
        self._enqueue(self._graph.forget(meta.uid(obj)))

    def _enqueue(self, todo: Work) -> None:
        for uid in todo.examine:
            self._examine.add(uid)
        for uid in todo.orphan:
            self._orphan.add(uid)

    async def _attempt(self, uid: str) -> float | None:
        """Look at one node: delete it, or take what is gone out of its references, or leave it."""
        node = self._graph.get(uid)
        if node is None:
            return None
        if node.kind is None:
            return await self._look_up(node)
        if node.deleting and not node.foreground:
            return None
        live = self._cached(node) or await self._live(node)
        if live is None:
            self._enqueue(self._graph.forget(uid))
            return None
        if node.foreground:
            await self._finish_foreground(node, live)
            return None
        references = Reference.all_of(live)
        if not references:
            return None
        owners = await self._classify(node, references)
        if owners.solid:
            await self._drop_references(node, live, owners)
        elif owners.unknown:
            return UNRESOLVED_RETRY_SECONDS
        elif owners.waiting and node.dependents:
            await self._delete(node, live, "Foreground")
        else:
            await self._delete(node, live, _policy(live))
        return None

    async def _look_up(self, node: Node) -> float | None:
        """See whether a virtual owner exists."""
        reference = node.reference
        if reference is None:
            return None
        found = await self._owner(reference, node.namespace)
        if found is _UNKNOWN_KIND:
            return UNRESOLVED_RETRY_SECONDS
        if found is None:
            self._enqueue(self._graph.forget(node.uid))
        return None

    async def _classify(self, node: Node, references: tuple[Reference, ...]) -> Owners:
        owners = Owners()
        for each in references:
            known = self._graph.get(each.uid)
            if self._graph.is_absent(each.uid):
                owners.dangling.append(each)
            elif known and not known.virtual and not known.deleting and self._graph.fits(node, known):
                owners.solid.append(each)
            else:
                found = await self._owner(each, node.namespace)
                if found is _UNKNOWN_KIND:
                    owners.unknown.append(each)
                elif found is None:
                    owners.dangling.append(each)
                elif meta.is_deleting(found) and FOREGROUND in (found["metadata"].get("finalizers") or ()):
                    owners.waiting.append(each)
                else:
                    owners.solid.append(each)
        return owners

    async def _owner(self, reference: Reference, namespace: str) -> JSON | None:
        """The live metadata of an owner; None if there is none of that UID; `_UNKNOWN_KIND` if nobody can say."""
        group = reference.api_version.rpartition("/")[0]
        row = self._kinds.get((group, reference.kind))
        if row is None:
            return _UNKNOWN_KIND
        if row.namespaced and not namespace:
            return None  # a cluster-scoped object can't be owned by a namespaced one
        try:
            found = await self._client.get(row, reference.name, namespace=namespace, metadata_only=True)
        except errors.NotFound:
            return None
        return found if meta.uid(found) == reference.uid else None

    def _cached(self, node: Node) -> JSON | None:
        """The object as our cache has it: good enough for a first attempt, since writes name the version they mean."""
        if node.kind is None or self._examine.num_requeues(node.uid):
            return None
        informer = self._informers.get((node.kind.group, node.kind.plural))
        found = informer.get(f"{node.namespace}/{node.name}" if node.namespace else node.name) if informer else None
        return found if found and meta.uid(found) == node.uid else None

    async def _live(self, node: Node) -> JSON | None:
        assert node.kind is not None
        try:
            live = await self._client.get(node.kind, node.name, namespace=node.namespace, metadata_only=True)
        except errors.NotFound:
            return None
        return live if meta.uid(live) == node.uid else None

    async def _finish_foreground(self, node: Node, live: JSON) -> None:
        """Let a foreground deletion end when no dependent blocks it; else see to its dependents."""
        blocking = self._graph.blocking(node)
        if not blocking:
            await self._drop_finalizer(node, live, FOREGROUND)
        for each in blocking:
            if not each.foreground:
                self._examine.add(each.uid)

    async def _drop_references(self, node: Node, live: JSON, owners: Owners) -> None:
        """Take the owners that are gone, or wait for this object, out of its references."""
        gone = {each.uid for each in (*owners.dangling, *owners.waiting)}
        if not gone:
            return
        kept = [each for each in live["metadata"]["ownerReferences"] if each["uid"] not in gone]
        await self._patch_metadata(node, live, {"ownerReferences": kept or None})

    async def _drop_finalizer(self, node: Node, live: JSON, finalizer: str) -> None:
        present = live["metadata"].get("finalizers") or []
        if finalizer in present:
            kept = [each for each in present if each != finalizer]
            await self._patch_metadata(node, live, {"finalizers": kept or None})

    async def _patch_metadata(self, node: Node, live: JSON, metadata: JSON) -> None:
        assert node.kind is not None
        versioned = {"uid": node.uid, "resourceVersion": live["metadata"]["resourceVersion"]}
        try:
            await self._client.patch(
                node.kind, node.name, {"metadata": {**versioned, **metadata}}, namespace=node.namespace
            )
        except errors.NotFound:
            self._enqueue(self._graph.forget(node.uid))

    async def _delete(self, node: Node, live: JSON, policy: str) -> None:
        assert node.kind is not None
        log.info("deleting %s %s/%s, its owners are gone (%s)", node.kind.resource, node.namespace, node.name, policy)
        try:
            await self._client.delete(
                node.kind,
                node.name,
                namespace=node.namespace,
                propagation_policy=policy,
                uid=node.uid,
                resource_version=live["metadata"]["resourceVersion"],
            )
        except errors.NotFound:
            self._enqueue(self._graph.forget(node.uid))

    async def _orphan_dependents(self, uid: str) -> None:
        """Take an owner out of its dependents' references, then let it go."""
        owner = self._graph.get(uid)
        if owner is None or owner.kind is None:
            return
        for dependent in list(owner.dependents):
            live = await self._live(dependent)
            if live is not None:
                named = Owners(dangling=[each for each in Reference.all_of(live) if each.uid == uid])
                await self._drop_references(dependent, live, named)
        live = await self._live(owner)
        if live is not None:
            await self._drop_finalizer(owner, live, ORPHAN)


_UNKNOWN_KIND: JSON = {}
_KEPT = ("name", "namespace", "uid", "resourceVersion", "ownerReferences", "finalizers", "deletionTimestamp")


def _bare(obj: JSON) -> JSON:
    """What the graph needs of an object's metadata."""
    metadata = obj["metadata"]
    return {"metadata": {name: metadata[name] for name in _KEPT if name in metadata}}


def _policy(live: JSON) -> str:
    """How to delete an object: as its own finalizers ask, else in the background."""
    finalizers = live["metadata"].get("finalizers") or ()
    return "Orphan" if ORPHAN in finalizers else "Foreground" if FOREGROUND in finalizers else "Background"
