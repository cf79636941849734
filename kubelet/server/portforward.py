"""Port forwarding: to be filled by the stream channels."""

from typing import Any

from aiohttp import web

from apimachinery import errors

from ..parts import Parts

JSON = dict[str, Any]


async def serve(request: web.BaseRequest, parts: Parts, pod: JSON) -> web.StreamResponse:
    raise errors.InternalError("port-forward is not there yet")
