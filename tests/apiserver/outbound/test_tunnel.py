"""An upgraded connection, passed through byte for byte, over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import WSMsgType, web

from apiserver.outbound.kubelet import Target
from apiserver.outbound.tunnel import dial_error, passed_headers, tunnel


@contextlib.asynccontextmanager
async def front(target: Target) -> AsyncIterator[int]:
    """A server that tunnels everything to the target."""

    async def handle(request: web.BaseRequest) -> object:
        return await tunnel(request, target, f"/there{request.raw_path}")

    server = await asyncio.get_running_loop().create_server(web.Server(handle), "127.0.0.1", 0)  # type: ignore[arg-type]
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


@contextlib.asynccontextmanager
async def websocket_peer() -> AsyncIterator[Target]:
    """Echoes WebSocket messages; refuses paths with `no`."""

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        if "no" in request.path:
            return web.Response(status=404, text="pod does not exist")
        socket = web.WebSocketResponse(protocols=("v5.channel.k8s.io",), max_msg_size=1 << 24)
        await socket.prepare(request)
        await socket.send_str(f"{request.raw_path} {request.headers.get('Authorization')}")
        async for message in socket:
            if message.data == b"bye":
                break
            await socket.send_bytes(message.data)
        await socket.close()
        return socket

    server = await asyncio.get_running_loop().create_server(web.Server(handle), "127.0.0.1", 0)
    try:
        yield Target("127.0.0.1", server.sockets[0].getsockname()[1])
    finally:
        server.close()


async def test_a_websocket_passes_with_its_protocol_and_query() -> None:
    async with websocket_peer() as peer, front(peer) as port, aiohttp.ClientSession() as session:
        async with session.ws_connect(
            f"http://127.0.0.1:{port}/exec?command=ls&command=%20tmp",
            protocols=("v5.channel.k8s.io", "v4.channel.k8s.io"),
            headers={"Authorization": "Bearer secret"},
            max_msg_size=1 << 24,
        ) as socket:
            assert socket.protocol == "v5.channel.k8s.io"
            assert await socket.receive_str() == "/there/exec?command=ls&command=%20tmp None"
            big = bytes(range(256)) * 8192  # more than any buffer on the way
            for _ in range(4):
                await socket.send_bytes(big)
                assert await socket.receive_bytes() == big
            await socket.send_bytes(b"bye")
            assert (await socket.receive()).type is WSMsgType.CLOSE


async def test_a_refusal_comes_back_as_it_was() -> None:
    async with websocket_peer() as peer, front(peer) as port, aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await session.ws_connect(f"http://127.0.0.1:{port}/no")
        assert caught.value.status == 404


async def test_any_protocol_passes_after_the_upgrade() -> None:
    gone = asyncio.Event()

    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"POST /there/portforward HTTP/1.1\r\n")
        assert b"Upgrade: SPDY/3.1" in head
        # the first bytes of the protocol come with the head
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: SPDY/3.1\r\nConnection: Upgrade\r\n\r\nhello ")
        while data := await reader.read(1024):
            writer.write(data.upper())
        writer.close()
        gone.set()

    server = await asyncio.start_server(peer, "127.0.0.1", 0)
    target = Target("127.0.0.1", server.sockets[0].getsockname()[1])
    async with front(target) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(
            b"POST /portforward HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n"
            b"Content-Length: 0\r\n\r\n"
        )
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 ")
        assert await reader.readexactly(6) == b"hello "
        writer.write(b"\x80\x03\x00\x01abc")
        assert await reader.readexactly(7) == b"\x80\x03\x00\x01ABC"
        writer.close()
        async with asyncio.timeout(5):
            await gone.wait()  # the client's end is the peer's
    server.close()


async def test_the_peers_end_is_the_clients() -> None:
    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\nlast words")
        writer.close()

    server = await asyncio.start_server(peer, "127.0.0.1", 0)
    target = Target("127.0.0.1", server.sockets[0].getsockname()[1])
    async with front(target) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /x HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
        async with asyncio.timeout(5):
            everything = await reader.read()
        assert everything.endswith(b"\r\n\r\nlast words")
        writer.close()
    server.close()


def test_credentials_stay_here() -> None:
    headers = {
        "Host": "api",
        "Authorization": "Bearer x",
        "Impersonate-User": "bob",
        "X-Remote-User": "root",
        "Upgrade": "u",
        "Sec-WebSocket-Protocol": "v4.channel.k8s.io, base64url.bearer.authorization.k8s.io.abc",
    }
    assert passed_headers(headers) == [("Upgrade", "u"), ("Sec-WebSocket-Protocol", "v4.channel.k8s.io")]


async def test_a_peer_that_is_not_there_is_told_without_our_own_objects() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientConnectorError) as caught:
            await session.get(f"http://127.0.0.1:{port}/")
    said = dial_error(Target("127.0.0.1", port), caught.value)
    assert said == f"dial tcp 127.0.0.1:{port}: connect: connection refused"
    assert dial_error(Target("10.0.0.1", 10250), TimeoutError()) == "dial tcp 10.0.0.1:10250: i/o timeout"
