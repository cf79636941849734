"""The flow that most verbs share: find objects, change each, send the difference, say in a word what was done.

A verb gives a function from the object as it is to the object as it should be (pure, so that tests compare values) or,
where more than a patch is to be sent, a coroutine that does it and gives the word.
"""

import copy
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import click

from apimachinery import meta
from apimachinery.definitions import Type, typed
from apimachinery.errors import StatusError
from apimachinery.kinds import GVK, Kind
from apimachinery.threeway import three_way
from kubeclient.errors import Unreachable
from kubeclient.rest import MERGE_PATCH, STRATEGIC_MERGE_PATCH
from minikubectl.getting import NO_NAME, Found, find_targets, objects_of
from minikubectl.manifests import read
from minikubectl.options import Sending
from minikubectl.output import bare, print_objects
from minikubectl.resources import Target, shown
from minikubectl.session import Failed, Session

JSON = dict[str, Any]
Act = Callable[[Kind, JSON], Awaitable[tuple[JSON, str]]]  # → (the object as it now is, what was done; "": nothing)
Change = Callable[[JSON], JSON]


def schema_of(obj: JSON) -> Type | None:
    """The official schema of the object's kind; None for custom resources."""
    try:
        return typed(GVK.of(obj["apiVersion"], obj["kind"]))
    except KeyError:
        return None


async def find(
    session: Session,
    resources: Sequence[str],
    *,
    files: tuple[str, ...] = (),
    recursive: bool = False,
    label_selector: str = "",
    field_selector: str = "",
    all_: bool = False,
    everywhere: bool = False,
) -> Found:
    """The live objects that words, manifests or a selector name; for one that isn't there an error is said."""
    if files:
        manifests, problems = read(files, recursive=recursive)
        if problems:
            raise Failed("\nerror: ".join(map(str, problems)))
        targets = []
        for each in manifests:
            kind = await session.catalog.of(each.object["apiVersion"], each.object["kind"])
            if kind is None:
                raise Failed(str(each.problem("kind", f'no matches for kind "{each.object["kind"]}"')))
            targets.append((meta.namespace(each.object) or None, Target(kind, (meta.name(each.object),))))
    else:
        targets = [(None, each) for each in await find_targets(session, tuple(resources))]
    found: Found = []
    for space, target in targets:
        if not target.names and not (label_selector or field_selector or all_):
            raise Failed(NO_NAME)
        for part in [Target(target.kind, (name,)) for name in target.names] or [target]:
            try:
                objects = await objects_of(
                    session.inside(space), part, label_selector=label_selector, field_selector=field_selector,
                    everywhere=everywhere,
                )  # fmt: skip
            except StatusError as error:
                session.fail(error)
                continue
            found += [(target.kind, obj) for obj in objects]
    return found


async def each(session: Session, found: Found, act: Act, *, sending: Sending) -> int:
    """Do something to every object found, and say so; one that fails doesn't keep the others from it."""
    done: Found = []
    for kind, obj in found:
        try:
            answer, verb = await act(kind, obj)
        except (StatusError, Unreachable, Failed) as error:
            session.fail(error)
            continue
        done.append((kind, bare(answer)))
        if verb and not sending.form:
            say(kind, answer, f"{verb}{sending.suffix}")
    if sending.form and done:
        print_objects(done, sending.form, single=len(done) == 1)
    return session.code


def say(kind: Kind, obj: JSON, what: str) -> None:
    click.echo(f"{shown(kind, meta.name(obj))} {what}")


async def send(
    session: Session, kind: Kind, before: JSON, after: JSON, sending: Sending, *, strict: bool = False
) -> JSON:
    """Patch the object from what it was to what it should be; nothing is sent where both are the same."""
    schema = schema_of(before)
    patch = three_way(before, after, before, schema)
    if not patch or sending.dry_run == "client":
        return after
    return await session.client.patch(
        kind,
        meta.name(before),
        patch,
        namespace=meta.namespace(before) or None,
        content_type=STRATEGIC_MERGE_PATCH if schema else MERGE_PATCH,
        params={**sending.params(), **({"fieldValidation": "Strict"} if strict else {})},
    )


def changing(
    session: Session, change: Change, sending: Sending, said: Callable[[JSON, JSON], str], *, local: bool = False
) -> Act:
    """The act that sends what `change` makes of an object; `said` words it from before and after."""

    async def act(kind: Kind, before: JSON) -> tuple[JSON, str]:
        after = change(copy.deepcopy(before))
        answer = after if local else await send(session, kind, before, after, sending)
        return answer, said(before, after)

    return act


def pod_spec(obj: JSON) -> JSON:
    """The pod spec within a pod, a workload or a CronJob. Raises Failed."""
    return pod_template(obj)["spec"] if obj.get("kind") != "Pod" else obj["spec"]  # type: ignore[no-any-return]


def pod_template(obj: JSON) -> JSON:
    """The pod template of a workload. Raises Failed."""
    spec = obj.get("spec") or {}
    template = (((spec.get("jobTemplate") or {}).get("spec")) or spec).get("template")
    if not template:
        raise Failed(f"{str(obj.get('kind')).lower()}/{meta.name(obj)} has no pod template")
    found: JSON = template
    return found
