"""subPath: inside its volume, whatever a container does to the volume meanwhile."""

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kubelet.volumes import mounts, subpaths
from kubelet.volumes.payloads import VolumeError


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    made = tmp_path / "v"
    made.mkdir(mode=0o755)
    return made


@pytest.fixture
def opened() -> Iterator[Callable[[Path, str], str]]:
    """Where a path leads to once it was opened."""
    descriptors = []

    def lead(volume: Path, relative: str) -> str:
        descriptors.append(subpaths.open_beneath(str(volume), relative))
        return os.readlink(f"/proc/self/fd/{descriptors[-1]}")

    yield lead
    for descriptor in descriptors:
        os.close(descriptor)


def test_missing_directories_are_made_like_the_volume(volume: Path, opened: Callable[[Path, str], str]) -> None:
    volume.chmod(0o2775)
    assert opened(volume, "a/b") == str(volume / "a/b")
    assert stat.S_IMODE((volume / "a/b").stat().st_mode) == 0o2775


def test_symlinks_inside_the_volume_are_followed(volume: Path, opened: Callable[[Path, str], str]) -> None:
    (volume / "data").mkdir()
    (volume / "link").symlink_to("data")
    assert opened(volume, "link/x") == str(volume / "data/x")


@pytest.mark.parametrize("bad", ["../x", "/etc", "out/secret", "out"])
def test_ways_out_are_refused(volume: Path, bad: str) -> None:
    (volume / "out").symlink_to(volume.parent)
    with pytest.raises(VolumeError):
        subpaths.open_beneath(str(volume), bad)


def test_a_directory_swapped_for_a_symlink_after_the_check_is_not_followed(
    volume: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (volume / "a/b").mkdir(parents=True)
    (volume.parent / "b").mkdir()
    real_path = os.path.realpath

    def swapped(path: str) -> str:
        found = real_path(path)
        if found.endswith("a/b"):
            (volume / "a").rename(volume / "moved")
            (volume / "a").symlink_to(volume.parent)
        return found

    monkeypatch.setattr(os.path, "realpath", swapped)
    with pytest.raises(VolumeError, match="has become a symlink"):
        subpaths.open_beneath(str(volume), "a/b")


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_what_was_opened_is_mounted_once_and_gone_after_unmounting(volume: Path, tmp_path: Path) -> None:
    (volume / "f").write_text("here")
    target = tmp_path / "pod/0"
    try:
        for _ in range(2):
            assert Path(subpaths.bind(str(volume), "f", target)).read_text() == "here"
        assert mounts.mounted_below(tmp_path) == [target]
    except PermissionError as error:
        pytest.skip(f"mounting is not permitted here: {error}")
    finally:
        mounts.unmount_if_mounted(target)
    assert target.read_text() == ""
