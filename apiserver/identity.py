"""Which API servers are alive: each keeps a Lease in kube-system, renewed every few seconds.

A server's address stays among the endpoints of the `kubernetes` Service only while its Lease is renewed. Whether it is
was seen by this server's own monotonic clock, as in leader election: clocks of machines differ. Upstream has etcd
leases for this, which our storage doesn't use (rule 8), and Leases with these names and labels (KEP-1965).
"""

from __future__ import annotations

import base64
import hashlib
import logging
import socket
import time
import uuid
from collections.abc import Callable
from typing import Final

from apimachinery import kinds, meta
from apimachinery.meta import JSON
from apiserver.parts import Parts
from apiserver.registry.strategy import Context
from apiserver.storage import Entry, StorageConflict
from componentbase import defaults

log = logging.getLogger(__name__)

RENEW_SECONDS: Final = 5.0
LEASE_SECONDS: Final = 15.0
LABEL: Final = "apiserver.kubernetes.io/identity"
ADDRESS: Final = "mini-kubernetes/advertise-address"
_COMPONENT: Final = "kube-apiserver"


class Identity:
    """This server's Lease, and what the others' say."""

    def __init__(self, parts: Parts, address: str, port: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.address = address
        self._parts = parts
        self._clock = clock
        host = socket.gethostname().lower()
        digest = hashlib.sha256(f"{host}/{address}:{port}".encode()).digest()[:16]
        self.name = f"apiserver-{base64.b32encode(digest).decode().lower().rstrip('=')}"
        self._labels = {LABEL: _COMPONENT, "kubernetes.io/hostname": host}
        self._holder = f"{self.name}_{uuid.uuid4()}"
        self._renewals: dict[str, tuple[int, float]] = {}  # key -> its last version, and when that was seen first

    async def renew(self, context: Context) -> None:
        """Say that this server is alive."""

        def change(old: JSON | None) -> JSON:
            metadata = {"name": self.name, "namespace": defaults.SYSTEM_NAMESPACE, "labels": self._labels}
            spec = {"holderIdentity": self._holder, "leaseDurationSeconds": int(LEASE_SECONDS)}
            return {
                "apiVersion": kinds.LEASE.api_version,
                "kind": kinds.LEASE.kind,
                "metadata": {**(old["metadata"] if old else metadata), "annotations": {ADDRESS: self.address}},
                "spec": {**spec, "renewTime": meta.now_micro()},
            }

        await self._parts.resources.store(kinds.LEASE).change(defaults.SYSTEM_NAMESPACE, self.name, change, context)

    async def withdraw(self) -> None:
        """Say that this server ends."""
        key = self._parts.resources.store(kinds.LEASE).key(defaults.SYSTEM_NAMESPACE, self.name)
        if (entry := await self._parts.storage.get_live(key)) is not None:
            await self._removed(entry)

    async def others(self) -> set[str]:
        """The addresses of the other servers that are alive; the Lease of one that is not is removed."""
        found, renewals = set(), {}
        for entry in list(self._parts.storage.cached(kinds.LEASE, namespace=defaults.SYSTEM_NAMESPACE)):
            if entry.labels.get(LABEL) != _COMPONENT:
                continue
            known = self._renewals.get(entry.key)
            version, seen = known if known and known[0] == entry.version else (entry.version, self._clock())
            if self._clock() - seen > LEASE_SECONDS and await self._removed(entry):
                log.warning("the API server of Lease %s has not renewed it for %.0f s", entry.key, LEASE_SECONDS)
                continue
            renewals[entry.key] = version, seen
            found.add((entry.parsed()["metadata"].get("annotations") or {}).get(ADDRESS, ""))
        self._renewals = renewals
        return found - {self.address, ""}

    async def _removed(self, entry: Entry) -> bool:
        """Delete a Lease as it was seen; not if it was renewed meanwhile: our own view may have been what was late."""
        try:
            await self._parts.storage.delete(entry.key, version=entry.version)
        except StorageConflict as conflict:
            return conflict.current is None
        return True
