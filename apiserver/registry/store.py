"""The flows of one resource: how its objects are created, read, changed and deleted.

Between the endpoints (HTTP) and the storage (etcd) stands one `ResourceStore` per kind. It decides from the watch
cache, which may lag: a decision to write is settled by the storage's compare, and a decision that says no, or that
there is nothing to do, is made again from a fresh read of etcd before it is answered (`_settle`). Every flow gives back
the object's bytes as they are on the wire.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import orjson

from apimachinery import errors, managedfields, names, resourceversion, schemas
from apimachinery.errors import StatusError
from apimachinery.field import FieldError, invalid
from apimachinery.kinds import Kind
from apimachinery.meta import JSON
from apiserver.admission import Attributes, Chain
from apiserver.registry import metadata
from apiserver.registry.strategy import Context, Strategy
from apiserver.storage import Entry, Storage, StorageConflict, StorageExists

GENERATE_ATTEMPTS: Final = 8
CONFLICT_ATTEMPTS: Final = 32
ALLOCATION_ATTEMPTS: Final = 16
DECISIONS: Final = frozenset({400, 403, 404, 409, 422})  # made from what was read, unlike 429 or 504


@dataclass(slots=True)
class Written:
    """The outcome of a write: the object as it is now, and whether it is new."""

    body: bytes
    created: bool = False


# From the stored object (None: absent) to the wanted one.
Change = Callable[[JSON | None], JSON]


class ResourceStore:
    """One kind's objects; see the module."""

    def __init__(self, kind: Kind, strategy: Strategy, storage: Storage, admission: Chain) -> None:
        self.kind = kind
        self.strategy = strategy
        self.storage = storage
        self.admission = admission
        self.gvk = kind.gvk
        self.prefix = kind.registry_prefix

    # -- reading

    def key(self, namespace: str, name: str) -> str:
        """Where an object is stored."""
        return f"{self.prefix}{namespace}/{name}" if self.kind.namespaced else self.prefix + name

    def not_found(self, name: str) -> StatusError:
        return errors.not_found(self.kind.group, self.kind.plural, name)

    async def get(self, namespace: str, name: str, *, consistent: bool = True) -> Entry:
        """The object, or NotFound. `consistent` shows every write acknowledged before."""
        entry = await self.storage.get(self.key(namespace, name), consistent=consistent)
        if entry is None:
            raise self.not_found(name)
        return entry

    # -- creating

    async def create(self, obj: JSON, ctx: Context) -> Written:
        """Store a new object; a clash of a generated name is tried again with another one."""
        meta = obj["metadata"]
        base = "" if meta.get("name") else meta.get("generateName") or ""
        for attempt in range(1, GENERATE_ATTEMPTS + 1):
            if base:
                meta["name"] = names.generate(base)
            try:
                return await self._create(obj, ctx)
            except StorageExists as error:
                name = meta["name"]
                if not base or attempt == GENERATE_ATTEMPTS:
                    raise errors.already_exists(self.kind.group, self.kind.plural, name) from error
        raise AssertionError("unreachable")

    async def _create(self, obj: JSON, ctx: Context) -> Written:
        meta = obj["metadata"]
        namespace, name = meta.get("namespace") or "", meta.get("name") or ""
        strategy = self.strategy
        suspect = not ctx.checked and self._decoded(obj)
        metadata.stamp_new(meta, ctx.now)
        strategy.default(obj)
        if not ctx.applied:
            # before admission: what plugins add is nobody's
            managedfields.update_managed(None, obj, manager=ctx.manager, operation="Update", now=ctx.now)
        attributes = self._attributes("CREATE", namespace, name, ctx, obj=obj)
        if attributes is not None:
            await self.admission.admit(attributes)
            obj = attributes.obj or obj
        strategy.prepare_create(obj, ctx)
        if strategy.counted:
            obj["metadata"]["generation"] = 1
        self._refuse(obj, self._faults(obj, suspect, list(strategy.validate(obj))))
        ctx.warnings += strategy.warnings(obj)
        if attributes is not None:
            await self.admission.validate(attributes)
        if ctx.dry_run:
            if await self.storage.get_live(self.key(namespace, name)) is not None:
                raise errors.already_exists(self.kind.group, self.kind.plural, name)
            return Written(orjson.dumps(obj), created=True)
        entry = await self._store_new(self.key(namespace, name), obj, ctx)
        return Written(entry.body, created=True)

    async def _store_new(self, key: str, obj: JSON, ctx: Context) -> Entry:
        """Write a new object, together with what is allocated for it."""
        if not self.strategy.allocates:
            return await self.storage.create(key, obj)
        return await self._allocating(key, obj, None, ctx, None)

    async def _allocating(self, key: str, obj: JSON, old: JSON | None, ctx: Context, version: int | None) -> Entry:
        """Write the object and its allocations in one transaction; a lost race for one of them is run again."""
        asked = orjson.dumps(obj)
        for _ in range(ALLOCATION_ATTEMPTS):
            wanted: JSON = orjson.loads(asked)
            extra = await self.strategy.allocate(wanted, old, ctx)
            try:
                if version is None:
                    return await self.storage.create(key, wanted, extra=extra)
                return await self.storage.update(key, wanted, version=version, extra=extra)
            except (StorageExists, StorageConflict) as error:
                if error.key == key:
                    raise
                fault = self.strategy.clash(orjson.loads(asked), error.key)
                if fault is not None:
                    self._refuse(obj, [fault])
        raise errors.server_timeout(self.kind.group, self.kind.plural, "update" if version else "create")

    # -- changing

    async def change(
        self, namespace: str, name: str, wanted: Change, ctx: Context, *, subresource: str = ""
    ) -> Written:
        """Bring the object to what `wanted` makes of it, again after each lost race.

        `wanted` may be called several times, each time with an object of its own, that it may change or take parts
        of. It is given None if the object is absent: it raises NotFound, or answers with the object to create.
        """

        async def attempt(entry: Entry | None) -> Written | None:
            if entry is None:
                new = wanted(None)
                if ctx.before_create is not None:
                    ctx.before_create()
                return await self.create(new, ctx)
            old, new = entry.parsed(), wanted(entry.parsed())
            self._check_preconditions(entry, new["metadata"], name)
            return await self._replace(entry, old, new, ctx, subresource)

        return await self._settle(self.key(namespace, name), attempt, name)

    async def _settle(
        self, key: str, attempt: Callable[[Entry | None], Awaitable[Written | None]], name: str
    ) -> Written:
        """Run `attempt` on the cached entry, then on fresh ones, until it is settled.

        An attempt writes and gives the outcome, or gives None (nothing to do), or raises. The last two count only if
        they were decided from a fresh read.
        """
        entry = await self.storage.get(key, consistent=False)
        fresh = False
        for _ in range(CONFLICT_ATTEMPTS):
            try:
                written = await attempt(entry)
                if written is not None:
                    return written
                if fresh and entry is not None:
                    return Written(entry.body)
            except StorageConflict as conflict:
                entry, fresh = conflict.current, True
                continue
            except StatusError as error:
                overtaken = entry is None and isinstance(error, errors.AlreadyExists)
                if error.code not in DECISIONS or (fresh and not overtaken):
                    raise
            entry, fresh = await self.storage.get_live(key), True
        raise errors.conflict(self.kind.group, self.kind.plural, name)

    def _check_preconditions(self, entry: Entry, meta: JSON, name: str) -> None:
        """Optimistic locking, for writes that say from which version they come."""
        wanted = meta.get("resourceVersion") or ""
        group, plural = self.kind.group, self.kind.plural
        if wanted and wanted != str(entry.version) and resourceversion.parse(wanted):
            raise errors.conflict(group, plural, name)
        if (not wanted or wanted == "0") and not self.strategy.unconditional_update:
            missing = invalid("metadata.resourceVersion", 0, "must be specified for an update")
            raise errors.invalid(group, self.kind.kind, name, [missing])

    async def _replace(self, entry: Entry, old: JSON, new: JSON, ctx: Context, subresource: str) -> Written | None:
        """One attempt to store `new` over `entry`; None if nothing would change."""
        strategy = self.strategy
        meta, old_meta = new["metadata"], old["metadata"]
        namespace, name = old_meta.get("namespace") or "", old_meta["name"]
        if meta.get("uid") and meta["uid"] != old_meta.get("uid"):
            text = (
                f"StorageError: invalid object, Code: 4, Key: {self.key(namespace, name)}, ResourceVersion: 0, "
                f"AdditionalErrorMsg: Precondition failed: UID in precondition: {meta['uid']}, "
                f"UID in object meta: {old_meta.get('uid')}"
            )
            raise errors.conflict(self.kind.group, self.kind.plural, name, text)
        suspect = not ctx.checked and self._decoded(new)
        metadata.keep_system_fields(meta, old_meta)
        strategy.default(new)
        attributes = self._attributes("UPDATE", namespace, name, ctx, obj=new, old=old, subresource=subresource)
        if attributes is not None:
            await self.admission.admit(attributes)
            new = attributes.obj or new
            meta = new["metadata"]
        self._prepare_replacement(new, old, ctx, subresource)
        self._refuse(new, self._faults(new, suspect, self._step_faults(new, old, subresource)))
        if attributes is not None:
            await self.admission.validate(attributes)
        meta["resourceVersion"] = old_meta["resourceVersion"]
        if _same(new, old):
            return None
        if not subresource:
            ctx.warnings += strategy.warnings(new)
        going = bool(meta.get("deletionTimestamp")) and not meta.get("deletionGracePeriodSeconds")
        if going and not strategy.held(new) and not ctx.dry_run:
            await self.storage.delete(self.key(namespace, name), version=entry.version, extra=strategy.release(new))
            return Written(orjson.dumps(new))
        if ctx.dry_run:
            return Written(orjson.dumps(new))
        key = self.key(namespace, name)
        if strategy.allocates and not subresource:
            return Written((await self._allocating(key, new, old, ctx, entry.version)).body)
        return Written((await self.storage.update(key, new, version=entry.version)).body)

    def _prepare_replacement(self, new: JSON, old: JSON, ctx: Context, subresource: str) -> None:
        if subresource:
            self.strategy.prepare_subresource(subresource, new, old, ctx)
        else:
            self.strategy.prepare_update(new, old, ctx)
        if not ctx.applied:
            managedfields.update_managed(
                old, new, manager=ctx.manager, subresource=subresource, operation="Update", now=ctx.now
            )
        if self.strategy.counted and subresource != "status" and self.strategy.spec_changed(new, old):
            new["metadata"]["generation"] = (old["metadata"].get("generation") or 0) + 1

    def _decoded(self, obj: JSON) -> bool:
        """Check the object's types before any code reads it; BadRequest if one is wrong.

        True if the schema misses something, which defaults may still put right: then it is asked again.
        """
        return not schemas.quick(self.gvk, obj) and bool(schemas.validate(self.gvk, obj))

    def _faults(self, obj: JSON, suspect: bool, own: list[FieldError]) -> list[FieldError]:
        """All that is wrong: by the rules that hold for every kind, and by its own."""
        strategy = self.strategy
        found = metadata.validate(obj["metadata"], namespaced=self.kind.namespaced, check_name=strategy.check_name)
        if suspect:
            # metadata has been looked at with its own words; so has what the kind's own rules speak of
            said = tuple(each.field for each in own)
            found += [
                each
                for each in schemas.validate(self.gvk, obj)
                if not each.field.startswith("metadata.") and not any(path.startswith(each.field) for path in said)
            ]
        return found + own

    def _step_faults(self, new: JSON, old: JSON, subresource: str) -> list[FieldError]:
        found = metadata.validate_update(new["metadata"], old["metadata"])
        if subresource:
            return [*found, *self.strategy.validate_subresource(subresource, new, old)]
        return [*found, *self.strategy.validate_update(new, old)]

    # -- shared

    def _refuse(self, obj: JSON, faults: list[FieldError]) -> None:
        if faults:
            raise errors.invalid(self.kind.group, self.kind.kind, obj["metadata"].get("name") or "", faults)

    def _attributes(
        self,
        operation: str,
        namespace: str,
        name: str,
        ctx: Context,
        *,
        obj: JSON | None = None,
        old: JSON | None = None,
        subresource: str = "",
    ) -> Attributes | None:
        """What admission is asked; None if none of its plugins cares."""
        if not self.admission.interested(self.kind, subresource, operation):
            return None
        return Attributes(
            user=ctx.user,
            operation=operation,
            kind=self.kind,
            subresource=subresource,
            namespace=namespace,
            name=name,
            obj=obj,
            old=old,
            dry_run=ctx.dry_run,
            options=ctx.options,
            warnings=ctx.warnings,
        )


async def existing(storage: Storage, kind: Kind, namespace: str, name: str) -> JSON:
    """An object for those who only look something up in it, or NotFound; a no from the cache is asked of etcd."""
    key = kind.registry_prefix + (f"{namespace}/{name}" if namespace else name)
    entry = await storage.get(key) or await storage.get_live(key)
    if entry is None:
        raise errors.not_found(kind.group, kind.plural, name)
    return entry.parsed()


def _same(new: JSON, old: JSON) -> bool:
    """Would storing `new` change anything a reader sees? Times of managed fields alone don't count."""
    if new == old:
        return True
    for key in new.keys() | old.keys():
        if key != "metadata" and new.get(key) != old.get(key):
            return False
    left, right = new["metadata"], old["metadata"]
    for key in left.keys() | right.keys():
        if key != "managedFields" and left.get(key) != right.get(key):
            return False
    return _untimed(left.get("managedFields")) == _untimed(right.get("managedFields"))


def _untimed(entries: list[JSON] | None) -> list[JSON]:
    return [{key: value for key, value in entry.items() if key != "time"} for entry in entries or ()]
