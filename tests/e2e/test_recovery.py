"""Services that are killed come back, and so does a cluster that was stopped; what ran goes on."""

import time
from typing import Any

import pytest

from apimachinery import meta
from tests.e2e.conftest import Cluster, deployment, minikubeadm, run, service, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
READY_SECONDS = 30  # what a user may count on after a restart of everything


def container_ids(cluster: Cluster, namespace: str) -> set[str]:
    """The containers that the pods say they run."""
    pods = cluster.pods(namespace, "app=web")
    return {status["containerID"] for pod in pods for status in pod["status"]["containerStatuses"]}


@pytest.mark.parametrize("unit", ["mini-kubelet", "mini-proxy", "docker"])
def test_containers_outlive_the_services_of_their_node(cluster: Cluster, namespace: str, unit: str) -> None:
    cluster.apply(deployment("web", namespace, replicas=2))
    cluster.kubectl("rollout", "status", "-n", namespace, "deployment/web", "--timeout=60s")
    before = container_ids(cluster, namespace)
    for worker in cluster.workers:
        run("docker", "exec", worker, "systemctl", "kill", "--kill-who=main", "--signal=KILL", unit)
        active = ("docker", "exec", worker, "sh", "-c", f"systemctl is-active {unit} || true")
        wait_until(lambda active=active: run(*active).strip() == "active", f"{unit} on {worker} is back")
    wait_until(lambda: len(cluster.ready_nodes()) == 3, "all nodes are Ready")
    pods = cluster.pods(namespace, "app=web")
    assert container_ids(cluster, namespace) == before
    assert all(status["restartCount"] == 0 for pod in pods for status in pod["status"]["containerStatuses"])
    for pod in pods:
        ask = ("exec", "-n", namespace, meta.name(pod), "--", "wget", "-q", "-O", "-", "http://127.0.0.1:8080/")
        # systemd may not have noticed the kill when it said "active": the kubelet's server comes a moment later.
        wait_until(lambda ask=ask: "pod=web-" in cluster.tried(*ask).stdout, f"{meta.name(pod)} answers through exec")


@pytest.mark.parametrize("unit", ["mini-apiserver", "mini-etcd", "mini-scheduler", "mini-controller-manager"])
def test_the_control_planes_services_come_back(cluster: Cluster, namespace: str, unit: str) -> None:
    run("docker", "exec", cluster.control_plane, "systemctl", "kill", "--kill-who=main", "--signal=KILL", unit)
    wait_until(lambda: cluster.tried("get", "--raw", "/readyz").stdout == "ok", "the API server is ready again")
    name = unit.removeprefix("mini-")
    cluster.apply(deployment(name, namespace, replicas=1, spread=False))
    cluster.kubectl("rollout", "status", "-n", namespace, f"deployment/{name}", "--timeout=90s", timeout=100)


def test_everything_is_back_after_all_nodes_were_stopped(cluster: Cluster, namespace: str) -> None:
    volume = {"volumes": [{"name": "data", "emptyDir": {}}]}
    web = deployment("web", namespace, replicas=2, **volume)
    web["spec"]["template"]["spec"]["containers"][0]["volumeMounts"] = [{"name": "data", "mountPath": "/data"}]
    cluster.apply(web, service("web", namespace))
    cluster.kubectl("rollout", "status", "-n", namespace, "deployment/web", "--timeout=60s")
    for pod in cluster.pods(namespace, "app=web"):
        cluster.exec(namespace, meta.name(pod), "sh", "-c", "echo $HOSTNAME >/data/name")
    before = what_stays(cluster, namespace)
    run("docker", "stop", *before["addresses"])
    minikubeadm("cluster", "start", "--name", cluster.name)
    started = time.monotonic()
    wait_until(lambda: cluster.tried("get", "--raw", "/readyz").stdout == "ok", "the API server is ready")
    wait_until(lambda: restarted(cluster, namespace) == 2, "both pods run again", seconds=90)
    wait_until(lambda: len(cluster.ready_nodes()) == 3, "all nodes are Ready")
    took = time.monotonic() - started
    print(f"everything Ready {took:.1f} s after the nodes were started")
    assert took < READY_SECONDS
    assert what_stays(cluster, namespace) == before
    for pod in cluster.pods(namespace, "app=web"):
        assert cluster.exec(namespace, meta.name(pod), "cat", "/data/name").strip() == meta.name(pod)


def what_stays(cluster: Cluster, namespace: str) -> dict[str, Any]:
    """What a restart of the whole cluster may not change."""
    pki = "cd /etc/kubernetes && sha256sum *.conf $(find pki -type f) /var/lib/kubelet/pki/*.pem"
    nodes = (cluster.control_plane, *cluster.workers)
    # Namespaces of tests before this one may still be going away.
    staying = {meta.name(each) for each in cluster.get("namespaces")["items"] if not meta.is_deleting(each)}
    configmaps = [each for each in cluster.get("configmaps", "-A")["items"] if meta.namespace(each) in staying]
    return {
        "addresses": {name: cluster.node_ip(name) for name in nodes},
        "certificates": {name: run("docker", "exec", name, "sh", "-c", f"{pki} | sort") for name in nodes},
        "pods": {meta.uid(pod) for pod in cluster.pods(namespace, "app=web")},
        "service": cluster.get("service", "web", "-n", namespace)["spec"],
        "configmaps": sorted(map(meta.uid, configmaps)),
    }


def restarted(cluster: Cluster, namespace: str) -> int:
    """How many pods are Ready with a container that was started anew."""
    pods = cluster.pods(namespace, "app=web")
    statuses = [status for pod in pods for status in pod["status"].get("containerStatuses", [])]
    return sum(status["ready"] and status["restartCount"] > 0 for status in statuses)
