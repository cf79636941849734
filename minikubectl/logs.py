"""`logs`: what containers wrote, of one pod or several, to the end or as it comes."""

import asyncio
import sys
from typing import Any, Final

import click

from apimachinery import kinds, meta
from kubeclient import transport
from kubeclient.rest import resource_path
from minikubectl import completing, pods
from minikubectl.cli import cli
from minikubectl.durations import parse_duration
from minikubectl.session import Failed, Session, command

JSON = dict[str, Any]

_SILENCE_SECONDS: Final = 7 * 24 * 3600.0
_SELECTED_TAIL: Final = 10


@command(cli, "logs")
@click.argument("what", nargs=-1, shell_complete=completing.pods)
@click.option("-f", "--follow", is_flag=True, help="Go on as lines come.")
@click.option("-c", "--container", default="", help="Which container.")
@click.option("--all-containers", is_flag=True, help="All containers.")
@click.option("-p", "--previous", is_flag=True, help="Of the container's previous run.")
@click.option("--tail", type=int, default=None, help="Only so many last lines.")
@click.option("--since", default="", help="Only as recent as this, such as 5m.")
@click.option("--since-time", default="", help="Only after this time (RFC 3339).")
@click.option("--timestamps", is_flag=True, help="The time before each line.")
@click.option("--limit-bytes", type=int, default=None, help="Only so many bytes.")
@click.option("--prefix", is_flag=True, help="Pod and container before each line.")
@click.option("-l", "--selector", default="", help="Of all pods with these labels.")
@click.option("--max-log-requests", type=int, default=5, help="How many may be followed at a time.")
async def logs(
    session: Session,
    what: tuple[str, ...],
    container: str,
    all_containers: bool,
    selector: str,
    max_log_requests: int,
    prefix: bool,
    **options: Any,
) -> int:
    """Print the logs of POD [CONTAINER], TYPE/NAME, or of pods selected by labels.

    \b
    minikubectl logs deploy/web -f --tail=20
    minikubectl logs web-1 -c web -p            the run before
    minikubectl logs -l app=web --prefix
    """
    if bool(what) == bool(selector):
        raise Failed(
            "expected 'logs [-f] [-p] (POD | TYPE/NAME) [-c CONTAINER]'.\nPOD or TYPE/NAME is a required argument"
        )
    if len(what) > 1:
        container = what[1]
    found = await pods.selected(session, selector) if selector else [await pods.pick(session, what[0])]
    if not found:
        session.say_nothing_found()
        return 0
    if selector and options["tail"] is None:
        options["tail"] = _SELECTED_TAIL
    sources = [
        (pod, name)
        for pod in found
        for name in (pods.containers(pod) if all_containers else [pods.container_of(pod, container)])
    ]
    if options["follow"] and len(sources) > max_log_requests:
        raise Failed(
            f"you are attempting to follow {len(sources)} log streams, but maximum allowed concurrency is "
            f"{max_log_requests}, use --max-log-requests to increase the limit"
        )
    if not options["follow"]:
        for pod, name in sources:
            await _print(session, pod, name, prefix, options)
        return 0
    async with asyncio.TaskGroup() as group:
        for pod, name in sources:
            group.create_task(_print(session, pod, name, prefix, options))
    return 0


async def _print(session: Session, pod: JSON, container: str, prefix: bool, options: JSON) -> None:
    space = meta.namespace(pod) or session.namespace
    path = resource_path(kinds.POD, namespace=space, name=meta.name(pod), subresource="log")
    response = await session.client.raw("GET", path, params=_params(container, options), timeout_seconds=None)
    label = f"[pod/{meta.name(pod)}/{container}] ".encode() if prefix else b""
    rest = b""
    try:
        while chunk := await transport.read_some(response, timeout_seconds=_SILENCE_SECONDS):
            if label:
                *lines, rest = (rest + chunk).split(b"\n")
                chunk = b"".join(label + line + b"\n" for line in lines)
            sys.stdout.buffer.write(chunk)
            sys.stdout.buffer.flush()
    finally:
        response.close()
    if rest:
        sys.stdout.buffer.write(label + rest + b"\n")
        sys.stdout.buffer.flush()


def _params(container: str, options: JSON) -> dict[str, str]:
    chosen: JSON = {
        "container": container,
        "follow": "true" if options["follow"] else None,
        "previous": "true" if options["previous"] else None,
        "timestamps": "true" if options["timestamps"] else None,
        "tailLines": options["tail"] if options["tail"] is not None and options["tail"] >= 0 else None,
        "limitBytes": options["limit_bytes"],
        "sinceTime": options["since_time"] or None,
        "sinceSeconds": max(1, round(parse_duration(options["since"]))) if options["since"] else None,
    }
    return {key: str(value) for key, value in chosen.items() if value is not None}
