"""mount(2) and umount2(2), without a process for each."""

import ctypes
import errno
import os
from pathlib import Path

MNT_DETACH = 2
MS_NOSUID, MS_NODEV, MS_BIND = 2, 4, 4096

_libc = ctypes.CDLL(None, use_errno=True)


def mount_tmpfs(target: Path, *, size_bytes: int = 0, mode: int = 0o1777) -> None:
    """A file system in memory; its content never reaches a disk (but swap)."""
    options = f"mode={mode:o}" + (f",size={size_bytes}" if size_bytes else "")
    result = _libc.mount(b"tmpfs", os.fsencode(target), b"tmpfs", MS_NOSUID | MS_NODEV, options.encode())
    _check(result, f"mount tmpfs at {target}")


def mount_bind(source: str, target: Path) -> None:
    """Show what is at `source` at `target` as well."""
    _check(_libc.mount(os.fsencode(source), os.fsencode(target), None, MS_BIND, None), f"bind mount at {target}")


def unmount_if_mounted(target: Path) -> None:
    """Detach whatever is mounted there."""
    try:
        unmount(target)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOENT):
            raise


def unmount(target: Path) -> None:
    """Detach at once; what still uses it keeps it until it ends."""
    _check(_libc.umount2(os.fsencode(target), MNT_DETACH), f"unmount {target}")


def _check(result: int, what: str) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")


def is_mounted(target: Path) -> bool:
    """Whether a file system is mounted at exactly this path."""
    try:
        return target.stat().st_dev != target.parent.stat().st_dev
    except OSError:
        return False


def mounted_below(folder: Path) -> list[Path]:
    """The mount points in and below a folder, the deepest first."""
    prefix = f"{folder}/"
    found = set()
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        path = line.split(" ")[4].encode().decode("unicode_escape")
        if path == str(folder) or path.startswith(prefix):
            found.add(path)
    return [Path(path) for path in sorted(found, key=len, reverse=True)]
