"""`label`, `annotate`, `taint`: words `KEY=VALUE` set, `KEY-` removes."""

from collections.abc import Callable
from typing import Any

import click

from apimachinery import meta
from minikubectl.cli import cli
from minikubectl.mutating import changing, each, find
from minikubectl.options import EVERYWHERE, FIELD_SELECTOR, RESOURCES, SELECTION, SENDING, Sending, together
from minikubectl.session import Failed, Session, command

JSON = dict[str, Any]
Pairs = dict[str, str | None]  # None: to be removed

_OVERWRITE = click.option("--overwrite", is_flag=True, help="Also where there is another value.")
_FLAGS = together(RESOURCES, SELECTION, FIELD_SELECTOR, EVERYWHERE, _OVERWRITE, SENDING)


def split(words: tuple[str, ...], noun: str) -> tuple[tuple[str, ...], Pairs]:
    """The words that name resources, and the changes after them. Raises Failed."""
    resources: list[str] = []
    pairs: Pairs = {}
    for word in words:
        key, equals, value = word.partition("=")
        if equals and key:
            pairs[key] = value
        elif word.endswith("-") and len(word) > 1:
            pairs[word[:-1]] = None
        elif pairs:
            raise Failed(f"all resources must be specified before {noun} changes: {word}")
        else:
            resources.append(word)
    return tuple(resources), pairs


def _setting(field: str, pairs: Pairs, overwrite: bool) -> Callable[[JSON], JSON]:
    """Change a map of metadata; a value that is there already stays, unless overwriting."""

    def change(obj: JSON) -> JSON:
        held = dict(meta.metadata(obj).get(field) or {})
        taken = [key for key, value in pairs.items() if value is not None and held.get(key, value) != value]
        if taken and not overwrite:
            if field == "labels":
                raise Failed(f"'{taken[0]}' already has a value ({held[taken[0]]}), and --overwrite is false")
            said = "; ".join(f"'{key}' already has a value ({held[key]})" for key in taken)
            raise Failed(f"--overwrite is false but found the following declared annotation(s): {said}")
        for key, value in pairs.items():
            if value is not None:
                held[key] = value
            elif held.pop(key, None) is None and field == "labels":
                click.echo(f'label "{key}" not found.')
        obj["metadata"][field] = held
        return obj

    return change


def _labelled(before: JSON, after: JSON) -> str:
    old, new = meta.labels(before), meta.labels(after)
    if old == new:
        return "not labeled"
    return "unlabeled" if old.items() >= new.items() else "labeled"


async def _apply(
    session: Session,
    words: tuple[str, ...],
    field: str,
    said: Callable[[JSON, JSON], str],
    *,
    overwrite: bool,
    list_: bool,
    local: bool,
    **flags: Any,
) -> int:
    noun = field[:-1]
    resources, pairs = split(words, noun)
    sending = Sending.taken(flags)
    found = await find(session, resources, **flags)
    if list_:
        for kind, obj in found:
            if len(found) > 1:
                click.echo(f"Listing {field} for {kind.kind}.{kind.group}/{meta.name(obj)}:".replace("./", "/"))
            for key, value in sorted((meta.metadata(obj).get(field) or {}).items()):
                click.echo(f"{'' if len(found) == 1 else ' '}{key}={value}")
        return session.code
    if not pairs:
        raise Failed(f"at least one {noun} update is required")
    act = changing(session, _setting(field, pairs, overwrite), sending, said, local=local)
    return await each(session, found, act, sending=sending)


_MORE = together(
    click.option("--list", "list_", is_flag=True, help="Show what there is."),
    click.option("--local", is_flag=True, help="Without sending anything."),
)


@command(cli, "label")
@_FLAGS
@_MORE
async def label(session: Session, resources: tuple[str, ...], **flags: Any) -> int:
    """Set or remove labels: TYPE NAME KEY=VALUE ... KEY- ...

    \b
    minikubectl label pod web-1 tier=front
    minikubectl label nodes --all disk-              remove it
    minikubectl label pod web-1 tier=back --overwrite
    """
    return await _apply(session, resources, "labels", _labelled, **flags)


@command(cli, "annotate")
@_FLAGS
@_MORE
async def annotate(session: Session, resources: tuple[str, ...], **flags: Any) -> int:
    """Set or remove annotations: TYPE NAME KEY=VALUE ... KEY- ...

    \b
    minikubectl annotate deploy web kubernetes.io/change-cause="new logo"
    """
    return await _apply(session, resources, "annotations", lambda _, after: "annotated", **flags)


@command(cli, "taint")
@together(
    RESOURCES,
    click.option("-l", "--selector", "label_selector", default=""),
    click.option("--all", "all_", is_flag=True),
)
@_OVERWRITE
@SENDING
async def taint(session: Session, resources: tuple[str, ...], overwrite: bool, **flags: Any) -> int:
    """Keep pods off nodes: NODE KEY=VALUE:EFFECT, or KEY:EFFECT- and KEY- to remove it.

    \b
    minikubectl taint nodes worker1 disk=slow:NoSchedule
    minikubectl taint nodes worker1 disk-
    """
    at = next((at for at, word in enumerate(resources) if ":" in word or "=" in word or word.endswith("-")), None)
    if at is None:
        raise Failed("at least one taint update is required")
    words, sending = resources[at:], Sending.taken(flags)
    removed = any(word.endswith("-") for word in words)
    added = any(not word.endswith("-") for word in words)
    verb = "modified" if overwrite or (removed and added) else "untainted" if removed else "tainted"
    found = await find(session, resources[:at], **flags)
    act = changing(session, lambda node: tainted(node, words, overwrite=overwrite), sending, lambda *_: verb)
    return await each(session, found, act, sending=sending)


_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")


def tainted(node: JSON, words: tuple[str, ...], *, overwrite: bool) -> JSON:
    """The node with taints set and removed. Raises Failed."""
    taints = list((node.get("spec") or {}).get("taints") or ())
    for word in words:
        text, _, effect = word.removesuffix("-").partition(":")
        key, _, value = text.partition("=")
        if effect and effect not in _EFFECTS:
            raise Failed(f"invalid taint effect: {effect}, unsupported taint effect")
        if word.endswith("-"):
            kept = [each for each in taints if each["key"] != key or effect not in ("", each["effect"])]
            if kept == taints:
                raise Failed(f'taint "{text}{":" if effect else ""}{effect}" not found')
            taints = kept
            continue
        if not effect:
            raise Failed(f"invalid taint spec: {word}")
        same = [each for each in taints if each["key"] == key and each["effect"] == effect]
        if same and not overwrite:
            raise Failed(
                f"node {meta.name(node)} already has {key} taint(s) with same effect(s) and --overwrite is false"
            )
        taints = [each for each in taints if each not in same]
        taints.append({"key": key, "effect": effect, **({"value": value} if value else {})})
    node["spec"] = {**(node.get("spec") or {}), "taints": taints}
    return node
