"""A Docker that hangs or restarts, and a clock that is set: what the node says of it, and what it does all the same."""

import asyncio
from typing import Any

import pytest

from kubelet import node, pleg
from kubelet.backoff import Backoff
from kubelet.engine import EngineError
from kubelet.handlers import Outcome
from kubelet.pleg import Pleg
from kubelet.probes import Probes
from tests.kubelet.objects import UID, observed, pod, run


class Daemon:
    """Docker as the relisting sees it; `states` fails, hangs or answers as told."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)
        self.now = 0.0
        self.done = asyncio.Event()

    async def states(self) -> dict[str, Any]:
        if not self.answers:
            self.done.set()
            await asyncio.Event().wait()
        answer = self.answers.pop(0)
        self.now += 10
        if answer == "hangs":
            await asyncio.Event().wait()
        if answer == "refuses":
            raise EngineError("no such socket")
        return {}


async def health(monkeypatch: pytest.MonkeyPatch, *answers: str) -> list[bool]:
    """How the node's health turns while Docker answers so, every ten seconds."""
    for name in ("RELIST_SECONDS", "RECONNECT_SECONDS"):
        monkeypatch.setattr(pleg, name, 0.0)
    monkeypatch.setattr(pleg, "RELIST_TIMEOUT_SECONDS", 0.01)
    daemon, seen = Daemon(*answers), []
    made = Pleg(
        None,
        daemon,
        lambda _: None,
        turned=lambda: seen.append(made.healthy),
        clock=lambda: daemon.now,  # type: ignore[arg-type]
    )
    relisting = asyncio.create_task(made._relist_forever())
    await asyncio.wait_for(daemon.done.wait(), 10)
    relisting.cancel()
    return seen


async def test_a_docker_that_restarts_is_no_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    assert await health(monkeypatch, "answers", "refuses", "refuses", "answers") == [True]


@pytest.mark.parametrize("trouble", ["hangs", "refuses"])
async def test_a_docker_that_is_silent_for_long_makes_the_node_unready_until_it_answers(
    monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    assert await health(monkeypatch, "answers", *[trouble] * 4, "answers") == [True, False, True]


def test_conditions_that_turn_are_events() -> None:
    calm = [("DiskPressure", False, "KubeletHasNoDiskPressure", "")]
    full = [("DiskPressure", True, "KubeletHasDiskPressure", "")]
    first = node.conditions([], calm, "", now="T1")
    second = node.conditions(first, full, "container runtime is down", now="T2")
    assert node.turns([], first) == ["NodeHasNoDiskPressure", "NodeReady"]
    assert node.turns(first, first) == []
    assert node.turns(first, second) == ["NodeHasDiskPressure", "NodeNotReady"]


def test_a_clock_that_was_set_back_does_not_prolong_a_back_off() -> None:
    now = 5000.0
    backoff = Backoff(initial=10, longest=300, clock=lambda: now)
    backoff.failed("c", 4999.0)
    assert backoff.remaining("c", 4999.0) == 9.0
    now = 1400.0
    assert backoff.remaining("c", 4999.0) == 0.0


async def test_a_clock_that_was_set_back_does_not_hold_probes_off() -> None:
    asked = asyncio.Event()

    class Handlers:
        async def perform(self, *_: Any, **__: Any) -> Outcome:
            asked.set()
            return Outcome(True, "")

    state = observed(run("c", started_at="2999-01-01T00:00:00Z"))
    probed = pod({"name": "c", "readinessProbe": {"periodSeconds": 1}})
    async with asyncio.TaskGroup() as group:
        probes = Probes(group, Handlers(), wake=lambda _: None, record=lambda *_: None)  # type: ignore[arg-type]
        probes.sync(probed, state, ("10.0.0.1",))
        await asyncio.wait_for(asked.wait(), 10)
        probes.stop(UID)
