"""A node that is killed, or cut off: its pods are replaced elsewhere, nothing of an identity runs twice, it comes back.

A node counts as lost after 20 s here (40 s by default); its kubelet renews its lease every 10 s.
"""

import asyncio
import subprocess
import threading
import time
from collections.abc import Iterator

import pytest

from apimachinery import meta
from minikubeadm.chaos import faults
from tests.e2e.conftest import JSON, Cluster, deployment, run, service, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]
GRACE_SECONDS = 20
TOLERATED_SECONDS = 2
REPLACED_SECONDS = 3
SOON = [
    {"key": f"node.kubernetes.io/{what}", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 2}
    for what in ("not-ready", "unreachable")
]
UNIT = "/etc/systemd/system/mini-controller-manager.service"


@pytest.fixture(scope="module")
def impatient(cluster: Cluster) -> Iterator[Cluster]:
    """The cluster with controllers that give a silent node less time."""
    flag = f" --node-monitor-grace-period={GRACE_SECONDS}s"

    def edit(expression: str) -> None:
        restart = (
            f"sed -i '{expression}' {UNIT} && systemctl daemon-reload && systemctl restart mini-controller-manager"
        )
        run("docker", "exec", cluster.control_plane, "sh", "-c", restart)

    edit(f"s/-m controllers/&{flag}/")
    yield cluster
    edit(f"s/{flag}//")


def stateful_set(name: str, namespace: str) -> JSON:
    """Two pods with names of their own, made from the Deployment of the same name."""
    made = deployment(name, namespace, replicas=2, spread=False, tolerations=SOON)
    return {**made, "kind": "StatefulSet", "spec": {**made["spec"], "serviceName": name}}


class Twins(threading.Thread):
    """Looks at the nodes' own Dockers for containers of one pod's name that run at the same time on two nodes."""

    def __init__(self, nodes: list[str], namespace: str, pod: str) -> None:
        super().__init__()
        self._nodes, self._ended, self.seen = nodes, threading.Event(), list[str]()
        labels = {"io.kubernetes.pod.namespace": namespace, "io.kubernetes.pod.name": pod}
        labels["io.kubernetes.container.name"] = "web"
        self._filters = [part for key, value in labels.items() for part in ("--filter", f"label={key}={value}")]

    def running(self, node: str) -> bool:
        """Whether the node runs it; a node that does not answer runs nothing."""
        try:
            return bool(run("docker", "exec", node, "docker", "ps", "-q", *self._filters).strip())
        except pytest.fail.Exception:
            return False

    def run(self) -> None:
        while not self._ended.wait(0.2):
            first, second = self._nodes
            if self.running(first) and self.running(second) and self.running(first):
                self.seen.append(f"{time.time():.3f}")

    def __enter__(self) -> "Twins":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self.join()


class Watched(threading.Thread):
    """What `kubectl get --watch` prints, and when each line came: the API's own times are whole seconds."""

    def __init__(self, cluster: Cluster, *argv: str) -> None:
        super().__init__()
        command = [cluster.kubectl_program, "--kubeconfig", str(cluster.kubeconfig), "get", "--watch", *argv]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.lines: list[tuple[float, str]] = []

    def run(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.lines.append((time.monotonic(), line.strip()))

    def first(self, text: str) -> float:
        """When a line with that text came first."""
        return next(at for at, line in self.lines if text in line)

    def __enter__(self) -> "Watched":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self.join()
        self._process.wait()


@pytest.mark.parametrize("name", ["kill-node", "partition"])
def test_a_lost_nodes_pods_are_replaced_and_the_node_comes_back(impatient: Cluster, namespace: str, name: str) -> None:
    cluster, fault = impatient, faults.FAULTS[name]
    cluster.apply(
        deployment("web", namespace, replicas=3, spread=False, tolerations=SOON),
        deployment("patient", namespace, replicas=2),
        service("patient", namespace),
        stateful_set("db", namespace),
        service("db", namespace, clusterIP="None"),
    )
    for web in ("web", "patient"):
        cluster.kubectl("rollout", "status", "-n", namespace, f"deployment/{web}", "--timeout=90s")
    wait_until(lambda: ready(cluster, namespace, "db") == {"db-0", "db-1"}, "both pods of the StatefulSet are Ready")
    patient = {meta.uid(pod) for pod in cluster.pods(namespace, "app=patient")}
    identity = cluster.get("pod", "db-0", "-n", namespace)
    victim = identity["spec"]["nodeName"]
    old = {meta.name(pod) for pod in cluster.pods(namespace, "app=web") if pod["spec"]["nodeName"] == victim}
    taints = ("node", victim, "-o", 'jsonpath={.spec.taints[*].effect}{"\\n"}')
    readiness = '{.metadata.name}:{.status.conditions[?(@.type=="Ready")].status}{"\\n"}'
    pods = ("pods", "-n", namespace, "-l", "app=web", "-o", f"jsonpath={readiness}")
    with (
        Twins(cluster.workers, namespace, "db-0") as twins,
        Watched(cluster, *taints) as tainted,
        Watched(cluster, *pods) as started,
    ):
        try:
            asyncio.run(faults.inject(fault, victim))
            lost = time.monotonic()
            wait_until(
                lambda: victim not in cluster.ready_nodes(), f"{victim} is not Ready", seconds=GRACE_SECONDS + 25
            )
            wait_until(lambda: victim not in listed(cluster, namespace), "the Service lists no pod of the lost node")
            print(f"{name}: out of the Service after {time.monotonic() - lost:.1f} s")
            wait_until(lambda: len(ready(cluster, namespace, "web") - old) == 3, "three pods are Ready elsewhere")
            new = ready(cluster, namespace, "web") - old
            due = tainted.first("NoExecute") + TOLERATED_SECONDS
            late = max(started.first(f"{pod}:True") for pod in new) - due
            print(f"{name}: the last new pod was Ready {late:.1f} s after the toleration's end")
            assert late < REPLACED_SECONDS
            there = cluster.get("pod", "db-0", "-n", namespace)
            assert meta.uid(there) == meta.uid(identity), (
                "a pod with an identity was replaced while its node was silent"
            )
            assert meta.is_deleting(there)
        finally:
            asyncio.run(faults.undo(fault, victim))
        wait_until(lambda: len(cluster.ready_nodes()) == 3, f"{victim} is Ready again", seconds=90)
        wait_until(lambda: ready(cluster, namespace, "db") == {"db-0", "db-1"}, "the StatefulSet is whole", seconds=90)
    wait_until(lambda: len(listed(cluster, namespace)) == 2, "the Service lists the pod that stayed there again")
    assert {meta.uid(pod) for pod in cluster.pods(namespace, "app=patient")} == patient
    assert not twins.seen, "db-0 ran on two nodes at once"
    assert meta.uid(cluster.get("pod", "db-0", "-n", namespace)) != meta.uid(identity)
    everything = ("pods", "-n", namespace, "-l", "app=web")
    wait_until(lambda: len(cluster.get(*everything)["items"]) == 3, "the lost node's old pods are gone")


def ready(cluster: Cluster, namespace: str, app: str) -> set[str]:
    """Names of the Ready pods of an app that are to stay."""
    pods = cluster.pods(namespace, f"app={app}")
    return {meta.name(pod) for pod in pods if meta.is_condition_true(pod, "Ready")}


def listed(cluster: Cluster, namespace: str) -> set[str]:
    """The nodes whose pods the Service sends to."""
    slices = cluster.get("endpointslices", "-n", namespace, "-l", "kubernetes.io/service-name=patient")["items"]
    found = [each for one in slices for each in one.get("endpoints") or ()]
    return {each["nodeName"] for each in found if each["conditions"]["ready"]}
