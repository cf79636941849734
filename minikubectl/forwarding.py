"""`port-forward`: local ports that lead to ports of a pod, each connection a WebSocket of its own."""

import asyncio
import signal
from contextlib import AsyncExitStack
from typing import Any, Final

import aiohttp
import click

from apimachinery import kinds, meta
from apimachinery.errors import StatusError
from apimachinery.streams import channels
from kubeclient.errors import Unreachable
from kubeclient.rest import resource_path
from minikubectl import pods
from minikubectl.cli import cli
from minikubectl.executing import Socket
from minikubectl.mutating import find
from minikubectl.options import POD
from minikubectl.session import Failed, Session, command, complain, describe_error

JSON = dict[str, Any]

_CHUNK_BYTES: Final = 32 * 1024
_DATA, _ERROR = 0, 1  # the channels of the one port that is asked for
_LINGER_SECONDS: Final = 30.0  # for the rest of an answer, once the caller has said all


@command(cli, "port-forward")
@POD
@click.argument("ports", nargs=-1, required=True)
@click.option("--address", "addresses", multiple=True, default=["localhost"], help="Local addresses to listen on.")
async def port_forward(session: Session, what: str, ports: tuple[str, ...], addresses: tuple[str, ...]) -> int:
    """Lead local ports to a pod's: POD | TYPE/NAME [LOCAL:]REMOTE ... LOCAL may be left out (any free one): ":80".

    \b
    minikubectl port-forward web-1 8080:80
    minikubectl port-forward svc/web :http
    """
    found = await find(session, (what,)) if what.startswith(("svc/", "service/", "services/")) else []
    pod = await pods.pick(session, what, quiet=True)
    if (pod.get("status") or {}).get("phase") != "Running":
        raise Failed(f"unable to forward port because pod is not running. Current status={pod['status'].get('phase')}")
    wanted = [_split(text, found[0][1] if found else None, pod) for text in ports]
    hosts = [host for each in addresses for text in each.split(",") for host in _HOSTS.get(text, (text,))]
    async with AsyncExitStack() as stack:
        for local, remote in wanted:
            heard = 0
            for host in hosts:
                try:
                    server = await stack.enter_async_context(await _listen(session, pod, host, local, remote))
                except OSError as error:
                    if host != "::1":
                        raise Failed(f"unable to listen on port {local}: {error.strerror}") from error
                    continue
                local = int(server.sockets[0].getsockname()[1])
                shown = f"[{host}]" if ":" in host else host
                click.echo(f"Forwarding from {shown}:{local} -> {remote}")
                heard += 1
        await _until_stopped()
    return 0


_HOSTS: Final = {"localhost": ("127.0.0.1", "::1")}


def _split(text: str, service: JSON | None, pod: JSON) -> tuple[int, int]:
    """(local port, 0 for any; port of the pod). Raises Failed."""
    first, colon, second = text.partition(":")
    word = second if colon else first
    remote = target_port(word, service, pod)
    local = first if first.isdigit() else "0" if colon and not first else str(remote) if not colon else first
    if not local.isdigit() or int(local) > 0xFFFF:
        raise Failed(f"invalid port format '{text}'")
    return int(local), remote


def target_port(word: str, service: JSON | None, pod: JSON) -> int:
    """The number of the pod's port that a number or name means: the service's port, if one is given. Raises Failed."""
    if service is not None:
        listed = service["spec"].get("ports") or ()
        port = next((each for each in listed if word in (str(each["port"]), each.get("name"))), None)
        if port is None:
            raise Failed(f"Service {meta.name(service)} does not have a service port {word}")
        word = str(port.get("targetPort") or port["port"])
    if word.isdigit() and 0 < int(word) <= 0xFFFF:
        return int(word)
    for container in pod["spec"].get("containers") or ():
        for port in container.get("ports") or ():
            if port.get("name") == word:
                return int(port["containerPort"])
    raise Failed(f"Pod '{meta.name(pod)}' does not have a named port '{word}'")


async def _listen(session: Session, pod: JSON, host: str, local: int, remote: int) -> asyncio.Server:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        click.echo(f"Handling connection for {writer.get_extra_info('sockname')[1]}")
        try:
            await _join(session, pod, remote, reader, writer)
        except (StatusError, Unreachable, OSError) as error:
            complain(
                f"an error occurred forwarding {local} -> {remote}: {describe_error(error, session.config.server)}"
            )
        finally:
            writer.close()

    return await asyncio.start_server(serve, host, local)


async def _join(
    session: Session, pod: JSON, remote: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Carry one connection's bytes both ways until either end is done."""
    path = resource_path(kinds.POD, namespace=meta.namespace(pod), name=meta.name(pod), subresource="portforward")
    async with session.client.websocket(path, params={"ports": str(remote)}, protocols=(channels.V4,)) as socket:

        async def upstream() -> None:
            while data := await reader.read(_CHUNK_BYTES):
                await socket.send_bytes(channels.encode(_DATA, data))
            await asyncio.sleep(_LINGER_SECONDS)

        sending, receiving = asyncio.create_task(upstream()), asyncio.create_task(_receive(socket, remote, writer))
        try:
            await asyncio.wait((sending, receiving), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (sending, receiving):
                task.cancel()
            await asyncio.gather(sending, receiving, return_exceptions=True)


async def _receive(socket: Socket, remote: int, writer: asyncio.StreamWriter) -> None:
    greeted: set[int] = set()
    async for message in socket:
        if message.type != aiohttp.WSMsgType.BINARY or not message.data:
            continue
        channel, data = channels.decode(message.data)
        if channel not in greeted:  # the first message of each channel repeats its port
            greeted.add(channel)
        elif channel == _ERROR:
            complain(f"an error occurred forwarding to {remote}: {data.decode(errors='replace')}")
        elif channel == _DATA:
            writer.write(data)
            await writer.drain()


async def _until_stopped() -> None:
    """Until Ctrl-C or SIGTERM."""
    stopped, loop = asyncio.Event(), asyncio.get_running_loop()
    for each in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(each, stopped.set)
    await stopped.wait()
