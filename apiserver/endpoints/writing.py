"""POST, PUT, PATCH: from a body to a store's flow, and its outcome back."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import orjson

from apimachinery import errors, field
from apimachinery.meta import JSON
from apiserver.endpoints import bodies, negotiation, output, parameters
from apiserver.parts import Parts
from apiserver.registry import patching
from apiserver.registry.store import Written
from apiserver.replies import Reply
from apiserver.request import Call
from apiserver.resources import Resource


async def create(call: Call, resource: Resource, parts: Parts) -> Reply:
    """A new object: 201."""
    store = resource.store
    assert store is not None
    shape = negotiation.representation(call)
    ctx = parameters.context(call)
    obj = await bodies.read_object(call, resource.gvk, None if resource.converted else ctx)
    metadata = obj["metadata"]
    _place(call, resource, metadata)
    if metadata.get("resourceVersion"):
        raise errors.BadRequest("resourceVersion should not be set on objects to be created")
    if not metadata.get("name") and not metadata.get("generateName"):
        metadata.setdefault("name", "")
    written = await store.create(output.stored(resource, obj), ctx)
    return output.single(resource, written.body, shape, status=201)


async def update(call: Call, resource: Resource, parts: Parts) -> Reply:
    """The object (or its subresource) replaced: 200, or 201 where a PUT may create."""
    store = resource.store
    assert store is not None
    shape = negotiation.representation(call)
    ctx = parameters.context(call)
    obj = await bodies.read_object(call, resource.gvk, None if resource.converted else ctx)
    metadata = obj["metadata"]
    _place(call, resource, metadata)
    name = call.info.name
    if not metadata.get("name"):
        metadata["name"] = name
    elif metadata["name"] != name:
        raise errors.BadRequest(
            f"the name of the object ({metadata['name']}) does not match the name on the URL ({name})"
        )
    ctx.before_create = partial(_check_create, call, parts)
    document = orjson.dumps(output.stored(resource, obj))
    may_create = store.strategy.allow_create_on_update and not call.info.subresource

    def wanted(old: JSON | None) -> JSON:
        if old is None and not may_create:
            raise store.not_found(name)
        new: JSON = orjson.loads(document)
        return new

    written = await store.change(call.info.namespace, name, wanted, ctx, subresource=call.info.subresource)
    return _answer(resource, written, shape)


async def patch(call: Call, resource: Resource, parts: Parts) -> Reply:
    """A patch of one of four types; server-side apply may create."""
    store = resource.store
    assert store is not None
    shape = negotiation.representation(call)
    content_type = bodies.media_type(call)
    if content_type not in patching.CONTENT_TYPES:
        raise patching.unsupported()
    ctx = parameters.context(call)
    ctx.before_create = partial(_check_create, call, parts)
    raw = await bodies.read(call)
    body = await _patch_body(call, resource, raw, content_type)
    written = await patching.patch_object(
        store,
        call.info.namespace,
        call.info.name,
        body,
        ctx,
        content_type=content_type,
        gvk=resource.gvk,
        subresource=call.info.subresource,
        inspect=bodies.inspector(call, store.gvk if content_type == patching.APPLY_PATCH else resource.gvk),
    )
    return _answer(resource, written, shape)


def _check_create(call: Call, parts: Parts) -> None:
    """Who may update or patch may not for that reason create."""
    parts.authorizer.check(call.user, replace(call.info, verb="create"))


async def _patch_body(call: Call, resource: Resource, raw: bytes, content_type: str) -> Any:
    if content_type != patching.APPLY_PATCH:
        if "force" in call.query:
            parameters.refuse("PatchOptions", [field.forbidden("force", "may not be specified for non-apply patch")])
        return _decoded_patch(raw, content_type)
    if not call.query.get("fieldManager"):
        parameters.refuse("PatchOptions", [field.required("fieldManager", "is required for apply patch")])
    decoded = await bodies.decode(call, raw, "application/yaml")
    version = decoded.get("apiVersion") or "" if isinstance(decoded, dict) else resource.gvk.api_version
    if version != resource.gvk.api_version:
        raise errors.BadRequest(
            "Incorrect version specified in apply patch. "
            f"Specified patch version: {version}, expected: {resource.gvk.api_version}"
        )
    body = bodies.checked_kind(decoded, resource.gvk)
    bodies.inspector(call, resource.gvk)(body)
    return output.stored(resource, body)


def _decoded_patch(raw: bytes, content_type: str) -> Any:
    """The patch, an object or a list of operations. Raises BadRequest in the words of Go's decoder."""
    prefix = "" if content_type == patching.STRATEGIC_PATCH else "error decoding patch: "
    wanted = list if content_type == patching.JSON_PATCH else dict
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise errors.BadRequest(prefix + bodies.syntax_error(raw, error)) from error
    if not isinstance(body, wanted):
        go_type = "[]handlers.jsonPatchOp" if wanted is list else "map[string]interface {}"
        name = bodies.JSON_NAMES.get(type(body), "null")
        raise errors.BadRequest(f"{prefix}json: cannot unmarshal {name} into Go value of type {go_type}")
    return body


def _answer(resource: Resource, written: Written, shape: negotiation.Representation) -> Reply:
    return output.single(resource, written.body, shape, status=201 if written.created else 200)


def _place(call: Call, resource: Resource, metadata: JSON) -> None:
    """The object belongs to the namespace of the URL."""
    namespace = call.info.namespace if resource.kind.namespaced else ""
    given = metadata.get("namespace")
    if given and given != namespace:
        if not resource.kind.namespaced:
            metadata.pop("namespace")
            return
        raise errors.BadRequest("the namespace of the provided object does not match the namespace sent on the request")
    if namespace:
        metadata["namespace"] = namespace
