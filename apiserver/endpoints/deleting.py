"""DELETE of one object and of a collection."""

from __future__ import annotations

import asyncio
from typing import Final

import orjson

from apimachinery import errors
from apimachinery.errors import StatusError
from apimachinery.meta import JSON
from apiserver.endpoints import bodies, negotiation, output, parameters
from apiserver.parts import Parts
from apiserver.registry import deletion
from apiserver.registry.deletion import Deleted, DeleteOptions
from apiserver.registry.strategy import Context
from apiserver.replies import Reply, json_reply
from apiserver.request import Call
from apiserver.resources import Resource

_AT_A_TIME: Final = 32
_OPTION_PARAMETERS: Final = ("gracePeriodSeconds", "propagationPolicy", "orphanDependents", "dryRun")


async def delete(call: Call, resource: Resource, parts: Parts) -> Reply:
    """Delete, or begin to: the object while it is going, a Status when it is gone."""
    store = resource.store
    assert store is not None
    shape = negotiation.representation(call)
    options, ctx = await _options(call)
    deleted = await deletion.delete(store, call.info.namespace, call.info.name, options, ctx)
    if not deleted.gone or store.strategy.returns_deleted:
        return output.single(resource, deleted.body, shape)
    return json_reply(_success(resource, deleted))


def _success(resource: Resource, deleted: Deleted) -> JSON:
    metadata = orjson.loads(deleted.body)["metadata"]
    details = {"name": metadata["name"], "group": resource.kind.group, "kind": resource.kind.plural}
    details["uid"] = metadata.get("uid", "")
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": {key: value for key, value in details.items() if value},
    }


async def delete_collection(call: Call, resource: Resource, parts: Parts) -> Reply:
    """Delete all that the selectors match; answers with the list of them."""
    store = resource.store
    assert store is not None
    options, ctx = await _options(call)
    result = await parts.storage.list(
        store.kind,
        namespace=call.info.namespace,
        labels=parameters.labels(call),
        fields=parameters.fields(call, resource.kind),
        resource_version=None,
        match=None,
    )
    gate = asyncio.Semaphore(_AT_A_TIME)

    async def remove(metadata: JSON) -> None:
        async with gate:
            try:
                await deletion.delete(store, metadata.get("namespace") or "", metadata["name"], options, ctx)
            except errors.NotFound:
                return

    try:
        async with asyncio.TaskGroup() as group:
            for entry in result.entries:
                group.create_task(remove(entry.parsed()["metadata"]))
    except* StatusError as failed:
        raise _first(failed) from failed
    metadata = {"resourceVersion": str(result.version)}
    return await output.collection(resource, result.entries, metadata, negotiation.representation(call))


def _first(group: BaseExceptionGroup[StatusError]) -> StatusError:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, StatusError)
    return error


async def _options(call: Call) -> tuple[DeleteOptions, Context]:
    """DeleteOptions from the body, or from parameters if there is none."""
    raw = await bodies.read(call)
    body: JSON = {}
    if raw:
        decoded = await bodies.decode(call, raw)
        if not isinstance(decoded, dict):
            raise errors.BadRequest("the body is no DeleteOptions")
        if decoded.get("kind", "DeleteOptions") != "DeleteOptions":
            raise errors.BadRequest(f"decoded object cannot be converted to DeleteOptions: {decoded['kind']}")
        body = decoded
    for name in _OPTION_PARAMETERS:
        if body.get(name) is None and name in call.query:
            body[name] = _parameter(name, call.query[name])
    options = deletion.parse_options(body)
    ctx = parameters.context(call, body)
    ctx.dry_run = ctx.dry_run or options.dry_run
    return options, ctx


def _parameter(name: str, text: str) -> object:
    if name == "gracePeriodSeconds":
        if not text.lstrip("-").isdigit():
            raise errors.BadRequest(f'strconv.ParseInt: parsing "{text}": invalid syntax')
        return int(text)
    if name == "orphanDependents":
        return text in ("true", "1", "")
    return [text] if name == "dryRun" else text
