"""A machine's Docker is stopped and started with a cluster in it: the cluster is back as it was.

The machine is a container: a node image whose Docker gets ordinary settings, and in it `minikubeadm cluster create`.
The Docker that runs the tests is left alone. Copying the node image in takes a minute, so this is part of `make
soak`.
"""

import asyncio
import json
import secrets
import subprocess
import time
from collections.abc import Iterator

import pytest

from minikubeadm.cluster import commands, nodes
from tests.e2e.conftest import JSON, deployment, run, service, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.soak, pytest.mark.timeout(900)]
KUBECONFIG = "/root/inner.conf"
CREATE = f"minikubeadm cluster create --name inner --workers 1 --kubeconfig {KUBECONFIG}"


class Host:
    """The container that plays the machine."""

    def __init__(self, name: str) -> None:
        self.name = name

    def run(self, *argv: str, stdin: str | None = None, timeout: float = 300) -> str:
        return run("docker", "exec", "-i", self.name, *argv, stdin=stdin, timeout=timeout)

    def tried(self, *argv: str) -> str:
        """What a command prints, "" if it fails."""
        done = subprocess.run(["docker", "exec", self.name, *argv], capture_output=True, text=True, timeout=60)
        return "" if done.returncode else done.stdout

    def get(self, *argv: str) -> JSON:
        """Objects of the cluster within; nothing while it does not answer."""
        printed = self.tried("minikubectl", "--kubeconfig", KUBECONFIG, "get", *argv, "-o", "json")
        return json.loads(printed) if printed else {}


@pytest.fixture
def host() -> Iterator[Host]:
    """A machine with a Docker of its own, which has the node image."""
    image = asyncio.run(commands.newest_image())
    made = Host(f"e2e-host-{secrets.token_hex(2)}")
    node = nodes.Node(made.name, "", nodes.WORKER, "bridge", "", image, "", "")
    argv = nodes.command(node, asyncio.run(nodes.allowed_capabilities()))
    run(*argv[: argv.index("--restart")], image)
    try:
        wait_until(lambda: made.tried("docker", "version"), "the machine's Docker answers")
        made.run("sh", "-c", "echo '{}' >/etc/docker/daemon.json && systemctl restart docker")
        run("sh", "-c", f"docker save {image} | docker exec -i {made.name} docker load", timeout=600)
        made.run(*CREATE.split(), "--image", image)
        yield made
    finally:
        run("docker", "rm", "--force", "--volumes", made.name)


def test_a_cluster_is_back_after_its_machines_docker_was_stopped_and_started(host: Host) -> None:
    bodies = [deployment("web", "default", replicas=2, spread=False), service("web", "default")]
    host.run(
        "minikubectl", "--kubeconfig", KUBECONFIG, "apply", "-f", "-", stdin="\n---\n".join(map(json.dumps, bodies))
    )
    wait_until(lambda: ready(host) == (2, 2), "both pods are Ready", seconds=120)
    before = what_stays(host)
    host.run("systemctl", "stop", "docker.socket", "docker")
    host.run("systemctl", "start", "docker")
    started = time.monotonic()
    wait_until(lambda: restarted(host) == 2 and ready(host) == (2, 2), "everything is Ready again", seconds=120)
    print(f"everything Ready {time.monotonic() - started:.1f} s after Docker was started")
    assert what_stays(host) == before


def ready(host: Host) -> tuple[int, int]:
    """How many nodes and web pods are Ready."""

    def count(items: list[JSON]) -> int:
        found = [each for item in items for each in item.get("status", {}).get("conditions") or ()]
        return sum(each["type"] == "Ready" and each["status"] == "True" for each in found)

    return count(host.get("nodes").get("items", [])), count(pods(host))


def pods(host: Host) -> list[JSON]:
    items: list[JSON] = host.get("pods", "-l", "app=web").get("items", [])
    return items


def restarted(host: Host) -> int:
    """How many pods have a container that was started anew."""
    return sum(
        status["restartCount"] > 0 for pod in pods(host) for status in pod["status"].get("containerStatuses", [])
    )


def what_stays(host: Host) -> JSON:
    listed = [*host.get("nodes")["items"]]
    return {
        "nodes": {node["metadata"]["uid"]: node["status"]["addresses"] for node in listed},
        "pods": sorted(pod["metadata"]["uid"] for pod in pods(host)),
        "service": host.get("service", "web")["spec"],
        "certificates": [
            host.run("docker", "exec", f"inner-{name}", "sh", "-c", PKI) for name in ("control-plane", "worker")
        ],
    }


PKI = "sha256sum $(find /etc/kubernetes /var/lib/kubelet/pki -type f | sort)"
