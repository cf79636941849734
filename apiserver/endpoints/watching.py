"""Watches: events as JSON lines over chunked HTTP, or as WebSocket messages.

An event is encoded once for all watchers of its representation, chunk framing included, and a batch of events is one
write. A watch ends when its timeout is over (after a last bookmark if those were asked for), with an ERROR event if the
version is gone or the watcher too slow, or when the server stops.
"""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Final

import orjson
from aiohttp import web

from apimachinery.errors import StatusError
from apiserver import replies
from apiserver.endpoints import negotiation, output, parameters
from apiserver.endpoints.negotiation import Representation
from apiserver.parts import Parts
from apiserver.request import Call
from apiserver.resources import Resource

if TYPE_CHECKING:
    from apiserver.storage import Watcher

_HIGH_WATER_BYTES: Final = 256 * 1024


async def watch(call: Call, resource: Resource, parts: Parts) -> web.StreamResponse | replies.Done:
    """Serve a watch to its end."""
    store = resource.store
    assert store is not None
    shape = negotiation.representation(call)
    initial = parameters.check_watch_versions(call)
    timeout = parameters.integer(call, "timeoutSeconds")
    if not timeout:
        timeout = parts.options.min_request_timeout + random.randrange(parts.options.min_request_timeout or 1)
    bookmarks = call.flag("allowWatchBookmarks")
    watcher = parts.storage.watch(
        store.kind,
        namespace=call.info.namespace,
        name=call.info.name,
        labels=parameters.labels(call),
        fields=parameters.fields(call, resource.kind),
        version=parameters.version(call),
        initial=initial,
        bookmarks=bookmarks,
    )
    parts.watchers.add(watcher)
    try:
        sender: _Sender
        if "websocket" in call.request.headers.get("Upgrade", "").lower():
            sender = await _WebSocketSender.open(call, watcher)
        else:
            sender = _ChunkSender.open(call, shape)
        try:
            await _serve(watcher, sender, resource, shape, timeout, bookmarks)
            return await sender.close()
        finally:
            sender.release()
    finally:
        parts.watchers.discard(watcher)
        watcher.close()


async def _serve(
    watcher: Watcher, sender: _Sender, resource: Resource, shape: Representation, timeout: int, bookmarks: bool
) -> None:
    encode = output.event_encoder(resource, shape, sender.frame)
    representation = (resource.gvk, shape, sender.name)
    first = shape.form == "Table"
    try:
        async with asyncio.timeout(timeout):
            async for batch in watcher:
                if first:
                    first = False
                    head = output.event_encoder(resource, output.with_columns(shape), sender.frame)
                    await sender.send(head(batch[0]))
                    batch = batch[1:]
                if batch:
                    await sender.send(watcher.encoded(batch, representation, encode))
    except TimeoutError:
        if bookmarks and (last := watcher.bookmark()) is not None:
            await sender.send(encode(last))
    except StatusError as error:
        line = b'{"type":"ERROR","object":%b}\n' % orjson.dumps(error.status)
        await sender.send(sender.frame(line))


class _Sender:
    """One way of carrying events; `name` tells its framing apart in the cache of encoded events."""

    name = ""

    @staticmethod
    def frame(line: bytes) -> bytes:
        """An event as it goes out."""
        return line

    async def send(self, data: bytes) -> None:
        """Send framed events; waits while the client is slow."""
        raise NotImplementedError

    async def close(self) -> web.StreamResponse | replies.Done:
        """End the stream in order."""
        raise NotImplementedError

    def release(self) -> None:
        """Let go of what the sender holds, however it ended."""


class _ChunkSender(_Sender):
    """HTTP chunks, straight to the transport."""

    name = "chunk"

    def __init__(self, request: web.BaseRequest, transport: asyncio.Transport) -> None:
        self._request = request
        self._transport = transport

    @classmethod
    def open(cls, call: Call, shape: Representation) -> _ChunkSender:
        """Send the head at once: clients wait for it before the first event."""
        transport = call.request.transport
        if transport is None:
            raise ConnectionResetError("the client has gone")
        kind = "application/json" if not shape.form else shape.content_type
        head = replies.head(200, kind, {"Transfer-Encoding": "chunked"})
        transport.write(head + b"\r\n")
        return cls(call.request, transport)

    @staticmethod
    def frame(line: bytes) -> bytes:
        return b"%x\r\n%b\r\n" % (len(line), line)

    async def send(self, data: bytes) -> None:
        if self._transport.is_closing():
            raise ConnectionResetError("the client has gone")
        self._transport.write(data)
        if self._transport.get_write_buffer_size() > _HIGH_WATER_BYTES:
            await self._request.protocol._drain_helper()

    async def close(self) -> replies.Done:
        self._transport.write(b"0\r\n\r\n")
        return replies.Done(keep_alive=True)


class _WebSocketSender(_Sender):
    """One text message an event."""

    name = "websocket"

    def __init__(self, socket: web.WebSocketResponse, watcher: Watcher) -> None:
        self._socket = socket
        self._reader = asyncio.create_task(self._read(watcher))

    @classmethod
    async def open(cls, call: Call, watcher: Watcher) -> _WebSocketSender:
        socket = web.WebSocketResponse(heartbeat=30.0)
        await socket.prepare(call.request)
        return cls(socket, watcher)

    async def _read(self, watcher: Watcher) -> None:
        """Answer pings, and end the watch when the client closes; what it says otherwise is not for us."""
        async for _ in self._socket:
            pass
        watcher.close()

    async def send(self, data: bytes) -> None:
        for line in data.splitlines():
            await self._socket.send_str(line.decode())

    async def close(self) -> web.StreamResponse:
        await self._socket.close()
        return self._socket

    def release(self) -> None:
        self._reader.cancel()
