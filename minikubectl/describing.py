"""`describe`: one object as a page to read, with the events about it.

Pods have a page of their own; everything else is its own fields, named in words and indented, as kubectl does for kinds
that it doesn't know.
"""

from datetime import UTC, datetime
from typing import Any, Final

import click

from apimachinery import kinds, meta
from apimachinery.errors import NotFound, StatusError
from apimachinery.printers.cells import since
from minikubectl.cli import cli
from minikubectl.describing_pods import describe_pod
from minikubectl.getting import find_targets, objects_of
from minikubectl.options import EVERYWHERE, LABEL_SELECTOR, RESOURCES
from minikubectl.output import bare
from minikubectl.pages import NONE, Page, mapping
from minikubectl.resources import Target
from minikubectl.session import Session, command

JSON = dict[str, Any]

_EVENTS_MAX: Final = 100
_IN_HEAD: Final = ("labels", "annotations", "name", "namespace")


@command(cli, "describe")
@RESOURCES
@LABEL_SELECTOR
@EVERYWHERE
@click.option("--show-events/--no-show-events", default=True, help="With the events about it.")
async def describe(session: Session, resources: tuple[str, ...], show_events: bool, **chosen: Any) -> int:
    """Show objects in full: TYPE [NAME...], TYPE/NAME ..., or TYPE with the beginning of a name.

    \b
    minikubectl describe pod web
    """
    pages: list[str] = []
    for target in await find_targets(session, resources):
        for obj in await _found(session, target, chosen):
            page = Page()
            if obj.get("kind") == "Pod":
                describe_pod(obj, page)
            else:
                _describe_fields(obj, page)
            if show_events:
                await _describe_events(session, obj, page)
            pages.append(page.text())
    if not pages and not session.failures:
        session.say_nothing_found(everywhere=chosen["everywhere"])
    click.echo("\n\n".join(pages), nl=False)
    return session.code


async def _found(session: Session, target: Target, chosen: JSON) -> list[JSON]:
    """The objects; where there is none of a name, those whose name begins with it."""
    if not target.names:
        return await objects_of(session, target, **chosen)
    found: list[JSON] = []
    for name in target.names:
        try:
            found += await objects_of(session, Target(target.kind, (name,)))
        except NotFound as error:
            every = await objects_of(session, Target(target.kind))
            alike = [obj for obj in every if meta.name(obj).startswith(name)]
            if not alike:
                session.fail(error)
            found += alike
    return found


def _describe_fields(obj: JSON, page: Page) -> None:
    page.block(
        [
            ("Name", meta.name(obj)),
            *([("Namespace", meta.namespace(obj))] if meta.namespace(obj) else []),
            ("Labels", mapping(meta.labels(obj))),
            ("Annotations", mapping(meta.annotations(obj), ": ")),
            ("API Version", str(obj.get("apiVersion") or "")),
            ("Kind", str(obj.get("kind") or "")),
        ]
    )
    plain = bare(obj)
    rest = {key: each for key, each in plain.items() if key not in ("apiVersion", "kind", "metadata")}
    metadata = {key: each for key, each in meta.metadata(plain).items() if key not in _IN_HEAD}
    if obj.get("kind") == "Secret":
        rest["data"] = {key: f"{len(each) * 3 // 4} bytes" for key, each in (obj.get("data") or {}).items()}
    page.fields({"metadata": metadata, **rest})


async def _describe_events(session: Session, obj: JSON, page: Page) -> None:
    about = {"name": meta.name(obj), "uid": meta.uid(obj), "kind": obj.get("kind")}
    selector = ",".join(f"involvedObject.{key}={value}" for key, value in about.items() if value)
    if obj.get("kind") == "Node":  # kubelets' events about their node carry its name as the UID
        selector = f"involvedObject.kind=Node,involvedObject.name={meta.name(obj)}"
    try:
        listed = await session.client.list(
            kinds.CORE_EVENT, namespace=meta.namespace(obj) or None, field_selector=selector, limit=_EVENTS_MAX
        )
    except StatusError:
        page.add("Events:  <unknown>")
        return
    now = datetime.now(UTC)
    rows = [["Type", "Reason", "Age", "From", "Message"]]
    for event in sorted(listed["items"], key=last_seen):
        source = (event.get("source") or {}).get("component") or event.get("reportingComponent") or NONE
        message = str(event.get("message") or "").strip().replace("\n", " ")
        rows.append([str(event.get("type")), str(event.get("reason")), event_age(event, now), source, message])
    page.table("Events", rows)


def last_seen(event: JSON) -> str:
    series = (event.get("series") or {}).get("lastObservedTime")
    return str(series or event.get("lastTimestamp") or event.get("eventTime") or "")


def event_age(event: JSON, now: datetime) -> str:
    count = int((event.get("series") or {}).get("count") or event.get("count") or 1)
    first = event.get("firstTimestamp") or event.get("eventTime") or meta.metadata(event).get("creationTimestamp")
    last = since(last_seen(event) or None, now)
    return f"{last} (x{count} over {since(first, now)})" if count > 1 else last
