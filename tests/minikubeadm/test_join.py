"""Discovery believes only what the token signed."""

import pytest

from componentbase import pki
from minikubeadm import bootstrap, join, tokens


@pytest.fixture(scope="module")
def ca_pem() -> bytes:
    return pki.new_ca("test").certificate_pem


def test_the_authority_comes_from_what_the_token_signed(ca_pem: bytes) -> None:
    token = tokens.new()
    assert join.authority(bootstrap.cluster_info("10.0.0.1:6443", ca_pem, [token]), token) == ca_pem


def test_cluster_info_signed_by_another_token_counts_for_nothing(ca_pem: bytes) -> None:
    info = bootstrap.cluster_info("10.0.0.1:6443", ca_pem, [tokens.new()])
    assert join.authority(info, tokens.new()) == b""


def test_cluster_info_changed_after_signing_counts_for_nothing(ca_pem: bytes) -> None:
    token = tokens.new()
    info = bootstrap.cluster_info("10.0.0.1:6443", ca_pem, [token])
    info["data"]["kubeconfig"] = info["data"]["kubeconfig"].replace("10.0.0.1", "10.0.0.2")
    assert join.authority(info, token) == b""
