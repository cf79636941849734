"""Atomic updates of a directory that containers read: ConfigMaps, Secrets, tokens, downward API.

The visible names are symlinks into `..data`, itself a symlink to a directory with a timestamp. An update writes a new
directory and swaps `..data` by one rename, so that a reader sees the old files or the new ones, never a mixture.
"""

import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

DATA = "..data"
DATA_NEW = "..data_tmp"


@dataclass(frozen=True, slots=True)
class File:
    """Content, permission bits, and the user it belongs to (None: root)."""

    content: bytes
    mode: int = 0o644
    user: int | None = None


Payload = Mapping[str, File]  # relative path -> file


def write(target: Path, payload: Payload, *, group: int | None = None) -> bool:
    """Make the directory show exactly `payload`; False when it does already."""
    for path in payload:
        _check(path)
    current = target / DATA
    if _same(current, payload):
        return False
    folder = target / f"..{time.strftime('%Y_%m_%d_%H_%M_%S')}.{time.monotonic_ns() % 10**10:010d}"
    folder.mkdir(mode=0o755)
    os.chmod(folder, 0o755)
    for path, file in payload.items():
        _place(folder / path, file, group)
    old = os.readlink(current) if current.is_symlink() else ""
    new = target / DATA_NEW
    new.unlink(missing_ok=True)
    new.symlink_to(folder.name)
    new.rename(current)
    _link(target, payload)
    if old:
        shutil.rmtree(target / old, ignore_errors=True)
    return True


def _check(path: str) -> None:
    parts = path.split("/")
    if not path or path.startswith("/") or ".." in parts or parts[0].startswith(".."):
        raise ValueError(f"invalid path {path!r} in a volume")


def _same(current: Path, payload: Payload) -> bool:
    if not current.is_dir():
        return False
    present = {str(f.relative_to(current)) for f in current.rglob("*") if f.is_file()}
    if present != set(payload):
        return False
    for path, file in payload.items():
        found = current / path
        if found.stat().st_mode & 0o777 != _mode(file.mode) and found.stat().st_mode & 0o777 != file.mode:
            return False
        if found.read_bytes() != file.content:
            return False
    return True


def _mode(mode: int) -> int:
    """With a group of its own a file is readable by that group."""
    return mode | 0o040


def _place(path: Path, file: File, group: int | None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(file.content)
    if group is not None or file.user is not None:
        os.chown(path, -1 if file.user is None else file.user, -1 if group is None else group)
    os.chmod(path, file.mode if group is None else _mode(file.mode))


def _link(target: Path, payload: Payload) -> None:
    wanted = {path.split("/")[0] for path in payload}
    for name in wanted:
        link = target / name
        if not link.is_symlink():
            link.symlink_to(f"{DATA}/{name}")
    for link in target.iterdir():
        if link.is_symlink() and link.name not in wanted and not link.name.startswith(".."):
            link.unlink()
