"""Which endpoint answers: by verb for resources, by name for their subresources, by path for the rest."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final

from aiohttp import web

from apimachinery import errors
from apimachinery.kinds import GVK
from apiserver.endpoints import bodies, deleting, documents, reading, scaling, usage, watching, writing
from apiserver.parts import Parts
from apiserver.registry.table import action_for
from apiserver.replies import Done, Reply, json_reply
from apiserver.request import Call, RequestInfo
from apiserver.resources import Resource

Answer = Reply | Done | web.StreamResponse
Endpoint = Callable[[Call, Resource, Parts], Awaitable[Answer]]

_VERBS: Final[dict[str, Endpoint]] = {
    "get": reading.get,
    "list": reading.list_objects,
    "watch": watching.watch,
    "create": writing.create,
    "update": writing.update,
    "patch": writing.patch,
    "delete": deleting.delete,
    "deletecollection": deleting.delete_collection,
}
_SCALE: Final[dict[str, Endpoint]] = {"get": scaling.get, "update": scaling.update, "patch": scaling.patched}
_AS_OBJECT: Final[dict[str, Endpoint]] = {"get": reading.get, "update": writing.update, "patch": writing.patch}
_ON_COLLECTIONS: Final = frozenset({"list", "watch", "deletecollection"})
_ON_ONE: Final = frozenset({"create", "update", "patch"})  # to the collection, the others to one object
_STREAMED: Final = frozenset({"log", "exec", "attach", "portforward", "proxy"})
_ENTERED: Final = frozenset({"exec", "attach", "portforward"})
_NOT_ALLOWED: Final = "the server does not allow this method on the requested resource"
_NO_RESOURCE: Final = "the server could not find the requested resource"


async def answer(call: Call, parts: Parts) -> Answer:
    """Answer an authorised request."""
    info = call.info
    if not info.is_resource:
        return await documents.answer(call, parts)
    resource = parts.resources.find(info.group, info.version, info.resource)
    if resource is None:
        raise errors.NotFound(_NO_RESOURCE)
    if _misses_scope(info, resource):
        raise errors.NotFound(_NO_RESOURCE)
    if info.subresource:
        return await _subresource(call, resource, parts)
    if resource.kind.computed:
        return await usage.answer(call, resource, parts)
    if resource.store is None:
        return await _action(call, resource, parts)
    endpoint = _VERBS.get(info.verb)
    misplaced = bool(info.name) == (info.verb == "create") if info.verb in _ON_ONE else False
    if endpoint is None or misplaced or info.verb not in resource.kind.verbs:
        raise errors.MethodNotAllowed(_NOT_ALLOWED)
    return await endpoint(call, resource, parts)


def _misses_scope(info: RequestInfo, resource: Resource) -> bool:
    """Is the namespace in the path missing, or one too many?"""
    if resource.kind.namespaced:
        return not info.namespace and info.verb not in _ON_COLLECTIONS
    return bool(info.namespace) and info.resource != "namespaces"


async def _subresource(call: Call, resource: Resource, parts: Parts) -> Answer:
    info = call.info
    row = resource.subresources.get(info.subresource)
    if row is None:
        raise errors.NotFound(_NO_RESOURCE)
    if info.subresource in _STREAMED:
        if info.subresource in _ENTERED and info.verb == "get":  # a WebSocket begins with GET, but is no reading
            parts.authorizer.check(call.user, replace(info, verb="create"))
        return await parts.streaming.serve(call.request, info)
    if info.verb not in row.verbs:
        raise errors.MethodNotAllowed(_NOT_ALLOWED)
    if info.verb == "create":
        return await _action(call, resource, parts, row.gvk)
    table = _SCALE if info.subresource == "scale" else _AS_OBJECT
    return await table[info.verb](call, resource, parts)


async def _action(call: Call, resource: Resource, parts: Parts, gvk: GVK | None = None) -> Answer:
    """A POST that is answered rather than stored."""
    info = call.info
    action = action_for(info.group, info.resource, info.subresource)
    if action is None or info.verb != "create":
        raise errors.MethodNotAllowed(_NOT_ALLOWED)
    body = await bodies.read_object(call, gvk or resource.gvk)
    return json_reply(await action(call, body, parts), status=201)
