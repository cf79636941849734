"""Units: what systemd is told."""

from pathlib import Path

from minikubeadm import units
from minikubeadm.configuration import ClusterConfiguration, NodeConfiguration

CLUSTER = ClusterConfiguration(endpoint="192.0.2.2:6443")
NODE = NodeConfiguration(name="n", ip="192.0.2.2", control_plane=True, pause_image="pause:1")


def test_every_unit_restarts_always_and_without_a_limit() -> None:
    for unit in units.control_plane(CLUSTER, NODE) + units.agents(CLUSTER, NODE):
        text = unit.render()
        assert "Restart=always" in text
        assert "StartLimitIntervalSec=0" in text


def test_services_run_isolated_from_their_working_directory() -> None:
    assert " -P -m apiserver " in units.apiserver(CLUSTER, NODE).render()


def test_only_a_control_plane_registers_with_a_taint() -> None:
    worker = NodeConfiguration(name="w", ip="192.0.2.3")
    assert "register-with-taints" in units.kubelet(CLUSTER, NODE).flags
    assert "register-with-taints" not in units.kubelet(CLUSTER, worker).flags


def test_no_service_is_given_the_super_administrators_credentials() -> None:
    for unit in units.control_plane(CLUSTER, NODE) + units.agents(CLUSTER, NODE):
        assert "admin.conf" not in unit.render()


def test_unit_files_are_written_under_their_names(tmp_path: Path) -> None:
    units.write(units.agents(CLUSTER, NODE), directory=tmp_path)
    assert {file.name for file in tmp_path.iterdir()} == {"mini-kubelet.service", "mini-proxy.service"}
