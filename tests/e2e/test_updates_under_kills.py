"""Every service is killed at random moments while Deployments are updated: clients of a Service notice nothing.

The web servers serve on for 15 s after SIGTERM, as servers behind a load balancer should. No container is killed, so
no request may fail. `CHAOS_SEED` repeats the dice; `CHAOS_TURNS` is how often every service of every node is killed.
"""

import asyncio
import json
import os
import random
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from minikubeadm.chaos import faults, prober
from tests.e2e.conftest import JSON, Cluster, deployment, run, service, wait_until

TURNS = int(os.environ.get("CHAOS_TURNS", "1"))
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(200 + 200 * TURNS)]
SERVES_ON = "httpd -f -p 0.0.0.0:8080 -h /www & trap 'sleep 15; kill $!; exit 0' TERM; wait $!"
PYTHON = "/opt/mini-kubernetes/bin/python3"


def web(name: str, namespace: str, *, replicas: int) -> JSON:
    """A Deployment whose pods serve on for 15 s after SIGTERM."""
    made = deployment(name, namespace, replicas=replicas, spread=False, terminationGracePeriodSeconds=30)
    made["spec"]["template"]["spec"]["containers"][0]["command"] = ["/bin/sh", "-c", SERVES_ON]
    return made


class Prober:
    """Requests from inside a node, or from a pod's network, for as long as the block runs."""

    def __init__(self, node: str, url: str, *, pod_container: str = "") -> None:
        self._command = ["docker", "exec", "-i", node]
        if pod_container:
            pid = run("docker", "exec", node, "docker", "inspect", "-f", "{{.State.Pid}}", pod_container).strip()
            self._command += ["nsenter", f"--net=/proc/{pid}/ns/net"]
        self._command += [PYTHON, "-c", Path(prober.__file__).read_text(), url]
        self.failures: list[JSON] = []
        self.sums: JSON = {}

    def __enter__(self) -> "Prober":
        self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        return self

    def __exit__(self, *_: object) -> None:
        out, _ = self._process.communicate(timeout=60)
        *self.failures, self.sums = map(json.loads, out.splitlines())


class Writer(threading.Thread):
    """Creates ConfigMaps and remembers those that were acknowledged."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        super().__init__()
        self._cluster, self._namespace = cluster, namespace
        self.ended = threading.Event()
        self.acknowledged: list[str] = []

    def run(self) -> None:
        count = 0
        while not self.ended.wait(0.2):
            count += 1
            done = self._cluster.tried("create", "configmap", f"c{count}", "-n", self._namespace)
            if done.returncode == 0:
                self.acknowledged.append(f"c{count}")


@pytest.fixture
def dice() -> Iterator[random.Random]:
    seed = int(os.environ.get("CHAOS_SEED", str(random.randrange(10**6))))
    print(f"CHAOS_SEED={seed}")
    yield random.Random(seed)


def kills(cluster: Cluster, dice: random.Random) -> Iterator[tuple[str, str]]:
    """(node, unit): every service of every node in turn, each turn shuffled."""
    every = [(cluster.control_plane, unit) for unit in faults.SERVICES["control-plane"]]
    every += [(worker, unit) for worker in cluster.workers for unit in faults.SERVICES["worker"]]
    for _ in range(TURNS):
        yield from dice.sample(every, len(every))


def container_ids(cluster: Cluster, namespace: str, name: str) -> dict[str, int]:
    """The containers that a Deployment's pods say they run, with how often they were restarted."""
    statuses = [
        status for pod in cluster.pods(namespace, f"app={name}") for status in pod["status"]["containerStatuses"]
    ]
    return {status["containerID"]: status["restartCount"] for status in statuses}


def test_no_request_fails_while_services_are_killed_under_rolling_updates(
    cluster: Cluster, namespace: str, dice: random.Random
) -> None:
    cluster.apply(web("web", namespace, replicas=3), service("web", namespace), web("steady", namespace, replicas=2))
    for name in ("web", "steady"):
        cluster.kubectl("rollout", "status", "-n", namespace, f"deployment/{name}", "--timeout=90s")
    steady = container_ids(cluster, namespace, "steady")
    url = f"http://{cluster.get('service', 'web', '-n', namespace)['spec']['clusterIP']}/cgi-bin/index.cgi"
    client = cluster.pods(namespace, "app=steady")[0]
    in_pod = client["status"]["containerStatuses"][0]["containerID"].removeprefix("docker://")
    writer = Writer(cluster, namespace)
    writer.start()
    timeline = []
    probers = [Prober(cluster.control_plane, url), Prober(client["spec"]["nodeName"], url, pod_container=in_pod)]
    try:
        with probers[0], probers[1]:
            for revision, (node, unit) in enumerate(kills(cluster, dice)):
                if revision % 4 == 0:
                    update(cluster, namespace, revision)
                time.sleep(dice.uniform(0.1, 1.5))
                timeline.append(f"{time.time():.3f} kill -9 {unit} on {node}")
                asyncio.run(faults.inject(faults.FAULTS["kill-service"], node, unit=unit))
                back(node, unit)
            update(cluster, namespace, -1)
            cluster.kubectl("rollout", "status", "-n", namespace, "deployment/web", "--timeout=120s", timeout=130)
    finally:
        writer.ended.set()
        writer.join()
    print("\n".join(timeline))
    for one in probers:
        print(one.sums, *one.failures, sep="\n")
    assert all(one.sums["requests"] > 100 for one in probers)
    assert not [failure for one in probers for failure in one.failures]
    assert container_ids(cluster, namespace, "steady") == steady, "a container that ran was touched"
    kept = {item["metadata"]["name"] for item in cluster.get("configmaps", "-n", namespace)["items"]}
    assert len(writer.acknowledged) > 5
    assert not set(writer.acknowledged) - kept, "acknowledged and lost"
    wait_until(lambda: len(cluster.ready_nodes()) == 3, "all nodes are Ready")


def update(cluster: Cluster, namespace: str, revision: int) -> None:
    """Begin a rolling update, however often it takes until the API server is there."""
    body = json.dumps({"spec": {"template": {"metadata": {"annotations": {"revision": str(revision)}}}}})
    argv = ("patch", "deployment", "web", "-n", namespace, "-p", body)
    wait_until(lambda: cluster.tried(*argv).returncode == 0, "the Deployment takes an update")


def back(node: str, unit: str) -> None:
    """Wait until systemd has the service running again."""
    active = ("docker", "exec", node, "sh", "-c", f"systemctl is-active {unit} || true")
    wait_until(lambda: run(*active).strip() == "active", f"{unit} on {node} is back")
