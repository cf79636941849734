"""`wait`: until objects are created, deleted, have a condition, or a field has a value."""

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from typing import Any

import click

from apimachinery import meta
from apimachinery.errors import NotFound
from minikubectl import jsonpath
from minikubectl.cli import cli
from minikubectl.durations import parse_duration
from minikubectl.getting import NO_NAME, Query, changes, find_targets, objects_of, space_of, until_gone
from minikubectl.options import ALL, EVERYWHERE, FIELD_SELECTOR, LABEL_SELECTOR, RESOURCES
from minikubectl.resources import Target, shown
from minikubectl.session import Failed, Session, command

JSON = dict[str, Any]
Test = Callable[[JSON], bool]

_POLL_SECONDS = 0.5


@command(cli, "wait")
@RESOURCES
@click.option("--for", "what", required=True, help="create|delete|condition=TYPE[=VALUE]|jsonpath='{PATH}'[=VALUE]")
@click.option("--timeout", default="30s", help="How long to wait; 0 looks once, a negative one waits a week.")
@LABEL_SELECTOR
@FIELD_SELECTOR
@ALL
@EVERYWHERE
async def wait(session: Session, resources: tuple[str, ...], what: str, timeout: str, all_: bool, **chosen: Any) -> int:
    """Wait for a condition of objects.

    \b
    minikubectl wait pod -l app=web --for=condition=Ready --timeout=1m
    minikubectl wait pod/job-1 --for=jsonpath='{.status.phase}'=Succeeded
    minikubectl wait pod/web-1 --for=delete
    """
    test = parse_test(what)
    deadline = asyncio.get_running_loop().time() + parse_duration(timeout)
    found = 0
    for target in await find_targets(session, resources):
        if not target.names and not all_ and not chosen["label_selector"] and not chosen["field_selector"]:
            raise Failed(NO_NAME)
        for name, space in await _named(session, target, what, deadline, chosen):
            found += 1
            where = f"{target.kind.resource}/{name}"
            try:
                async with asyncio.timeout_at(deadline):
                    one = Target(target.kind, (name,))
                    await _until(session.inside(space), one, what, test)
            except TimeoutError:
                click.echo(f"error: timed out waiting for the condition on {where}", err=True)
                session.failures += 1
                continue
            except NotFound as error:
                session.fail(error)
                continue
            click.echo(f"{shown(target.kind, name)} condition met")
    if not found and what.lower() != "delete" and not session.failures:
        raise Failed("no matching resources found")
    return session.code


def parse_test(what: str) -> Test | None:
    """What --for asks of an object, None for create and delete. Raises Failed."""
    form, _, rest = what.partition("=")
    match form.lower():
        case "create" | "delete":
            return None
        case "condition":
            type_, _, value = rest.partition("=")
            return lambda obj: _has_condition(obj, type_, value or "true")
        case "jsonpath":
            path, equals, value = rest.strip("'\"").rpartition("}")
            path = f"{path}{equals}" if equals else rest
            try:
                jsonpath.compile(path)
            except jsonpath.TemplateError as error:
                raise Failed(f"invalid jsonpath {path}: {error}") from error
            wanted = value.removeprefix("=").strip("'\"") if value else None
            return lambda obj: _has_value(obj, path, wanted)
    raise Failed(f'unrecognized condition: "{what}"')


def _has_condition(obj: JSON, type_: str, value: str) -> bool:
    """Of the object as it now is: a condition seen for an older generation doesn't count."""
    for entry in (obj.get("status") or {}).get("conditions") or ():
        if str(entry.get("type")).lower() == type_.lower():
            generation = int(meta.metadata(obj).get("generation") or 0)
            observed = entry.get("observedGeneration") or (obj.get("status") or {}).get("observedGeneration")
            if observed is not None and int(observed) < generation:
                return False
            return str(entry.get("status")).lower() == value.lower()
    return False


def _has_value(obj: JSON, path: str, wanted: str | None) -> bool:
    found = jsonpath.find(path, obj)
    if wanted is None:
        return bool(found)
    return len(found) == 1 and jsonpath.compile("{.x}").render({"x": found[0]}) == wanted


async def _named(
    session: Session, target: Target, what: str, deadline: float, chosen: JSON
) -> list[tuple[str, str | None]]:
    """(name, namespace) of what to wait for; with --for=create of a selection, once there is any."""
    if target.names:
        return [(name, space_of(session, target.kind)) for name in target.names]
    while True:
        objects = await objects_of(session, target, **chosen)
        late = asyncio.get_running_loop().time() >= deadline
        if objects or what.lower() != "create" or late:
            return [(meta.name(obj), meta.namespace(obj) or None) for obj in objects]
        await asyncio.sleep(_POLL_SECONDS)


async def _until(session: Session, target: Target, what: str, test: Test | None) -> None:
    form, space = what.lower(), space_of(session, target.kind)
    if form == "delete":
        await until_gone(session, target.kind, {"metadata": {"name": target.names[0], "namespace": space}})
        return
    try:
        there = await session.client.get(target.kind, target.names[0], namespace=space)
        if test is None or test(there):
            return
    except NotFound:
        if form != "create":
            raise
    async with aclosing(changes(session, target, Query())) as events:
        async for event in events:
            if event.type == "DELETED":
                await session.client.get(target.kind, target.names[0], namespace=space)  # NotFound is the answer
            elif test is None or test(event.object):
                return
