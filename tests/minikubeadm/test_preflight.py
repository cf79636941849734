"""What must hold before a machine becomes a node."""

from pathlib import Path

import pytest

from minikubeadm import preflight
from minikubeadm.configuration import NodeConfiguration

NODE = NodeConfiguration(name="n", ip="192.0.2.1")


@pytest.mark.parametrize(
    ("confines", "loader", "fine"), [(True, None, False), (True, "/sbin/x", True), (False, None, True)]
)
async def test_a_kernel_with_apparmor_needs_the_loader_of_profiles(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, confines: bool, loader: str | None, fine: bool
) -> None:
    monkeypatch.setattr(preflight, "APPARMOR", tmp_path if confines else tmp_path / "absent")
    monkeypatch.setattr(preflight.shutil, "which", lambda name, path: loader)
    problems = await preflight.CHECKS["apparmor"](NODE)
    assert (not problems) == fine
    assert fine or "apt-get install apparmor" in problems[0]
