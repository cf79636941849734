"""What a pod's fields do, on a real Docker: many fields in few pods, looked at from inside."""

import base64
import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.e2e.conftest import ROOT, Cluster, run, wait_until

pytestmark = pytest.mark.e2e

JSON = dict[str, Any]
DEMO = "mini-kubernetes/demo"
USER, PASSWORD = "ann", "s3cret"
HTPASSWD = f"{USER}:$2y$05$axGXBHBXDDutxk3xt9CBO.zDd7esuJcbpALpW4Yk9Sq0yTimeZWnm\n"
SERVERS = """
docker-registry serve /etc/docker/registry/config.yml &
export REGISTRY_AUTH=htpasswd REGISTRY_AUTH_HTPASSWD_REALM=ours REGISTRY_AUTH_HTPASSWD_PATH=/tmp/htpasswd
REGISTRY_HTTP_ADDR=:5001 exec docker-registry serve /etc/docker/registry/config.yml
"""


def pod(
    name: str, namespace: str, script: str = "exec sleep 600", *, container: JSON | None = None, **spec: Any
) -> JSON:
    """A pod of the demo image that runs a script; `containers` in `spec` replace the one it has."""
    first = {"name": "c", "image": DEMO, "imagePullPolicy": "IfNotPresent", "command": ["sh", "-c", script]}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": {"app": name}},
        "spec": {"terminationGracePeriodSeconds": 1, "containers": [{**first, **(container or {})}], **spec},
    }


def waiting(cluster: Cluster, namespace: str, name: str) -> str:
    """Why the first container waits, "" if it does not."""
    statuses = cluster.get("pod", name, "-n", namespace)["status"].get("containerStatuses") or [{}]
    return str(statuses[0].get("state", {}).get("waiting", {}).get("reason", ""))


def ready(cluster: Cluster, namespace: str, *names: str) -> None:
    """Wait for pods as users do."""
    pods = [f"pod/{name}" for name in names]
    cluster.kubectl("wait", "-n", namespace, *pods, "--for=condition=Ready", "--timeout=90s", timeout=100)


def events(cluster: Cluster, namespace: str, name: str) -> list[str]:
    """ "Reason: message" of a pod's events."""
    found = cluster.get("events", "-n", namespace, "--field-selector", f"involvedObject.name={name}")["items"]
    return [f"{event['reason']}: {event['message']}" for event in found]


@dataclass(frozen=True)
class Registry:
    """Two servers with the same images, by the names that nodes know: one for everybody, one that wants a password."""

    open: str
    closed: str


@pytest.fixture(scope="module")
def registry(cluster: Cluster) -> Iterator[Registry]:
    """A registry in a container beside the nodes, with shop/app:1 in it."""
    images = json.loads((ROOT / ".build" / "images.json").read_text())
    name = f"{cluster.name}-registry"
    network = f"mini-{cluster.name}"
    subnet = run("docker", "network", "inspect", network, "-f", "{{(index .IPAM.Config 0).Subnet}}")
    address = f"{subnet.rpartition('.')[0]}.250"
    run("docker", "run", "-d", "--name", name, "--network", network, "--ip", address, "-p", "127.0.0.1::5000",
        "--entrypoint", "sh", images["registry"], "-c", f"echo '{HTPASSWD}' >/tmp/htpasswd\n{SERVERS}")  # fmt: skip
    try:
        port = run("docker", "port", name, "5000").split()[0].rpartition(":")[2]
        local = f"localhost:{port}/shop/app:1"
        run("docker", "tag", images["demo"], local)
        answers = f"curl -fsS -o /dev/null http://127.0.0.1:{port}/v2/"
        wait_until(lambda: subprocess.run(answers.split(), capture_output=True).returncode == 0, "the registry answers")
        run("docker", "push", "-q", local)
        run("docker", "rmi", local)
        yield Registry(f"{name}:5000", f"{name}:5001")
    finally:
        run("docker", "rm", "-f", "-v", name)


def test_images_come_from_a_registry_with_and_without_a_password(
    cluster: Cluster, namespace: str, registry: Registry
) -> None:
    cluster.kubectl("create", "secret", "docker-registry", "pull", "-n", namespace,
                    f"--docker-server={registry.closed}", f"--docker-username={USER}",
                    f"--docker-password={PASSWORD}")  # fmt: skip
    auth = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    legacy = {
        "type": "kubernetes.io/dockercfg",
        "stringData": {".dockercfg": json.dumps({registry.closed: {"auth": auth}})},
    }
    cluster.apply(
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "legacy", "namespace": namespace}, **legacy},
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": "puller", "namespace": namespace},
            "imagePullSecrets": [{"name": "legacy"}],
        },
    )

    def pulls(name: str, image: str, policy: str = "Always", **spec: Any) -> JSON:
        return pod(name, namespace, container={"image": image, "imagePullPolicy": policy}, **spec)

    closed = f"{registry.closed}/shop/app:1"
    cluster.apply(
        pulls("free", f"{registry.open}/shop/app:1"),
        pulls("secret", closed, imagePullSecrets=[{"name": "pull"}, {"name": "absent"}]),
        pulls("account", closed, serviceAccountName="puller"),
        pulls("refused", closed),
        pulls("missing", f"{registry.open}/shop/none:1"),
        pulls("never", "shop/none:1", policy="Never"),
        pulls("invalid", "Shop:::1"),
    )
    ready(cluster, namespace, "free", "secret", "account")
    for name, reason in {
        "refused": "ImagePullBackOff",
        "missing": "ImagePullBackOff",
        "never": "ErrImageNeverPull",
        "invalid": "InvalidImageName",
    }.items():
        wait_until(lambda name=name, reason=reason: waiting(cluster, namespace, name) == reason, f"{name}: {reason}")

    def told(name: str, *wanted: str) -> None:
        def all_told() -> bool:
            found = events(cluster, namespace, name)
            return all(any(event.startswith(words) for event in found) for words in wanted)

        wait_until(all_told, f"events of {name}: {wanted}")

    told("free", "Pulling: Pulling image", "Pulled: Successfully pulled image", "Started: Started container")
    told("secret", "FailedToRetrieveImagePullSecret: Unable to retrieve some image pull secrets (absent);")
    told("refused", f'Failed: Failed to pull image "{closed}"', "Failed: Error: ErrImagePull")
    told("refused", f'BackOff: Back-off pulling image "{closed}"', "Failed: Error: ImagePullBackOff")
    status = cluster.get("pod", "refused", "-n", namespace)["status"]["containerStatuses"][0]["state"]["waiting"]
    assert "no basic auth credentials" in status["message"]
    told("never", "ErrImageNeverPull: Container image", "Failed: Error: ErrImageNeverPull")
    told("invalid", "InspectFailed: Failed to apply default image tag", "Failed: Error: InvalidImageName")
    for node in cluster.ready_nodes():
        logged = run("docker", "exec", node, "journalctl", "-u", "mini-kubelet", "--no-pager")
        assert PASSWORD not in logged and auth not in logged
