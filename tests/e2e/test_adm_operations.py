"""What an administrator does on a running control plane: tokens, certificates, kubeconfigs."""

import json
import re
from pathlib import Path

import pytest

from tests.e2e.conftest import Cluster, run, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


def test_tokens_are_listed_with_kubeadms_columns(cluster: Cluster) -> None:
    cluster.in_node(cluster.control_plane, "minikubeadm token create abcdef.0123456789abcdef --ttl 2h --usages signing")
    lines = cluster.in_node(cluster.control_plane, "minikubeadm token list").splitlines()
    assert re.split(r" {2,}", lines[0]) == ["TOKEN", "TTL", "EXPIRES", "USAGES", "DESCRIPTION", "EXTRA GROUPS"]
    row = next(line for line in lines if line.startswith("abcdef."))
    assert re.split(r" {2,}", row)[1::2] == ["1h", "signing", "<none>"]
    cluster.in_node(cluster.control_plane, "minikubeadm token delete abcdef")


def test_no_secret_is_on_a_command_line_of_a_nodes_services(cluster: Cluster) -> None:
    for node in (cluster.control_plane, *cluster.workers):
        assert not re.search(r"\b[a-z0-9]{6}\.[a-z0-9]{16}\b", cluster.in_node(node, "ps -eo args"))


def test_what_control_planes_share_can_be_uploaded_again(cluster: Cluster) -> None:
    printed = cluster.in_node(cluster.control_plane, "minikubeadm init phase upload-certs")
    assert re.search(r"certificate key: [0-9a-f]{64}", printed)
    secret = cluster.get("secret", "-n", "kube-system", "kubeadm-certs")
    owner = secret["metadata"]["ownerReferences"][0]["name"]
    assert cluster.get("secret", "-n", "kube-system", owner)["type"] == "bootstrap.kubernetes.io/token"


def test_all_certificates_are_renewed_and_the_cluster_goes_on(cluster: Cluster) -> None:
    serving = "cat /etc/kubernetes/pki/apiserver.crt"
    before = cluster.in_node(cluster.control_plane, serving)
    shown = cluster.in_node(cluster.control_plane, "minikubeadm certs check-expiration")
    for name in ("admin.conf", "apiserver", "etcd-server", "front-proxy-client", "CERTIFICATE AUTHORITY"):
        assert name in shown
    renewed = cluster.in_node(cluster.control_plane, "minikubeadm certs renew all")
    assert "mini-apiserver started anew" in renewed
    assert cluster.in_node(cluster.control_plane, serving) != before
    wait_until(lambda: cluster.tried("get", "--raw", "/readyz").stdout == "ok", "the API server is ready")
    for unit in ("mini-etcd", "mini-controller-manager", "mini-scheduler", "mini-kubelet", "mini-proxy"):
        assert cluster.in_node(cluster.control_plane, f"systemctl is-active {unit}").strip() == "active"
    assert cluster.in_node(
        cluster.control_plane, "KUBECONFIG=/etc/kubernetes/admin.conf minikubectl get nodes --no-headers"
    )


def test_a_users_kubeconfig_is_the_user(cluster: Cluster, tmp_path: Path) -> None:
    file = tmp_path / "jane.conf"
    file.write_text(
        cluster.in_node(cluster.control_plane, "minikubeadm kubeconfig user --client-name jane --org developers")
    )
    shown = json.loads(run(cluster.kubectl_program, "--kubeconfig", str(file), "auth", "whoami", "-o", "json"))
    assert shown["status"]["userInfo"]["username"] == "jane"
    assert "developers" in shown["status"]["userInfo"]["groups"]
