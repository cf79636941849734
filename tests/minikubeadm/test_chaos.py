"""What `minikubeadm chaos` draws, what it says of two looks at a cluster, and when it takes it for recovered."""

import asyncio
import random

import pytest

from minikubeadm.chaos import faults, observing, running
from minikubeadm.chaos.observing import Pod, Snapshot
from minikubeadm.process import StepFailed

ROLES = {"c-control-plane": "control-plane", "c-worker": "worker", "c-worker2": "worker"}
WELL = Snapshot("", {"n1": "", "n2": ""}, {"u1": Pod("ns/a", "n1", True, False), "u2": Pod("ns/b", "n2", True, False)})


def drawn(seed: int, **wish: object) -> running.Strike:
    return running.draw(random.Random(seed), running.Wish("c", **{"fault": "random", **wish}), ROLES)  # type: ignore[arg-type]


def test_the_same_seed_draws_the_same() -> None:
    assert [drawn(seed) for seed in range(20)] == [drawn(seed) for seed in range(20)]
    assert len({drawn(seed).fault.name for seed in range(200)}) == len(faults.FAULTS)


def test_what_is_drawn_fits_the_node() -> None:
    for seed in range(200):
        strike = drawn(seed)
        role = ROLES[strike.node]
        assert role in strike.fault.roles
        assert strike.unit == "" or strike.unit in faults.SERVICES[role]


def test_what_the_user_names_is_taken() -> None:
    strike = drawn(1, fault="kill-service", node="c-worker2", service="docker")
    assert str(strike) == "kill-service docker on c-worker2"


def test_a_service_is_killed_where_it_is() -> None:
    assert {drawn(seed, fault="kill-service", service="mini-etcd").node for seed in range(20)} == {"c-control-plane"}


def test_a_fault_that_does_not_fit_the_node_is_refused() -> None:
    with pytest.raises(StepFailed, match="slow-etcd fits no node c-worker"):
        drawn(1, fault="slow-etcd", node="c-worker")


def test_every_change_is_told() -> None:
    now = Snapshot(
        "[-]etcd failed",
        {"n1": "Ready is Unknown: Kubelet stopped posting node status.", "n2": ""},
        {"u1": Pod("ns/a", "n1", False, True), "u3": Pod("ns/c", "n2", True, False)},
    )
    assert observing.changes(WELL, now) == [
        "API server: [-]etcd failed",
        "node n1: Ready is Unknown: Kubelet stopped posting node status.",
        "pod ns/a on n1 is being deleted",
        "pod ns/a on n1 is not Ready",
        "pod ns/b on n2 is gone",
        "pod ns/c on n2 is new and Ready",
    ]
    assert observing.changes(WELL, WELL) == []


@pytest.mark.parametrize(
    ("now", "missing"),
    [
        (WELL, []),
        (Snapshot("", WELL.nodes, {"u7": Pod("ns/z", "n1", True, False), **WELL.pods}), []),
        (Snapshot("no answer", WELL.nodes, WELL.pods), ["API server: no answer"]),
        (Snapshot("", {"n1": ""}, WELL.pods), ["node n2: gone"]),
        (Snapshot("", WELL.nodes, {"u1": WELL.pods["u1"]}), ["1 pods of ns"]),
    ],
)
def test_recovered_is_what_was_there_being_there_again(now: Snapshot, missing: list[str]) -> None:
    assert observing.lacking(WELL, now) == missing


async def test_a_fault_is_undone_when_its_wait_is_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []

    async def record(*argv: str, what: str = "") -> str:
        ran.append(argv[-1])
        return ""

    monkeypatch.setattr("minikubeadm.process.run", record)
    begun = asyncio.Event()

    async def work() -> None:
        async with faults.during(faults.FAULTS["hang-docker"], "n"):
            begun.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await begun.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert [("STOP" in script, "CONT" in script) for script in ran] == [(True, False), (False, True)]
