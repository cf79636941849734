"""GET of one object and of lists."""

from __future__ import annotations

from apimachinery.meta import JSON
from apiserver.endpoints import negotiation, output, parameters
from apiserver.parts import Parts
from apiserver.replies import Reply
from apiserver.request import Call
from apiserver.resources import Resource


async def get(call: Call, resource: Resource, parts: Parts) -> Reply:
    """One object: a look-up, and its bytes as they are stored."""
    info, store = call.info, resource.store
    assert store is not None
    shape = negotiation.representation(call)
    consistent = True
    if call.query and (version := call.query.get("resourceVersion")):
        consistent = version != "0"
    entry = await store.get(info.namespace, info.name, consistent=consistent)
    return output.single(resource, entry.body, shape)


async def list_objects(call: Call, resource: Resource, parts: Parts) -> Reply:
    """A collection, whole or a page of it."""
    store = resource.store
    assert store is not None
    shape = negotiation.representation(call)
    result = await parts.storage.list(
        store.kind,
        namespace=call.info.namespace,
        labels=parameters.labels(call),
        fields=parameters.fields(call, resource.kind),
        resource_version=parameters.version(call),
        match=parameters.check_list_versions(call),
        limit=parameters.integer(call, "limit") or 0,
        continue_token=call.query.get("continue") or None,
    )
    metadata: JSON = {"resourceVersion": str(result.version)}
    if result.continue_token:
        metadata["continue"] = result.continue_token
        if result.remaining is not None:
            metadata["remainingItemCount"] = result.remaining
    return await output.collection(resource, result.entries, metadata, shape)
