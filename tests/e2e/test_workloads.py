"""Deployments, logs, exec and scheduling, by real kubectl."""

import pytest

from tests.e2e.conftest import Cluster, deployment, wait_until

pytestmark = pytest.mark.e2e


def rolled_out(cluster: Cluster, namespace: str, name: str) -> None:
    """Wait for a rollout as users do."""
    cluster.kubectl("rollout", "status", "-n", namespace, f"deployment/{name}", "--timeout=90s", timeout=100)


def test_a_deployment_is_scaled_up_and_down(cluster: Cluster, namespace: str) -> None:
    cluster.apply(deployment("web", namespace, replicas=1, spread=False))
    rolled_out(cluster, namespace, "web")
    for replicas in (4, 2):
        cluster.kubectl("scale", "-n", namespace, "deployment/web", f"--replicas={replicas}")
        rolled_out(cluster, namespace, "web")
        wait_until(
            lambda replicas=replicas: len(cluster.pods(namespace, "app=web")) == replicas, f"{replicas} pods are left"
        )


def test_a_rolling_update_replaces_every_pod(cluster: Cluster, namespace: str) -> None:
    cluster.apply(deployment("web", namespace, replicas=3, spread=False))
    rolled_out(cluster, namespace, "web")
    before = {pod["metadata"]["uid"] for pod in cluster.pods(namespace, "app=web")}
    cluster.kubectl("set", "env", "-n", namespace, "deployment/web", "VERSION=2")
    rolled_out(cluster, namespace, "web")
    wait_until(lambda: len(cluster.pods(namespace, "app=web")) == 3, "the old pods are gone")
    after = {pod["metadata"]["uid"] for pod in cluster.pods(namespace, "app=web")}
    assert not before & after
    assert "VERSION=2" in cluster.kubectl("exec", "-n", namespace, "deployment/web", "--", "env")
    cluster.kubectl("rollout", "undo", "-n", namespace, "deployment/web")
    rolled_out(cluster, namespace, "web")


def test_logs_show_what_the_container_wrote(cluster: Cluster, namespace: str) -> None:
    script = "echo to stdout; echo to stderr >&2; sleep 600"
    cluster.kubectl("run", "-n", namespace, "speaker", "--image=mini-kubernetes/demo",
                    "--image-pull-policy=IfNotPresent",
                    "--command", "--", "sh", "-c", script)  # fmt: skip
    cluster.kubectl("wait", "-n", namespace, "pod/speaker", "--for=condition=Ready", "--timeout=60s")

    def logged() -> bool:
        printed = cluster.kubectl("logs", "-n", namespace, "speaker")
        return "to stdout" in printed and "to stderr" in printed

    wait_until(logged, "both streams are in the log", seconds=10)
    assert cluster.kubectl("logs", "-n", namespace, "speaker", "--tail=1").count("\n") == 1


def test_exec_carries_streams_and_the_exit_code(cluster: Cluster, namespace: str) -> None:
    cluster.apply(deployment("web", namespace, replicas=1, spread=False))
    rolled_out(cluster, namespace, "web")
    target = ("exec", "-i", "-n", namespace, "deployment/web", "--")
    assert cluster.kubectl(*target, "cat", stdin="through and back\n") == "through and back\n"
    ended = cluster.tried(*target, "sh", "-c", "echo bad >&2; exit 7")
    assert ended.returncode == 7
    assert "bad" in ended.stderr


def test_a_pod_too_big_for_every_node_says_why(cluster: Cluster, namespace: str) -> None:
    cluster.kubectl("run", "-n", namespace, "big", "--image=mini-kubernetes/demo",
                    "--overrides", '{"spec":{"containers":[{"name":"big","image":"mini-kubernetes/demo",'
                    '"resources":{"requests":{"cpu":"1000"}}}]}}')  # fmt: skip

    def told() -> bool:
        return "Insufficient cpu" in cluster.kubectl("describe", "pod", "-n", namespace, "big")

    wait_until(told, "an event says that no node has the CPU", seconds=15)


def test_a_bad_image_says_why(cluster: Cluster, namespace: str) -> None:
    cluster.kubectl("run", "-n", namespace, "bad", "--image=registry.invalid/no/such:image")

    def waiting() -> bool:
        statuses = cluster.get("pod", "bad", "-n", namespace)["status"].get("containerStatuses") or [{}]
        reason = statuses[0].get("state", {}).get("waiting", {}).get("reason", "")
        return reason in ("ErrImagePull", "ImagePullBackOff")

    wait_until(waiting, "the container waits with ErrImagePull", seconds=45)


def test_deleting_a_namespace_removes_what_is_in_it(cluster: Cluster, namespace: str) -> None:
    cluster.apply(deployment("web", namespace, replicas=2, spread=False))
    rolled_out(cluster, namespace, "web")
    cluster.kubectl("delete", "namespace", namespace, "--timeout=60s", timeout=70)
    assert cluster.tried("get", "namespace", namespace).returncode == 1
