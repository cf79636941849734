"""fsGroup on a volume: everything in it belongs to the group, which may read and write it.

By the rules of the API's `fsGroup` and `fsGroupChangePolicy`: new files get the group by the directories' setgid bit;
with OnRootMismatch a volume whose root is right already is left alone, since walking a large one takes long.
"""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

FILE_BITS = 0o660
DIRECTORY_BITS = 0o2770


def set_group(root: Path, group: int, *, policy: str = "Always") -> None:
    """Give a volume to a group. Blocking."""
    if policy == "OnRootMismatch" and _is_right(root, group):
        return
    for path in _bottom_up(root):  # the root last: it says that all is done
        mode = os.lstat(path).st_mode
        os.chown(path, -1, group, follow_symlinks=False)
        if not stat.S_ISLNK(mode):
            os.chmod(path, stat.S_IMODE(mode) | (DIRECTORY_BITS if stat.S_ISDIR(mode) else FILE_BITS))


def _is_right(root: Path, group: int) -> bool:
    found = os.stat(root)
    return found.st_gid == group and found.st_mode & DIRECTORY_BITS == DIRECTORY_BITS


def _bottom_up(root: Path) -> Iterator[str]:
    for folder, folders, files in os.walk(root, topdown=False):
        yield from (os.path.join(folder, name) for name in files)
        yield from (os.path.join(folder, name) for name in folders if os.path.islink(os.path.join(folder, name)))
        yield folder
