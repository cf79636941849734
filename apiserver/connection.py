"""One client connection: aiohttp's, with what the API server needs to know of it kept beside.

The peer's certificate is read once, when TLS is up, since asking OpenSSL for it costs more than a whole GET.
"""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import StreamReader
from aiohttp.web_protocol import RequestHandler

from apiserver.endpoints.bodies import LIMIT_BYTES

HEADER_BYTES = 64 * 1024  # tokens, impersonation and long selectors
TARGET_BYTES = 64 * 1024


class Connection(RequestHandler):
    """A connection and its peer's certificate (DER), if it showed one."""

    __slots__ = ("peer_certificate",)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        ssl_object = transport.get_extra_info("ssl_object")
        self.peer_certificate: bytes | None = ssl_object.getpeercert(binary_form=True) if ssl_object else None
        super().connection_made(transport)


class Server(web.Server):
    """Makes `Connection`s, and requests with our body limit."""

    def __init__(self, handler: Any) -> None:
        super().__init__(handler, request_factory=self._request, handler_cancellation=True)
        self._options: dict[str, Any] = {
            "access_log": None,
            "max_line_size": TARGET_BYTES,
            "max_field_size": HEADER_BYTES,
            "keepalive_timeout": 300.0,
        }

    def __call__(self) -> RequestHandler:
        return Connection(self, loop=asyncio.get_running_loop(), **self._options)

    def _request(
        self,
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: RequestHandler,
        writer: AbstractStreamWriter,
        task: asyncio.Task[None],
    ) -> web.BaseRequest:
        return web.BaseRequest(message, payload, protocol, writer, task, protocol._loop, client_max_size=LIMIT_BYTES)
