"""Connections that stop being HTTP: bytes after an upgrade, and SPDY sessions on top of them.

A `Pipe` is bytes both ways: a connection taken over from aiohttp (`take_over`), or the binary messages of a WebSocket
that tunnels. `SpdySession` opens a pipe up into streams. Whatever is received and not yet used is bounded: a pipe stops
reading from its socket, a session stops reading from its pipe.
"""

import asyncio
from typing import Any, Protocol, cast

from aiohttp import WSMsgType, web

from apimachinery.streams import spdy

HELD_BYTES_MAX = 1 << 18
QUEUE_MAX = 64


class Pipe(Protocol):
    """Bytes both ways."""

    async def read(self) -> bytes:
        """Some bytes, or b"" at the end."""

    async def write(self, data: bytes) -> None:
        """Returns when there is room for more."""


class _Received:
    """What aiohttp feeds once the connection is ours (its parser interface)."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._held = bytearray()
        self._ended = self._paused = False
        self._ready = asyncio.Event()

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        """Take bytes in; (False, nothing left over)."""
        self._held += data
        self._ready.set()
        if len(self._held) > HELD_BYTES_MAX and not self._paused:
            self._paused = True
            self._transport.pause_reading()
        return False, b""

    def feed_eof(self) -> None:
        """The peer is gone."""
        self._ended = True
        self._ready.set()

    async def read(self) -> bytes:
        """All that is there; b"" at the end."""
        while not self._held and not self._ended and not self._transport.is_closing():
            self._ready.clear()
            await self._ready.wait()
        data = bytes(self._held)
        self._held.clear()
        if self._paused and not self._transport.is_closing():
            self._paused = False
            self._transport.resume_reading()
        return data


class RawPipe:
    """A connection taken over after its 101."""

    def __init__(self, request: web.BaseRequest, response: web.StreamResponse) -> None:
        transport = request.transport
        if transport is None:
            raise ConnectionResetError("the client is gone")
        self.response = response
        self._transport = transport
        self._protocol = request.protocol
        self._received = _Received(transport)
        self._protocol.set_parser(cast(Any, self._received))

    async def read(self) -> bytes:
        """Some bytes, or b"" at the end."""
        return await self._received.read()

    async def write(self, data: bytes) -> None:
        """Send."""
        if self._transport.is_closing():
            raise ConnectionResetError("the client is gone")
        self._transport.write(data)
        await self._protocol._drain_helper()

    def close(self) -> None:
        """End the connection once everything is sent."""
        self._transport.close()


async def take_over(request: web.BaseRequest, headers: dict[str, str]) -> RawPipe:
    """Answer 101 with these headers; from then on the connection is the caller's."""
    response = web.StreamResponse(status=101, headers={"Connection": "Upgrade", **headers})
    await response.prepare(request)
    return RawPipe(request, response)


class WebSocketPipe:
    """A WebSocket whose binary messages are one stream of bytes."""

    def __init__(self, socket: web.WebSocketResponse) -> None:
        self._socket = socket

    async def read(self) -> bytes:
        """One message's data, or b"" at the end."""
        while True:
            message = await self._socket.receive()
            if message.type is not WSMsgType.BINARY:
                return b""
            if message.data:
                return bytes(message.data)

    async def write(self, data: bytes) -> None:
        """One message."""
        await self._socket.send_bytes(data)


class SpdyStream:
    """One stream that the peer opened."""

    def __init__(self, session: "SpdySession", opened: spdy.Opened) -> None:
        self.id = opened.stream
        self.headers = opened.headers
        self._session = session
        self.received: asyncio.Queue[bytes | None] = asyncio.Queue(QUEUE_MAX)

    async def read(self) -> bytes:
        """Some bytes, or b"" when the peer has half-closed or reset the stream."""
        return await self.received.get() or b""

    async def write(self, data: bytes) -> None:
        """Send."""
        await self._session.send(self._session.connection.data(self.id, data))

    async def close(self) -> None:
        """Half-close: nothing more comes from here."""
        await self._session.send(self._session.connection.data(self.id, b"", fin=True))


class SpdySession:
    """The server's end of a SPDY/3.1 connection."""

    def __init__(self, pipe: Pipe) -> None:
        self.connection = spdy.Connection(client=False)
        self._pipe = pipe
        self._opened: asyncio.Queue[SpdyStream | None] = asyncio.Queue(QUEUE_MAX)
        self._streams: dict[int, SpdyStream] = {}

    async def send(self, data: bytes) -> None:
        """Frames that `connection` made."""
        await self._pipe.write(data)

    async def accept(self) -> SpdyStream | None:
        """The next stream that the peer opens, None at the end of the connection."""
        return await self._opened.get()

    async def run(self) -> None:
        """Read until the connection ends."""
        try:
            while data := await self._pipe.read():
                for event in self.connection.feed(data):
                    await self._handle(event)
        except (spdy.SpdyError, ConnectionError):
            pass  # as good as its end
        finally:
            for stream in self._streams.values():
                _end(stream.received)
            _end(self._opened)

    async def _handle(self, event: spdy.Event) -> None:
        match event:
            case spdy.Opened():
                stream = self._streams[event.stream] = SpdyStream(self, event)
                await self.send(self.connection.reply(event.stream))
                await self._opened.put(stream)
                if event.fin:
                    await stream.received.put(None)
            case spdy.Data():
                if (found := self._streams.get(event.stream)) is not None:
                    if event.data:
                        await found.received.put(event.data)
                    if event.fin:
                        await found.received.put(None)
            case spdy.Reset():
                if (found := self._streams.pop(event.stream, None)) is not None:
                    _end(found.received)
            case spdy.Pinged():
                if not self.connection.is_ours(event.id):
                    await self.send(self.connection.ping(event.id))


def _end(queue: "asyncio.Queue[Any]") -> None:
    """Put the end mark; a queue that is full loses its oldest entry, nobody will read it any more."""
    if queue.full():
        queue.get_nowait()
    queue.put_nowait(None)
