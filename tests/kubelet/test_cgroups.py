"""The levels above a pod's containers, with cgroup v1 and v2 as directories of a test."""

from pathlib import Path
from typing import Any

import pytest

from kubelet.cgroups import Cgroups, files_v1, files_v2, path_of, properties, slice_of
from kubelet.engine import EngineError
from kubelet.resources import Limits, pod_limits
from tests.kubelet.objects import UID, pod

V1 = ("cpu", "memory", "pids", "freezer")


class Daemon:
    def __init__(self, version: str = "1", driver: str = "cgroupfs") -> None:
        self.info: dict[str, Any] | None = {"CgroupVersion": version, "CgroupDriver": driver}

    async def call(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        if self.info is None:
            raise EngineError("no answer")
        return self.info


def resources(**limits: str) -> dict[str, Any]:
    return {"resources": {"limits": limits}}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in V1:
        (tmp_path / name).mkdir()
    (tmp_path / "cpu,cpuacct").symlink_to("cpu")
    return tmp_path


def cgroups(root: Path, daemon: Daemon) -> Cgroups:
    return Cgroups(daemon, root=root)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("containers", "expected"),
    [
        ([{}], Limits(cpu_shares=2)),
        ([resources(cpu="500m", memory="1Mi")], Limits(cpu_shares=512, cpu_quota=50_000, memory_bytes=1 << 20)),
        ([resources(cpu="1"), resources(cpu="1", memory="1Mi")], Limits(cpu_shares=2048, cpu_quota=200_000)),
        ([resources(cpu="1"), {}], Limits(cpu_shares=1024)),
        ([{"resources": {"requests": {"cpu": "250m"}}}], Limits(cpu_shares=256)),
    ],
)
def test_a_pod_is_limited_in_what_all_its_containers_are(containers: list[Any], expected: Limits) -> None:
    assert pod_limits({"containers": containers}) == expected


def test_a_greedy_init_container_widens_the_pod() -> None:
    spec = {"containers": [resources(cpu="1")], "initContainers": [resources(cpu="3")]}
    assert pod_limits(spec).cpu_quota == 300_000


@pytest.mark.parametrize(
    ("qos", "path", "name"),
    [
        ("Guaranteed", "kubepods/poda-b", "kubepods-poda_b.slice"),
        ("Burstable", "kubepods/burstable/poda-b", "kubepods-burstable-poda_b.slice"),
        ("BestEffort", "kubepods/besteffort/poda-b", "kubepods-besteffort-poda_b.slice"),
    ],
)
def test_names_by_class(qos: str, path: str, name: str) -> None:
    assert ("/".join(path_of(qos, "a-b")), slice_of(path_of(qos, "a-b"))) == (path, name)


def test_numbers_of_each_version() -> None:
    limits = Limits(cpu_shares=1024, cpu_quota=50_000, memory_bytes=4096)
    assert files_v1(limits)["cpu"] == {
        "cpu.shares": "1024", "cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": "50000",
    }  # fmt: skip
    assert files_v2(limits) == {"cpu.weight": "39", "cpu.max": "50000 100000", "memory.max": "4096"}
    assert files_v2(Limits(cpu_shares=2)) == {"cpu.weight": "1", "cpu.max": "max 100000", "memory.max": "max"}
    assert properties(limits, version=2) == ["CPUWeight=39", "CPUQuota=50%", "MemoryMax=4096"]
    assert properties(Limits(cpu_shares=2), version=1) == ["CPUShares=2", "CPUQuota=", "MemoryMax=infinity"]


async def test_a_pods_level_is_made_and_removed_in_every_hierarchy(root: Path) -> None:
    made = cgroups(root, Daemon())
    subject = pod({"name": "c", **resources(memory="1Mi")})
    assert await made.parent(subject) == f"/kubepods/burstable/pod{UID}"
    await made.ensure(subject)
    level = f"kubepods/burstable/pod{UID}"
    assert (root / "memory" / level / "memory.limit_in_bytes").read_text() == str(1 << 20)
    for name in V1:
        for file in (root / name / level).glob("*"):
            file.unlink()  # the kernel's files go with their cgroup
        (root / name / level / "container").mkdir(parents=True)
    made.remove(UID)
    assert not list(root.glob(f"*/{level}")) and (root / "cpu/kubepods/burstable").is_dir()


async def test_version_2_hands_controllers_down(tmp_path: Path) -> None:
    made = cgroups(tmp_path, Daemon(version="2"))
    await made.ensure(pod())
    assert (tmp_path / "kubepods/besteffort/cgroup.subtree_control").read_text() == "+cpu +memory +pids"
    assert (tmp_path / f"kubepods/besteffort/pod{UID}/cpu.weight").read_text() == "1"


async def test_levels_share_by_what_their_pods_ask_for(root: Path) -> None:
    made = cgroups(root, Daemon())
    pods = [pod({"name": "c", "resources": {"requests": {"cpu": cpu}}}) for cpu in ("250m", "750m")]
    await made.ensure(pods[0])
    await made.balance([*pods, pod()], {"cpu": "2", "memory": "1Gi"})
    shares = {level: (root / "cpu/kubepods" / level / "cpu.shares").read_text() for level in ("", "burstable")}
    assert shares == {"": "2048", "burstable": "1024"}
    assert (root / "memory/kubepods/memory.limit_in_bytes").read_text() == str(1 << 30)


async def test_where_none_can_be_made_dockers_default_is_left(tmp_path: Path) -> None:
    (tmp_path / "cpu").write_text("not a directory")
    assert await cgroups(tmp_path, Daemon()).parent(pod()) == ""


async def test_a_docker_that_does_not_answer_is_asked_again(root: Path) -> None:
    daemon = Daemon()
    info, daemon.info = daemon.info, None
    made = cgroups(root, daemon)
    assert await made.parent(pod()) == ""
    daemon.info = info
    assert await made.parent(pod()) != ""
