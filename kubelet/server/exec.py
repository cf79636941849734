"""exec and attach: to be filled by the stream channels."""

from typing import Any

from aiohttp import web

from apimachinery import errors

from ..parts import Parts

JSON = dict[str, Any]


async def serve_exec(request: web.BaseRequest, parts: Parts, pod: JSON, name: str) -> web.StreamResponse:
    raise errors.InternalError("exec is not there yet")


async def serve_attach(request: web.BaseRequest, parts: Parts, pod: JSON, name: str) -> web.StreamResponse:
    raise errors.InternalError("attach is not there yet")
