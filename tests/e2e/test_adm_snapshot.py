"""The drill: etcd's data are destroyed and restored from a snapshot, and everybody goes on from what it holds."""

import pytest

from tests.e2e.conftest import Cluster, deployment, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
FILE = "/var/lib/kubelet/drill.db"


def running(cluster: Cluster, namespace: str) -> int:
    """How many of the namespace's containers run on the workers, as Docker sees it."""
    labels = (f"io.kubernetes.pod.namespace={namespace}", "io.kubernetes.container.name=web")
    command = f"docker ps -q {' '.join(f'--filter label={label}' for label in labels)}"
    return sum(len(cluster.in_node(worker, command).split()) for worker in cluster.workers)


def test_a_cluster_is_restored_from_a_snapshot(cluster: Cluster, namespace: str) -> None:
    node = cluster.control_plane
    cluster.apply(deployment("web", namespace, replicas=1, spread=False))
    cluster.kubectl("rollout", "status", "-n", namespace, "deployment/web", "--timeout=60s")
    cluster.kubectl("create", "configmap", "-n", namespace, "kept")
    assert "TOTAL SIZE" in cluster.in_node(node, f"minikubeadm etcd snapshot save {FILE}")
    cluster.kubectl("create", "configmap", "-n", namespace, "lost")
    cluster.kubectl("scale", "-n", namespace, "deployment/web", "--replicas=3")
    cluster.kubectl("rollout", "status", "-n", namespace, "deployment/web", "--timeout=60s")
    before = cluster.get("configmaps", "-n", namespace)
    version = max(int(item["metadata"]["resourceVersion"]) for item in before["items"])

    cluster.in_node(node, "systemctl stop mini-etcd; rm -rf /var/lib/etcd/member")
    cluster.in_node(node, f"minikubeadm etcd snapshot restore {FILE}; rm {FILE}")

    wait_until(lambda: cluster.tried("get", "--raw", "/readyz").stdout == "ok", "the API server is ready")
    names = cluster.kubectl("get", "configmaps", "-n", namespace, "-o", "name").split()
    assert "configmap/kept" in names
    assert "configmap/lost" not in names
    watch = f"/api/v1/namespaces/{namespace}/configmaps?watch=1&timeoutSeconds=5&resourceVersion={version}"
    told = cluster.tried("get", "--raw", watch)
    assert '"code":410' in told.stdout.replace(" ", "") or "Expired" in told.stderr or "Gone" in told.stderr
    wait_until(lambda: running(cluster, namespace) == 1, "later pods are gone from the nodes", seconds=120)
    wait_until(lambda: len(cluster.ready_nodes()) == 3, "all nodes are Ready")
    cluster.kubectl("scale", "-n", namespace, "deployment/web", "--replicas=2")
    cluster.kubectl("rollout", "status", "-n", namespace, "deployment/web", "--timeout=90s")
    wait_until(lambda: running(cluster, namespace) == 2, "controllers, scheduler and kubelets go on")
