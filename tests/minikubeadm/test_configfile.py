"""kubeadm's configuration file: what is honoured becomes options, what is not is refused by name."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from minikubeadm import configfile, tokens
from minikubeadm.__main__ import main
from minikubeadm.cluster import documents, nodes

TOKEN = "abcdef.0123456789abcdef"
INIT = """
apiVersion: kubeadm.k8s.io/v1beta4
kind: InitConfiguration
bootstrapTokens: [{token: abcdef.0123456789abcdef, ttl: 1h0m0s}]
localAPIEndpoint: {advertiseAddress: 192.0.2.2, bindPort: 6443}
nodeRegistration: {name: n, taints: [], ignorePreflightErrors: [docker, disk]}
skipPhases: [addon]
---
apiVersion: kubeadm.k8s.io/v1beta4
kind: ClusterConfiguration
clusterName: c
controlPlaneEndpoint: api.example.com:6443
networking: {podSubnet: 10.10.0.0/16, serviceSubnet: 10.11.0.0/16, dnsDomain: example.local}
apiServer: {certSANs: [a.example.com, b.example.com]}
"""


def test_an_init_configuration_gives_the_options() -> None:
    assert configfile.options(INIT, configfile.INIT) == {
        "token": TOKEN,
        "token_ttl": "1h0m0s",
        "node_ip": "192.0.2.2",
        "node_name": "n",
        "no_taint": True,
        "ignore_preflight_errors": "docker,disk",
        "skip_phases": "addon",
        "cluster_name": "c",
        "control_plane_endpoint": "api.example.com:6443",
        "pod_network_cidr": "10.10.0.0/16",
        "service_cidr": "10.11.0.0/16",
        "service_dns_domain": "example.local",
        "apiserver_cert_extra_sans": "a.example.com,b.example.com",
    }


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("nodeRegistration: {criSocket: unix:///x}", ["nodeRegistration.criSocket is not honoured"]),
        ("localAPIEndpoint: {bindPort: 7443}", ["localAPIEndpoint.bindPort: can only be 6443"]),
        ("certificateKey: 5\npatches: {directory: /x}", ["certificateKey: must be a text", "patches.directory is not"]),
        ("bootstrapTokens: [{token: a}, {token: b}]", ["bootstrapTokens[1].token is not honoured"]),
        ("nodeRegistration: {kubeletExtraArgs: [{name: v, value: '9'}]}", ["kubeletExtraArgs[v] is not honoured"]),
    ],
)
def test_every_field_that_is_not_honoured_is_named(text: str, problems: list[str]) -> None:
    document = f"apiVersion: kubeadm.k8s.io/v1beta4\nkind: InitConfiguration\n{text}"
    with pytest.raises(ValueError, match="InitConfiguration") as refused:
        configfile.options(document, configfile.INIT)
    assert len(str(refused.value).splitlines()) == len(problems)
    assert all(problem in str(refused.value) for problem in problems)


@pytest.mark.parametrize("text", ["", "a: [", "apiVersion: kubeadm.k8s.io/v1beta2\nkind: InitConfiguration", "- a"])
def test_what_is_no_such_document_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        configfile.options(text, configfile.INIT)


@pytest.mark.parametrize("role", [nodes.CONTROL_PLANE, nodes.WORKER])
def test_what_node_containers_are_told_is_understood(role: str) -> None:
    node = nodes.Node("c-n", "c", role, "mini-c", "172.30.0.3", "i", "10.244.0.0/16", "10.96.0.0/16")
    admission = documents.Admission("172.30.0.9:6443", tokens.parse(TOKEN), "ab" * 32, tainted=False)
    given = configfile.options(documents.join(node, admission, "sha256:00"), configfile.JOIN)
    assert given["token"] == TOKEN
    assert given["node_ip"] == "172.30.0.3"
    assert given.get("control_plane", False) == (role == nodes.CONTROL_PLANE)
    assert given.get("no_taint", False) == (role == nodes.CONTROL_PLANE)
    assert configfile.options(documents.init(node, admission), configfile.INIT)["certificate_key"] == "ab" * 32


def test_a_dry_run_writes_files_and_a_flag_wins_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    skipped = ["--skip-phases", "preflight", "--node-name", "other"]
    done = CliRunner().invoke(main, ["init", "--config", "-", "--dry-run", *skipped], input=INIT)
    assert done.exit_code == 0, done.output
    folder = next(tmp_path.iterdir())
    assert (folder / "pki/ca.crt").exists()
    unit = (folder / "units/mini-kubelet.service").read_text()
    assert "--hostname-override=other" in unit
    assert "--node-ip=192.0.2.2" in unit


def test_a_file_that_is_refused_starts_nothing() -> None:
    done = CliRunner().invoke(main, ["init", "--config", "-"], input=INIT + "etcd: {local: {dataDir: /x}}\n")
    assert done.exit_code == 2
    assert "etcd.local.dataDir is not honoured" in done.output


def test_an_unknown_phase_is_refused_with_those_that_there_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    done = CliRunner().invoke(main, ["init", "phase", "certz", "--dry-run"])
    assert done.exit_code == 1
    assert "upload-certs" in done.output


def test_a_token_can_come_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("no token\n")
    done = CliRunner().invoke(main, ["join", "192.0.2.2:6443", "--token-file", str(file)])
    assert done.exit_code == 2
    assert "a bootstrap token looks like" in done.output


@pytest.mark.parametrize("which", ["init-defaults", "join-defaults"])
def test_what_config_print_gives_is_honoured_whole(which: str) -> None:
    printed = CliRunner().invoke(main, ["config", "print", which]).output
    done = CliRunner().invoke(main, ["config", "validate", "--config", "-"], input=printed)
    assert (done.exit_code, done.output) == (0, "ok\n")


def test_config_validate_names_what_is_not_honoured() -> None:
    done = CliRunner().invoke(main, ["config", "validate", "--config", "-"], input=INIT + "dns: {disabled: true}\n")
    assert done.exit_code == 1
    assert "dns.disabled is not honoured" in done.output
