"""Directories for volumes: made, given to a group, and removed; nothing else is ever removed."""

import os
from pathlib import Path
from typing import Any

import pytest

from apimachinery import volumes
from kubelet.settings import Settings
from kubelet.volumes import nodelocal, ownership
from kubelet.volumes.payloads import VolumeError
from tests.fixtures.volumes import volume

JSON = dict[str, Any]
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files to groups")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(node_name="n1", node_ips=(), kubeconfig=tmp_path / "none", node_local_dir=tmp_path / "volumes")


def provisioned(settings: Settings, name: str = "pvc-1", *, node: str = "n1", path: str = "") -> JSON:
    return volume(
        name,
        labels={volumes.NODE_LABEL: node},
        annotations={volumes.PROVISIONED_BY: volumes.NODE_LOCAL},
        hostPath=None,
        local={"path": path or str(settings.node_local_dir / name)},
    )


def test_a_directory_is_made_once_and_open_to_any_user(settings: Settings) -> None:
    folder = nodelocal.directory(provisioned(settings), settings)
    nodelocal.make(folder)
    (folder / "row").write_text("kept")
    os.chmod(folder, 0o700)
    nodelocal.make(folder)
    assert (folder / "row").read_text() == "kept"
    assert folder.stat().st_mode & 0o777 == 0o700, "what is there stays as it is"
    nodelocal.make(other := folder.with_name("pvc-2"))
    assert other.stat().st_mode & 0o777 == 0o777


@pytest.mark.parametrize(
    "lie", [{"path": "/etc"}, {"name": ".."}, {"name": "a/../../b"}, {"node": "n2"}, {"path": "../volumes/pvc-1"}]
)
def test_a_volume_that_says_another_directory_has_none(settings: Settings, lie: JSON) -> None:
    with pytest.raises(VolumeError):
        nodelocal.directory(provisioned(settings, **lie), settings)


def test_removal_takes_all_of_it_and_may_be_done_twice(settings: Settings) -> None:
    folder = nodelocal.directory(provisioned(settings), settings)
    nodelocal.make(folder)
    (folder / "sub").mkdir()
    (folder / "sub" / "row").write_text("x")
    nodelocal.remove(folder)
    nodelocal.remove(folder)
    assert list(settings.node_local_dir.iterdir()) == []


def test_removal_goes_on_where_it_was_interrupted(settings: Settings) -> None:
    folder = nodelocal.directory(provisioned(settings), settings)
    nodelocal.make(folder)
    folder.rename(folder.with_name(".pvc-1.removed"))
    nodelocal.remove(folder)
    assert list(settings.node_local_dir.iterdir()) == []


def test_removal_never_follows_a_symlink(settings: Settings, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").write_text("x")
    settings.node_local_dir.mkdir()
    folder = nodelocal.directory(provisioned(settings), settings)
    folder.symlink_to(precious)
    nodelocal.remove(folder)
    nodelocal.make(folder)
    (folder / "link").symlink_to(precious)
    nodelocal.remove(folder)
    assert (precious / "file").read_text() == "x"
    assert list(settings.node_local_dir.iterdir()) == []


def test_what_is_left_of_a_begun_removal_is_told_from_data_of_no_volume(tmp_path: Path) -> None:
    for name in ("pvc-1", "pvc-2", ".pvc-3.removed"):
        (tmp_path / name).mkdir()
    assert nodelocal.left_behind(tmp_path, ["pvc-1"]) == ([tmp_path / ".pvc-3.removed"], [tmp_path / "pvc-2"])
    assert nodelocal.left_behind(tmp_path / "missing", []) == ([], [])


def test_only_deleted_volumes_of_ours_are_looked_at(settings: Settings) -> None:
    assert nodelocal.is_ours(provisioned(settings))
    assert not nodelocal.is_ours(volume("users-own"))


@needs_root
def test_a_volume_is_given_to_a_group(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    row = tmp_path / "sub" / "row"
    row.write_text("x")
    row.chmod(0o600)
    (tmp_path / "link").symlink_to("/etc/hostname")
    before = os.stat("/etc/hostname").st_gid
    ownership.set_group(tmp_path, 4711)
    assert {os.lstat(path).st_gid for path in (tmp_path, tmp_path / "sub", row, tmp_path / "link")} == {4711}
    assert row.stat().st_mode & 0o777 == 0o660
    assert tmp_path.stat().st_mode & 0o2770 == 0o2770
    assert os.stat("/etc/hostname").st_gid == before


@needs_root
def test_on_root_mismatch_leaves_a_volume_alone_whose_root_is_right(tmp_path: Path) -> None:
    ownership.set_group(tmp_path, 4711)
    row = tmp_path / "row"
    row.touch()
    os.chown(row, -1, 0)
    ownership.set_group(tmp_path, 4711, policy="OnRootMismatch")
    assert row.stat().st_gid == 0
    ownership.set_group(tmp_path, 4711, policy="Always")
    assert row.stat().st_gid == 4711
