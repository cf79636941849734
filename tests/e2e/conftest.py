"""A real cluster for the session: node containers, brought up by `minikubeadm`, talked to by a real kubectl.

`E2E_CLUSTER=name` runs the tests against a cluster that is there (and leaves it there); without it one of a control
plane and two workers is made and removed again.
"""

import json
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest

ROOT = Path(__file__).resolve().parents[2]
JSON = dict[str, Any]
T = TypeVar("T")
POLL_SECONDS = 0.25


def run(*argv: str, stdin: str | None = None, timeout: float = 120) -> str:
    """Run a command; when it fails, the test fails with what it printed."""
    done = subprocess.run(argv, input=stdin, text=True, capture_output=True, timeout=timeout, cwd=ROOT)
    if done.returncode:
        pytest.fail(f"{' '.join(argv)}\nexit code {done.returncode}\n{done.stdout}{done.stderr}", pytrace=False)
    return done.stdout


def minikubeadm(*argv: str, timeout: float = 300) -> str:
    """Run the project's own command line for administrators."""
    return run(sys.executable, "-m", "minikubeadm", *argv, timeout=timeout)


def wait_until(look: Callable[[], T], what: str, *, seconds: float = 60) -> T:
    """Look until the answer is true; it is the result. The test fails with the last answer when time is up."""
    deadline = time.monotonic() + seconds
    while not (answer := look()):
        if time.monotonic() > deadline:
            pytest.fail(f"not within {seconds:.0f} s: {what} (last: {answer!r})", pytrace=False)
        time.sleep(POLL_SECONDS)
    return answer


@dataclass(frozen=True)
class Cluster:
    """The cluster under test."""

    name: str
    kubeconfig: Path
    kubectl_program: str

    @property
    def control_plane(self) -> str:
        """The control plane's node (and container)."""
        return f"{self.name}-control-plane"

    @property
    def workers(self) -> list[str]:
        """The workers' nodes (and containers)."""
        return [f"{self.name}-worker", f"{self.name}-worker2"]

    def kubectl(self, *argv: str, stdin: str | None = None, timeout: float = 120) -> str:
        """Run kubectl against the cluster."""
        return run(self.kubectl_program, "--kubeconfig", str(self.kubeconfig), *argv, stdin=stdin, timeout=timeout)

    def tried(self, *argv: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run kubectl where a failure is an answer, too."""
        argv = (self.kubectl_program, "--kubeconfig", str(self.kubeconfig), *argv)
        return subprocess.run(argv, input=stdin, text=True, capture_output=True, timeout=120, cwd=ROOT)

    def get(self, *argv: str) -> JSON:
        """`kubectl get -o json`."""
        answer: JSON = json.loads(self.kubectl("get", *argv, "-o", "json"))
        return answer

    def apply(self, *bodies: JSON) -> None:
        """`kubectl apply` of objects."""
        self.kubectl("apply", "-f", "-", stdin="\n".join(map(json.dumps, bodies)))

    def ready_nodes(self) -> set[str]:
        """Names of the nodes that say Ready."""
        return {
            node["metadata"]["name"]
            for node in self.get("nodes")["items"]
            for condition in node["status"].get("conditions", [])
            if condition["type"] == "Ready" and condition["status"] == "True"
        }

    def node_ip(self, name: str) -> str:
        """InternalIP of a node."""
        addresses = self.get("node", name)["status"]["addresses"]
        return str(next(one["address"] for one in addresses if one["type"] == "InternalIP"))

    def pods(self, namespace: str, selector: str) -> list[JSON]:
        """The pods that match and are not being deleted."""
        items = self.get("pods", "-n", namespace, "-l", selector)["items"]
        return [pod for pod in items if "deletionTimestamp" not in pod["metadata"]]

    def in_node(self, node: str, script: str) -> str:
        """Run a shell script in a node."""
        return run("docker", "exec", node, "sh", "-c", script)

    def exec(self, namespace: str, pod: str, *command: str) -> str:
        """Run a command in a pod's container."""
        return self.kubectl("exec", "-n", namespace, pod, "--", *command)


def borrowed(given: str, name: str, folder: Path, *options: str) -> Iterator[Cluster]:
    """The cluster that was given by name, which stays; else one made with `cluster create`'s options, and removed."""
    program = os.environ.get("KUBECTL") or shutil.which("kubectl")
    if not program:
        pytest.fail("no kubectl: `KUBECTL=$(deploy/kubectl.sh)`", pytrace=False)
    name = given or name
    kubeconfig = folder / f"{name}.conf"
    if not given:
        print(minikubeadm("cluster", "create", "--name", name, *options))
    try:
        kubeconfig.write_text(minikubeadm("cluster", "kubeconfig", "--name", name))
        yield Cluster(name, kubeconfig, program)
    finally:
        if not given:
            minikubeadm("cluster", "delete", "--name", name)


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A control plane and two workers, all Ready."""
    folder = tmp_path_factory.mktemp("kubeconfig")
    yield from borrowed(os.environ.get("E2E_CLUSTER", ""), f"e2e-{secrets.token_hex(2)}", folder, "--workers", "2")


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[str]:
    """A namespace of the test's own, removed afterwards without waiting for it."""
    name = f"t-{secrets.token_hex(3)}"
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    yield name
    cluster.tried("delete", "namespace", name, "--wait=false")


def deployment(name: str, namespace: str, *, replicas: int, spread: bool = True, **pod: Any) -> JSON:
    """A Deployment of the demo's web server; `spread` puts each replica on a node of its own."""
    labels = {"app": name}
    term = {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": labels}}
    references = {"POD_IP": "status.podIP", "NODE_NAME": "spec.nodeName"}
    container = {
        "name": "web",
        "image": "mini-kubernetes/demo",
        "imagePullPolicy": "IfNotPresent",
        "ports": [{"name": "http", "containerPort": 8080}],
        "env": [{"name": key, "valueFrom": {"fieldRef": {"fieldPath": path}}} for key, path in references.items()],
        "readinessProbe": {"httpGet": {"path": "/", "port": "http"}, "periodSeconds": 1},
        "resources": {"requests": {"cpu": "10m", "memory": "8Mi"}},
    }
    spec: JSON = {"terminationGracePeriodSeconds": 1, "containers": [container], **pod}
    if spread:
        spec["affinity"] = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": spec},
        },
    }


def service(name: str, namespace: str, **spec: Any) -> JSON:
    """A Service of the pods of the Deployment with the same name."""
    ports = [{"name": "http", "port": 80, "targetPort": "http"}]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"selector": {"app": name}, "ports": ports, **spec},
    }
