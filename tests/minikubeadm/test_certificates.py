"""Certificates that end, and the same ones renewed."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from componentbase import pki
from kubeclient.config import load_kubeconfig
from minikubeadm import certificates, credentials
from minikubeadm.configuration import ClusterConfiguration, NodeConfiguration
from minikubeadm.process import StepFailed

CLUSTER = ClusterConfiguration(endpoint="192.0.2.9:6443", extra_names=("api.example.com",))
NODE = NodeConfiguration(name="n", ip="192.0.2.2", control_plane=True)
KUBEADMS = {
    "admin.conf", "apiserver", "apiserver-etcd-client", "apiserver-kubelet-client", "controller-manager.conf",
    "etcd-healthcheck-client", "etcd-peer", "etcd-server", "front-proxy-client", "scheduler.conf", "super-admin.conf",
}  # fmt: skip


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kubernetes")
    credentials.create_certificates(CLUSTER, NODE, folder)
    credentials.create_kubeconfigs(CLUSTER, NODE, folder)
    return folder


def test_they_are_listed_under_kubeadms_names(directory: Path) -> None:
    assert {one.name for one in certificates.held(directory)} == KUBEADMS | {"kubelet.conf", "proxy.conf"}
    assert [name for name, _ in certificates.authorities(directory)] == ["ca", "etcd-ca", "front-proxy-ca"]


def test_a_renewed_one_differs_in_key_and_time_only(directory: Path) -> None:
    for one in certificates.held(directory):
        pair = certificates.renewed(one, directory)
        before, after = one.certificate, pair.certificate
        assert after.subject == before.subject
        assert after.public_key() != before.public_key()
        assert after.issuer == before.issuer
        lives = [cert.not_valid_after_utc - cert.not_valid_before_utc for cert in (before, after)]
        assert abs(lives[0] - lives[1]) < timedelta(minutes=10)
        for kind in (x509.SubjectAlternativeName, x509.ExtendedKeyUsage, x509.KeyUsage):
            values = [
                [each.value for each in cert.extensions if isinstance(each.value, kind)] for cert in (before, after)
            ]
            assert values[0] == values[1]


def test_what_is_renewed_is_written_where_it_was(directory: Path) -> None:
    for one in certificates.held(directory):
        if one.name in ("admin.conf", "etcd-server"):
            one.write(certificates.renewed(one, directory))
    by_name = {one.name: one for one in certificates.held(directory)}
    config = load_kubeconfig(directory / "admin.conf")
    assert config.server == "https://192.0.2.9:6443"
    assert pki.load_key(config.key_data).public_key() == by_name["admin.conf"].certificate.public_key()
    etcd = pki.load_pair(directory / "pki/etcd/server.crt", directory / "pki/etcd/server.key")
    assert etcd.key.public_key() == etcd.certificate.public_key()


def test_what_every_node_has_a_copy_of_lives_as_long_as_the_authority(directory: Path) -> None:
    ends = {one.name: one.ends for one in certificates.held(directory)}
    authority = dict(certificates.authorities(directory))["ca"]
    assert authority - ends["proxy.conf"] < timedelta(minutes=10)
    assert ends["admin.conf"] - datetime.now(UTC) < timedelta(days=366)


def test_without_the_authoritys_key_it_says_why_not(directory: Path, tmp_path: Path) -> None:
    with pytest.raises(StepFailed) as failure:
        certificates.renewed(certificates.held(directory)[0], tmp_path)
    assert "ca.crt" in failure.value.output


def test_a_users_kubeconfig_has_a_certificate_of_his_own(directory: Path, tmp_path: Path) -> None:
    file = tmp_path / "jane.conf"
    file.write_text(certificates.kubeconfig_of(directory, "jane", ["developers"], days=10))
    config = load_kubeconfig(file)
    certificate = x509.load_pem_x509_certificate(config.certificate_data)
    assert certificate.subject.rfc4514_string() == "CN=jane,O=developers"
    assert certificate.not_valid_after_utc - datetime.now(UTC) < timedelta(days=10)
    assert config.server == "https://192.0.2.9:6443"


@pytest.mark.parametrize("user", ["", "j" * 65])
def test_a_name_that_a_certificate_cannot_hold_is_said_to_be_one(directory: Path, user: str) -> None:
    with pytest.raises(StepFailed) as failure:
        certificates.kubeconfig_of(directory, user, [], days=10)
    assert "1 to 64 characters" in failure.value.hint


def test_a_worker_makes_no_users_and_says_where_they_are_made(tmp_path: Path) -> None:
    with pytest.raises(StepFailed) as failure:
        certificates.kubeconfig_of(tmp_path, "jane", [], days=10)
    assert "run it on a control plane" in failure.value.hint


def test_a_group_has_a_name(directory: Path) -> None:
    with pytest.raises(StepFailed) as failure:
        certificates.kubeconfig_of(directory, "jane", ["developers", ""], days=10)
    assert failure.value.output == "a group has no name"
