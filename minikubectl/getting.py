"""`get`: tables that the server prints, or objects in the form asked for; once, or as they change."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any, Final

import click

from apimachinery import meta
from apimachinery.errors import Expired, NotFound, StatusError
from apimachinery.kinds import Kind
from kubeclient import watching
from kubeclient.rest import resource_path
from kubeclient.watching import WatchEvent
from minikubectl import jsonpath
from minikubectl.cli import cli
from minikubectl.options import EVERYWHERE, FIELD_SELECTOR, LABEL_SELECTOR, RESOURCES
from minikubectl.output import bare, print_objects
from minikubectl.resources import Target
from minikubectl.session import Failed, Session, command
from minikubectl.tables import ACCEPT, Layout, Printer

JSON = dict[str, Any]
Found = list[tuple[Kind, JSON]]

LISTED: Final = "LISTED"
NO_NAME: Final = "resource(s) were provided, but no name was specified"
_POLL_SECONDS: Final = 0.3


@dataclass(frozen=True, slots=True)
class Query:
    """Which objects, in which form."""

    form: str = "json"
    everywhere: bool = False
    label_selector: str = ""
    field_selector: str = ""
    sort_by: str = ""
    managed_fields: bool = False

    @property
    def is_table(self) -> bool:
        return self.form in ("", "wide")

    def params(self, name: str = "") -> dict[str, str]:
        fields = ",".join(filter(None, (self.field_selector, f"metadata.name={name}" if name else "")))
        chosen = {"labelSelector": self.label_selector, "fieldSelector": fields}
        if self.is_table and self.sort_by:
            chosen["includeObject"] = "Object"
        return {key: value for key, value in chosen.items() if value}


@command(cli, "get")
@RESOURCES
@click.option("-o", "--output", "form", default="", help="wide|yaml|json|name|jsonpath=...|custom-columns=...")
@click.option("-w", "--watch", is_flag=True, help="After listing, show changes.")
@click.option("--watch-only", is_flag=True, help="Show changes without listing first.")
@EVERYWHERE
@LABEL_SELECTOR
@FIELD_SELECTOR
@click.option("--no-headers", is_flag=True, help="Leave out the table's headers.")
@click.option("--show-labels", is_flag=True, help="All labels as the last column.")
@click.option("-L", "--label-columns", multiple=True, help="These labels as columns.")
@click.option("--show-kind", is_flag=True, help="Names with their type.")
@click.option("--sort-by", default="", help="JSONPath of the field to sort by.")
@click.option("--ignore-not-found", is_flag=True, help="Succeed quietly if an object isn't there.")
@click.option("--show-managed-fields", "managed_fields", is_flag=True, help="With managedFields in yaml and json.")
@click.option("--raw", default="", help="A path of the API to read as it is.")
async def get(
    session: Session,
    resources: tuple[str, ...],
    raw: str,
    watch: bool,
    watch_only: bool,
    no_headers: bool,
    show_labels: bool,
    label_columns: tuple[str, ...],
    show_kind: bool,
    ignore_not_found: bool,
    **query: Any,
) -> int:
    """Show objects: TYPE [NAME...], TYPE/NAME ..., or several TYPEs with commas between them.

    \b
    minikubectl get pods -A -o wide
    minikubectl get deploy,svc -l app=web
    minikubectl get pod web-1 -o jsonpath='{.status.podIP}'
    minikubectl get pods -w
    """
    if raw:
        response = await session.client.raw("GET", raw)
        click.echo(await response.text(), nl=False)
        return 0
    what = Query(**query)
    targets = await find_targets(session, resources)
    columns = tuple(key for each in label_columns for key in each.split(","))
    several = len({target.kind.resource for target in targets}) > 1
    layout = Layout(wide=what.form == "wide", labels=show_labels, label_columns=columns)
    if watch or watch_only:
        if len(targets) != 1 or len(targets[0].names) > 1:
            raise Failed("you may only specify a single resource type and name with --watch")
        await _watch(session, targets[0], what, layout, headers=not no_headers, listed=not watch_only)
        return 0
    if not what.is_table:
        return await _print_objects(session, targets, what, ignore_not_found)
    printed = 0
    for target in targets:
        kind = target.kind
        table = await _table(session, target, what, ignore_not_found)
        if not table.get("rows"):
            continue
        shown_kind = f"{kind.singular}.{kind.group}".rstrip(".") if several or show_kind else ""
        everywhere = what.everywhere and kind.namespaced
        if printed and several:
            click.echo("")
        printer = Printer(replace(layout, kind=shown_kind, namespace=everywhere), headers=not no_headers)
        printer.show(table)
        printed += 1
    if not printed and not session.failures and not ignore_not_found:
        inside = any(target.kind.namespaced for target in targets) and not what.everywhere
        session.say_nothing_found(everywhere=not inside)
    return session.code


async def find_targets(session: Session, words: tuple[str, ...]) -> list[Target]:
    """What the words name; objects of one kind named one by one are one target."""
    try:
        targets = await session.catalog.targets(words)
    except ValueError as error:
        raise Failed(str(error)) from error
    joined: list[Target] = []
    for target in targets:
        if joined and joined[-1].kind == target.kind and target.names and joined[-1].names:
            joined[-1] = Target(target.kind, joined[-1].names + target.names)
        else:
            joined.append(target)
    return joined


def space_of(session: Session, kind: Kind, *, everywhere: bool = False) -> str | None:
    return session.namespace if kind.namespaced and not everywhere else None


async def _table(session: Session, target: Target, what: Query, ignore: bool) -> JSON:
    """One table of all the target's objects; for those that aren't there an error each."""
    if target.names and what.everywhere:
        raise Failed("a resource cannot be retrieved by name across all namespaces")
    space = space_of(session, target.kind, everywhere=what.everywhere)
    table: JSON = {}
    for name in target.names or ("",):
        path = resource_path(target.kind, namespace=space, name=name or None)
        try:
            part = await session.client.request("GET", path, params=what.params(), headers={"Accept": ACCEPT})
        except StatusError as error:
            session.fail_unless(ignore, error)
            continue
        while token := (part.get("metadata") or {}).get("continue"):
            params = {**what.params(), "continue": token}
            more = await session.client.request("GET", path, params=params, headers={"Accept": ACCEPT})
            part = {**part, "rows": part["rows"] + more["rows"], "metadata": more["metadata"]}
        table = {**part, "rows": [*(table.get("rows") or []), *(part.get("rows") or [])]}
    if what.sort_by:
        rows = [(jsonpath.find(what.sort_by, row["object"]), row) for row in table.get("rows") or ()]
        table["rows"] = [row for key, row in sorted(rows, key=lambda each: _rank(each[0]))]
    return table


def _rank(found: list[Any]) -> tuple[int, float, str]:
    value = found[0] if found else None
    return (0, float(value), "") if isinstance(value, (int, float)) else (1, 0.0, str(value or ""))


async def objects_of(
    session: Session, target: Target, *, label_selector: str = "", field_selector: str = "", everywhere: bool = False
) -> list[JSON]:
    """The target's objects. Raises NotFound for one named and not there."""
    space = space_of(session, target.kind, everywhere=everywhere)
    if target.names:
        return [await session.client.get(target.kind, name, namespace=space) for name in target.names]
    listed = await session.client.list(
        target.kind, namespace=space, label_selector=label_selector, field_selector=field_selector
    )
    head = {"apiVersion": target.kind.api_version, "kind": target.kind.kind}
    return [{**head, **each} for each in listed["items"]]


async def until_gone(session: Session, kind: Kind, obj: JSON, uid: str = "") -> None:
    """Until the object is away, or another of its name (not of this UID, or that of the first seen) is there."""
    while True:
        try:
            there = await session.client.get(kind, meta.name(obj), namespace=meta.namespace(obj) or None)
        except NotFound:
            return
        uid = uid or meta.uid(there)
        if meta.uid(there) != uid:
            return
        await asyncio.sleep(_POLL_SECONDS)


async def _print_objects(session: Session, targets: list[Target], what: Query, ignore: bool) -> int:
    found: list[tuple[Kind, JSON]] = []
    for target in targets:
        each_alone = [replace(target, names=(name,)) for name in target.names] or [target]
        for each in each_alone:
            try:
                objects = await objects_of(
                    session,
                    each,
                    label_selector=what.label_selector,
                    field_selector=what.field_selector,
                    everywhere=what.everywhere,
                )
            except StatusError as error:
                session.fail_unless(ignore, error)
                continue
            found += [(target.kind, obj if what.managed_fields else bare(obj)) for obj in objects]
    if what.sort_by:
        found.sort(key=lambda each: _rank(jsonpath.find(what.sort_by, each[1])))
    single = len(targets) == 1 and len(targets[0].names) == 1
    if found or (not single and not session.failures):
        print_objects(found, what.form, single=single)
    return session.code


async def _watch(session: Session, target: Target, what: Query, layout: Layout, *, headers: bool, listed: bool) -> None:
    kind = target.kind
    printer = Printer(replace(layout, namespace=what.everywhere and kind.namespaced), headers=headers)
    async for event in changes(session, target, what):
        if event.type == LISTED and not listed:
            continue
        if what.is_table:
            printer.show(event.object)
        else:
            obj = event.object if what.managed_fields else bare(event.object)
            print_objects([(kind, obj)], what.form, single=True)


async def changes(session: Session, target: Target, what: Query) -> AsyncGenerator[WatchEvent, None]:
    """What is there (LISTED: objects, or one table), then what changes; for ever."""
    kind = target.kind
    path = resource_path(kind, namespace=space_of(session, kind, everywhere=what.everywhere))
    headers = {"Accept": ACCEPT if what.is_table else "application/json"}
    params = what.params(target.names[0] if target.names else "")
    head = {"apiVersion": kind.api_version, "kind": kind.kind}
    version = ""
    while True:
        if not version:
            listed = await session.client.request("GET", path, params=params, headers=headers)
            version = listed["metadata"]["resourceVersion"]
            for each in [listed] if what.is_table else [{**head, **each} for each in listed["items"] or ()]:
                yield WatchEvent(LISTED, each)
        watch = {**params, "watch": "true", "resourceVersion": version, "allowWatchBookmarks": "true"}
        response = await session.client.raw("GET", path, params=watch, headers=headers, timeout_seconds=None)
        try:
            async with aclosing(watching.events(response, timeout_seconds=None)) as batches:
                async for batch in batches:
                    for event in batch:
                        version = _version(event.object) or version
                        if event.type != "BOOKMARK":
                            yield event
        except Expired:
            version = ""


def _version(obj: JSON) -> str:
    rows = obj.get("rows")
    last = (rows[-1].get("object") or {}) if rows else obj
    return str(meta.metadata(last).get("resourceVersion") or "")
