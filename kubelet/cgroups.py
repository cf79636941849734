"""The cgroups above a pod's containers: kubepods, a level for each QoS class, and one for each pod.

    kubepods/pod<uid>  kubepods/burstable/pod<uid>  kubepods/besteffort/pod<uid>

So a node's pods together get no more than is allocatable, best-effort pods get CPU time only where nobody else wants
it, and a pod is limited as a whole. Docker puts containers below (`--cgroup-parent`). Which version and which driver
Docker uses is asked once; with the systemd driver the levels are slices, with cgroupfs directories that are made here.
"""

import asyncio
import logging
import os
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

from apimachinery import meta, quantity
from apimachinery.meta import JSON

from . import resources
from .engine import Engine, EngineError
from .resources import Limits

log = logging.getLogger(__name__)

ROOT = Path("/sys/fs/cgroup")
LEVELS = {resources.GUARANTEED: (), resources.BURSTABLE: ("burstable",), resources.BEST_EFFORT: ("besteffort",)}
CONTROLLERS = ("cpu", "memory", "pids")
SYSTEMCTL_TIMEOUT_SECONDS = 20.0
ENGINE_SECONDS = 10.0


def path_of(qos: str, uid: str) -> tuple[str, ...]:
    """The levels from kubepods to the pod."""
    return ("kubepods", *LEVELS[qos], f"pod{uid}")


def slice_of(levels: Iterable[str]) -> str:
    """The same as the name of a systemd slice, in which dashes separate levels."""
    return "-".join(level.replace("-", "_") for level in levels) + ".slice"


def files_v1(limits: Limits) -> dict[str, dict[str, str]]:
    """Controller -> file -> content."""
    cpu = {"cpu.shares": str(limits.cpu_shares)}
    cpu |= {
        "cpu.cfs_period_us": str(resources.CPU_PERIOD_MICROSECONDS),
        "cpu.cfs_quota_us": str(limits.cpu_quota or -1),
    }
    return {"cpu": cpu, "memory": {"memory.limit_in_bytes": str(limits.memory_bytes or -1)}, "pids": {}}


def files_v2(limits: Limits) -> dict[str, str]:
    """File -> content."""
    return {
        "cpu.weight": str(weight(limits.cpu_shares)),
        "cpu.max": f"{limits.cpu_quota or 'max'} {resources.CPU_PERIOD_MICROSECONDS}",
        "memory.max": str(limits.memory_bytes or "max"),
    }


def properties(limits: Limits, *, version: int) -> list[str]:
    """As properties of a slice."""
    cpu = f"CPUShares={limits.cpu_shares}" if version == 1 else f"CPUWeight={weight(limits.cpu_shares)}"
    percent = limits.cpu_quota * 100 / resources.CPU_PERIOD_MICROSECONDS
    return [
        cpu,
        f"CPUQuota={percent:g}%" if limits.cpu_quota else "CPUQuota=",
        f"MemoryMax={limits.memory_bytes or 'infinity'}",
    ]


def weight(shares: int) -> int:
    """cpu.weight (1 to 10,000) for cpu.shares (2 to 262,144)."""
    return 1 + (shares - 2) * 9999 // 262_142


class Cgroups:
    """The cgroups of one node. Where they can't be made, Docker's own default is left, said once in the log."""

    def __init__(self, engine: Engine, *, root: Path = ROOT) -> None:
        self._engine = engine
        self._root = root
        self._systemd = False
        self._version = 0  # 0 until asked, -1 where nothing can be done
        self._asking = asyncio.Lock()

    async def parent(self, pod: JSON) -> str:
        """Docker's CgroupParent for a pod's containers, "" for its default."""
        async with self._asking:
            if self._version == 0:
                await self._ask()
        if self._version <= 0:
            return ""
        levels = path_of(resources.qos_class(pod["spec"]), meta.uid(pod))
        return slice_of(levels) if self._systemd else f"/{'/'.join(levels)}"

    async def ensure(self, pod: JSON) -> None:
        """Make the pod's level with its limits."""
        if await self.parent(pod):
            levels = path_of(resources.qos_class(pod["spec"]), meta.uid(pod))
            await asyncio.to_thread(self._try, levels, resources.pod_limits(pod["spec"]))

    async def balance(self, pods: Iterable[JSON], allocatable: Mapping[str, str]) -> None:
        """The levels above the pods: what the node has for them all, and the class's CPU shares."""
        if self._version <= 0:
            return
        burstable = (p["spec"] for p in pods if resources.qos_class(p["spec"]) == resources.BURSTABLE)
        shares = resources.cpu_shares(sum(resources.pod_requests(spec).get("cpu", 0) for spec in burstable))
        whole = Limits(
            cpu_shares=resources.cpu_shares(quantity.milli(allocatable.get("cpu", 0))),
            memory_bytes=quantity.value(allocatable.get("memory", 0)),
        )
        rows = (("kubepods",), whole), (("kubepods", "burstable"), Limits(cpu_shares=shares))
        for levels, limits in (*rows, (("kubepods", "besteffort"), Limits(cpu_shares=resources.CPU_SHARES_MIN))):
            await asyncio.to_thread(self._try, levels, limits)

    def remove(self, uid: str) -> None:
        """Remove a pod's level, whatever its class was. Blocking: call it in a thread."""
        for qos in LEVELS if self._version > 0 else ():
            levels = path_of(qos, uid)
            if self._systemd:
                if found := self._folders(slice_of(levels[: i + 1]) for i in range(len(levels))):
                    self._end_slice(slice_of(levels))
            else:
                found = self._folders(levels)
            for folder in found:  # systemd leaves those of the controllers that it doesn't know to whoever made them
                _remove_tree(folder)

    async def _ask(self) -> None:
        try:
            info = await self._engine.call("GET", "/info", timeout_seconds=ENGINE_SECONDS)
        except EngineError as error:
            log.warning("cgroups of pods are left to Docker for now: %s", error)
            return
        self._version = int(info.get("CgroupVersion") or 1)
        self._systemd = info.get("CgroupDriver") == "systemd"
        if not await asyncio.to_thread(self._try, ("kubepods",), Limits(cpu_shares=resources.CPU_SHARES_MAX)):
            self._version = -1

    def _try(self, levels: tuple[str, ...], limits: Limits) -> bool:
        try:
            if self._systemd:
                _systemctl("set-property", "--runtime", slice_of(levels), *properties(limits, version=self._version))
            elif self._version == 2:
                self._make_v2(levels, limits)
            else:
                for controller, files in files_v1(limits).items():
                    _write(self._root.joinpath(controller, *levels), files)
        except (OSError, subprocess.SubprocessError) as error:
            log.warning("cgroup %s: %s", "/".join(levels), error)
            return False
        return True

    def _make_v2(self, levels: tuple[str, ...], limits: Limits) -> None:
        folder = self._root
        for level in levels:
            (folder / "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in CONTROLLERS))
            folder /= level
            folder.mkdir(exist_ok=True)
        _write(folder, files_v2(limits))

    def _folders(self, levels: Iterable[str]) -> list[Path]:
        """Where a level is: in the one hierarchy, or in some of v1's."""
        roots = [self._root] if self._version == 2 else [r for r in self._root.iterdir() if not r.is_symlink()]
        path = Path(*levels)
        return [root / path for root in roots if (root / path).is_dir()]

    def _end_slice(self, name: str) -> None:
        try:
            _systemctl("stop", name)
            _systemctl("revert", name)
        except (OSError, subprocess.SubprocessError) as error:
            log.warning("slice %s: %s", name, error)


def _write(folder: Path, files: Mapping[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_text(content)


def _remove_tree(folder: Path) -> None:
    """rmdir from the leaves up; the files of a cgroup go with its directory."""
    for path, _, _ in os.walk(folder, topdown=False):
        try:
            os.rmdir(path)
        except FileNotFoundError:
            continue
        except OSError as error:
            log.info("cgroup %s stays: %s", path, error)


def _systemctl(*arguments: str) -> None:
    subprocess.run(["systemctl", *arguments], check=True, capture_output=True, timeout=SYSTEMCTL_TIMEOUT_SECONDS)
