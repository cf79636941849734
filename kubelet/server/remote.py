"""The other end of exec and attach: the same five channels over a WebSocket or over SPDY streams."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Protocol

import orjson
from aiohttp import WSMsgType, web

from apimachinery import errors
from apimachinery.meta import JSON
from apimachinery.streams import channels, spdy

from .upgrading import SpdySession, SpdyStream, take_over

STREAMS_TIMEOUT_SECONDS = 30.0
MESSAGE_BYTES_MAX = 1 << 22


class Remote(Protocol):
    """A client with a terminal, or pipes."""

    response: web.StreamResponse

    async def receive(self) -> channels.Message | None:
        """Input, a resize, or a half-close; None when the client is gone."""

    async def send(self, channel: int, data: bytes) -> None:
        """Output."""

    async def finish(self, status: JSON) -> None:
        """How the process ended; nothing follows."""


class WebSocketRemote:
    """Channels as messages."""

    def __init__(self, socket: web.WebSocketResponse, wanted: frozenset[int]) -> None:
        self.response: web.StreamResponse = socket
        self._socket = socket
        self._wanted = wanted

    async def receive(self) -> channels.Message | None:
        """Input, a resize, or a half-close; None when the client is gone."""
        while True:
            message = await self._socket.receive()
            if message.type in (WSMsgType.BINARY, WSMsgType.TEXT):
                data = message.data if isinstance(message.data, bytes) else message.data.encode()
                if data:
                    return channels.decode(data)
            else:
                return None

    async def send(self, channel: int, data: bytes) -> None:
        """Output, unless the client did not ask for it."""
        if channel in self._wanted:
            await self._socket.send_bytes(channels.encode(channel, data))

    async def finish(self, status: JSON) -> None:
        """The status, then a normal closure."""
        await self._socket.send_bytes(channels.encode(channels.ERROR, orjson.dumps(status)))
        await self._socket.close(code=1000)


class SpdyRemote:
    """Channels as streams."""

    def __init__(self, response: web.StreamResponse, streams: Mapping[int, SpdyStream]) -> None:
        self.response = response
        self._streams = streams
        self._received: asyncio.Queue[channels.Message | None] = asyncio.Queue(16)

    async def collect(self, channel: int) -> None:
        """Turn what a stream brings into messages."""
        stream = self._streams[channel]
        while data := await stream.read():
            await self._received.put(channels.Message(channel, data))
        await self._received.put(channels.Message(channels.CLOSE, bytes((channel,))))

    async def end(self) -> None:
        """The connection is over."""
        await self._received.put(None)

    async def receive(self) -> channels.Message | None:
        """Input, a resize, or a half-close; None when the client is gone."""
        return await self._received.get()

    async def send(self, channel: int, data: bytes) -> None:
        """Output, unless the client did not ask for it."""
        if channel in self._streams:
            await self._streams[channel].write(data)

    async def finish(self, status: JSON) -> None:
        """The status, then every stream's end."""
        await self._streams[channels.ERROR].write(orjson.dumps(status))
        for stream in self._streams.values():
            await stream.close()


def wanted_channels(query: Mapping[str, str]) -> frozenset[int]:
    """The channels that a request asks for, by the kubelet's names or the API's."""
    asked = {channels.ERROR}
    for names, channel in (
        (("input", "stdin"), channels.STDIN),
        (("output", "stdout"), channels.STDOUT),
        (("error", "stderr"), channels.STDERR),
    ):
        if any(query.get(name, "").lower() in ("1", "true") for name in names):
            asked.add(channel)
    if query.get("tty", "").lower() in ("1", "true"):
        asked = (asked - {channels.STDERR}) | {channels.RESIZE}
    return frozenset(asked)


@asynccontextmanager
async def connect(request: web.BaseRequest, wanted: frozenset[int]) -> AsyncIterator[Remote]:
    """Upgrade the request as it asks for. Raises BadRequest for a protocol that is not spoken here."""
    upgrade = request.headers.get("Upgrade", "")
    if upgrade.lower() == "websocket":
        offered = [p.strip() for p in request.headers.get("Sec-WebSocket-Protocol", "").split(",")]
        if channels.choose(offered) is None:
            raise errors.BadRequest(f"none of the subprotocols {offered} is supported")
        socket = web.WebSocketResponse(protocols=channels.PROTOCOLS, max_msg_size=MESSAGE_BYTES_MAX)
        await socket.prepare(request)
        yield WebSocketRemote(socket, wanted)
    elif upgrade.lower() == spdy.PROTOCOL.lower():
        async with _spdy(request, wanted) as remote:
            yield remote
    else:
        raise errors.BadRequest(f'unable to upgrade: missing upgrade headers in request, got "{upgrade}"')


@asynccontextmanager
async def _spdy(request: web.BaseRequest, wanted: frozenset[int]) -> AsyncIterator[SpdyRemote]:
    offered = ",".join(request.headers.getall("X-Stream-Protocol-Version", []))
    if channels.SPDY_PROTOCOL not in offered:
        raise errors.BadRequest(f"unable to upgrade: no protocol of {offered or 'none'} is supported")
    headers = {"Upgrade": spdy.PROTOCOL, "X-Stream-Protocol-Version": channels.SPDY_PROTOCOL}
    pipe = await take_over(request, headers)
    session = SpdySession(pipe)
    tasks = [asyncio.create_task(session.run(), name="spdy session")]
    try:
        streams: dict[int, SpdyStream] = {}
        async with asyncio.timeout(STREAMS_TIMEOUT_SECONDS):
            while len(streams) < len(wanted):
                stream = await session.accept()
                if stream is None:
                    raise ConnectionResetError("the client left before its streams were open")
                channel = channels.STREAM_TYPES.get(stream.headers.get("streamtype", ""))
                if channel is not None:
                    streams[channel] = stream
        remote = SpdyRemote(pipe.response, streams)
        for channel in {channels.STDIN, channels.RESIZE} & set(streams):
            tasks.append(asyncio.create_task(remote.collect(channel), name="spdy stream"))
        tasks[0].add_done_callback(lambda _: tasks.append(asyncio.create_task(remote.end())))
        yield remote
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        pipe.close()
