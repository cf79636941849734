"""Jobs, CronJobs, DaemonSets and StatefulSets on a real cluster."""

from typing import Any

import pytest

from tests.e2e.conftest import Cluster, wait_until

pytestmark = pytest.mark.e2e


def template(script: str, *, restart: str = "Always", **spec: Any) -> dict[str, Any]:
    """A pod template that runs a shell script."""
    container = {
        "name": "c",
        "image": "mini-kubernetes/demo",
        "imagePullPolicy": "IfNotPresent",
        "command": ["/bin/busybox", "sh", "-c", script],
        **spec.pop("container", {}),
    }
    pod = {"restartPolicy": restart, "terminationGracePeriodSeconds": 0, "containers": [container], **spec}
    return {"metadata": {"labels": {"app": "x"}}, "spec": pod}


def workload(kind: str, namespace: str, api: str = "apps/v1", **spec: Any) -> dict[str, Any]:
    """An object named x."""
    selector = {"selector": {"matchLabels": {"app": "x"}}} if api == "apps/v1" else {}
    return {
        "apiVersion": api,
        "kind": kind,
        "metadata": {"name": "x", "namespace": namespace},
        "spec": {**selector, **spec},
    }


def test_an_indexed_job_completes_and_its_pods_say_which_they_are(cluster: Cluster, namespace: str) -> None:
    made = template("echo I am $JOB_COMPLETION_INDEX on $(hostname)", restart="Never")
    cluster.apply(
        workload("Job", namespace, "batch/v1", completions=3, parallelism=3, completionMode="Indexed", template=made)
    )
    cluster.kubectl("wait", "-n", namespace, "job/x", "--for=condition=Complete", "--timeout=90s")
    status = cluster.get("job", "x", "-n", namespace)["status"]
    assert (status["succeeded"], status["completedIndexes"]) == (3, "0-2")
    said = cluster.kubectl("logs", "-n", namespace, "-l", "job-name=x")
    assert sorted(said.splitlines()) == [f"I am {index} on x-{index}" for index in range(3)]


def test_a_job_that_fails_says_why(cluster: Cluster, namespace: str) -> None:
    made = template("exit 3", restart="Never")
    cluster.apply(workload("Job", namespace, "batch/v1", backoffLimit=0, template=made))
    cluster.kubectl("wait", "-n", namespace, "job/x", "--for=condition=Failed", "--timeout=90s")
    assert "BackoffLimitExceeded" in cluster.kubectl("describe", "job", "x", "-n", namespace)


def test_a_cron_job_runs_by_itself_and_by_hand(cluster: Cluster, namespace: str) -> None:
    job = {"spec": {"template": template("true", restart="Never")}}
    cluster.apply(workload("CronJob", namespace, "batch/v1", schedule="@every 2s", jobTemplate=job))
    cluster.kubectl("create", "job", "-n", namespace, "by-hand", "--from=cronjob/x")
    cluster.kubectl("wait", "-n", namespace, "job/by-hand", "--for=condition=Complete", "--timeout=90s")

    def has_run() -> bool:
        return "lastSuccessfulTime" in cluster.get("cronjob", "x", "-n", namespace).get("status", {})

    wait_until(has_run, "the CronJob has had a run that succeeded")


def test_a_daemon_set_is_on_every_node_that_it_tolerates(cluster: Cluster, namespace: str) -> None:
    forever = template("sleep 3600")
    cluster.apply(workload("DaemonSet", namespace, template=forever))
    cluster.kubectl("rollout", "status", "-n", namespace, "daemonset/x", "--timeout=90s", timeout=100)
    nodes = {node["metadata"]["name"] for node in cluster.get("nodes")["items"]}
    places = [pod["spec"]["nodeName"] for pod in cluster.pods(namespace, "app=x")]
    assert sorted(places) == sorted(nodes - {cluster.control_plane})
    forever["spec"]["tolerations"] = [{"operator": "Exists"}]
    cluster.apply(workload("DaemonSet", namespace, template=forever))
    cluster.kubectl("rollout", "status", "-n", namespace, "daemonset/x", "--timeout=90s", timeout=100)

    def everywhere() -> bool:
        return sorted(pod["spec"]["nodeName"] for pod in cluster.pods(namespace, "app=x")) == sorted(nodes)

    wait_until(everywhere, "a pod is on every node")


def test_a_stateful_set_keeps_names_and_data(cluster: Cluster, namespace: str) -> None:
    ready = {"exec": {"command": ["/bin/busybox", "test", "-f", "/data/name"]}}
    container = {
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
        "readinessProbe": {**ready, "periodSeconds": 1},
    }
    made = template("test -f /data/name || hostname > /data/name; sleep 3600", container=container)
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "10Mi"}}}
    cluster.apply(
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "x", "namespace": namespace},
         "spec": {"clusterIP": "None", "selector": {"app": "x"}}},
        workload("StatefulSet", namespace, serviceName="x", replicas=2, template=made,
                 volumeClaimTemplates=[{"metadata": {"name": "data"}, "spec": claim}]),
    )  # fmt: skip
    cluster.kubectl("rollout", "status", "-n", namespace, "statefulset/x", "--timeout=120s", timeout=130)
    created = {
        pod["metadata"]["name"]: pod["metadata"]["creationTimestamp"] for pod in cluster.pods(namespace, "app=x")
    }
    first = cluster.get("pod", "x-0", "-n", namespace)
    became_ready = next(each for each in first["status"]["conditions"] if each["type"] == "Ready")["lastTransitionTime"]
    assert became_ready <= created["x-1"], "the second is made when the first is ready"
    uid = cluster.get("pod", "x-1", "-n", namespace)["metadata"]["uid"]
    cluster.exec(namespace, "x-1", "/bin/busybox", "sh", "-c", "echo kept >> /data/name")
    cluster.kubectl("delete", "pod", "x-1", "-n", namespace)

    def again() -> str:
        pods = {pod["metadata"]["name"]: pod for pod in cluster.pods(namespace, "app=x")}
        pod = pods.get("x-1", first)
        is_ready = any(each["type"] == "Ready" and each["status"] == "True" for each in pod["status"]["conditions"])
        return (
            pod["status"]["podIP"] if pod["metadata"]["uid"] not in (uid, first["metadata"]["uid"]) and is_ready else ""
        )

    address = wait_until(again, "another x-1 is ready", seconds=90)
    assert cluster.exec(namespace, "x-1", "/bin/busybox", "cat", "/data/name") == "x-1\nkept\n"

    name = f"x-1.x.{namespace}.svc.cluster.local"  # whole: busybox's nslookup doesn't search

    def resolved() -> bool:
        return address in cluster.tried("exec", "-n", namespace, "x-0", "--", "/bin/busybox", "nslookup", name).stdout

    wait_until(resolved, f"{name} is {address}", seconds=30)
