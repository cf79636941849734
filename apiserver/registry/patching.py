"""Patches: from a body and its content type to the change that `ResourceStore.change` makes.

The change is a function of the object as it is then, so that a lost race simply runs it again. Server-side apply is a
change too, one that may create; its field ownership is worked out by `apimachinery.ssa`, the other types' by comparing
before and after.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import orjson

from apimachinery import conversion, errors, field, patch, ssa, strategic
from apimachinery.definitions import typed
from apimachinery.kinds import GVK
from apimachinery.meta import JSON
from apiserver.registry.store import Change, ResourceStore, Written
from apiserver.registry.strategy import Context

JSON_PATCH: Final = "application/json-patch+json"
MERGE_PATCH: Final = "application/merge-patch+json"
STRATEGIC_PATCH: Final = "application/strategic-merge-patch+json"
APPLY_PATCH: Final = "application/apply-patch+yaml"
CONTENT_TYPES: Final = (JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH, APPLY_PATCH)


def unsupported() -> errors.UnsupportedMediaType:
    """The answer to a patch of another type."""
    return errors.UnsupportedMediaType(
        "the body of the request was in an unknown format - accepted media types include: " + ", ".join(CONTENT_TYPES)
    )


async def patch_object(
    store: ResourceStore,
    namespace: str,
    name: str,
    body: Any,
    ctx: Context,
    *,
    content_type: str,
    gvk: GVK,
    subresource: str = "",
    inspect: Callable[[JSON], bool] | None = None,
) -> Written:
    """Patch one object as it is in the version of `gvk`; an apply's body is in the stored version already.

    `inspect` is shown each result before it is stored (unknown fields).
    """
    if content_type == APPLY_PATCH:
        change = _applying(store, namespace, name, body, ctx, subresource)
        ctx.applied = True
    else:
        change = _patching(store, name, body, _patcher(content_type, gvk))
    if inspect is not None:
        change = _inspected(change, inspect, ctx)
    if content_type != APPLY_PATCH and gvk != store.gvk:
        change = _converted(change, gvk, store.gvk, ctx)
    return await store.change(namespace, name, change, ctx, subresource=subresource)


def _inspected(change: Change, inspect: Callable[[JSON], bool], ctx: Context) -> Change:
    def run(old: JSON | None) -> JSON:
        new = change(old)
        try:
            ctx.checked = inspect(new)
        except errors.BadRequest as error:
            raise _undecodable(new, error) from error
        return new

    return run


def _converted(change: Change, gvk: GVK, stored: GVK, ctx: Context) -> Change:
    """The change of an object that it sees in another version than the stored one."""

    def run(old: JSON | None) -> JSON:
        new = change(old and conversion.convert(old, gvk.api_version))
        ctx.checked = False
        return conversion.convert(new, stored.api_version)

    return run


def _undecodable(new: JSON, error: errors.BadRequest) -> errors.StatusError:
    """A patch whose result is no object of the kind is an invalid patch, not a bad request."""
    why = error.message.partition("cannot be handled as a ")[2].partition(": ")[2] or error.message
    return errors.invalid("", "", "", [field.invalid("patch", orjson.dumps(new).decode(), why)])


def _patcher(content_type: str, gvk: GVK) -> Callable[[JSON, Any], JSON]:
    if content_type == JSON_PATCH:
        return patch.json_patch
    if content_type == MERGE_PATCH:
        return patch.merge_patch
    return lambda doc, body: strategic.strategic_merge_patch(doc, body, typed(gvk))


def _patching(store: ResourceStore, name: str, body: Any, apply: Callable[[JSON, Any], JSON]) -> Change:
    def change(old: JSON | None) -> JSON:
        if old is None:
            raise store.not_found(name)
        new = apply(old, body)
        if not isinstance(new, dict) or not isinstance(new.get("metadata"), dict):
            raise errors.BadRequest("the patch does not leave an object")
        given = new["metadata"].get("name")
        if given != name:
            raise errors.BadRequest(f"the name of the object ({given}) does not match the name on the URL ({name})")
        _keep_identity(new, old, store)
        return new

    return change


def _keep_identity(new: JSON, old: JSON, store: ResourceStore) -> None:
    """The kind of a patched object is its own whatever the patch says; another namespace or uid is refused."""
    new["apiVersion"], new["kind"] = old["apiVersion"], old["kind"]
    given, current = new["metadata"], old["metadata"]
    if given.get("namespace") != current.get("namespace"):
        raise errors.BadRequest(
            f"the namespace of the object ({given.get('namespace', '')}) does not match "
            f"the namespace on the request ({current.get('namespace', '')})"
        )
    if given.get("uid") != current["uid"]:
        fault = field.invalid("metadata.uid", given.get("uid"), "field is immutable")
        raise errors.invalid(store.kind.group, store.kind.kind, current["name"], [fault])


def _applying(store: ResourceStore, namespace: str, name: str, body: JSON, ctx: Context, subresource: str) -> Change:
    meta = body.get("metadata") or {}
    if meta.get("managedFields"):
        raise errors.BadRequest("metadata.managedFields must be nil")
    if meta.get("name") and meta["name"] != name:
        raise errors.BadRequest(f"the name of the object ({meta['name']}) does not match the name on the URL ({name})")

    def change(old: JSON | None) -> JSON:
        if old is None and subresource:
            raise store.not_found(name)
        if old is None and meta.get("uid"):
            text = f"uid mismatch: the provided object specified uid {meta['uid']}, and no existing object was found"
            raise errors.conflict(store.kind.group, store.kind.plural, name, text)
        config = orjson.loads(orjson.dumps(body))
        config.setdefault("metadata", {})["name"] = name
        if store.kind.namespaced:
            config["metadata"]["namespace"] = namespace
        return ssa.apply(
            old,
            config,
            manager=ctx.manager,
            force=ctx.force,
            type=typed(store.gvk),
            gvk=store.gvk,
            now=ctx.now,
            subresource=subresource,
        )

    return change
