"""minikubectl on a real cluster: the streams (attach, cp, port-forward, debug), drain, and why."""

import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.conftest import ROOT, Cluster, deployment, service, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
Mini = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def mini(cluster: Cluster, namespace: str) -> Mini:
    """Run minikubectl in the test's namespace."""

    def run(*argv: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "minikubectl", "--kubeconfig", str(cluster.kubeconfig), "-n", namespace, *argv]
        return subprocess.run(command, input=stdin, text=True, capture_output=True, timeout=120, cwd=ROOT)

    return run


def test_streams_reach_a_container(cluster: Cluster, namespace: str, mini: Mini, tmp_path: Path) -> None:
    cluster.apply(deployment("web", namespace, replicas=1, spread=False), service("web", namespace))
    done = mini("rollout", "status", "deploy/web", "--timeout=90s")
    assert done.returncode == 0, done.stderr

    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_bytes(bytes(range(256)) * 2000)
    pod = cluster.pods(namespace, "app=web")[0]["metadata"]["name"]
    assert mini("cp", str(tmp_path / "folder"), f"{pod}:/tmp").returncode == 0
    back = mini("cp", f"{namespace}/{pod}:/tmp/folder", str(tmp_path / "back"))
    assert (tmp_path / "back" / "file").read_bytes() == (tmp_path / "folder" / "file").read_bytes(), back.stderr

    command = [sys.executable, "-m", "minikubectl", "--kubeconfig", str(cluster.kubeconfig), "-n", namespace]
    forward = subprocess.Popen(
        [*command, "port-forward", "svc/web", ":80", "--address", "127.0.0.1"],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    try:
        assert forward.stdout
        line = forward.stdout.readline()
        port = line.split()[2].rpartition(":")[2]
        for _ in range(2):
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=30) as answer:
                assert answer.status == 200
    finally:
        forward.terminate()
        assert forward.wait(timeout=30) == 0

    said = mini("run", "cat", "--image=mini-kubernetes/demo", "--image-pull-policy=IfNotPresent", "--restart=Never",
                "-i", "--rm", "-q", "--command", "--", "cat", stdin="hello\n")  # fmt: skip
    assert (said.returncode, said.stdout) == (0, "hello\n"), said.stderr


def test_debug_looks_at_a_node_and_at_a_copy(cluster: Cluster, namespace: str, mini: Mini) -> None:
    node, flags = cluster.workers[0], ("-i", "-q")
    image = ("--image=mini-kubernetes/demo", "--image-pull-policy=IfNotPresent")
    said = mini("debug", f"node/{node}", *image, *flags, "--", "cat", "/host/etc/hostname")
    assert (said.returncode, said.stdout) == (0, f"{node}\n"), said.stderr
    mini("run", "broken", *image, "--restart=Never", "--command", "--", "no-such-program")
    said = mini("debug", "broken", "--copy-to=copy", "-c", "broken", *flags, "--", "hostname")
    assert (said.returncode, said.stdout) == (0, "copy\n"), said.stderr


def test_why_names_what_keeps_pods_from_running(cluster: Cluster, namespace: str, mini: Mini) -> None:
    cluster.apply(deployment("huge", namespace, replicas=1, nodeSelector={"disk": "ssd"}))
    wait_until(lambda: "NodeAffinity" in mini("why", "deploy/huge").stdout, "why says what no node has", seconds=120)
    said = mini("why", "deploy/huge").stdout
    assert "nodeSelector asks for disk=ssd, the node has no such label" in said
    assert f"`minikubectl label node {cluster.workers[0]} disk=ssd`" in said
    assert "node(s) didn't match Pod's node affinity/selector" in said

    mini("create", "quota", "none", "--hard=pods=0")
    cluster.apply(deployment("refused", namespace, replicas=1))
    wait_until(
        lambda: "exceeded quota" in mini("why", "deploy/refused").stdout, "why says that the quota refuses", seconds=120
    )
    assert "→ raise the ResourceQuota" in mini("why", "deploy/refused").stdout
    mini("delete", "quota", "none")

    cluster.apply(deployment("crash", namespace, replicas=1, spread=False))
    patch = '{"spec": {"template": {"spec": {"containers": [{"name": "web", "command": ["sh", "-c", "exit 7"]}]}}}}'
    assert mini("patch", "deploy", "crash", "-p", patch).stdout == "deployment.apps/crash patched\n"
    wait_until(
        lambda: "ended with exit code 7" in mini("why", "deploy/crash").stdout, "why says how it ended", seconds=120
    )


def test_top_and_events_show_what_goes_on(mini: Mini, cluster: Cluster, namespace: str) -> None:
    cluster.apply(deployment("web", namespace, replicas=1, spread=False))
    wait_until(lambda: "Started" in mini("events").stdout, "an event that the container was started", seconds=120)
    wait_until(lambda: mini("top", "node").stdout.startswith("NAME"), "figures of nodes", seconds=120)
    assert cluster.control_plane in mini("top", "node").stdout
