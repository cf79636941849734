"""`apply --wait`: what is still missing, live on a terminal and line by line elsewhere, until all is in effect."""

import asyncio
import sys
import time
from collections.abc import Sequence
from typing import Any, Final

import click
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from apimachinery import kinds, meta
from apimachinery.errors import NotFound
from apimachinery.kinds import Kind
from minikubectl.pods import selector_of
from minikubectl.readiness import State, pod_trouble, state_of
from minikubectl.resources import shown
from minikubectl.session import Session

JSON = dict[str, Any]

POLL_SECONDS: Final = 0.4
_TROUBLES_SHOWN: Final = 3


async def wait_for(session: Session, found: Sequence[tuple[Kind, JSON]], *, timeout_seconds: float) -> bool:
    """Wait until every object is in effect. False, with what is missing on stderr, if it fails or takes too long."""
    began = time.monotonic()
    states: dict[str, State] = {}
    view = _View()
    with view:
        while True:
            await _look(session, found, states)
            view.show(states, time.monotonic() - began)
            missing = {name: state for name, state in states.items() if not state.done}
            if not missing or all(state.failed for state in missing.values()):
                break
            if time.monotonic() - began >= timeout_seconds:
                break
            await asyncio.sleep(POLL_SECONDS)
    if view.is_live and not missing:
        click.echo(f"all in effect after {time.monotonic() - began:.1f} s", err=True)
    for name, state in missing.items():
        why = state.text if state.failed else f"timed out waiting: {state.text}"
        click.echo(f"error: {name}: {why}", err=True)
    return not missing


async def _look(session: Session, found: Sequence[tuple[Kind, JSON]], states: dict[str, State]) -> None:
    for kind, obj in found:
        name = shown(kind, meta.name(obj))
        if (known := states.get(name)) and (known.done or known.failed):
            continue
        try:
            current = await session.client.get(kind, meta.name(obj), namespace=meta.namespace(obj) or None)
        except NotFound:
            states[name] = State(False, "is gone: deleted meanwhile", failed=True)
            continue
        state = state_of(current)
        if not state.done and not state.failed and (troubles := await _troubles(session, current)):
            state = State(False, f"{state.text}\n  {troubles}")
        states[name] = state


async def _troubles(session: Session, owner: JSON) -> str:
    """What the pods of a workload say that isn't ready yet."""
    if owner.get("kind") == "Pod":
        return ""
    selector = selector_of(owner)
    if not selector:
        return ""
    pods = await session.client.list(kinds.POD, namespace=meta.namespace(owner), label_selector=selector)
    said = []
    for pod in pods["items"]:
        if not meta.is_condition_true(pod, "Ready") and (why := pod_trouble(pod)):
            said.append(f"pod/{meta.name(pod)}: {why}"[:200])
    more = len(said) - _TROUBLES_SHOWN
    return "\n  ".join([*said[:_TROUBLES_SHOWN], *([f"and {more} more"] if more > 0 else [])])


class _View:
    """A live table on a terminal; elsewhere a line whenever an object's state changes."""

    def __init__(self) -> None:
        self._live = Live(console=Console(stderr=True), transient=True) if sys.stderr.isatty() else None
        self._said: dict[str, State] = {}

    @property
    def is_live(self) -> bool:
        return self._live is not None

    def __enter__(self) -> "_View":
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    def show(self, states: dict[str, State], seconds: float) -> None:
        if self._live:
            self._live.update(_drawn(states, seconds))
        for name, state in states.items():
            if self._said.get(name) != state and not self._live:
                click.echo(f"{name}: {state.text} ({seconds:.1f}s)", err=True)
            self._said[name] = state


def _drawn(states: dict[str, State], seconds: float) -> Table:
    table = Table.grid(padding=(0, 2))
    for name, state in states.items():
        mark, style = ("✓", "green") if state.done else ("✗", "red") if state.failed else ("…", "yellow")
        table.add_row(Text(mark, style=style), Text(name), Text(state.text, style=style))
    done = sum(state.done for state in states.values())
    table.add_row("", Text(f"{done} of {len(states)} in effect, {seconds:.0f} s", style="dim"), "")
    return table
