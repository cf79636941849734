"""exec and logs against a server that speaks the streaming protocols, as a kubelet behind the API server does."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import WSMsgType, web

from apimachinery.streams import channels, portforward
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


async def tar_pod(request: web.Request) -> web.Response:
    return web.json_response({**POD, "metadata": {"name": "tar", "namespace": "tar"}})


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
    said = " ".join(request.query.getall("command", [])).encode()
    await socket.send_bytes(channels.encode(channels.STDERR, said))
    status = json.dumps(channels.exit_status(3)).encode()
    await socket.send_bytes(channels.encode(channels.ERROR, status))
    await socket.close()
    return socket


async def run_command(request: web.Request) -> web.WebSocketResponse:
    """Runs the command, in the test's machine: what a container with tar does."""
    socket = web.WebSocketResponse(protocols=channels.PROTOCOLS)
    await socket.prepare(request)
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *request.query.getall("command"), stdin=pipe, stdout=pipe, stderr=pipe
    )
    given = b""
    while "stdin" in request.query:
        received = channels.decode((await socket.receive()).data)
        if received.closes == channels.STDIN:
            break
        given += received.data
    out, err = await process.communicate(given)
    await socket.send_bytes(channels.encode(channels.STDOUT, out))
    await socket.send_bytes(channels.encode(channels.STDERR, err))
    status = json.dumps(channels.exit_status(process.returncode or 0)).encode()
    await socket.send_bytes(channels.encode(channels.ERROR, status))
    await socket.close()
    return socket


async def forward(request: web.Request) -> web.WebSocketResponse:
    """Answers what it is given in capitals; refuses port 81."""
    socket = web.WebSocketResponse(protocols=(channels.V4,))
    await socket.prepare(request)
    port = int(request.query["ports"])
    for greeting in portforward.greeting([port]):
        await socket.send_bytes(greeting)
    if port == 81:
        await socket.send_bytes(channels.encode(1, b"connection refused"))
    else:
        received = channels.decode((await socket.receive()).data)
        await socket.send_bytes(channels.encode(0, received.data.upper()))
    await socket.close()
    return socket


Mini = Callable[..., Awaitable[tuple[int, bytes, bytes]]]


@pytest.fixture
async def mini(tmp_path: Path) -> AsyncIterator[Mini]:
    """Run minikubectl against the server above."""
    app = web.Application()
    path = "/api/v1/namespaces/default/pods/p"
    app.add_routes([web.get(path, pod), web.get(f"{path}/log", log), web.get(f"{path}/exec", execute)])
    app.add_routes([web.get(f"{path}/attach", execute), web.get(f"{path}/portforward", forward)])
    app.add_routes([web.get("/api/v1/namespaces/default/pods/tar", tar_pod)])
    app.add_routes([web.get("/api/v1/namespaces/tar/pods/tar/exec", run_command)])
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


async def test_attach_carries_the_streams(mini: Mini) -> None:
    code, out, _ = await mini("attach", "-i", "-q", "p", "-c", "c", stdin=b"hello")
    assert (code, out) == (3, b"hello")


async def test_cp_copies_files_and_directories_both_ways(mini: Mini, tmp_path: Path) -> None:
    source, there = tmp_path / "source", tmp_path / "there"
    (source / "sub").mkdir(parents=True)
    there.mkdir()
    (source / "one").write_bytes(bytes(range(256)) * 1000)
    (source / "sub" / "two").write_text("2")
    assert (await mini("cp", str(source / "one"), f"tar:{there}/renamed"))[0] == 0
    assert (await mini("cp", str(source), f"tar:{there}"))[0] == 0
    assert (there / "renamed").read_bytes() == (source / "one").read_bytes()
    assert (there / "source" / "sub" / "two").read_text() == "2"
    assert (await mini("cp", f"tar:{there}/source", str(tmp_path / "back")))[0] == 0
    assert (tmp_path / "back" / "sub" / "two").read_text() == "2"
    (tmp_path / "into").mkdir()
    assert (await mini("cp", f"tar:{there}/renamed", str(tmp_path / "into")))[0] == 0
    assert (tmp_path / "into" / "renamed").read_bytes() == (source / "one").read_bytes()


async def test_cp_writes_nothing_outside_of_its_destination(mini: Mini, tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.mkdir()
    (there / "out").symlink_to(tmp_path)
    (there / "fine").write_text("1")
    code, _, err = await mini("cp", f"tar:{there}", str(tmp_path / "copy"))
    assert (code, (tmp_path / "copy" / "fine").read_text()) == (0, "1")
    assert not (tmp_path / "copy" / "out").exists()
    assert b"warning: skipped" in err


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("a", "b"), b"error: one of src or dest must be a remote file specification\n"),
        (("p:a", "p:b"), b"error: one of src or dest must be a local file specification\n"),
        (("/nowhere", "tar:/tmp/x"), b"error: /nowhere doesn't exist in local filesystem\n"),
        (("tar:/nowhere", "x"), b"error: command terminated with exit code 2\n"),
    ],
)
async def test_cp_says_why_it_cannot(mini: Mini, args: tuple[str, ...], said: bytes) -> None:
    code, _, err = await mini("cp", *args, "-c", "c")
    assert (code, err[-len(said) :]) == (1, said)


async def test_port_forward_leads_a_local_port_to_the_pods(mini: Mini, tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "minikubectl", "--kubeconfig", str(tmp_path / "config"), "port-forward", "p"),
        *(":80", ":81", "--address", "127.0.0.1"),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, cwd=ROOT,
    )  # fmt: skip
    assert process.stdout and process.stderr
    async with asyncio.timeout(30):
        lines = [(await process.stdout.readline()).decode().split() for _ in range(2)]
        assert [line[3:] for line in lines] == [["->", "80"], ["->", "81"]]
        good, refused = (int(line[2].rpartition(":")[2]) for line in lines)
        reader, writer = await asyncio.open_connection("127.0.0.1", good)
        writer.write(b"hello")
        assert await reader.read() == b"HELLO"
        reader, _ = await asyncio.open_connection("127.0.0.1", refused)
        assert await reader.read() == b""
        assert await process.stderr.readline() == b"an error occurred forwarding to 81: connection refused\n"
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
