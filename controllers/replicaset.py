"""ReplicaSets, and ReplicationControllers before them: as many active pods as asked for, made from the template.

Creations start slowly (1, 2, 4, ... at a time), so that a template that is refused costs one request and not five
hundred. Expectations keep a stale cache from making pods twice.
"""

import asyncio
import logging
from typing import Any

from apimachinery import errors, kinds, labels, meta
from controllers import objects, replicas, rollout
from controllers.adoption import Claimer
from controllers.context import Context, enqueue_all
from kubeclient.errors import Unreachable
from kubeclient.expectations import Expectations
from kubeclient.workqueue import WorkQueue, work

log = logging.getLogger(__name__)

JSON = dict[str, Any]
WORKERS = 5
_REFUSED = (errors.StatusError, Unreachable)


class ReplicaSetController:
    """Pods for ReplicaSets."""

    kind = kinds.REPLICA_SET
    name = "replicaset"
    unknown: tuple[str, ...] = ()  # status fields that the kind doesn't have

    def __init__(self, context: Context) -> None:
        self._context = context
        self._events = context.events.named(f"{self.name}-controller")
        self._client = context.client
        self._queue: WorkQueue[str] = WorkQueue(self.name)
        self._expectations = Expectations()
        self._claimer = Claimer(context.client, self.kind, kinds.POD)
        self._sets = context.informers.informer(self.kind)
        self._pods = context.informers.informer(kinds.POD)
        self._sets.add_index("uid", lambda obj: [meta.uid(obj)])
        self._sets.add_index("controller", objects.controller_uid)
        self._pods.add_index("controller", objects.controller_uid)
        self._pods.add_index("orphans", objects.orphan_namespace)
        enqueue_all(self._sets, self._queue)
        self._pods.add_handler(on_add=self._pod_added, on_update=self._pod_updated, on_delete=self._pod_deleted)

    async def run(self) -> None:
        """Work until cancelled."""
        await work(self._queue, self._reconcile, workers=self._context.options.workers.get(self.name, WORKERS))

    def selector(self, replica_set: JSON) -> labels.Selector:
        """Which pods are its own."""
        return labels.from_label_selector(replica_set["spec"].get("selector"))

    def _owner_key(self, pod: JSON) -> str | None:
        """The key of the ReplicaSet that controls the pod, if it is one that we know."""
        owner = meta.controller_of(pod)
        found = self._sets.by_index("uid", owner["uid"]) if owner else ()
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
        for candidate in self._sets.list(meta.namespace(pod)):
            if self.selector(candidate).matches(meta.labels(pod)):
                self._queue.add(meta.key(candidate))

    async def _reconcile(self, key: str) -> float | None:
        replica_set = self._sets.get(key)
        if replica_set is None:
            self._expectations.forget(key)
            return None
        in_step = self._expectations.satisfied(key)
        selector = self.selector(replica_set)
        mine = self._pods.by_index("controller", meta.uid(replica_set))
        orphans = self._pods.by_index("orphans", meta.namespace(replica_set))
        owned = await self._claimer.claim(
            replica_set, selector, [*mine, *(pod for pod in orphans if objects.is_active(pod))]
        )
        active = [pod for pod in owned if objects.is_active(pod)]
        failure = None
        if in_step and not meta.is_deleting(replica_set):
            failure = await self._scale(key, replica_set, active)
        terminating = sum(meta.is_deleting(pod) and not objects.is_finished(pod) for pod in owned)
        status, again = replicas.status(
            replica_set, active, terminating=terminating, failure=failure, now=self._context.clock()
        )
        status = {name: value for name, value in status.items() if name not in self.unknown}
        await objects.patch_status(self._client, self.kind, replica_set, status)
        if failure:
            raise errors.ServiceUnavailable(failure["message"])
        return again

    async def _scale(self, key: str, replica_set: JSON, active: list[JSON]) -> JSON | None:
        """Create or delete pods; a condition if that was refused."""
        surplus = len(active) > rollout.wanted(replica_set)
        planned = replicas.plan(replica_set, active, related=self._siblings(replica_set) if surplus else ())
        try:
            if planned.create:
                await self._create(key, replica_set, planned.create)
            elif planned.delete:
                await self._delete(key, replica_set, planned.delete)
        except _REFUSED as error:
            if isinstance(error, errors.Forbidden) and "is being terminated" in error.message:
                return None
            return {
                "type": "ReplicaFailure",
                "status": "True",
                "reason": "FailedCreate" if planned.create else "FailedDelete",
                "message": str(error),
                "lastTransitionTime": meta.now(),
            }
        return None

    def _siblings(self, replica_set: JSON) -> list[JSON]:
        """The pods of all ReplicaSets with the same controller."""
        owner = meta.controller_of(replica_set)
        sets = self._sets.by_index("controller", owner["uid"]) if owner else [replica_set]
        return [pod for each in sets for pod in self._pods.by_index("controller", meta.uid(each))]

    async def _create(self, key: str, replica_set: JSON, number: int) -> None:
        """Create in growing batches; the first refusal ends it, and what was not sent is not expected any more."""
        self._expectations.expect_creations(key, number)
        body = replicas.pod_for(replica_set)
        left, batch = number, 1
        while left:
            size = min(batch, left)
            results = await asyncio.gather(
                *(self._create_one(replica_set, body) for _ in range(size)), return_exceptions=True
            )
            left -= size
            refused = [result for result in results if isinstance(result, BaseException)]
            if refused:
                self._expectations.creation_observed(key, len(refused) + left)
                raise refused[0]
            batch *= 2

    async def _create_one(self, replica_set: JSON, body: JSON) -> None:
        try:
            pod = await self._client.create(kinds.POD, body)
        except _REFUSED as error:
            if not (isinstance(error, errors.Forbidden) and "is being terminated" in error.message):
                self._events.event(replica_set, "Warning", "FailedCreate", f"Error creating: {error}")
            raise
        self._events.event(replica_set, "Normal", "SuccessfulCreate", f"Created pod: {meta.name(pod)}")

    async def _delete(self, key: str, replica_set: JSON, pods: list[JSON]) -> None:
        self._expectations.expect_deletions(key, [meta.uid(pod) for pod in pods])
        results = await asyncio.gather(
            *(self._delete_one(key, replica_set, pod) for pod in pods), return_exceptions=True
        )
        for result in results:
            if isinstance(result, BaseException):
                raise result

    async def _delete_one(self, key: str, replica_set: JSON, pod: JSON) -> None:
        name = meta.name(pod)
        try:
            await self._client.delete(kinds.POD, name, namespace=meta.namespace(pod), uid=meta.uid(pod))
        except (errors.NotFound, errors.Conflict):  # already gone, or another pod of that name
            self._expectations.deletion_observed(key, meta.uid(pod))
        except _REFUSED as error:
            self._expectations.deletion_observed(key, meta.uid(pod))
            self._events.event(replica_set, "Warning", "FailedDelete", f"Error deleting: {error}")
            raise
        else:
            self._events.event(replica_set, "Normal", "SuccessfulDelete", f"Deleted pod: {name}")


class ReplicationController(ReplicaSetController):
    """Pods for ReplicationControllers, whose selector is a plain map."""

    kind = kinds.REPLICATION_CONTROLLER
    name = "replication"
    unknown = ("terminatingReplicas",)

    def selector(self, replica_set: JSON) -> labels.Selector:
        """Which pods are its own; no selector means none."""
        return labels.from_labels(replica_set["spec"].get("selector") or {})
