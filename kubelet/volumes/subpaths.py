"""subPath: a part of a volume as a mount of its own, safe against containers that swap a directory for a symlink.

A path is resolved, must lie inside its volume, and is then walked again from the volume down, each step opened relative
to the one before and never through a symlink. What was opened so is bind-mounted by its descriptor below the pod's
directory, and the container gets that mount: whatever happens to the names in the volume meanwhile, it leads inside.
"""

import os
import stat
from pathlib import Path

from . import mounts
from .payloads import VolumeError

FLAGS = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


def bind(volume: str, relative: str, target: Path) -> str:
    """Mount <volume>/<relative>, made if missing, at `target`; the target as text. Raises VolumeError, OSError."""
    descriptor = open_beneath(volume, relative)
    try:
        mounts.unmount_if_mounted(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            target.mkdir(exist_ok=True)
        else:
            target.touch()
        mounts.mount_bind(f"/proc/self/fd/{descriptor}", target)
    finally:
        os.close(descriptor)
    return str(target)


def open_beneath(volume: str, relative: str) -> int:
    """A descriptor of a path inside a volume; missing directories are made with the volume's own mode."""
    if relative.startswith("/") or ".." in relative.split("/"):
        raise VolumeError(f"subPath {relative!r} must be a relative path without '..'")
    root = os.path.realpath(volume)
    path = os.path.realpath(os.path.join(root, relative))
    if path != root and not path.startswith(f"{root.rstrip('/')}/"):
        raise VolumeError(f"subPath {relative!r} leads out of its volume")
    here = os.open(root, FLAGS)
    mode = stat.S_IMODE(os.fstat(here).st_mode)
    try:
        for name in Path(os.path.relpath(path, root)).parts:
            deeper = _step(here, name, mode)
            os.close(here)
            here = deeper
            if stat.S_ISLNK(os.fstat(here).st_mode):
                raise VolumeError(f"subPath {relative!r}: {name!r} has become a symlink")
    except BaseException:
        os.close(here)
        raise
    return here


def _step(folder: int, name: str, mode: int) -> int:
    try:
        return os.open(name, FLAGS, dir_fd=folder)
    except FileNotFoundError:
        os.mkdir(name, 0o750, dir_fd=folder)
        made = os.open(name, FLAGS, dir_fd=folder)
        os.chmod(f"/proc/self/fd/{made}", mode)
        return made
