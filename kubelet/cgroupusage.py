"""What a process's control group has used: CPU time and memory, from cgroup v1 or v2.

Read from the kernel rather than asked of Docker, whose statistics fail for a container in another one's network
namespace, which every container of a pod is. Paths in /proc/PID/cgroup are relative to what is mounted here, in a node
that is itself a container, too.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

ROOT = Path("/sys/fs/cgroup")


class GroupUsage(NamedTuple):
    """CPU time since the group was made, and memory now; the working set leaves out files not used lately."""

    cpu_nanoseconds: int
    memory_bytes: int
    working_set_bytes: int


def of_process(pid: int, *, proc: Path = Path("/proc"), root: Path = ROOT) -> GroupUsage | None:
    """Usage of the group a process is in, None if it is gone."""
    try:
        lines = (proc / str(pid) / "cgroup").read_text().splitlines()
    except OSError:
        return None
    return _read(lines, root)


def of_node(*, root: Path = ROOT) -> GroupUsage | None:
    """Usage of the root group: all that runs on this node. None where the kernel doesn't count there (v2 hosts)."""
    return _read(["0::/"] if (root / "cgroup.controllers").exists() else ["1:cpuacct:/", "2:memory:/"], root)


def _read(lines: list[str], root: Path) -> GroupUsage | None:
    groups: dict[str, Path] = {}  # by controller; "" is v2's
    for line in lines:
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            groups[controller] = root / controllers / path.lstrip("/")
    try:
        if "cpuacct" in groups:
            memory = groups["memory"]
            nanoseconds = int((groups["cpuacct"] / "cpuacct.usage").read_text())
            used, inactive = memory / "memory.usage_in_bytes", "total_inactive_file"
        else:
            memory = groups[""]
            nanoseconds = _stat(memory / "cpu.stat")["usage_usec"] * 1000
            used, inactive = memory / "memory.current", "inactive_file"
        total = int(used.read_text())
        return GroupUsage(nanoseconds, total, max(0, total - _stat(memory / "memory.stat")[inactive]))
    except (OSError, KeyError):
        return None


def _stat(file: Path) -> dict[str, int]:
    return {name: int(value) for name, value in (line.split() for line in file.read_text().splitlines())}
