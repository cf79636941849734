"""Certificates and kubeconfigs of a control plane: made once, each with its own user."""

from pathlib import Path

from cryptography import x509
from cryptography.x509.oid import NameOID

from componentbase import pki
from kubeclient.config import load_kubeconfig
from minikubeadm import credentials
from minikubeadm.configuration import ClusterConfiguration, NodeConfiguration

CLUSTER = ClusterConfiguration(endpoint="192.0.2.9:6443", extra_names=("api.example.com",))
NODE = NodeConfiguration(name="n", ip="192.0.2.2", control_plane=True)


def _made(directory: Path) -> None:
    credentials.create_certificates(CLUSTER, NODE, directory)
    credentials.create_kubeconfigs(CLUSTER, NODE, directory)


def test_every_kubeconfig_reaches_the_api_server_as_its_own_user(tmp_path: Path) -> None:
    _made(tmp_path)
    users = {}
    for credential in credentials.of_control_plane(NODE):
        config = load_kubeconfig(tmp_path / credential.file)
        assert config.server == ("https://192.0.2.2:6443" if credential.local else "https://192.0.2.9:6443")
        subject = x509.load_pem_x509_certificate(config.certificate_data).subject
        users[credential.file] = subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
    assert users["kubelet.conf"] == "system:node:n"
    assert users["scheduler.conf"] == "system:kube-scheduler"
    assert len(set(users.values())) == len(users)


def test_only_the_super_administrator_is_in_system_masters() -> None:
    masters = [one.file for one in credentials.of_control_plane(NODE) if "system:masters" in one.groups]
    assert masters == ["super-admin.conf"]


def test_the_api_servers_certificate_bears_all_its_names(tmp_path: Path) -> None:
    _made(tmp_path)
    certificate = pki.load_pair(tmp_path / "pki/apiserver.crt", tmp_path / "pki/apiserver.key").certificate
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert {"n", "kubernetes.default.svc.cluster.local", "api.example.com"} <= set(
        names.get_values_for_type(x509.DNSName)
    )
    addresses = {str(one) for one in names.get_values_for_type(x509.IPAddress)}
    assert {"192.0.2.2", "192.0.2.9", "127.0.0.1", "10.96.0.1"} <= addresses


def test_what_is_there_is_kept(tmp_path: Path) -> None:
    _made(tmp_path)
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    assert credentials.create_certificates(CLUSTER, NODE, tmp_path) == []
    assert credentials.create_kubeconfigs(CLUSTER, NODE, tmp_path) == []
    assert {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()} == before
