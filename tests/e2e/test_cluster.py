"""What `minikubeadm cluster create` leaves behind is a cluster as users know it."""

import json
import subprocess
import sys

import pytest

from tests.e2e.conftest import Cluster, minikubeadm, run, wait_until

pytestmark = pytest.mark.e2e
SERVICES = ("mini-etcd", "mini-apiserver", "mini-controller-manager", "mini-scheduler", "mini-kubelet", "mini-proxy")


def test_every_node_is_ready(cluster: Cluster) -> None:
    assert cluster.ready_nodes() == {cluster.control_plane, *cluster.workers}


def test_the_control_plane_is_labelled_and_tainted(cluster: Cluster) -> None:
    node = cluster.get("node", cluster.control_plane)
    assert "node-role.kubernetes.io/control-plane" in node["metadata"]["labels"]
    taints = [(taint["key"], taint["effect"]) for taint in node["spec"]["taints"]]
    assert ("node-role.kubernetes.io/control-plane", "NoSchedule") in taints


def test_every_node_has_a_pod_range_of_its_own(cluster: Cluster) -> None:
    ranges = [node["spec"]["podCIDR"] for node in cluster.get("nodes")["items"]]
    assert len(set(ranges)) == 3


def test_cluster_dns_is_available(cluster: Cluster) -> None:
    cluster.kubectl("rollout", "status", "-n", "kube-system", "deployment/cluster-dns", "--timeout=60s")


def test_no_unit_has_failed_or_been_restarted(cluster: Cluster) -> None:
    for name in SERVICES:
        shown = run("docker", "exec", cluster.control_plane, "systemctl", "show", "-p", "ActiveState", "--value", name)
        assert shown.strip() == "active", name


def test_services_are_not_in_system_masters(cluster: Cluster) -> None:
    admin = json.loads(cluster.kubectl("auth", "whoami", "-o", "json"))
    assert "system:masters" not in admin["status"]["userInfo"]["groups"]


def test_a_node_reads_no_other_nodes_secrets(cluster: Cluster) -> None:
    worker = cluster.workers[0]
    copied = ("docker", "exec", worker, "cat", "/var/lib/kubelet/pki/kubelet-client-current.pem")
    assert "BEGIN CERTIFICATE" in run(*copied)
    refused = cluster.tried(
        *("auth", "can-i", "list", "secrets", "-A", "--as", f"system:node:{worker}", "--as-group", "system:nodes")
    )
    assert refused.stdout.startswith("no")


def test_the_bootstrap_token_is_gone_from_the_worker(cluster: Cluster) -> None:
    listed = run("docker", "exec", cluster.workers[0], "ls", "/etc/kubernetes")
    assert "bootstrap-kubelet.conf" not in listed


def test_tokens_are_made_listed_and_deleted(cluster: Cluster) -> None:
    adm = ("docker", "exec", cluster.control_plane, "minikubeadm", "token")
    text = run(*adm, "create", "--ttl", "1h").strip()
    assert text in run(*adm, "list")
    assert "--discovery-token-ca-cert-hash sha256:" in run(*adm, "create", text, "--print-join-command")
    run(*adm, "delete", text)
    assert text not in run(*adm, "list")


def test_the_cluster_is_listed(cluster: Cluster) -> None:
    listed = minikubeadm("cluster", "list")
    for node in (cluster.control_plane, *cluster.workers):
        assert node in listed


def test_an_image_can_be_loaded_into_every_node(cluster: Cluster) -> None:
    image = "e2e-load-image:1"
    run("docker", "build", "-q", "-t", image, "-", stdin="FROM debian:bookworm-slim\nCMD true\n")
    try:
        minikubeadm("cluster", "load-image", "--name", cluster.name, image)
        for node in (cluster.control_plane, *cluster.workers):
            assert run("docker", "exec", node, "docker", "images", "-q", image).strip()
    finally:
        run("docker", "rmi", image)


def test_creating_it_again_is_refused_with_a_hint(cluster: Cluster) -> None:
    argv = [sys.executable, "-m", "minikubeadm", "cluster", "create", "--name", cluster.name]
    done = subprocess.run(argv, text=True, capture_output=True)
    assert done.returncode == 1
    assert "cluster delete" in done.stderr
    wait_until(lambda: len(cluster.ready_nodes()) == 3, "the cluster is as it was")


def test_a_cluster_that_does_not_come_up_leaves_nothing_behind(cluster: Cluster) -> None:
    name = f"{cluster.name}-broken"
    argv = [sys.executable, "-m", "minikubeadm", "cluster", "create", "--name", name, "--image", "debian:bookworm-slim"]
    done = subprocess.run(argv, text=True, capture_output=True)
    assert done.returncode == 1
    assert "it ran:" in done.stderr
    assert name not in run("docker", "ps", "--all", "--format", "{{.Names}}")
    assert name not in run("docker", "network", "ls", "--format", "{{.Name}}")
    assert len(cluster.ready_nodes()) == 3
