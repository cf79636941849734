"""exec and attach: a client's channels joined to the byte stream that Docker gives for a container's process."""

import asyncio
from collections.abc import Awaitable, Callable

from aiohttp import web

from apimachinery import errors, meta
from apimachinery.meta import JSON
from apimachinery.streams import channels

from ..engine import Engine, EngineError, demultiplex
from ..observed import Container
from ..parts import Parts
from ..plan import all_containers
from .remote import Remote, connect, wanted_channels

Resize = Callable[[int, int], Awaitable[None]]

CHUNK_BYTES = 1 << 16
EXIT_POLLS = 50
EXIT_POLL_SECONDS = 0.02


async def serve_exec(request: web.BaseRequest, parts: Parts, pod: JSON, name: str) -> web.StreamResponse:
    """Run `command` in a running container."""
    run = await _running(parts, pod, name)
    wanted = wanted_channels(request.query)
    command = request.query.getall("command", [])
    if not command:
        raise errors.BadRequest("you must specify at least one command for the container")
    engine, tty = parts.runtime.engine, channels.RESIZE in wanted
    body = {
        "Cmd": command,
        "Tty": tty,
        "AttachStdin": channels.STDIN in wanted,
        "AttachStdout": channels.STDOUT in wanted,
        "AttachStderr": channels.STDERR in wanted or tty,
    }
    exec_id = await engine.exec_create(run.id, body)
    async with connect(request, wanted) as remote:
        try:
            async with engine.hijack(f"/exec/{exec_id}/start", body={"Detach": False, "Tty": tty}) as (reader, writer):
                await _join(remote, reader, writer, tty=tty, resize=_resizer(engine, f"/exec/{exec_id}/resize"))
            status = channels.exit_status(await _exit_code(engine, exec_id))
        except EngineError as error:
            status = channels.failure_status(f"error executing command in container: {error.message}")
        except ConnectionError:
            return remote.response
        await _finish(remote, status)
        return remote.response


async def serve_attach(request: web.BaseRequest, parts: Parts, pod: JSON, name: str) -> web.StreamResponse:
    """Join the container's own process."""
    run = await _running(parts, pod, name)
    wanted = wanted_channels(request.query)
    engine = parts.runtime.engine
    names = {"stdin": channels.STDIN, "stdout": channels.STDOUT, "stderr": channels.STDERR}
    asked = "&".join(f"{field}=1" for field, channel in names.items() if channel in wanted)
    async with connect(request, wanted) as remote:
        try:
            path = f"/containers/{run.id}/attach?stream=1&{asked}"
            async with engine.hijack(path) as (reader, writer):
                resize = _resizer(engine, f"/containers/{run.id}/resize")
                await _join(remote, reader, writer, tty=run.tty, resize=resize, ends_input=_reads_once(pod, name))
            status = channels.exit_status(0)
        except EngineError as error:
            status = channels.failure_status(f"error attaching to container: {error.message}")
        except ConnectionError:
            return remote.response
        await _finish(remote, status)
        return remote.response


def _reads_once(pod: JSON, name: str) -> bool:
    return any(container.get("stdinOnce") for container in all_containers(pod["spec"]) if container["name"] == name)


async def _running(parts: Parts, pod: JSON, name: str) -> Container:
    state = await parts.runtime.pod_state(meta.uid(pod))
    run = state.newest(name)
    if run is None or not run.running:
        raise errors.NotFound(f'container not found ("{name}")')
    return run


def _resizer(engine: Engine, path: str) -> Resize:
    async def resize(width: int, height: int) -> None:
        try:
            await engine.call("POST", path, params={"w": str(width), "h": str(height)})
        except EngineError:
            pass  # the process may have ended already, and a size is not worth failing for

    return resize


async def _join(
    remote: Remote,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    *,
    tty: bool,
    resize: Resize,
    ends_input: bool = True,
) -> None:
    """Copy both ways until the process's output ends, or the client is gone.

    Not `ends_input`: the end of one client's input is not the process's. (Told of it, Docker would end the output.)
    """
    output = asyncio.create_task(_output(remote, reader, tty=tty), name="exec output")
    source = asyncio.create_task(_input(remote, writer, resize, ends=ends_input), name="exec input")
    try:
        await asyncio.wait({output, source}, return_when=asyncio.FIRST_COMPLETED)
        if source.done() and not output.done() and source.exception() is None and source.result():
            raise ConnectionResetError("the client is gone")
        await output
    finally:
        for task in (output, source):
            task.cancel()
        await asyncio.gather(output, source, return_exceptions=True)


async def _output(remote: Remote, reader: asyncio.StreamReader, *, tty: bool) -> None:
    if tty:
        while data := await reader.read(CHUNK_BYTES):
            await remote.send(channels.STDOUT, data)
        return
    async for channel, data in demultiplex(reader):
        await remote.send(channels.STDERR if channel == 2 else channels.STDOUT, data)


async def _input(remote: Remote, writer: asyncio.StreamWriter, resize: Resize, *, ends: bool) -> bool:
    """Until the client is gone (True), or the process takes no more (False)."""
    try:
        while (message := await remote.receive()) is not None:
            if message.channel == channels.STDIN:
                writer.write(message.data)
                await writer.drain()
            elif message.channel == channels.RESIZE:
                await resize(*channels.decode_resize(message.data))
            elif message.closes == channels.STDIN and ends and writer.can_write_eof():
                writer.write_eof()
    except (ConnectionError, ValueError):
        return False
    return True


async def _exit_code(engine: Engine, exec_id: str) -> int:
    """The output's end comes a moment before the exit code is known."""
    for _ in range(EXIT_POLLS):
        state = await engine.exec_inspect(exec_id)
        if not state["Running"]:
            break
        await asyncio.sleep(EXIT_POLL_SECONDS)
    return int(state.get("ExitCode") or 0)


async def _finish(remote: Remote, status: JSON) -> None:
    try:
        await remote.finish(status)
    except ConnectionError:
        pass  # the client did not wait for the end
