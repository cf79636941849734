"""What a node is short of, whom it evicts, and what it tells."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from kubelet import node, pressure
from kubelet.eviction import Evictor, rank, unused_images
from kubelet.pressure import Amount, Shortage
from kubelet.settings import Settings
from tests.kubelet.fake_docker import World
from tests.kubelet.objects import UID, pod

MIB = 1 << 20


@pytest.mark.parametrize(
    ("available", "limit", "expected"),
    [
        (99 * MIB, "100Mi", [Shortage("memory.available", 100 * MIB, 99 * MIB)]),
        (100 * MIB, "100Mi", []),
        (4 * MIB, "5%", [Shortage("memory.available", 5 * MIB, 4 * MIB)]),
    ],
)
def test_thresholds_are_amounts_or_shares(available: int, limit: str, expected: list[Shortage]) -> None:
    amounts = {"memory.available": Amount(available, 100 * MIB)}
    assert (
        pressure.shortages(amounts, pressure.thresholds(f"memory.available<{limit},imagefs.available<1%")) == expected
    )


def test_what_is_no_threshold_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown eviction signal 'memory'"):
        pressure.thresholds("memory<1Gi")
    assert pressure.thresholds("nodefs.available=7%") == {"nodefs.available": "7%"}  # of a configuration file


def test_conditions_say_what_is_short() -> None:
    rows = {row[0]: row[1:] for row in pressure.conditions([Shortage("nodefs.inodesFree", 5, 1)])}
    assert rows["DiskPressure"] == (True, "KubeletHasDiskPressure", "kubelet has disk pressure")
    assert rows["MemoryPressure"] == (False, "KubeletHasSufficientMemory", "kubelet has sufficient memory available")
    assert rows["PIDPressure"] == (False, "KubeletHasSufficientPID", "kubelet has sufficient PID available")


def test_events_tell_of_conditions_that_turned() -> None:
    calm = node.conditions([], pressure.conditions([]), "", now="T1")
    assert node.turns([], calm) == [
        "NodeHasSufficientMemory", "NodeHasNoDiskPressure", "NodeHasSufficientPID", "NodeReady",
    ]  # fmt: skip
    short = node.conditions(calm, pressure.conditions([Shortage("nodefs.available", 5, 1)]), "", now="T2")
    assert node.turns(calm, short) == ["NodeHasDiskPressure"]


def test_this_machine_can_be_observed(tmp_path: Path) -> None:
    seen = pressure.observe(tmp_path, tmp_path / "missing")
    assert {"memory.available", "nodefs.available", "pid.available"} <= set(seen)
    assert all(0 < amount.available <= amount.capacity for amount in seen.values())


def candidate(name: str, *, asked: str = "0", priority: int = 0) -> dict[str, Any]:
    made = pod({"name": "c", "resources": {"requests": {"memory": asked}}}, priority=priority)
    return {**made, "metadata": {**made["metadata"], "name": name, "uid": name}}


def test_the_greediest_goes_first_and_the_critical_never() -> None:
    pods = [
        candidate("modest", asked="10Mi"),
        candidate("important", priority=100),
        candidate("greedy"),
        candidate("greedier", asked="1Mi"),
        candidate("critical", priority=2_000_000_000),
    ]
    usage = {"modest": 9 * MIB, "important": 50 * MIB, "greedy": 5 * MIB, "greedier": 8 * MIB, "critical": 99 * MIB}
    order = [one["metadata"]["name"] for one in rank(pods, usage, "memory")]
    assert order == ["greedier", "greedy", "important", "modest"]


def test_images_go_that_nobody_uses_and_a_registry_has() -> None:
    images = [
        {"Id": "1", "RepoTags": ["reg/used:1"], "RepoDigests": ["reg/used@sha256:1"]},
        {"Id": "2", "RepoTags": ["reg/old:1", "reg/old:2"], "RepoDigests": ["reg/old@sha256:2"]},
        {"Id": "3", "RepoTags": ["loaded:1"], "RepoDigests": None},
        {"Id": "4", "RepoTags": None, "RepoDigests": ["reg/bare@sha256:4"]},
        {"Id": "5", "RepoTags": ["loaded:2", "reg:5000/same:1"], "RepoDigests": ["reg:5000/same@sha256:5"]},
    ]
    removed = unused_images(images, [{"ImageID": "1"}])
    assert removed == ["reg/old:1", "reg/old:2", "reg/bare@sha256:4", "reg:5000/same:1"]


class Engine:
    """Docker with unused images; what is called is kept."""

    def __init__(self, *images: str) -> None:
        self.images = [
            {"Id": name, "RepoTags": [name], "RepoDigests": [f"{name.rpartition(':')[0]}@x"]} for name in images
        ]
        self.deleted: list[str] = []

    async def call(self, method: str, path: str, **options: Any) -> Any:
        if method == "DELETE":
            self.deleted.append(path)
            return None
        return self.images if path == "/images/json" else []


class Workers:
    """Pods that hold resources, and which of them were evicted."""

    def __init__(self, *pods: dict[str, Any]) -> None:
        self.pods, self.evicted = pods, list[tuple[str, str]]()

    def admitted(self) -> tuple[dict[str, Any], ...]:
        return self.pods

    async def evict(self, uid: str, message: str, *, timeout_seconds: float) -> None:
        self.evicted.append((uid, message))


async def test_on_a_full_disk_images_go_before_pods(tmp_path: Path) -> None:
    async def nothing() -> dict[str, Any]:
        return {}

    engine, workers, told, turns = Engine("reg/old:1"), Workers(candidate("web")), list[str](), list[int]()
    settings = Settings(node_name="n", node_ips=("10.0.0.1",), kubeconfig=Path("/x"), root_dir=tmp_path)
    runtime: Any = SimpleNamespace(engine=engine, pods=nothing)
    evictor = Evictor(
        settings, runtime, workers,  # type: ignore[arg-type]
        record=lambda *event: told.append(event[1]), turned=lambda: turns.append(1),
        clock=lambda: now,
    )  # fmt: skip
    now = 0.0
    full = [Shortage("nodefs.available", 10 << 10, 1 << 10)]
    await evictor.look(full)
    assert engine.deleted == ["/images/reg/old:1"] and workers.evicted == []
    engine.images = []
    await evictor.look(full)
    assert workers.evicted == []  # it may be over in a moment
    now = 31.0
    await evictor.look(full)
    message = "The node was low on resource: ephemeral-storage. Threshold quantity: 10Ki, available: 1Ki. "
    assert workers.evicted == [("web", message)]
    await evictor.look([])
    assert told == ["EvictionThresholdMet"] * 3 and len(turns) == 2  # it began, it ended


async def test_an_empty_dir_that_outgrows_its_limit_costs_its_pod(tmp_path: Path) -> None:
    volumes = [{"name": n, "emptyDir": {"sizeLimit": "8Ki"}} for n in ("small", "big")]
    subject = pod(volumes=[*volumes, {"name": "memory", "emptyDir": {"sizeLimit": "8Ki", "medium": "Memory"}}])
    settings = Settings(node_name="n", node_ips=("10.0.0.1",), kubeconfig=Path("/x"), root_dir=tmp_path)
    for name, size in (("small", 100), ("big", 20_000), ("memory", 20_000)):
        folder = settings.pod_dir(UID) / "volumes/kubernetes.io~empty-dir" / name
        folder.mkdir(parents=True)
        (folder / "f").write_bytes(b"x" * size)
    workers = Workers(subject)
    evictor = Evictor(settings, None, workers, record=print, turned=lambda: None)  # type: ignore[arg-type]
    await evictor._hold_to_limits()
    assert workers.evicted == [(UID, 'Usage of EmptyDir volume "big" exceeds the limit "8Ki". ')]


async def test_an_evicted_pod_fails_and_is_not_started_again(tmp_path: Path) -> None:
    async with World(pod(), tmp_path) as world:
        await world.until(world.api.ready)
        world.worker.evict("The node was low on resource: memory. ")
        await world.until(lambda: world.api.pod["status"]["phase"] == "Failed")  # type: ignore[index]
        assert world.api.pod is not None and world.api.pod["status"]["reason"] == "Evicted"
        assert world.docker.names() == [] and not world.worker.holds_resources and "Evicted" in world.events
