"""ResourceQuota: nothing is created beyond what a namespace's quotas leave.

What a new object uses is added to the quota's `status.used` before the object is stored, by a compare on the quota, so
that two servers can't give the same rest away twice. If the object is then not stored after all, too much is counted
until the quota controller counts again: never too little. Writes to one namespace with quotas take turns here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from fractions import Fraction

from apimachinery import errors, kinds, quantity, usage
from apimachinery.meta import JSON
from apiserver.admission.chain import CREATE, UPDATE, Attributes, Plugin, refused
from apiserver.storage import Entry, Storage, StorageConflict

_ATTEMPTS = 16
_GROWING = frozenset({("", "services", ""), ("", "persistentvolumeclaims", ""), ("", "pods", "resize")})


class ResourceQuota(Plugin):
    """See the module. Which namespaces have quotas is kept from the storage's events."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._quotas: dict[str, set[str]] = {}  # namespace -> keys
        self._turns: dict[str, asyncio.Lock] = {}
        storage.listen_entries(kinds.RESOURCE_QUOTA, self._on_quota)

    def _on_quota(self, event: str, key: str, entry: Entry | None) -> None:
        namespace = key.split("/")[-2]
        if event != "DELETED":
            self._quotas.setdefault(namespace, set()).add(key)
            return
        keys = self._quotas.get(namespace, set())
        keys.discard(key)
        if not keys:
            self._quotas.pop(namespace, None)
            self._turns.pop(namespace, None)

    def cares(self, resource: tuple[str, str], subresource: str, operation: str) -> bool:
        if operation == CREATE:
            return not subresource
        return operation == UPDATE and (*resource, subresource) in _GROWING

    async def validate(self, a: Attributes) -> None:
        """Take what the write needs from every quota that is about it. Raises Forbidden."""
        keys = self._quotas.get(a.namespace)
        if not keys:
            return
        wanted = usage.usage(a.kind, a.object)
        if a.old is not None:
            before = usage.usage(a.kind, a.old)
            wanted = {name: amount - before.get(name, Fraction(0)) for name, amount in wanted.items()}
        async with self._turns.setdefault(a.namespace, asyncio.Lock()):
            for key in sorted(keys):
                await self._take(a, key, wanted)

    async def _take(self, a: Attributes, key: str, wanted: Mapping[str, Fraction]) -> None:
        entry = await self._storage.get(key, consistent=False)
        fresh = False
        for _ in range(_ATTEMPTS):
            if entry is None:
                return
            quota = entry.parsed()
            try:
                charged = charge(a, quota, wanted)
            except errors.StatusError:
                if fresh:
                    raise
                entry, fresh = await self._storage.get_live(key), True  # a no is decided from etcd itself
                continue
            if not charged or a.dry_run:
                return
            try:
                await self._storage.update(key, quota, version=entry.version)
                return
            except StorageConflict as conflict:
                entry, fresh = conflict.current, True
        raise errors.conflict("", "resourcequotas", key.rpartition("/")[2])


def charge(a: Attributes, quota: JSON, wanted: Mapping[str, Fraction]) -> bool:
    """Add what is wanted to the quota's status; False if the quota isn't about it. Raises Forbidden."""
    status: JSON = quota.setdefault("status", {})
    hard: Mapping[str, str] = status.get("hard") or {}
    names = usage.names_of(a.kind, hard)  # of the status: a quota that its controller has not seen limits nothing
    if not names or not usage.in_scope(quota, a.kind, a.object):
        return False
    quota_name = quota["metadata"]["name"]
    if a.resource == ("", "pods"):
        missing = usage.unspecified(a.object.get("spec") or {}, hard)
        if missing:
            told = "; ".join(f"{name} for: {','.join(missing[name])}" for name in sorted(missing))
            raise refused(a, f"failed quota: {quota_name}: must specify {told}")
    growing = {name: wanted[name] for name in names if wanted.get(name, 0) > 0}
    if not growing:
        return False
    used: dict[str, str] = dict(status.get("used") or {})
    unknown = sorted(name for name in growing if name not in used)
    if unknown:
        raise refused(a, f"status unknown for quota: {quota_name}, resources: {','.join(unknown)}")
    after = {name: quantity.parse(used[name]) + amount for name, amount in growing.items()}
    beyond = sorted(name for name in growing if after[name] > quantity.parse(hard[name]))
    if beyond:
        raise refused(
            a,
            f"exceeded quota: {quota_name}, "
            f"requested: {','.join(f'{name}={usage.text(name, growing[name])}' for name in beyond)}, "
            f"used: {','.join(f'{name}={used[name]}' for name in beyond)}, "
            f"limited: {','.join(f'{name}={hard[name]}' for name in beyond)}",
        )
    status["used"] = used | {name: usage.text(name, amount) for name, amount in after.items()}
    return True
