"""Full disks, a hung Docker, a slow etcd: said clearly, survived, and over when they end, by `minikubeadm chaos`."""

import json
import threading

import pytest

from tests.e2e.conftest import Cluster, deployment, minikubeadm, service

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]


def told(cluster: Cluster, namespace: str, fault: str, *argv: str) -> str:
    """What `minikubeadm chaos` says of a fault while a client asks a Service; it fails where nothing recovers."""
    web = deployment("web", namespace, replicas=2)
    cluster.apply(web, service("web", namespace))
    cluster.kubectl("rollout", "status", "-n", namespace, "deployment/web", "--timeout=90s")
    printed = minikubeadm("chaos", fault, "--name", cluster.name, "--probe", f"{namespace}/web", *argv)
    print(printed)
    assert f"RECOVERED from {fault}" in printed
    assert printed.rstrip().endswith("failed: 0")
    return printed


def test_a_full_disk_under_pods(cluster: Cluster, namespace: str) -> None:
    printed = told(cluster, namespace, "fill-disk", "--node", cluster.workers[0], "--duration", "12s")
    assert f"node {cluster.workers[0]}: DiskPressure: kubelet has disk pressure" in printed
    assert "NodeHasDiskPressure" in cluster.kubectl("get", "events", "-n", "default")


def test_a_full_disk_under_etcd_loses_nothing_that_was_acknowledged(cluster: Cluster, namespace: str) -> None:
    ended, acknowledged = threading.Event(), []

    def write() -> None:
        """Grow etcd's file, so that it meets the end of its disk."""
        while not ended.is_set():
            metadata = {"generateName": "big-", "namespace": namespace}
            body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"x": "x" * 900_000}}
            done = cluster.tried("create", "-o", "name", "-f", "-", "--request-timeout=10s", stdin=json.dumps(body))
            acknowledged.extend(done.stdout.split())

    writing = threading.Thread(target=write)
    writing.start()
    try:
        printed = told(cluster, namespace, "fill-etcd", "--duration", "15s")
    finally:
        ended.set()
        writing.join()
    assert "API server: [-]etcd failed" in printed or "API server: [-]watch-cache failed" in printed
    kept = cluster.kubectl("get", "configmaps", "-n", namespace, "-o", "name").split()
    assert acknowledged
    assert not set(acknowledged) - set(kept), "acknowledged and lost"


@pytest.mark.soak
def test_a_docker_that_hangs(cluster: Cluster, namespace: str) -> None:
    printed = told(cluster, namespace, "hang-docker", "--node", cluster.workers[0], "--duration", "45s")
    assert f"node {cluster.workers[0]}: Ready is False: container runtime is down" in printed
    assert "NodeNotReady" in cluster.kubectl("get", "events", "-n", "default")


@pytest.mark.soak
def test_a_slow_etcd(cluster: Cluster, namespace: str) -> None:
    told(cluster, namespace, "slow-etcd", "--duration", "15s")
    said = cluster.in_node(cluster.control_plane, "journalctl -u mini-apiserver --since -2min")
    assert "etcd is slow: a write took 0." in said
