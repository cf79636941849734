"""`exec` and `attach`: a process in a container, its streams ours, its exit code ours; with -t a terminal.

Standard input is read by a thread of its own, as not every kind of it (a file, say) can be awaited; the thread is let
go at the end, when it may still be waiting for a key.
"""

import asyncio
import os
import shutil
import signal
import sys
import termios
import threading
import tty
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import IO, Any, Final

import aiohttp
import click
import orjson

from apimachinery import kinds, meta
from apimachinery.streams import channels
from kubeclient.rest import resource_path
from minikubectl import pods
from minikubectl.cli import cli
from minikubectl.options import CONTAINER, POD, together
from minikubectl.session import Failed, Session, command

JSON = dict[str, Any]
Socket = aiohttp.ClientWebSocketResponse[bool]

_CHUNK_BYTES: Final = 32 * 1024
_CHUNKS_AHEAD: Final = 4
_STREAMS: Final = together(
    click.option("-i", "--stdin", is_flag=True, help="Pass standard input."),
    click.option("-t", "--tty", "terminal", is_flag=True, help="Standard input is a terminal."),
    click.option("-q", "--quiet", is_flag=True, help="Print only what the container prints."),
)


@command(cli, "exec", context_settings={"ignore_unknown_options": False})
@POD
@click.argument("line", nargs=-1, type=click.UNPROCESSED)
@CONTAINER
@_STREAMS
async def execute(
    session: Session, what: str, line: tuple[str, ...], container: str, stdin: bool, terminal: bool, quiet: bool
) -> int:
    """Run a command in a container: POD | TYPE/NAME [-c CONTAINER] -- COMMAND [ARGS...].

    \b
    minikubectl exec web-1 -- ls /srv
    minikubectl exec -it deploy/web -c web -- sh
    """
    if not line:
        raise Failed("you must specify at least one command for the container")
    pod = await pods.pick(session, what, quiet=True)
    phase = (pod.get("status") or {}).get("phase")
    if phase in ("Succeeded", "Failed"):
        raise Failed(f"cannot exec into a container in a completed pod; current phase is {phase}")
    name = pods.container_of(pod, container)
    if not pods.is_running(pod, name):
        raise Failed(f'unable to upgrade connection: container not found ("{name}")')
    return await _stream(session, pod, name, "exec", command=list(line), stdin=stdin, terminal=terminal, quiet=quiet)


@command(cli, "attach")
@POD
@CONTAINER
@_STREAMS
async def attach(session: Session, what: str, container: str, stdin: bool, terminal: bool, quiet: bool) -> int:
    """Join a container's own process: POD | TYPE/NAME [-c CONTAINER] [-it].

    \b
    minikubectl attach web-1           what it prints from now on
    minikubectl attach -it shell-1     and give it what is typed
    """
    return await attach_to(session, what, stdin=stdin, terminal=terminal, quiet=quiet, container=container)


async def attach_to(
    session: Session, what: str, *, stdin: bool, terminal: bool, quiet: bool, container: str = ""
) -> int:
    """Attach to a container, once it runs; the exit code. What has ended already is shown from its log."""
    pod = await pods.pick(session, what, quiet=True)
    name = pods.container_of(pod, container)
    pod = await pods.until_started(session, pod, name)
    if pods.is_running(pod, name):
        return await _stream(session, pod, name, "attach", stdin=stdin, terminal=terminal, quiet=quiet)
    path = resource_path(kinds.POD, namespace=meta.namespace(pod), name=meta.name(pod), subresource="log")
    response = await session.client.raw("GET", path, params={"container": name})
    sys.stdout.buffer.write(await response.read())
    sys.stdout.buffer.flush()
    return pods.ended_with(pod, name)


async def _stream(
    session: Session, pod: JSON, container: str, subresource: str, *, stdin: bool, terminal: bool, quiet: bool,
    command: Sequence[str] = (),
) -> int:  # fmt: skip
    if terminal and stdin and not sys.stdin.isatty():
        if not quiet:
            click.echo("Unable to use a TTY - input is not a terminal or the right kind of file", err=True)
        terminal = False
    params = {
        **({"command": list(command)} if command else {}),
        "container": container,
        "stdout": "true",
        **({"stdin": "true"} if stdin else {}),
        **({"tty": "true"} if terminal else {"stderr": "true"}),
    }
    async with connected(session, pod, subresource, params) as socket:
        with _raw_terminal(terminal and stdin):
            sources = [*([_send_input(socket)] if stdin else []), *([_send_sizes(socket)] if terminal else [])]
            status = await _converse(socket, sources, _to_ours)
    code = channels.exit_code(status)
    if code is None:
        raise Failed(str(status.get("message") or "the connection ended before the command did"))
    if code and not quiet:
        click.echo(f"command terminated with exit code {code}", err=True)
    return code


def connected(session: Session, pod: JSON, subresource: str, params: JSON) -> AbstractAsyncContextManager[Socket]:
    """The streams of exec or attach as a WebSocket."""
    space = meta.namespace(pod) or session.namespace
    path = resource_path(kinds.POD, namespace=space, name=meta.name(pod), subresource=subresource)
    return session.client.websocket(path, params=params, protocols=channels.PROTOCOLS)


async def run_in(
    session: Session, pod: JSON, container: str, command: Sequence[str], *,
    stdin: IO[bytes] | None = None, stdout: IO[bytes] | None = None,
) -> None:  # fmt: skip
    """Run a command with files as its streams; its standard error is ours. Raises Failed."""
    params = {"command": list(command), "container": container, "stdout": "true", "stderr": "true"}
    async with connected(session, pod, "exec", {**params, **({"stdin": "true"} if stdin else {})}) as socket:

        def write(channel: int, data: bytes) -> None:
            if channel == channels.STDERR:
                _to_ours(channel, data)
            elif stdout:
                stdout.write(data)

        status = await _converse(socket, [_send_file(socket, stdin)] if stdin else [], write)
    if code := channels.exit_code(status):
        raise Failed(f"command terminated with exit code {code}")
    if code is None:
        raise Failed(str(status.get("message") or "the connection ended before the command did"))


async def _send_file(socket: Socket, source: IO[bytes]) -> None:
    while chunk := source.read(_CHUNK_BYTES):
        await socket.send_bytes(channels.encode(channels.STDIN, chunk))
    if socket.protocol == channels.V5:
        await socket.send_bytes(channels.close(channels.STDIN))


def _to_ours(channel: int, data: bytes) -> None:
    stream = sys.stdout.buffer if channel == channels.STDOUT else sys.stderr.buffer
    stream.write(data)
    stream.flush()


async def _converse(
    socket: Socket, sources: Sequence[Coroutine[Any, Any, None]], write: Callable[[int, bytes], None]
) -> JSON:
    """Carry the streams until the command ends; the Status it ends with."""
    senders = [asyncio.create_task(source) for source in sources]
    status: JSON = {}
    try:
        async for message in socket:
            if message.type != aiohttp.WSMsgType.BINARY or not message.data:
                continue
            channel, data = channels.decode(message.data)
            if channel == channels.ERROR:
                status = orjson.loads(data)
            elif channel in (channels.STDOUT, channels.STDERR):
                write(channel, data)
    finally:
        for sender in senders:
            sender.cancel()
        await asyncio.gather(*senders, return_exceptions=True)
    return status


async def _send_input(socket: Socket) -> None:
    loop = asyncio.get_running_loop()
    chunks: asyncio.Queue[bytes] = asyncio.Queue(_CHUNKS_AHEAD)

    def read() -> None:
        while True:
            chunk = os.read(sys.stdin.fileno(), _CHUNK_BYTES)
            try:
                asyncio.run_coroutine_threadsafe(chunks.put(chunk), loop).result()
            except (RuntimeError, asyncio.CancelledError):
                return  # the command has ended, and the loop with it
            if not chunk:
                return

    threading.Thread(target=read, daemon=True, name="stdin").start()
    while chunk := await chunks.get():
        await socket.send_bytes(channels.encode(channels.STDIN, chunk))
    if socket.protocol == channels.V5:
        await socket.send_bytes(channels.close(channels.STDIN))


async def _send_sizes(socket: Socket) -> None:
    changed = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGWINCH, changed.set)
    try:
        while True:
            size = shutil.get_terminal_size()
            data = channels.encode_resize(size.columns, size.lines)
            await socket.send_bytes(channels.encode(channels.RESIZE, data))
            changed.clear()
            await changed.wait()
    finally:
        loop.remove_signal_handler(signal.SIGWINCH)


@contextmanager
def _raw_terminal(wanted: bool) -> Iterator[None]:
    """Every key goes to the container, Ctrl-C too; put back whatever happens."""
    if not wanted:
        yield
        return
    before = termios.tcgetattr(sys.stdin)
    tty.setraw(sys.stdin)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
