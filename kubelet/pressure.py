"""What the node runs short of: observed amounts against the thresholds of `--eviction-hard`, as conditions say it.

Signals and thresholds are upstream's. A disk's default threshold is lower than upstream's (5% instead of 10 and 15): a
node is often a container on somebody's laptop, whose disk is fuller than a server's.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from apimachinery import quantity

from . import machine

MEMORY, DISK, PID = "MemoryPressure", "DiskPressure", "PIDPressure"
# signal -> condition, resource
SIGNALS = {
    "memory.available": (MEMORY, "memory"),
    "nodefs.available": (DISK, "ephemeral-storage"),
    "nodefs.inodesFree": (DISK, "inodes"),
    "imagefs.available": (DISK, "ephemeral-storage"),
    "imagefs.inodesFree": (DISK, "inodes"),
    "pid.available": (PID, "pids"),
}
DEFAULT = "memory.available<100Mi,nodefs.available<5%,nodefs.inodesFree<5%,imagefs.available<5%,pid.available<5%"
# condition -> words of its reason when it holds, when it does not, and the noun of its message
WORDS = {
    MEMORY: ("InsufficientMemory", "SufficientMemory", "memory"),
    DISK: ("DiskPressure", "NoDiskPressure", "disk"),
    PID: ("InsufficientPID", "SufficientPID", "PID"),
}


@dataclass(frozen=True, slots=True)
class Amount:
    """Of one signal."""

    available: int
    capacity: int


@dataclass(frozen=True, slots=True)
class Shortage:
    """A threshold that is met."""

    signal: str
    threshold: int
    available: int

    @property
    def condition(self) -> str:
        """The node condition it stands for."""
        return SIGNALS[self.signal][0]

    @property
    def resource(self) -> str:
        """What to reclaim."""
        return SIGNALS[self.signal][1]

    def message(self) -> str:
        """As an evicted pod's status says it."""
        suffix = self.signal in ("memory.available", "nodefs.available", "imagefs.available")
        threshold, available = (f"{n // 1024}Ki" if suffix else str(n) for n in (self.threshold, self.available))
        return (
            f"The node was low on resource: {self.resource}. Threshold quantity: {threshold}, available: {available}. "
        )


def thresholds(text: str) -> dict[str, str]:
    """`signal<quantity,…` (or `=`) as a dict; ValueError for what is no threshold."""
    found = {}
    for item in filter(None, (part.strip() for part in text.split(","))):
        signal, _, value = item.replace("=", "<").partition("<")
        if signal not in SIGNALS:
            raise ValueError(f"unknown eviction signal {signal!r}, known are {', '.join(SIGNALS)}")
        _bytes(value, 0)
        found[signal] = value
    return found


def _bytes(value: str, capacity: int) -> int:
    return int(capacity * float(value[:-1]) / 100) if value.endswith("%") else quantity.value(value)


def shortages(amounts: Mapping[str, Amount], limits: Mapping[str, str]) -> list[Shortage]:
    """Which thresholds are met."""
    found = []
    for signal, value in limits.items():
        if (amount := amounts.get(signal)) is not None:
            threshold = _bytes(value, amount.capacity)
            if amount.available < threshold:
                found.append(Shortage(signal, threshold, amount.available))
    return found


def conditions(found: list[Shortage]) -> list[tuple[str, bool, str, str]]:
    """(condition, holds, reason, message) of every pressure."""
    rows = []
    for name, (bad, good, noun) in WORDS.items():
        holds = any(shortage.condition == name for shortage in found)
        if name == DISK:
            text = f"kubelet has {'' if holds else 'no '}disk pressure"
        else:
            text = f"kubelet has {'insufficient' if holds else 'sufficient'} {noun} available"
        rows.append((name, holds, f"KubeletHas{bad if holds else good}", text))
    return rows


def observe(root: Path, images: Path) -> dict[str, Amount]:
    """What there is now: memory, the disks under pods and images, process ids. What can't be seen is left out."""
    amounts = {}
    memory = machine.memory()
    if "MemAvailable" in memory:
        amounts["memory.available"] = Amount(memory["MemAvailable"], memory["MemTotal"])
    for name, path in (("nodefs", root), ("imagefs", images)):
        try:
            disk = os.statvfs(path)
        except OSError:
            continue
        amounts[f"{name}.available"] = Amount(disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize)
        if disk.f_files:  # some file systems have no fixed number
            amounts[f"{name}.inodesFree"] = Amount(disk.f_favail, disk.f_files)
    if load := machine.read("/proc/loadavg").split():
        most = int(machine.read("/proc/sys/kernel/pid_max") or 32768)
        amounts["pid.available"] = Amount(most - int(load[3].split("/")[1]), most)
    return amounts
