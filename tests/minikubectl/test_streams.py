"""exec and logs against a server that speaks the streaming protocols, as a kubelet behind the API server does."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import WSMsgType, web

from apimachinery.streams import channels
from tests.fixtures.apiserver import ROOT

RUNNING = {"name": "c", "state": {"running": {}}}
POD: Any = {
    "kind": "Pod",
    "metadata": {"name": "p", "namespace": "default"},
    "spec": {"containers": [{"name": "c"}, {"name": "d"}]},
    "status": {"phase": "Running", "containerStatuses": [RUNNING, {"name": "d", "state": {"waiting": {}}}]},
}


async def pod(request: web.Request) -> web.Response:
    return web.json_response(POD)


async def log(request: web.Request) -> web.Response:
    return web.Response(text=f"{dict(request.query)}\n")


async def execute(request: web.Request) -> web.WebSocketResponse:
    """Echoes standard input until it ends, then says the command on stderr, and ends with exit code 3."""
    socket = web.WebSocketResponse(protocols=channels.PROTOCOLS)
    await socket.prepare(request)
    if "stdin" in request.query:
        async for message in socket:
            assert message.type == WSMsgType.BINARY
            received = channels.decode(message.data)
            if received.closes == channels.STDIN:
                break
            await socket.send_bytes(channels.encode(channels.STDOUT, received.data))
    said = " ".join(request.query.getall("command")).encode()
    await socket.send_bytes(channels.encode(channels.STDERR, said))
    status = json.dumps(channels.exit_status(3)).encode()
    await socket.send_bytes(channels.encode(channels.ERROR, status))
    await socket.close()
    return socket


Mini = Callable[..., Awaitable[tuple[int, bytes, bytes]]]


@pytest.fixture
async def mini(tmp_path: Path) -> AsyncIterator[Mini]:
    """Run minikubectl against the server above."""
    app = web.Application()
    path = "/api/v1/namespaces/default/pods/p"
    app.add_routes([web.get(path, pod), web.get(f"{path}/log", log), web.get(f"{path}/exec", execute)])
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    config = tmp_path / "config"
    cluster = {"name": "c", "cluster": {"server": f"http://{host}:{port}"}}
    contexts = [{"name": "c", "context": {"cluster": "c"}}]
    config.write_text(json.dumps({"current-context": "c", "clusters": [cluster], "contexts": contexts}))

    async def run(*args: str, stdin: bytes = b"") -> tuple[int, bytes, bytes]:
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "minikubectl", "--kubeconfig", str(config), *args),
            stdin=pipe, stdout=pipe, stderr=pipe, cwd=ROOT,
        )  # fmt: skip
        async with asyncio.timeout(30):
            out, err = await process.communicate(stdin)
        return process.returncode or 0, out, err

    yield run
    await runner.cleanup()


async def test_exec_carries_the_streams_and_the_exit_code(mini: Mini) -> None:
    blob = bytes(range(256)) * 1000
    code, out, err = await mini("exec", "-i", "p", "-c", "c", "--", "sh", "-c", "x --y", stdin=blob)
    assert (code, out) == (3, blob)
    assert err == b"sh -c x --ycommand terminated with exit code 3\n"


async def test_exec_without_stdin_does_not_read_it(mini: Mini) -> None:
    code, out, err = await mini("exec", "p", "-q", "--", "ls", stdin=b"unread")
    assert (code, out) == (3, b"")
    assert err == b'Defaulted container "c" out of: c, d\nls'


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("-c", "d"), b'error: unable to upgrade connection: container not found ("d")\n'),
        (("-c", "nope"), b"error: container nope is not valid for pod p\n"),
    ],
)
async def test_exec_says_why_it_cannot(mini: Mini, args: tuple[str, ...], said: bytes) -> None:
    assert await mini("exec", "p", *args, "--", "ls") == (1, b"", said)


async def test_logs_ask_for_what_the_flags_say(mini: Mini) -> None:
    _, out, _ = await mini("logs", "p", "-c", "c", "--tail=3", "--since=1m", "-p", "--timestamps")
    assert out == (
        b"{'container': 'c', 'previous': 'true', 'timestamps': 'true', 'tailLines': '3', 'sinceSeconds': '60'}\n"
    )


async def test_logs_of_all_containers_may_have_prefixes(mini: Mini) -> None:
    _, out, _ = await mini("logs", "p", "--all-containers", "--prefix")
    assert out == b"[pod/p/c] {'container': 'c'}\n[pod/p/d] {'container': 'd'}\n"
