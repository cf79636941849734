"""`scale` and `rollout`: how many, and whether the change has got through."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Any

import click

from apimachinery import meta
from apimachinery.errors import StatusError
from apimachinery.kinds import Kind
from kubeclient.errors import Unreachable
from minikubectl.cli import cli
from minikubectl.durations import parse_duration
from minikubectl.getting import Query, changes, find_targets, objects_of, space_of
from minikubectl.readiness import rollout as rollout_state
from minikubectl.resources import Target, shown
from minikubectl.session import Failed, Session, command

JSON = dict[str, Any]


@command(cli, "scale")
@click.argument("resources", nargs=-1, required=True)
@click.option("--replicas", type=click.IntRange(min=0), required=True, help="The new number of replicas.")
@click.option("--current-replicas", type=int, default=-1, help="Only if there are this many now.")
@click.option("-l", "--selector", "label_selector", default="", help="Label selector.")
@click.option("--all", "all_", is_flag=True, help="All objects of the type.")
async def scale(
    session: Session,
    resources: tuple[str, ...],
    replicas: int,
    current_replicas: int,
    label_selector: str,
    all_: bool,
) -> int:
    """Set the number of replicas of a Deployment, ReplicaSet, StatefulSet, ..."""

    async def scale_one(kind: Kind, name: str) -> str:
        space = space_of(session, kind)
        await session.client.get(kind, name, namespace=space)  # so that what is missing is named, not its scale
        if current_replicas >= 0:
            now = await session.client.get(kind, name, namespace=space, subresource="scale")
            if (count := int((now.get("spec") or {}).get("replicas") or 0)) != current_replicas:
                raise Failed(f"Expected replicas to be {current_replicas}, was {count}")
        body = {"spec": {"replicas": replicas}}
        await session.client.patch(kind, name, body, namespace=space, subresource="scale")
        return "scaled"

    return await _each(session, resources, scale_one, label_selector=label_selector, all_=all_)


@cli.group()
def rollout() -> None:
    """Manage the rollout of a Deployment, DaemonSet or StatefulSet."""


@command(rollout, "status")
@click.argument("resources", nargs=-1, required=True)
@click.option("-w", "--watch/--no-watch", default=True, help="Until the rollout is done.")
@click.option("--timeout", default="0s", help="How long to watch, 0 without end.")
async def status(session: Session, resources: tuple[str, ...], watch: bool, timeout: str) -> int:
    """Show how far the rollout has come, until it is done."""
    seconds = parse_duration(timeout)
    for target in await find_targets(session, resources):
        for name in target.names or [meta.name(obj) for obj in await objects_of(session, target)]:
            await session.client.get(target.kind, name, namespace=space_of(session, target.kind))
            try:
                async with asyncio.timeout(seconds or None):
                    await _follow(session, Target(target.kind, (name,)), watch)
            except TimeoutError:
                raise Failed("timed out waiting for the condition") from None
    return session.code


async def _follow(session: Session, target: Target, watch: bool) -> None:
    said = ""
    async with aclosing(changes(session, target, Query())) as events:
        async for event in events:
            if event.type == "DELETED":
                raise Failed("object has been deleted")
            state = rollout_state(event.object)
            if state.failed:
                raise Failed(state.text)
            if state.text != said:
                said = state.text
                click.echo(said)
            if state.done or not watch:
                return


def _patching(name: str, verb: str, patch: Callable[[], JSON], summary: str) -> None:
    """Register a rollout command that is one patch of the object."""

    @click.argument("resources", nargs=-1, required=True)
    async def run(session: Session, resources: tuple[str, ...]) -> int:
        async def patch_one(kind: Kind, which: str) -> str:
            await session.client.patch(kind, which, patch(), namespace=space_of(session, kind))
            return verb

        return await _each(session, resources, patch_one, all_=True)

    run.__doc__ = summary
    command(rollout, name)(run)


def _restart() -> JSON:
    annotations = {"kubectl.kubernetes.io/restartedAt": meta.now()}
    return {"spec": {"template": {"metadata": {"annotations": annotations}}}}


_patching("restart", "restarted", _restart, "Replace all pods, as an update of the template would.")
_patching("pause", "paused", lambda: {"spec": {"paused": True}}, "Hold back the rollout of changes.")
_patching("resume", "resumed", lambda: {"spec": {"paused": None}}, "Roll out what was held back.")


async def _each(
    session: Session,
    resources: tuple[str, ...],
    act: Callable[[Kind, str], Awaitable[str]],
    *,
    label_selector: str = "",
    all_: bool = False,
) -> int:
    """Do something to every object named or selected, and say so."""
    for target in await find_targets(session, resources):
        names = target.names
        if not names:
            if not (label_selector or all_):
                raise Failed("resource(s) were provided, but no name was specified")
            names = tuple(meta.name(obj) for obj in await objects_of(session, target, label_selector=label_selector))
        for name in names:
            try:
                verb = await act(target.kind, name)
            except (StatusError, Unreachable, Failed) as error:
                session.fail(error)
                continue
            click.echo(f"{shown(target.kind, name)} {verb}")
    return session.code
