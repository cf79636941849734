"""Deleting: at once, gracefully, or not before finalizers are done.

An object with finalizers, or one that is given a grace period, only gets its deletionTimestamp; whoever removes the
last finalizer (or the kubelet, by a delete with grace 0) makes it go. `propagationPolicy` is a finalizer too: `orphan`
and `foregroundDeletion` are worked off by the garbage collector.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import orjson

from apimachinery import errors, field, meta
from apimachinery.field import FieldError
from apimachinery.meta import JSON
from apiserver.registry.metadata import FINALIZER_FOREGROUND, FINALIZER_ORPHAN
from apiserver.registry.store import ResourceStore, Written
from apiserver.registry.strategy import Context
from apiserver.storage import Entry

_POLICIES: Final = {"Foreground": FINALIZER_FOREGROUND, "Background": "", "Orphan": FINALIZER_ORPHAN}


@dataclass(frozen=True, slots=True)
class DeleteOptions:
    """What the client said about a deletion."""

    grace_period_seconds: int | None = None
    propagation_policy: str = ""
    uid: str = ""
    resource_version: str = ""
    dry_run: bool = False


@dataclass(slots=True)
class Deleted:
    """`body` is the object as it was, or as it is now if it is not `gone` yet."""

    body: bytes
    gone: bool


def parse_options(body: JSON) -> DeleteOptions:
    """DeleteOptions from their JSON; BadRequest or Invalid for what is wrong."""
    policy = body.get("propagationPolicy") or ""
    orphan = body.get("orphanDependents")
    if policy and orphan is not None:
        text = "orphanDependents and deletionPropagation cannot be both set"
        raise _invalid(field.invalid("propagationPolicy", policy, text))
    if orphan is not None:
        policy = "Orphan" if orphan else "Background"
    if policy and policy not in _POLICIES:
        raise _invalid(field.not_supported("propagationPolicy", policy, [*_POLICIES, "nil"]))
    grace = body.get("gracePeriodSeconds")
    if grace is not None and not isinstance(grace, int):
        raise errors.BadRequest("gracePeriodSeconds must be an integer")
    conditions = body.get("preconditions") or {}
    return DeleteOptions(
        grace_period_seconds=grace,
        propagation_policy=policy,
        uid=conditions.get("uid") or "",
        resource_version=conditions.get("resourceVersion") or "",
        dry_run="All" in (body.get("dryRun") or ()),
    )


def _invalid(fault: FieldError) -> errors.StatusError:
    return errors.invalid("meta.k8s.io", "DeleteOptions", "", [fault])


async def delete(store: ResourceStore, namespace: str, name: str, options: DeleteOptions, ctx: Context) -> Deleted:
    """Delete one object, or begin to."""
    outcome: list[bool] = []

    async def attempt(entry: Entry | None) -> Written | None:
        outcome.clear()
        if entry is None:
            raise store.not_found(name)
        obj = entry.parsed()
        _check_preconditions(store, entry, obj, options)
        attributes = store._attributes("DELETE", namespace, name, ctx, old=obj)
        if attributes is not None:
            await store.admission.admit(attributes)
            await store.admission.validate(attributes)
        changed = _mark(store, obj, options, ctx)
        waits = store.strategy.held(obj) or bool(obj["metadata"].get("deletionGracePeriodSeconds"))
        outcome.append(not waits)
        if waits and not changed:
            return None
        if ctx.dry_run or options.dry_run:
            return Written(orjson.dumps(obj))
        key = store.key(namespace, name)
        if waits:
            return Written((await store.storage.update(key, obj, version=entry.version)).body)
        await store.storage.delete(key, version=entry.version, extra=store.strategy.release(obj))
        return Written(orjson.dumps(obj) if changed else entry.body)

    written = await store._settle(store.key(namespace, name), attempt, name)
    return Deleted(written.body, gone=outcome[-1])


def _check_preconditions(store: ResourceStore, entry: Entry, obj: JSON, options: DeleteOptions) -> None:
    group, kind, name = store.kind.group, store.kind.kind, obj["metadata"]["name"]
    uid = obj["metadata"].get("uid")
    if options.uid and options.uid != uid:
        text = (
            f"the UID in the precondition ({options.uid}) does not match the UID in record ({uid}). "
            "The object might have been deleted and then recreated"
        )
        raise errors.conflict(group, kind, name, text)
    if options.resource_version and options.resource_version != str(entry.version):
        text = (
            f"the ResourceVersion in the precondition ({options.resource_version}) does not match the ResourceVersion "
            f"in record ({entry.version}). The object might have been modified"
        )
        raise errors.conflict(group, kind, name, text)


def _mark(store: ResourceStore, obj: JSON, options: DeleteOptions, ctx: Context) -> bool:
    """Put deletion marks on the object; whether that changed anything."""
    metadata = obj["metadata"]
    before = (metadata.get("deletionTimestamp"), metadata.get("deletionGracePeriodSeconds"))
    policy_changed = _set_policy(metadata, options.propagation_policy)
    grace = store.strategy.deletion_grace(obj, options.grace_period_seconds) or 0
    if grace < 0:
        grace = 1
    if before[0] is not None:
        # Already going: the grace may only be cut short.
        if before[1] and grace < before[1]:
            _stamp(metadata, ctx.now, grace)
            return True
        return policy_changed
    if grace or store.strategy.held(obj):
        _stamp(metadata, ctx.now, grace)
        if metadata.get("generation"):
            metadata["generation"] += 1
        store.strategy.mark_deleting(obj)
        return True
    return policy_changed


def _stamp(metadata: JSON, now: str, grace: int) -> None:
    """deletionTimestamp is when the grace will be over."""
    metadata["deletionTimestamp"] = meta.format_time(meta.parse_time(now) + timedelta(seconds=grace))
    metadata["deletionGracePeriodSeconds"] = grace


def _set_policy(metadata: JSON, policy: str) -> bool:
    """The finalizer of the policy, in place of the other one. Without a policy what is there stays."""
    if not policy:
        return False
    present = list(metadata.get("finalizers") or ())
    wanted = [name for name in present if name not in (FINALIZER_ORPHAN, FINALIZER_FOREGROUND)]
    if _POLICIES[policy]:
        wanted.append(_POLICIES[policy])
    if wanted == present:
        return False
    metadata["finalizers"] = wanted
    if not wanted:
        del metadata["finalizers"]
    return True
