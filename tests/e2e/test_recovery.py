"""Services and nodes that are killed come back; what ran goes on."""

import pytest

from tests.e2e.conftest import Cluster, deployment, minikubeadm, run, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
SOON = [
    {"key": f"node.kubernetes.io/{what}", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 2}
    for what in ("not-ready", "unreachable")
]


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
        assert "pod=web-" in cluster.exec(
            namespace, pod["metadata"]["name"], "wget", "-q", "-O", "-", "http://127.0.0.1:8080/"
        )


@pytest.mark.parametrize("unit", ["mini-apiserver", "mini-etcd", "mini-scheduler", "mini-controller-manager"])
def test_the_control_planes_services_come_back(cluster: Cluster, namespace: str, unit: str) -> None:
    run("docker", "exec", cluster.control_plane, "systemctl", "kill", "--kill-who=main", "--signal=KILL", unit)
    wait_until(lambda: cluster.tried("get", "--raw", "/readyz").stdout == "ok", "the API server is ready again")
    name = unit.removeprefix("mini-")
    cluster.apply(deployment(name, namespace, replicas=1, spread=False))
    cluster.kubectl("rollout", "status", "-n", namespace, f"deployment/{name}", "--timeout=90s", timeout=100)


def test_a_dead_nodes_pods_are_replaced_and_the_node_comes_back(cluster: Cluster, namespace: str) -> None:
    cluster.apply(deployment("web", namespace, replicas=3, spread=False, tolerations=SOON))
    cluster.apply(deployment("both", namespace, replicas=2, tolerations=SOON))
    for name in ("web", "both"):
        cluster.kubectl("rollout", "status", "-n", namespace, f"deployment/{name}", "--timeout=60s")
    victim = cluster.pods(namespace, "app=web")[0]["spec"]["nodeName"]
    survivor = next(worker for worker in cluster.workers if worker != victim)
    run("docker", "kill", victim)
    try:
        wait_until(lambda: victim not in cluster.ready_nodes(), f"{victim} is not Ready", seconds=70)

        def replaced() -> bool:
            pods = [pod for pod in cluster.pods(namespace, "app=web") if pod["spec"].get("nodeName") == survivor]
            ready = [c for pod in pods for c in pod["status"].get("conditions", []) if c["type"] == "Ready"]
            return sum(condition["status"] == "True" for condition in ready) == 3

        wait_until(replaced, f"three pods are Ready on {survivor}", seconds=60)
    finally:
        run("docker", "start", victim)
    wait_until(lambda: len(cluster.ready_nodes()) == 3, f"{victim} is Ready again", seconds=90)
    cluster.kubectl("rollout", "status", "-n", namespace, "deployment/both", "--timeout=90s", timeout=100)


def test_everything_is_back_after_all_nodes_were_stopped(cluster: Cluster, namespace: str) -> None:
    cluster.apply(deployment("web", namespace, replicas=2))
    cluster.kubectl("rollout", "status", "-n", namespace, "deployment/web", "--timeout=60s")
    before = {pod["metadata"]["uid"] for pod in cluster.pods(namespace, "app=web")}
    addresses = {name: cluster.node_ip(name) for name in (cluster.control_plane, *cluster.workers)}
    run("docker", "stop", *addresses)
    minikubeadm("cluster", "start", "--name", cluster.name)
    wait_until(lambda: cluster.tried("get", "--raw", "/readyz").stdout == "ok", "the API server is ready")
    wait_until(lambda: restarted(cluster, namespace) == 2, "both pods run again", seconds=90)
    wait_until(lambda: len(cluster.ready_nodes()) == 3, "all nodes are Ready")
    assert {pod["metadata"]["uid"] for pod in cluster.pods(namespace, "app=web")} == before
    assert {name: cluster.node_ip(name) for name in addresses} == addresses


def restarted(cluster: Cluster, namespace: str) -> int:
    """How many pods are Ready with a container that was started anew."""
    pods = cluster.pods(namespace, "app=web")
    statuses = [status for pod in pods for status in pod["status"].get("containerStatuses", [])]
    return sum(status["ready"] and status["restartCount"] > 0 for status in statuses)
