"""Passing an upgraded connection through, byte for byte.

exec, attach, port-forward and proxied WebSockets are the same to this server: the client's upgrade request goes to the
peer (kubelet or pod), its 101 comes back unchanged, and from then on bytes are copied both ways. So each end talks to
the other in whatever protocol they agreed on (WebSocket v5.channel.k8s.io, SPDY/3.1, …) and no frame is parsed here.

aiohttp hands over the client's side through `set_parser`, the way its own WebSocket response takes it. Both directions
are bounded: the client's socket is not read while the peer is slow, and the other way round.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from typing import Any, cast

from aiohttp import web

from apimachinery import errors
from apiserver.outbound.kubelet import Target
from apiserver.replies import Done, Reply

_HEAD_LIMIT_BYTES = 64 * 1024
_REFUSAL_LIMIT_BYTES = 64 * 1024
_CHUNK_BYTES = 64 * 1024
_HELD_BYTES = 256 * 1024  # from the client, not yet taken by the peer
_CONNECT_SECONDS = 30.0
_NOT_PASSED_ON = frozenset({"host", "authorization", "content-length", "transfer-encoding", "cookie"})
_TOKEN_PROTOCOL = "base64url.bearer.authorization.k8s.io."


def is_upgrade(request: web.BaseRequest) -> bool:
    """Whether the client asks to leave HTTP."""
    return "upgrade" in request.headers.get("Connection", "").lower() and "Upgrade" in request.headers


def passed_headers(headers: Mapping[str, str]) -> list[tuple[str, str]]:
    """The client's headers without what is between it and this server: credentials, impersonation, framing."""
    passed = []
    for name, value in headers.items():
        lower = name.lower()
        if lower in _NOT_PASSED_ON or lower.startswith(("impersonate-", "x-remote-")):
            continue
        if lower == "sec-websocket-protocol":
            value = ", ".join(
                each for each in (part.strip() for part in value.split(",")) if not each.startswith(_TOKEN_PROTOCOL)
            )
            if not value:
                continue
        passed.append((name, value))
    return passed


class _FromClient:
    """What aiohttp feeds with the client's bytes once the connection is ours."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._held: list[bytes] = []
        self._size = 0
        self._paused = False
        self._ended = False
        self._ready = asyncio.Event()

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        """Called by aiohttp; (False, nothing left over)."""
        self._held.append(bytes(data))
        self._size += len(data)
        self._ready.set()
        if self._size > _HELD_BYTES and not self._paused:
            self._paused = True
            self._transport.pause_reading()
        return False, b""

    def feed_eof(self) -> None:
        """The client is gone."""
        self._ended = True
        self._ready.set()

    async def copy(self, writer: asyncio.StreamWriter) -> None:
        """Write everything to the peer until the client is gone."""
        while True:
            await self._ready.wait()
            self._ready.clear()
            held, self._held, self._size = self._held, [], 0
            if held:
                writer.write(b"".join(held))
                await writer.drain()
            if self._paused:
                self._paused = False
                if not self._transport.is_closing():
                    self._transport.resume_reading()
            if self._ended and not self._held:
                return


async def tunnel(request: web.BaseRequest, target: Target, path: str) -> Done | Reply:
    """Upgrade at `target` and copy until either side ends; or the answer of a peer that doesn't upgrade.

    Raises StatusError (500) if the peer can't be reached.
    """
    try:
        async with asyncio.timeout(_CONNECT_SECONDS):
            reader, writer = await asyncio.open_connection(
                target.host, target.port, ssl=target.tls, limit=_HEAD_LIMIT_BYTES
            )
    except (OSError, TimeoutError) as error:
        raise errors.StatusError(f"error dialing backend: {dial_error(target, error)}") from error
    try:
        writer.write(_request_head(request, target, path))
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                await writer.drain()
                head = await reader.readuntil(b"\r\n\r\n")
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            raise errors.StatusError(f"error sending request to backend: {error}") from error
        if head.split(b" ", 2)[1:2] != [b"101"]:
            return await _refusal(head, reader)
        await _copy_both(request, reader, writer, head)
        return Done(status=101)
    finally:
        writer.close()


def dial_error(target: Target, error: BaseException) -> str:
    """Why there is no connection, as Go says it: dial tcp 10.0.0.1:10250: connect: connection refused."""
    number = getattr(getattr(error, "os_error", error), "errno", None)
    why = f"connect: {os.strerror(number).lower()}" if number else str(error) or "i/o timeout"
    return f"dial tcp {target.authority}: {why}"


def _request_head(request: web.BaseRequest, target: Target, path: str) -> bytes:
    lines = [f"{request.method} {path} HTTP/1.1", f"Host: {target.authority}"]
    lines += [f"{name}: {value}" for name, value in passed_headers(request.headers)]
    if request.method not in ("GET", "HEAD"):
        lines.append("Content-Length: 0")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "surrogateescape")


async def _copy_both(
    request: web.BaseRequest, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: bytes
) -> None:
    transport = request.transport
    if transport is None:
        return
    client = _FromClient(transport)
    request.protocol.set_parser(cast(Any, client))
    transport.write(head)
    to_peer = asyncio.create_task(client.copy(writer))
    to_client = asyncio.create_task(_copy(reader, request))
    try:
        # The peer says when it is over; a client that left has nothing more to hear.
        await asyncio.wait((to_peer, to_client), return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (to_peer, to_client):
            task.cancel()
        await asyncio.gather(to_peer, to_client, return_exceptions=True)


async def _copy(reader: asyncio.StreamReader, request: web.BaseRequest) -> None:
    while data := await reader.read(_CHUNK_BYTES):
        transport = request.transport
        if transport is None or transport.is_closing():
            return
        transport.write(data)
        await request.protocol._drain_helper()


async def _refusal(head: bytes, reader: asyncio.StreamReader) -> Reply:
    lines = head.decode("latin-1").split("\r\n")
    status = int(lines[0].split(" ")[1])
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
    length = int(headers.get("content-length") or _REFUSAL_LIMIT_BYTES)
    body = b""
    try:
        async with asyncio.timeout(_CONNECT_SECONDS):
            while len(body) < min(length, _REFUSAL_LIMIT_BYTES) and (data := await reader.read(_CHUNK_BYTES)):
                body += data
    except (OSError, TimeoutError):
        body += b" (the rest of the answer did not come)"
    return Reply(body, status=status, content_type=headers.get("content-type", "text/plain"))
