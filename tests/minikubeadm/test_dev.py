"""What the processes of `minikubeadm dev` are told."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from minikubeadm.configuration import ClusterConfiguration, NodeConfiguration
from minikubeadm.dev.commands import dev
from minikubeadm.dev.controlplane import commands

PORTS = {"etcd": 1001, "peer": 1002, "apiserver": 1003, "controllers": 1004, "scheduler": 1005}


def told(services: tuple[str, ...] = ("controllers", "scheduler")) -> dict[str, list[str]]:
    cluster, node = ClusterConfiguration(endpoint="127.0.0.1:1003"), NodeConfiguration("dev", "127.0.0.1")
    return commands(cluster, node, Path("/some/where"), ports=PORTS, services=services, durable=True)


def test_no_process_touches_the_machine_s_own_cluster() -> None:
    text = "\n".join(flag for command in told().values() for flag in command)
    assert "/etc/kubernetes" not in text and "/var/lib" not in text
    assert "--client-ca-file=/some/where/pki/ca.crt" in text


def test_every_address_is_loopback_and_every_port_the_chosen_one() -> None:
    for name, command in told().items():
        flags = dict(flag.removeprefix("--").partition("=")[::2] for flag in command if flag.startswith("--"))
        urls = [url for key, value in flags.items() if key.endswith("urls") for url in value.split(",")]
        assert all(re.fullmatch(r"https://127\.0\.0\.1:100[12]", url) for url in urls)
        if name != "etcd":
            assert (flags["bind-address"], flags["secure-port"]) == ("127.0.0.1", str(PORTS[name]))


def test_pods_need_no_service_account_where_nobody_makes_them() -> None:
    assert "--disable-admission-plugins=ServiceAccount" not in told()["apiserver"]
    alone = told(services=())
    assert set(alone) == {"etcd", "apiserver"}
    assert "--disable-admission-plugins=ServiceAccount" in alone["apiserver"]


def test_unknown_services_are_named() -> None:
    result = CliRunner().invoke(dev, ["--with", "kubelet"])
    assert result.exit_code == 2
    assert "kubelet: there are controllers, scheduler" in result.output


@pytest.mark.parametrize("port", ["-1", "65536", "web"])
def test_a_port_is_a_number_of_a_port(port: str) -> None:
    assert CliRunner().invoke(dev, ["--port", port]).exit_code == 2


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    (tmp_path / "file").touch()
    result = CliRunner().invoke(dev, ["--data-dir", str(tmp_path / "file/dir")])
    assert result.exit_code == 1
    assert f"making the directory {tmp_path}/file/dir" in result.output


def test_it_starts_without_loading_the_http_client() -> None:
    """Loading it takes longer than starting etcd, and services start only after the command has loaded."""
    program = "import sys, minikubeadm.dev.commands; sys.exit('aiohttp' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], cwd=Path(__file__).parents[2]).returncode == 0
