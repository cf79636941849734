"""Port forwarding into a pod: connections to localhost in its network namespace, joined to a client's streams.

Three protocols: SPDY after an HTTP upgrade, the same tunnelled in a WebSocket (kubectl), and pairs of channels of a
WebSocket (the Python client).
"""

import asyncio
import ctypes
import os
import socket
from collections.abc import Awaitable, Callable

from aiohttp import WSMsgType, web

from apimachinery import errors, meta
from apimachinery.meta import JSON
from apimachinery.streams import channels, portforward, spdy

from ..parts import Parts
from .upgrading import Pipe, SpdySession, SpdyStream, WebSocketPipe, take_over

CHUNK_BYTES = 1 << 16
CLONE_NEWNET = 0x40000000
CONNECT_SECONDS = 10.0
QUEUE_MAX = 64

_libc = ctypes.CDLL(None, use_errno=True)


async def serve(request: web.BaseRequest, parts: Parts, pod: JSON) -> web.StreamResponse:
    """Forward as the request asks for."""
    state = await parts.runtime.pod_state(meta.uid(pod))
    if state.sandbox is None or not state.sandbox.running:
        raise errors.BadRequest("unable to forward port because pod is not running")
    pid = state.sandbox.pid
    upgrade = request.headers.get("Upgrade", "").lower()
    if upgrade == spdy.PROTOCOL.lower():
        headers = {"Upgrade": spdy.PROTOCOL, "X-Stream-Protocol-Version": portforward.SPDY_PROTOCOL}
        pipe = await take_over(request, headers)
        await _serve_spdy(pipe, pid)
        pipe.close()
        return pipe.response
    offered = [p.strip() for p in request.headers.get("Sec-WebSocket-Protocol", "").split(",")]
    if upgrade == "websocket" and portforward.TUNNEL in offered:
        websocket = web.WebSocketResponse(protocols=(portforward.TUNNEL,))
        await websocket.prepare(request)
        await _serve_spdy(WebSocketPipe(websocket), pid)
        await websocket.close()
        return websocket
    if upgrade == "websocket" and channels.V4 in offered:
        return await _serve_channels(request, pid)
    raise errors.BadRequest(f'unable to upgrade: "{upgrade}" with {offered} is not supported')


async def _serve_spdy(pipe: Pipe, pid: int) -> None:
    session, pairs = SpdySession(pipe), portforward.Pairs()
    streams: dict[int, SpdyStream] = {}
    async with asyncio.TaskGroup() as group:
        group.create_task(session.run(), name="spdy session")
        forwards = []
        while (stream := await session.accept()) is not None:
            streams[stream.id] = stream
            try:
                pair = pairs.add(stream.id, stream.headers)
            except ValueError:
                await session.send(session.connection.reset(stream.id, spdy.REFUSED_STREAM))
                continue
            if pair is not None:
                work = _forward_pair(streams.pop(pair.data), streams.pop(pair.error), pair.port, pid)
                forwards.append(group.create_task(work, name=f"forward {pair.port}"))
        for forward in forwards:
            forward.cancel()


async def _forward_pair(data: SpdyStream, error: SpdyStream, port: int, pid: int) -> None:
    try:
        if problem := await _forward(port, pid, data.read, data.write):
            await error.write(problem.encode())
        await data.close()
        await error.close()
    except ConnectionError:
        pass  # the client is gone


async def _serve_channels(request: web.BaseRequest, pid: int) -> web.StreamResponse:
    try:
        ports = portforward.parse_ports([*request.query.getall("ports", []), *request.query.getall("port", [])])
    except ValueError as error:
        raise errors.BadRequest(str(error)) from error
    websocket = web.WebSocketResponse(protocols=(channels.V4,))
    await websocket.prepare(request)
    for greeting in portforward.greeting(ports):
        await websocket.send_bytes(greeting)
    queues: list[asyncio.Queue[bytes]] = [asyncio.Queue(QUEUE_MAX) for _ in ports]

    async def one(index: int, port: int) -> None:
        async def write(data: bytes) -> None:
            await websocket.send_bytes(channels.encode(portforward.data_channel(index), data))

        if problem := await _forward(port, pid, queues[index].get, write):
            await websocket.send_bytes(channels.encode(portforward.error_channel(index), problem.encode()))

    async def receive() -> None:
        while (message := await websocket.receive()).type is WSMsgType.BINARY:
            channel, data = channels.decode(message.data)
            if data and channel % 2 == 0 and channel // 2 < len(ports):
                await queues[channel // 2].put(data)

    receiving = asyncio.create_task(receive(), name="port-forward input")
    forwards = [asyncio.create_task(one(i, port), name=f"forward {port}") for i, port in enumerate(ports)]
    everything = asyncio.create_task(asyncio.wait(forwards), name="all forwards")
    try:
        await asyncio.wait((receiving, everything), return_when=asyncio.FIRST_COMPLETED)
    finally:
        everything.cancel()
        for task in (receiving, *forwards):
            task.cancel()
        await asyncio.gather(receiving, *forwards, return_exceptions=True)
    await websocket.close()
    return websocket


async def _forward(
    port: int, pid: int, read: Callable[[], Awaitable[bytes]], write: Callable[[bytes], Awaitable[None]]
) -> str:
    """One connection to a port of the pod, joined to a client's stream; why it failed, "" if it did not."""
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            reader, writer = await _connect(pid, port)
    except (OSError, TimeoutError) as error:
        text = os.strerror(error.errno).lower() if isinstance(error, OSError) and error.errno else "i/o timeout"
        return f"failed to connect to localhost:{port} inside namespace: dial tcp4 127.0.0.1:{port}: connect: {text}"

    async def upstream() -> None:
        while data := await read():
            writer.write(data)
            await writer.drain()
        writer.write_eof()

    sending = asyncio.create_task(upstream(), name="forward upstream")
    try:
        while data := await reader.read(CHUNK_BYTES):
            await write(data)
    except OSError:
        pass  # either end reset it: as good as its end
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        writer.close()
    return ""


async def _connect(pid: int, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """To localhost in the network namespace of a process: IPv4, then IPv6."""
    loop = asyncio.get_running_loop()
    failure: OSError | None = None
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        connection = await asyncio.to_thread(_socket_in, pid, family)
        try:
            await loop.sock_connect(connection, (address, port))
        except OSError as error:
            failure = failure or error
            connection.close()
            continue
        return await asyncio.open_connection(sock=connection)
    assert failure is not None
    raise failure


def _socket_in(pid: int, family: socket.AddressFamily) -> socket.socket:
    """A socket belongs to the namespace it was made in, so one thread goes there for a moment."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        there = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
        try:
            _enter(there)
            made = socket.socket(family, socket.SOCK_STREAM)
            made.setblocking(False)
            return made
        finally:
            _enter(home)
            os.close(there)
    finally:
        os.close(home)


def _enter(namespace: int) -> None:
    if _libc.setns(namespace, CLONE_NEWNET) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"setns: {os.strerror(code)}")
