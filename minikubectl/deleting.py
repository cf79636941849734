"""`delete`: by name, selector, or manifest; by default until the objects are really gone."""

import asyncio
from typing import Any, Final

import click

from apimachinery import meta
from apimachinery.errors import StatusError
from apimachinery.kinds import Kind
from kubeclient.errors import Unreachable
from minikubectl.applying import prepare
from minikubectl.cli import cli
from minikubectl.durations import parse_duration
from minikubectl.getting import NO_NAME, Found, find_targets, objects_of, until_gone
from minikubectl.options import ALL, EVERYWHERE, FIELD_SELECTOR, FILES, LABEL_SELECTOR, RESOURCES
from minikubectl.resources import quoted, shown
from minikubectl.session import Failed, Session, command

JSON = dict[str, Any]

_POLICIES: Final = {"background": "Background", "foreground": "Foreground", "orphan": "Orphan"}


@command(cli, "delete")
@RESOURCES
@FILES
@LABEL_SELECTOR
@FIELD_SELECTOR
@ALL
@EVERYWHERE
@click.option("--grace-period", type=int, default=-1, help="Seconds to let pods end by themselves.")
@click.option("--now", is_flag=True, help="The same as --grace-period=1.")
@click.option("--force", is_flag=True, help="With --grace-period=0: don't wait for the node to confirm.")
@click.option("--cascade", type=click.Choice(list(_POLICIES)), default="background", help="What becomes of dependents.")
@click.option("--ignore-not-found", is_flag=True, help="Succeed quietly if an object isn't there.")
@click.option("--wait/--no-wait", default=True, help="Until the objects are gone.")
@click.option("--timeout", default="0s", help="How long to wait, 0 without end.")
@click.option("-o", "--output", type=click.Choice(["", "name"]), default="", help="name: only names.")
async def delete(
    session: Session,
    resources: tuple[str, ...],
    files: tuple[str, ...],
    recursive: bool,
    grace_period: int,
    now: bool,
    force: bool,
    cascade: str,
    ignore_not_found: bool,
    wait: bool,
    timeout: str,
    output: str,
    **chosen: Any,
) -> int:
    """Delete objects: TYPE NAME..., TYPE/NAME ..., TYPE -l SELECTOR, or -f FILE.

    \b
    minikubectl delete -f shop/
    minikubectl delete pods -l app=web
    minikubectl delete pod web-1 --now
    """
    grace = 1 if now else 0 if force and grace_period < 0 else grace_period
    if force:
        click.echo(
            "Warning: Immediate deletion does not wait for confirmation that the running resource has been terminated. "
            "The resource may continue to run on the cluster indefinitely.",
            err=True,
        )
    if files:
        found = await _named_by_files(session, files, recursive)
    else:
        found = await _named(session, resources, **chosen)
    gone: list[tuple[Kind, JSON, str]] = []
    for kind, obj in found:
        try:
            answer = await session.client.delete(
                kind,
                meta.name(obj),
                namespace=meta.namespace(obj) or None,
                grace_period_seconds=grace if grace >= 0 else None,
                propagation_policy=_POLICIES[cascade],
            )
        except (StatusError, Unreachable) as error:
            session.fail_unless(ignore_not_found, error)
            continue
        verb = "force deleted" if force else "deleted"
        click.echo(shown(kind, meta.name(obj)) if output else f"{quoted(kind, meta.name(obj))} {verb}")
        uid = meta.uid(answer) or str((answer.get("details") or {}).get("uid") or "")
        gone.append((kind, obj, uid))
    if not found and not files and not session.failures:
        click.echo("No resources found", err=True)
    if wait:
        await _until_all_gone(session, gone, parse_duration(timeout))
    return session.code


async def _named(session: Session, resources: tuple[str, ...], *, all_: bool, **chosen: Any) -> Found:
    found: Found = []
    for target in await find_targets(session, resources):
        kind = target.kind
        if target.names:
            space = {"namespace": session.namespace} if kind.namespaced else {}
            found += [(kind, {"metadata": {"name": name, **space}}) for name in target.names]
        elif not (all_ or chosen["label_selector"] or chosen["field_selector"]):
            raise Failed(NO_NAME)
        else:
            found += [(kind, obj) for obj in await objects_of(session, target, **chosen)]
    return found


async def _named_by_files(session: Session, files: tuple[str, ...], recursive: bool) -> Found:
    plan, problems = await prepare(session, files, recursive=recursive, checked=False)
    for problem in problems:
        session.failures += 1
        click.echo(f"error: {problem}", err=True)
    return [(kind, manifest.object) for kind, manifest in reversed(plan)]


async def _until_all_gone(session: Session, gone: list[tuple[Kind, JSON, str]], seconds: float) -> None:
    """Until each is away, or another of its name is there. Raises Failed."""
    deadline = asyncio.get_running_loop().time() + seconds if seconds else None
    for kind, obj, uid in gone:
        try:
            async with asyncio.timeout_at(deadline):
                await until_gone(session, kind, obj, uid)
        except TimeoutError:
            raise Failed(f"timed out waiting for the condition on {shown(kind, meta.name(obj))}") from None
