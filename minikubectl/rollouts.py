"""`rollout`: whether a change has got through, what there was before it, and back to that.

A Deployment's revisions are its ReplicaSets, those of DaemonSets and StatefulSets are ControllerRevisions.
"""

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from typing import Any, Final

import click

from apimachinery import kinds, labels, meta
from apimachinery.kinds import GVK, Kind
from kubeclient.rest import JSON_PATCH, STRATEGIC_MERGE_PATCH
from minikubectl.cli import cli
from minikubectl.describing_pods import describe_template
from minikubectl.durations import parse_duration
from minikubectl.getting import Query, changes
from minikubectl.mutating import changing, each, find
from minikubectl.options import DRY_RUN, OUTPUT, RESOURCES, SELECTION, Sending
from minikubectl.output import bare, print_objects
from minikubectl.pages import Page
from minikubectl.readiness import rollout as rollout_state
from minikubectl.resources import Target, shown
from minikubectl.session import Failed, Session, command
from minikubectl.tables import grid

JSON = dict[str, Any]

REVISION: Final = "deployment.kubernetes.io/revision"
CHANGE_CAUSE: Final = "kubernetes.io/change-cause"
_HASH: Final = "pod-template-hash"


@cli.group()
def rollout() -> None:
    """Manage the rollout of a Deployment, DaemonSet or StatefulSet."""


@command(rollout, "status")
@RESOURCES
@SELECTION
@click.option("-w", "--watch/--no-watch", default=True, help="Until the rollout is done.")
@click.option("--timeout", default="0s", help="How long to watch, 0 without end.")
async def status(session: Session, resources: tuple[str, ...], watch: bool, timeout: str, **chosen: Any) -> int:
    """Show how far the rollout has come, until it is done.

    \b
    minikubectl rollout status deploy/web --timeout=1m
    """
    seconds = parse_duration(timeout)
    for kind, obj in await find(session, resources, **{**chosen, "all_": True}):
        try:
            async with asyncio.timeout(seconds or None):
                await _follow(session.inside(meta.namespace(obj)), Target(kind, (meta.name(obj),)), watch)
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


def _patching(name: str, verb: str, change: Callable[[JSON], JSON], summary: str) -> None:
    """Register a rollout command that is one change of the object."""

    @RESOURCES
    @SELECTION
    @OUTPUT
    async def run(session: Session, resources: tuple[str, ...], form: str, **chosen: Any) -> int:
        sending = Sending(form=form)
        found = await find(session, resources, **{**chosen, "all_": True})
        return await each(session, found, changing(session, change, sending, lambda *_: verb), sending=sending)

    run.__doc__ = summary
    command(rollout, name)(run)


def _restart(obj: JSON) -> JSON:
    if (obj.get("spec") or {}).get("paused"):
        raise Failed(f'deployments.apps "{meta.name(obj)}" can\'t restart paused deployment (run rollout resume first)')
    if not (template := (obj.get("spec") or {}).get("template")):
        raise Failed("restarting is not supported")
    metadata = template.setdefault("metadata", {})
    metadata.setdefault("annotations", {})["kubectl.kubernetes.io/restartedAt"] = meta.now()
    return obj


def _paused(obj: JSON, wanted: bool) -> JSON:
    if obj.get("kind") != "Deployment":
        doing = "pausing" if wanted else "resuming"
        raise Failed(f'{str(obj.get("kind")).lower()}s "{meta.name(obj)}" {doing} is not supported')
    if bool(obj["spec"].get("paused")) == wanted:
        raise Failed(
            f"deployments.apps {meta.name(obj)!r} is {'already' if wanted else 'not'} paused".replace("'", '"')
        )
    obj["spec"].pop("paused", None)
    return {**obj, "spec": {**obj["spec"], **({"paused": True} if wanted else {})}}


_patching("restart", "restarted", _restart, "Replace all pods, as an update of the template would.")
_patching("pause", "paused", lambda obj: _paused(obj, True), "Hold back the rollout of changes.")
_patching("resume", "resumed", lambda obj: _paused(obj, False), "Roll out what was held back.")


async def revisions(session: Session, obj: JSON) -> dict[int, JSON]:
    """What the object has been, by revision, oldest first. Raises Failed for kinds without history."""
    kind, space = obj["kind"], meta.namespace(obj)
    if kind not in ("Deployment", "DaemonSet", "StatefulSet"):
        raise Failed(f'error retrieving history for "{kind}", no visitor method exists for {{ {kind}}}')
    holder = kinds.by_gvk(GVK("apps", "v1", "ReplicaSet" if kind == "Deployment" else "ControllerRevision"))
    selector = str(labels.from_label_selector(obj["spec"]["selector"]))
    listed = await session.client.list(holder, namespace=space, label_selector=selector)
    own = [one for one in listed["items"] if (meta.controller_of(one) or {}).get("uid") == meta.uid(obj)]
    numbered = {int(one.get("revision") or meta.annotations(one).get(REVISION) or 0): one for one in own}
    return dict(sorted(numbered.items()))


def _template(held: JSON) -> JSON:
    """The pod template that a revision keeps, without what its holder added."""
    template = ((held.get("spec") or (held.get("data") or {}).get("spec")) or {}).get("template") or {}
    metadata = dict(template.get("metadata") or {})
    metadata["labels"] = {key: each for key, each in (metadata.get("labels") or {}).items() if key != _HASH}
    return {**template, "metadata": metadata}


def _chosen(numbered: dict[int, JSON], revision: int) -> JSON:
    if revision not in numbered:
        raise Failed(f"unable to find specified revision {revision} in history")
    return numbered[revision]


@command(rollout, "history")
@RESOURCES
@SELECTION
@OUTPUT
@click.option("--revision", type=int, default=0, help="This one in full.")
async def history(session: Session, resources: tuple[str, ...], revision: int, form: str, **chosen: Any) -> int:
    """Show the revisions of a workload.

    \b
    minikubectl rollout history deploy/web
    minikubectl rollout history deploy/web --revision=2
    """
    for kind, obj in await find(session, resources, **{**chosen, "all_": True}):
        numbered = await revisions(session, obj)
        head = f"{shown(kind, meta.name(obj))} "
        if form:
            print_objects([(kind, bare(one)) for one in numbered.values()], form)
        elif revision:
            page = Page()
            page.add(f"{head}with revision #{revision}")
            describe_template(_chosen(numbered, revision)["spec"]["template"], page)
            click.echo(page.text())
        else:
            if not numbered:
                click.echo(f"{head}\nNo rollout history found.")
                continue
            rows = [
                [str(number), meta.annotations(one).get(CHANGE_CAUSE) or "<none>"] for number, one in numbered.items()
            ]
            click.echo("\n".join([head, *grid([["REVISION", "CHANGE-CAUSE"], *rows], padding=2)]) + "\n")
    return session.code


@command(rollout, "undo")
@RESOURCES
@SELECTION
@DRY_RUN
@OUTPUT
@click.option("--to-revision", type=int, default=0, help="Not to the one before, but to this.")
async def undo(
    session: Session, resources: tuple[str, ...], to_revision: int, dry_run: str, form: str, **chosen: Any
) -> int:
    """Go back to an earlier revision, by default to the one before.

    \b
    minikubectl rollout undo deploy/web
    minikubectl rollout undo deploy/web --to-revision=3
    """
    sending = Sending(dry_run, form)

    async def act(kind: Kind, obj: JSON) -> tuple[JSON, str]:
        numbered = await revisions(session, obj)
        if (obj.get("spec") or {}).get("paused"):
            raise Failed(
                "you cannot rollback a paused deployment; resume it first with 'kubectl rollout resume' and try again"
            )
        if not to_revision and len(numbered) < 2:
            raise Failed(f'no rollout history found for {kind.singular} "{meta.name(obj)}"')
        number = to_revision or sorted(numbered)[-2]
        held = _chosen(numbered, number)
        if _template({"spec": obj["spec"]}) == _template(held):
            return obj, f"skipped rollback (current template already matches revision {number})"
        if dry_run == "client":
            return obj, "rolled back"
        if kind.kind == "Deployment":
            body: Any = [{"op": "replace", "path": "/spec/template", "value": _template(held)}]
        else:
            body = held["data"]
        answer = await session.client.patch(
            kind, meta.name(obj), body, namespace=meta.namespace(obj), params=sending.params(),
            content_type=JSON_PATCH if kind.kind == "Deployment" else STRATEGIC_MERGE_PATCH,
        )  # fmt: skip
        return answer, "rolled back"

    found = await find(session, resources, **{**chosen, "all_": True})
    return await each(session, found, act, sending=sending)
