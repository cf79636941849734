"""`events` and `top`: what happened, and what is used."""

from datetime import UTC, datetime
from typing import Any, Final

import click

from apimachinery import kinds, meta, quantity
from apimachinery.errors import NotFound, ServiceUnavailable
from minikubectl import completing
from minikubectl.cli import cli
from minikubectl.describing import event_age, last_seen
from minikubectl.getting import LISTED, Query, changes, find_targets
from minikubectl.options import EVERYWHERE, LABEL_SELECTOR
from minikubectl.output import print_objects
from minikubectl.resources import Target
from minikubectl.session import Failed, Session, command
from minikubectl.tables import Printer, as_table

JSON = dict[str, Any]

_METRICS: Final = "/apis/metrics.k8s.io/v1beta1"
_MEBI: Final = 1 << 20


@command(cli, "events")
@EVERYWHERE
@click.option("--for", "about", default="", help="TYPE/NAME: only about this.")
@click.option("--types", default="", help="Normal, Warning.")
@click.option("-w", "--watch", is_flag=True, help="And what comes.")
@click.option("--no-headers", is_flag=True, help="Leave out the headers.")
@click.option("-o", "--output", "form", default="", help="yaml|json|name|jsonpath=...")
async def events(
    session: Session, everywhere: bool, about: str, types: str, watch: bool, no_headers: bool, form: str
) -> int:
    """Show events, the latest last.

    \b
    minikubectl events --for pod/web-1
    minikubectl events -A --types=Warning -w
    """
    wanted = {each.lower() for each in types.split(",") if each}
    if not wanted <= {"normal", "warning"}:
        raise Failed("valid --types are Normal or Warning")
    selector = ""
    if about:
        (target,) = await find_targets(session, (about,))
        selector = f"involvedObject.kind={target.kind.kind},involvedObject.name={target.names[0]}"
    space = None if everywhere else session.namespace
    listed = await session.client.list(kinds.CORE_EVENT, namespace=space, field_selector=selector)
    found = sorted((each for each in listed["items"] if _is_type(each, wanted)), key=last_seen)
    if form:
        print_objects([(kinds.CORE_EVENT, each) for each in found], form)
        return 0
    printer = Printer(headers=not no_headers)
    headers = (*(["NAMESPACE"] if everywhere else []), "LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE")
    if not found and not watch:
        click.echo("No events found." if everywhere else f"No events found in {session.namespace} namespace.", err=True)
        return 0
    printer.show(as_table(headers, [_row(each, everywhere) for each in found]))
    if watch:
        query = Query(everywhere=everywhere, field_selector=selector)
        async for event in changes(session, Target(kinds.CORE_EVENT), query):
            if event.type not in (LISTED, "DELETED") and _is_type(event.object, wanted):
                printer.show(as_table(headers, [_row(event.object, everywhere)]))
    return 0


def _is_type(event: JSON, wanted: set[str]) -> bool:
    return not wanted or str(event.get("type")).lower() in wanted


def _row(event: JSON, everywhere: bool) -> list[str]:
    about = event.get("involvedObject") or {}
    cells = [event_age(event, datetime.now(UTC)), str(event.get("type") or ""), str(event.get("reason") or "")]
    cells += [f"{about.get('kind')}/{about.get('name')}", str(event.get("message") or "").strip()]
    return [*([meta.namespace(event)] if everywhere else []), *cells]


@cli.group()
def top() -> None:
    """Show what nodes and pods use."""


_SORT: Final = click.option(
    "--sort-by", type=click.Choice(["", "cpu", "memory"]), default="", help="The largest first."
)
_NO_HEADERS: Final = click.option("--no-headers", is_flag=True, help="Leave out the headers.")


async def _usage(session: Session, path: str, name: str, selector: str) -> list[JSON]:
    try:
        if name:
            return [await session.client.request("GET", f"{_METRICS}/{path}/{name}")]
        params = {"labelSelector": selector} if selector else None
        listed = await session.client.request("GET", f"{_METRICS}/{path}", params=params)
    except (NotFound, ServiceUnavailable) as error:
        if name and error.details.get("name"):
            raise
        raise Failed("Metrics API not available") from error
    found: list[JSON] = listed["items"]
    return found


def _amounts(usages: list[JSON]) -> tuple[int, int]:
    """(milli CPUs, bytes) of several usages together."""
    cpu = sum(quantity.milli(str(each.get("cpu") or 0)) for each in usages)
    return cpu, sum(quantity.value(str(each.get("memory") or 0)) for each in usages)


def _show(rows: list[tuple[list[str], tuple[int, int], list[str]]], headers: list[str], sort: str, bare: bool) -> None:
    """Rows are (names, (milli CPUs, bytes), all cells)."""
    by = {"cpu": lambda row: (-row[1][0], row[0]), "memory": lambda row: (-row[1][1], row[0])}
    rows.sort(key=by.get(sort, lambda row: row[0]))
    Printer(headers=not bare).show(as_table(headers, [row[2] for row in rows]))


@command(top, "node")
@click.argument("name", required=False, default="", shell_complete=completing.nodes)
@LABEL_SELECTOR
@_SORT
@_NO_HEADERS
async def top_node(session: Session, name: str, label_selector: str, sort_by: str, no_headers: bool) -> int:
    """What nodes use, also as a share of what they have for pods."""
    used = await _usage(session, "nodes", name, label_selector)
    listed = await session.client.list(kinds.NODE, label_selector=label_selector)
    free = {meta.name(each): (each.get("status") or {}).get("allocatable") or {} for each in listed["items"]}
    rows = []
    for each in used:
        cpu, memory = _amounts([each["usage"]])
        of_cpu, of_memory = _amounts([free.get(meta.name(each)) or {}])
        shares = [
            f"{part * 100 // whole}%" if whole else "<unknown>" for part, whole in ((cpu, of_cpu), (memory, of_memory))
        ]
        cells = [meta.name(each), f"{cpu}m", shares[0], f"{memory // _MEBI}Mi", shares[1]]
        rows.append(([meta.name(each)], (cpu, memory), cells))
    if not rows:
        raise Failed("metrics not available yet")
    _show(rows, ["NAME", "CPU(cores)", "CPU(%)", "MEMORY(bytes)", "MEMORY(%)"], sort_by, no_headers)
    return 0


@command(top, "pod")
@click.argument("name", required=False, default="", shell_complete=completing.pods)
@LABEL_SELECTOR
@EVERYWHERE
@click.option("--containers", is_flag=True, help="Each container by itself.")
@_SORT
@_NO_HEADERS
async def top_pod(
    session: Session, name: str, label_selector: str, everywhere: bool, containers: bool, sort_by: str, no_headers: bool
) -> int:
    """What pods use."""
    path = "pods" if everywhere else f"namespaces/{session.namespace}/pods"
    rows = []
    for each in await _usage(session, path, name, label_selector):
        names = [*([meta.namespace(each)] if everywhere else []), meta.name(each)]
        parts = [([c["name"]], [c["usage"]]) for c in each["containers"]] if containers else [
            ([], [c["usage"] for c in each["containers"]])
        ]  # fmt: skip
        for more, usages in parts:
            cpu, memory = _amounts(usages)
            rows.append((names + more, (cpu, memory), [*names, *more, f"{cpu}m", f"{memory // _MEBI}Mi"]))
    if not rows:
        session.say_nothing_found(everywhere=everywhere)
        return 0
    headers = [
        *(["NAMESPACE"] if everywhere else []),
        "POD" if containers else "NAME",
        *(["NAME"] if containers else []),
    ]
    _show(rows, [*headers, "CPU(cores)", "MEMORY(bytes)"], sort_by, no_headers)
    return 0


top.aliases |= {"nodes": "node", "no": "node", "pods": "pod", "po": "pod"}  # type: ignore[attr-defined]
