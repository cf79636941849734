"""What this node's own confinement lets it give to containers.

A node may itself be a container whose bounding set lacks capabilities. There a Docker `--privileged` fails, and so does
a negative oom_score_adj; both are probed once, and what is left out is said once in the log.
"""

import logging
import os
import stat
from pathlib import Path

from . import machine
from .container_config import NodeAbilities
from .settings import Settings

log = logging.getLogger(__name__)

CAPABILITIES = tuple(
    name
    for line in (
        "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE",
        "NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT",
        "SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL",
        "SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ",
    )
    for name in line.split()
)  # in the kernel's order; newer ones are unknown to Docker 20.10
SYS_RESOURCE_BIT = CAPABILITIES.index("SYS_RESOURCE")


def bounding_set() -> int:
    """CapBnd of this process as a bit mask."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapBnd:"):
            return int(line.split()[1], 16)
    return 0


def probe(settings: Settings) -> NodeAbilities:
    """Look once, at start."""
    bounding = bounding_set()
    held = tuple(name for bit, name in enumerate(CAPABILITIES) if bounding >> bit & 1)
    full = len(held) == len(CAPABILITIES)
    lowerable = bool(bounding >> SYS_RESOURCE_BIT & 1)
    if not full:
        missing = ", ".join(sorted(set(CAPABILITIES) - set(held)))
        log.info("privileged containers get what this node has; left out: %s", missing)
    if not lowerable:
        log.info("oom_score_adj below zero is left out: the node has no CAP_SYS_RESOURCE")
    return NodeAbilities(
        capabilities=held,
        fully_privileged=full,
        oom_scores_lowerable=lowerable,
        memory_bytes=machine.memory_bytes(),
        apparmor=machine.read("/sys/module/apparmor/parameters/enabled").startswith("Y"),
        log_max_size=settings.log_max_size,
        log_max_files=settings.log_max_files,
    )


def devices() -> list[str]:
    """The node's device files, for privileged containers."""
    found = []
    for folder, folders, files in os.walk("/dev"):
        folders[:] = [name for name in folders if name not in ("pts", "shm", "mqueue", "fd")]
        for name in files:
            path = os.path.join(folder, name)
            mode = os.lstat(path).st_mode
            if (stat.S_ISBLK(mode) or stat.S_ISCHR(mode)) and path not in ("/dev/console", "/dev/tty"):
                found.append(path)
    return sorted(found)
