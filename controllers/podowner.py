"""What every controller whose objects own pods shares: which pods are whose, and making and deleting them.

A pod's event puts its owner's key into the queue; an orphan's, the keys of all who may adopt it. Creations start slowly
(1, 2, 4, ... at a time), so that a template that is refused costs one request and not five hundred. Expectations keep
a stale cache from making pods twice.
"""

import asyncio
from collections.abc import Awaitable, Iterable, Sequence
from typing import Any, ClassVar

from apimachinery import errors, kinds, labels, meta
from apimachinery.kinds import Kind
from controllers import objects
from controllers.adoption import Claimer
from controllers.context import Context, QueueController, enqueue_all
from kubeclient.errors import Unreachable
from kubeclient.expectations import Expectations

JSON = dict[str, Any]
REFUSED = (errors.StatusError, Unreachable)


class PodOwnerController(QueueController[str]):
    """Base of the controllers of one kind that owns pods; what it does about an object is in `_reconcile`."""

    kind: ClassVar[Kind]
    workers = 5
    created_text: ClassVar[str] = "Created pod: {pod}"
    refused_text: ClassVar[str] = "Error creating: {error}"
    deleted_text: ClassVar[str] = "Deleted pod: {pod}"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._events = context.events.named(f"{self.name}-controller")
        self._expectations = Expectations()
        self._claimer = Claimer(context.client, self.kind, kinds.POD)
        self._owners = context.informers.informer(self.kind)
        self._pods = context.informers.informer(kinds.POD)
        self._owners.add_index("uid", lambda obj: [meta.uid(obj)])
        self._pods.add_index("controller", objects.controller_uid)
        self._pods.add_index("orphans", objects.orphan_namespace)
        enqueue_all(self._owners, self._queue)
        self._pods.add_handler(on_add=self._pod_added, on_update=self._pod_updated, on_delete=self._pod_deleted)

    def selector(self, owner: JSON) -> labels.Selector:
        """Which pods are its own."""
        return labels.from_label_selector(owner["spec"].get("selector"))

    def _may_own(self, owner: JSON, pod: JSON) -> bool:
        """Whether it may adopt this orphan, if the selector matches."""
        return objects.is_active(pod)

    def _owner_key(self, pod: JSON) -> str | None:
        """The key of the object of our kind that controls the pod, if it is one that we know."""
        owner = meta.controller_of(pod)
        found = self._owners.by_index("uid", owner["uid"]) if owner else ()
        return meta.key(found[0]) if found else None

    def _pod_added(self, pod: JSON) -> None:
        if meta.is_deleting(pod):
            self._pod_deleted(pod)
        elif key := self._owner_key(pod):
            self._expectations.creation_observed(key)
            self._queue.add(key)
        elif not meta.controller_of(pod):
            self._enqueue_matching(pod)

    def _pod_updated(self, old: JSON, new: JSON) -> None:
        key = self._owner_key(new)
        if meta.is_deleting(new) and not meta.is_deleting(old) and key:
            self._expectations.deletion_observed(key, meta.uid(new))
        for affected in {key, self._owner_key(old)} - {None}:
            self._queue.add(str(affected))
        if not meta.controller_of(new):
            self._enqueue_matching(new)

    def _pod_deleted(self, pod: JSON) -> None:
        if key := self._owner_key(pod):
            self._expectations.deletion_observed(key, meta.uid(pod))
            self._queue.add(key)

    def _enqueue_matching(self, pod: JSON) -> None:
        """Whoever may adopt an orphan is to look at it."""
        for candidate in self._owners.list(meta.namespace(pod)):
            if self.selector(candidate).matches(meta.labels(pod)):
                self._queue.add(meta.key(candidate))

    async def _claimed(self, owner: JSON) -> list[JSON]:
        """The pods that are its own, adopted and released as the selector says."""
        mine = self._pods.by_index("controller", meta.uid(owner))
        orphans = self._pods.by_index("orphans", meta.namespace(owner))
        candidates = [*mine, *(pod for pod in orphans if self._may_own(owner, pod))]
        return await self._claimer.claim(owner, self.selector(owner), candidates)

    async def _create_pods(self, key: str, owner: JSON, bodies: Sequence[JSON]) -> None:
        """Create in growing batches; the first refusal ends it, and what was not sent is not expected any more.

        That the namespace is going away is no failure: the owner goes along with it.
        """
        self._expectations.expect_creations(key, len(bodies))
        sent, batch = 0, 1
        while sent < len(bodies):
            results = await _all(self._create_pod(owner, body) for body in bodies[sent : sent + batch])
            sent += len(results)
            refused = [result for result in results if result is not None]
            if refused:
                self._expectations.creation_observed(key, len(refused) + len(bodies) - sent)
                if objects.is_ending_namespace(refused[0]):
                    return
                raise refused[0]
            batch *= 2

    async def _create_pod(self, owner: JSON, body: JSON) -> None:
        try:
            pod = await self._client.create(kinds.POD, body)
        except REFUSED as error:
            if not objects.is_ending_namespace(error):
                message = self.refused_text.format(pod=meta.name(body), owner=meta.name(owner), error=error)
                self._events.event(owner, "Warning", "FailedCreate", message)
            raise
        message = self.created_text.format(pod=meta.name(pod), owner=meta.name(owner))
        self._events.event(owner, "Normal", "SuccessfulCreate", message)

    async def _delete_pods(self, key: str, owner: JSON, pods: Sequence[JSON]) -> None:
        """Delete them all; the first refusal is raised when all have been tried."""
        self._expectations.expect_deletions(key, [meta.uid(pod) for pod in pods])
        for result in await _all(self._delete_pod(key, owner, pod) for pod in pods):
            if result is not None:
                raise result

    async def _delete_pod(self, key: str, owner: JSON, pod: JSON) -> None:
        try:
            await self._client.delete(kinds.POD, meta.name(pod), namespace=meta.namespace(pod), uid=meta.uid(pod))
        except (errors.NotFound, errors.Conflict):  # already gone, or another pod of that name
            self._expectations.deletion_observed(key, meta.uid(pod))
        except REFUSED as error:
            self._expectations.deletion_observed(key, meta.uid(pod))
            self._events.event(owner, "Warning", "FailedDelete", f"Error deleting: {error}")
            raise
        else:
            message = self.deleted_text.format(pod=meta.name(pod), owner=meta.name(owner))
            self._events.event(owner, "Normal", "SuccessfulDelete", message)


async def _all(calls: Iterable[Awaitable[None]]) -> list[BaseException | None]:
    return await asyncio.gather(*calls, return_exceptions=True)
