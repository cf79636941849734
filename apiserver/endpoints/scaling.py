"""The scale subresource: a view of how many replicas an object has and should have.

GET makes an autoscaling/v1 Scale from the object; PUT and PATCH of a Scale change the object's replicas. Where the
numbers are differs only for custom resources, so the paths are data.
"""

from __future__ import annotations

from collections.abc import Callable

import orjson

from apimachinery import errors, field, labels, patch, schemas
from apimachinery.kinds import GVK
from apimachinery.meta import JSON
from apiserver.endpoints import bodies, negotiation, output, parameters
from apiserver.parts import Parts
from apiserver.registry import patching
from apiserver.replies import Reply
from apiserver.request import Call
from apiserver.resources import Resource

SCALE = GVK("autoscaling", "v1", "Scale")


async def get(call: Call, resource: Resource, parts: Parts) -> Reply:
    """The Scale of an object."""
    store = resource.store
    assert store is not None
    try:
        entry = await store.get(call.info.namespace, call.info.name)
    except errors.NotFound as error:
        raise _not_found(resource, call.info.name) from error
    return Reply(orjson.dumps(scale_of(entry.parsed())))


def _not_found(resource: Resource, name: str) -> errors.StatusError:
    return errors.not_found(resource.kind.group, f"{resource.kind.plural}/scale", name)


async def update(call: Call, resource: Resource, parts: Parts) -> Reply:
    """The replicas set to what a Scale says."""
    scale = await bodies.read_object(call, SCALE)
    return await _write(call, resource, lambda _: scale)


async def patched(call: Call, resource: Resource, parts: Parts) -> Reply:
    """The replicas set to what a patched Scale says."""
    content_type = bodies.media_type(call)
    body = await bodies.decode(call, await bodies.read(call), "application/yaml")
    if content_type == patching.JSON_PATCH:
        return await _write(call, resource, lambda scale: patch.json_patch(scale, body))
    if content_type in patching.CONTENT_TYPES:
        return await _write(call, resource, lambda scale: patch.merge_patch(scale, body))
    raise patching.unsupported()


async def _write(call: Call, resource: Resource, wanted_scale: Callable[[JSON], JSON]) -> Reply:
    store, name = resource.store, call.info.name
    assert store is not None
    shape = negotiation.representation(call)

    def change(old: JSON | None) -> JSON:
        if old is None:
            raise _not_found(resource, name)
        scale = bodies.checked_kind(wanted_scale(scale_of(old)), SCALE)
        schemas.examine(SCALE, scale)
        replicas = (scale.get("spec") or {}).get("replicas") or 0
        if replicas < 0:
            fault = field.invalid("spec.replicas", replicas, "must be greater than or equal to 0")
            raise errors.invalid("autoscaling", "Scale", name, [fault])
        new: JSON = orjson.loads(orjson.dumps(old))
        new.setdefault("spec", {})["replicas"] = replicas
        version = (scale.get("metadata") or {}).get("resourceVersion")
        if version:
            new["metadata"]["resourceVersion"] = version
        return new

    ctx = parameters.context(call)
    written = await store.change(call.info.namespace, name, change, ctx)
    body = orjson.dumps(scale_of(orjson.loads(written.body)))
    return output.single(resource, body, shape) if not shape.form else Reply(body)


def scale_of(obj: JSON) -> JSON:
    """The Scale of an object with spec.replicas, status.replicas and spec.selector."""
    spec, status, metadata = obj.get("spec") or {}, obj.get("status") or {}, obj["metadata"]
    shown = {
        key: metadata[key]
        for key in ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
        if key in metadata
    }
    selector = spec.get("selector")
    if isinstance(selector, dict) and not ("matchLabels" in selector or "matchExpressions" in selector):
        selector = {"matchLabels": selector}  # replication controllers have a plain map
    return {
        "kind": SCALE.kind,
        "apiVersion": SCALE.api_version,
        "metadata": shown,
        "spec": {"replicas": spec.get("replicas", 0)},
        "status": {
            "replicas": status.get("replicas", 0),
            "selector": str(labels.from_label_selector(selector)) if selector else "",
        },
    }
