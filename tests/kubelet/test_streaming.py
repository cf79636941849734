"""exec and port-forward through real sockets: a client's WebSocket or SPDY here, a Docker socket there."""

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from apimachinery import errors
from apimachinery.streams import channels, portforward, spdy
from kubelet.engine import Engine
from kubelet.server import exec as execution
from kubelet.server import portforward as forwarding
from tests.kubelet.objects import observed, pod, run, sandbox

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="entering a network namespace needs root")


async def docker(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """As much of Docker's API as one exec needs: it echoes its input, in capitals to stderr, and exits with 3."""
    while head := await reader.readuntil(b"\r\n\r\n"):
        request, length = head.split(b"\r\n")[0].decode(), 0
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        await reader.readexactly(length)
        if "/start" in request:
            writer.write(b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
            while data := await reader.read(1000):
                for stream, part in ((1, data), (2, data.upper())):
                    writer.write(bytes((stream, 0, 0, 0)) + len(part).to_bytes(4, "big") + part)
            writer.close()
            return
        answer = {"Id": "e1"} if "POST" in request else {"Running": False, "ExitCode": 3}
        body = json.dumps(answer).encode()
        fields = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(b"HTTP/1.1 201 Created\r\n" + fields.encode() + body)
        await writer.drain()


@asynccontextmanager
async def kubelet(handler: Any) -> AsyncIterator[str]:
    """A server of one handler; its URL."""

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        try:
            return await handler(request)
        except errors.StatusError as error:
            return web.Response(status=error.code, text=error.message)

    runner = web.ServerRunner(web.Server(handle), shutdown_timeout=1.0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def parts(engine: Any = None) -> Any:
    async def pod_state(uid: str) -> Any:
        return observed(sandbox(pid=os.getpid()), run("c"))

    return SimpleNamespace(runtime=SimpleNamespace(engine=engine, pod_state=pod_state))


@asynccontextmanager
async def exec_server(tmp_path: Path) -> AsyncIterator[str]:
    path = str(tmp_path / "docker.sock")
    server = await asyncio.start_unix_server(docker, path)
    async with server, Engine(path) as engine:

        async def handler(request: web.BaseRequest) -> web.StreamResponse:
            return await execution.serve_exec(request, parts(engine), pod(), "c")

        async with kubelet(handler) as url:
            yield url


async def test_exec_over_a_websocket_half_closes_input_and_ends_with_the_exit_code(tmp_path: Path) -> None:
    async with exec_server(tmp_path) as url, aiohttp.ClientSession() as session:
        query = "command=cat&input=1&output=1&error=1"
        async with session.ws_connect(f"{url}/exec?{query}", protocols=[channels.V5]) as socket:
            await socket.send_bytes(channels.encode(channels.STDIN, b"hello"))
            await socket.send_bytes(channels.close(channels.STDIN))
            received = [channels.decode(message.data) async for message in socket]
        assert socket.close_code == 1000
    assert received[0] == (channels.STDOUT, b"hello")
    assert received[1] == (channels.STDERR, b"HELLO")
    assert channels.exit_code(json.loads(received[2].data)) == 3


async def test_exec_over_spdy(tmp_path: Path) -> None:
    async with exec_server(tmp_path) as url:
        host, port = url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(
            b"POST /exec?command=cat&input=1&output=1 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n"
            b"Upgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: v4.channel.k8s.io\r\nContent-Length: 0\r\n\r\n"
        )
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101") and b"SPDY/3.1" in head
        connection = spdy.Connection(client=True)
        streams = {}
        for name in ("error", "stdin", "stdout"):
            streams[name], frame = connection.open({"streamType": name})
            writer.write(frame)
        writer.write(connection.data(streams["stdin"], b"hello"))
        writer.write(connection.data(streams["stdin"], b"", fin=True))
        got: dict[int, bytes] = {}
        while data := await reader.read(65536):
            for event in connection.feed(data):
                if isinstance(event, spdy.Data):
                    got[event.stream] = got.get(event.stream, b"") + event.data
        writer.close()
    assert got[streams["stdout"]] == b"hello"
    assert channels.exit_code(json.loads(got[streams["error"]])) == 3


async def test_an_unknown_protocol_is_refused(tmp_path: Path) -> None:
    async with exec_server(tmp_path) as url, aiohttp.ClientSession() as session:
        async with session.post(f"{url}/exec?command=cat") as response:
            assert response.status == 400
            assert "unable to upgrade" in await response.text()


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1000):
        writer.write(data)
    writer.close()


async def forward(request: web.BaseRequest) -> web.StreamResponse:
    return await forwarding.serve(request, parts(), pod())


@needs_root
async def test_port_forward_by_channels() -> None:
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, kubelet(forward) as url, aiohttp.ClientSession() as session:
        async with session.ws_connect(f"{url}/portForward?ports={port}", protocols=[channels.V4]) as socket:
            greetings = [await socket.receive_bytes() for _ in range(2)]
            assert greetings == portforward.greeting([port])
            await socket.send_bytes(b"\x00ping")
            assert await socket.receive_bytes() == b"\x00ping"


@needs_root
async def test_port_forward_tunnels_spdy_and_says_what_fails() -> None:
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, kubelet(forward) as url, aiohttp.ClientSession() as session:
        async with session.ws_connect(f"{url}/portForward", protocols=[portforward.TUNNEL]) as socket:
            connection = spdy.Connection(client=True)
            opened = {}
            for request, wanted in (("0", port), ("1", 1)):
                for kind in ("error", "data"):
                    headers = {"streamType": kind, "port": str(wanted), "requestID": request}
                    opened[kind, request], frame = connection.open(headers)
                    await socket.send_bytes(frame)
            await socket.send_bytes(connection.data(opened["data", "0"], b"ping"))
            got: dict[int, bytes] = {}
            while len(got) < 2:
                for event in connection.feed(await socket.receive_bytes()):
                    if isinstance(event, spdy.Data) and event.data:
                        got[event.stream] = event.data
    assert got[opened["data", "0"]] == b"ping"
    assert b"connection refused" in got[opened["error", "1"]]


class Input:
    """A client that sends a line, ends its input, and goes."""

    def __init__(self) -> None:
        closing = bytes((channels.STDIN,))
        self.messages = [channels.Message(channels.STDIN, b"x\n"), channels.Message(channels.CLOSE, closing), None]

    async def receive(self) -> channels.Message | None:
        return self.messages.pop(0)


@pytest.mark.parametrize("ends", [True, False])
async def test_the_end_of_a_clients_input_is_the_processs_only_where_it_reads_once(ends: bool) -> None:
    here, there = await asyncio.open_connection(sock=(pair := socket.socketpair())[0])
    _, writer = await asyncio.open_connection(sock=pair[1])
    await execution._input(Input(), writer, resize=None, ends=ends)  # type: ignore[arg-type]
    assert await here.readline() == b"x\n"
    if not ends:
        writer.write(b"still open\n")
    assert await here.readline() == (b"" if ends else b"still open\n")
    for one in (there, writer):
        one.close()


def test_attach_ends_the_input_of_a_container_that_reads_once() -> None:
    subject = pod({"name": "once", "stdinOnce": True}, {"name": "open"})
    assert [execution._reads_once(subject, name) for name in ("once", "open")] == [True, False]
