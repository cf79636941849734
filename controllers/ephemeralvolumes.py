"""A claim for each generic ephemeral volume of a pod, owned by the pod and gone with it."""

from typing import Any

from apimachinery import errors, kinds, meta
from controllers import objects
from controllers.context import Context, QueueController, enqueue_all

JSON = dict[str, Any]


def claim_for(pod: JSON, volume: JSON) -> JSON:
    """The claim of one ephemeral volume."""
    template = volume["ephemeral"]["volumeClaimTemplate"]
    given = template.get("metadata") or {}
    metadata = {
        "name": f"{meta.name(pod)}-{volume['name']}",
        "namespace": meta.namespace(pod),
        "ownerReferences": [meta.owner_reference(pod)],
        **{name: given[name] for name in ("labels", "annotations") if given.get(name)},
    }
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": template["spec"]}


class EphemeralVolumeController(QueueController[str]):
    """Makes the claims of pods."""

    name = "ephemeral_volume"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._events = context.events.named("ephemeral_volume")
        self._claims = context.informers.informer(kinds.PERSISTENT_VOLUME_CLAIM)
        self._pods = context.informers.informer(kinds.POD)
        enqueue_all(self._pods, self._queue)

    async def _reconcile(self, key: str) -> None:
        pod = self._pods.get(key)
        if pod is None or not objects.is_active(pod):
            return
        for volume in pod["spec"].get("volumes") or ():
            if "ephemeral" in volume:
                await self._ensure(pod, claim_for(pod, volume))

    async def _ensure(self, pod: JSON, wanted: JSON) -> None:
        claim = self._claims.get(meta.key(wanted))
        if claim is None:
            try:
                await self._client.create(kinds.PERSISTENT_VOLUME_CLAIM, wanted)
            except errors.Invalid as error:
                self._events.event(pod, "Warning", "FailedCreate", f"ephemeral volume: {error}")
        elif (meta.controller_of(claim) or {}).get("uid") != meta.uid(pod):
            message = f'PVC "{meta.name(claim)}" was not created for pod {meta.key(pod)} (pod is not owner)'
            self._events.event(pod, "Warning", "FailedBinding", message)
