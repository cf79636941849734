"""What claims and volumes carry from the start, and what a bound claim may not ask for.

The finalizers keep them while they are in use; the controllers take them off (controllers/volumeprotection.py). Put on
here, there is no moment without them.
"""

from __future__ import annotations

from apimachinery import kinds, meta, volumes
from apimachinery.meta import JSON
from apiserver.admission.chain import CREATE, UPDATE, Attributes, Plugin, refused
from apiserver.storage import Storage

_FINALIZERS = {
    ("", "persistentvolumeclaims"): volumes.CLAIM_PROTECTION,
    ("", "persistentvolumes"): volumes.VOLUME_PROTECTION,
}


class StorageObjectInUseProtection(Plugin):
    """Finalizers for new claims and volumes."""

    watched = {(*resource, ""): (CREATE,) for resource in _FINALIZERS}

    async def admit(self, a: Attributes) -> None:
        """Add the finalizer."""
        metadata: JSON = a.object.setdefault("metadata", {})
        finalizer = _FINALIZERS[a.resource]
        if finalizer not in (meta.metadata(a.object).get("finalizers") or ()):
            metadata["finalizers"] = [*(metadata.get("finalizers") or ()), finalizer]


class PersistentVolumeClaimResize(Plugin):
    """More space only where the claim's class can give it."""

    watched = {("", "persistentvolumeclaims", ""): (UPDATE,)}

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    async def validate(self, a: Attributes) -> None:
        """Compare what is asked for now with what was."""
        if a.old is None or volumes.requested(a.object) <= volumes.requested(a.old):
            return
        if volumes.phase(a.old) != "Bound":
            raise refused(a, "Only bound persistent volume claims can be expanded")
        name = volumes.class_of(a.old)
        klass = await self._storage.get(kinds.STORAGE_CLASS.registry_prefix + name) if name else None
        if klass is None or not klass.parsed().get("allowVolumeExpansion"):
            raise refused(
                a,
                "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must "
                "support resize",
            )
