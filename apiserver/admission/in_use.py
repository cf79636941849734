"""StorageObjectInUseProtection: new claims and volumes carry the finalizer that keeps them while they are in use.

The controllers take it off (controllers/volumeprotection.py); put on here, there is no moment without it.
"""

from __future__ import annotations

from apimachinery import meta, volumes
from apimachinery.meta import JSON
from apiserver.admission.chain import CREATE, Attributes, Plugin

_FINALIZERS = {
    ("", "persistentvolumeclaims"): volumes.CLAIM_PROTECTION,
    ("", "persistentvolumes"): volumes.VOLUME_PROTECTION,
}


class StorageObjectInUseProtection(Plugin):
    """See the module."""

    name = "StorageObjectInUseProtection"
    mutates = True

    def cares(self, resource: tuple[str, str], subresource: str, operation: str) -> bool:
        return resource in _FINALIZERS and not subresource and operation == CREATE

    async def admit(self, a: Attributes) -> None:
        """Add the finalizer."""
        metadata: JSON = a.object.setdefault("metadata", {})
        finalizer = _FINALIZERS[a.resource]
        if finalizer not in (meta.metadata(a.object).get("finalizers") or ()):
            metadata["finalizers"] = [*(metadata.get("finalizers") or ()), finalizer]
