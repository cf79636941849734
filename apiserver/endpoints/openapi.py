"""OpenAPI: what kubectl explain, client-side validation and generators read.

Version 3 is one document for each group-version, listed at `/openapi/v3` with a hash, so that clients keep what has not
changed; version 2 is one document of everything, as JSON. Both are made when first asked for and kept as bytes.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import Final

import orjson

from apimachinery import errors
from apimachinery.meta import JSON
from apiserver.endpoints import discovery, negotiation, openapi_document, openapi_protobuf
from apiserver.parts import Parts
from apiserver.replies import Reply, json_reply
from apiserver.request import Call
from apiserver.resources import Resource, Resources
from componentbase import defaults

_FOREVER: Final = {"Cache-Control": "public, immutable", "Expires": "Fri, 31 Dec 2100 00:00:00 GMT", "Vary": "Accept"}


async def answer(call: Call, parts: Parts) -> Reply:
    """`/openapi/v2`, `/openapi/v3` and the documents below it."""
    path = call.info.path.rstrip("/").removeprefix("/openapi/")
    resources = parts.resources
    if path == "v3":
        return json_reply({"paths": _index(resources, resources.generation)})
    if path == "v2":
        return _answer_v2(call, resources)
    name = path.removeprefix("v3/")
    listed = _index(resources, resources.generation).get(name)
    if listed is None:
        raise errors.NotFound("the server could not find the requested resource")
    url: str = listed["serverRelativeURL"]
    current = url.rpartition("=")[2]
    given = call.query.get("hash")
    if given and given != current:
        return Reply(b"", status=301, content_type="", headers={"Location": url})
    etag = f'"{current}"'
    if call.request.headers.get("If-None-Match") == etag:
        return Reply(b"", status=304, content_type="", headers={"ETag": etag})
    headers = {**_FOREVER, "ETag": etag} if given else {"ETag": etag, "Vary": "Accept"}
    return Reply(_v3(resources, resources.generation, name), headers=headers)


def _answer_v2(call: Call, resources: Resources) -> Reply:
    """JSON wherever it is taken; protobuf for those who take nothing else."""
    offered = {media.type for media in negotiation.accepted(call.request.headers.get("Accept", "*/*"))}
    protobuf = openapi_protobuf.MEDIA_TYPE in offered and not offered & {"application/json", "*/*", "application/*"}
    body, etag = _v2(resources, resources.generation, protobuf)
    if call.request.headers.get("If-None-Match") == etag:
        return Reply(b"", status=304, content_type="", headers={"ETag": etag})
    content_type = openapi_protobuf.CONTENT_TYPE if protobuf else "application/json"
    return Reply(body, content_type=content_type, headers={"ETag": etag, "Vary": "Accept"})


def _by_name(resources: Resources) -> dict[str, list[Resource]]:
    """Resources by what their document is called: `api/v1`, `apis/apps/v1`."""
    return {
        f"apis/{group}/{version}" if group else f"api/{version}": rows
        for group, versions in discovery.grouped(resources.rows()).items()
        for version, rows in versions.items()
    }


@lru_cache(maxsize=4)
def _index(resources: Resources, generation: int) -> dict[str, JSON]:
    """The documents with their hashes. A hash is of what a document is made from: making all of them is slow."""
    found = {}
    for name, rows in _by_name(resources).items():
        shown = repr((defaults.GIT_VERSION, openapi_document.FORMAT, [(row.kind, row.gvk) for row in rows]))
        digest = hashlib.sha256(shown.encode()).hexdigest().upper()
        found[name] = {"serverRelativeURL": f"/openapi/v3/{name}?hash={digest}"}
    return found


@lru_cache(maxsize=64)
def _v3(resources: Resources, generation: int, name: str) -> bytes:
    return orjson.dumps(openapi_document.version_3(_by_name(resources)[name]))


@lru_cache(maxsize=2)
def _v2(resources: Resources, generation: int, protobuf: bool) -> tuple[bytes, str]:
    document = openapi_document.version_2(list(resources.rows()))
    body = openapi_protobuf.encode(document) if protobuf else orjson.dumps(document)
    return body, f'"{hashlib.sha256(body).hexdigest().upper()}"'
