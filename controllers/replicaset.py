"""ReplicaSets, and ReplicationControllers before them: as many active pods as asked for, made from the template."""

from typing import Any

from apimachinery import errors, kinds, labels, meta
from controllers import objects, replicas, rollout
from controllers.context import Context
from controllers.podowner import REFUSED, PodOwnerController

JSON = dict[str, Any]


class ReplicaSetController(PodOwnerController):
    """Pods for ReplicaSets."""

    kind = kinds.REPLICA_SET
    name = "replicaset"
    unknown: tuple[str, ...] = ()  # status fields that the kind doesn't have

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._owners.add_index("controller", objects.controller_uid)

    async def _reconcile(self, key: str) -> float | None:
        replica_set = self._owners.get(key)
        if replica_set is None:
            self._expectations.forget(key)
            return None
        in_step = self._expectations.satisfied(key)
        owned = await self._claimed(replica_set)
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
                await self._create_pods(key, replica_set, [replicas.pod_for(replica_set)] * planned.create)
            elif planned.delete:
                await self._delete_pods(key, replica_set, planned.delete)
        except REFUSED as error:
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
        sets = self._owners.by_index("controller", owner["uid"]) if owner else [replica_set]
        return [pod for each in sets for pod in self._pods.by_index("controller", meta.uid(each))]


class ReplicationController(ReplicaSetController):
    """Pods for ReplicationControllers, whose selector is a plain map."""

    kind = kinds.REPLICATION_CONTROLLER
    name = "replication"
    unknown = ("terminatingReplicas",)

    def selector(self, replica_set: JSON) -> labels.Selector:
        """Which pods are its own; no selector means none."""
        return labels.from_labels(replica_set["spec"].get("selector") or {})
