"""Finalizers that keep claims while a pod uses them, and volumes while they are bound.

Deleting a claim under a running database must wait. The API server puts the finalizers on new objects (admission
plugin StorageObjectInUseProtection); here they come off when the object is being deleted and nobody needs it.
"""

from typing import Any, ClassVar

from apimachinery import errors, kinds, meta, volumes
from apimachinery.kinds import Kind
from controllers.context import Context, QueueController
from controllers.volumebinder import CLAIMS_INDEX

JSON = dict[str, Any]


def uses(pod: JSON, claim: JSON) -> bool:
    """Whether a pod keeps a claim: it has a node, and is not just waiting to be forgotten."""
    if not pod["spec"].get("nodeName") or meta.name(claim) not in volumes.claims_of(pod):
        return False
    return not (meta.is_deleting(pod) and meta.metadata(pod).get("deletionGracePeriodSeconds") == 0)


class _Protection(QueueController[str]):
    """Takes a finalizer off objects of one kind that are being deleted and not needed."""

    kind: ClassVar[Kind]
    finalizer: ClassVar[str]

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._informer = context.informers.informer(self.kind)
        self._informer.add_handler(on_add=self._changed, on_update=lambda _, new: self._changed(new))

    def _changed(self, obj: JSON) -> None:
        if meta.is_deleting(obj) and self.finalizer in (meta.metadata(obj).get("finalizers") or ()):
            self._queue.add(meta.key(obj))

    async def _reconcile(self, key: str) -> None:
        obj = self._informer.get(key)
        if obj is None or not meta.is_deleting(obj) or await self._needed(obj):
            return
        if self.finalizer not in (meta.metadata(obj).get("finalizers") or ()):
            return
        body = volumes.without_finalizer(obj, self.finalizer)
        try:
            await self._client.patch(self.kind, meta.name(obj), body, namespace=meta.namespace(obj))
        except errors.NotFound:
            return

    async def _needed(self, obj: JSON) -> bool:
        raise NotImplementedError


class ClaimProtection(_Protection):
    """Claims stay while a pod on a node uses them."""

    name, kind, finalizer = "pvcprotection", kinds.PERSISTENT_VOLUME_CLAIM, volumes.CLAIM_PROTECTION

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._pods = context.informers.informer(kinds.POD)
        self._pods.add_index(CLAIMS_INDEX, volumes.claim_keys)
        self._pods.add_handler(on_update=lambda _, new: self._pod(new), on_delete=self._pod)

    def _pod(self, pod: JSON) -> None:
        for key in volumes.claim_keys(pod):
            claim = self._informer.get(key)
            if claim is not None:
                self._changed(claim)

    async def _needed(self, obj: JSON) -> bool:
        """The cache may miss a pod that was just bound, so its no is checked with the API server."""
        if any(uses(pod, obj) for pod in self._pods.by_index(CLAIMS_INDEX, meta.key(obj))):
            return True
        listed = await self._client.list(kinds.POD, namespace=meta.namespace(obj))
        return any(uses(pod, obj) for pod in listed["items"])


class VolumeProtection(_Protection):
    """Volumes stay while they are bound to a claim."""

    name, kind, finalizer = "pvprotection", kinds.PERSISTENT_VOLUME, volumes.VOLUME_PROTECTION

    async def _needed(self, obj: JSON) -> bool:
        return volumes.phase(obj) == "Bound"
