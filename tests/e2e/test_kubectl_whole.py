"""The verbs of kubectl that need nodes: port-forward, cp, attach, top, drain, debug, terminals, logs that follow."""

import contextlib
import os
import pty
import re
import secrets
import subprocess
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import Cluster, deployment, service, wait_until

pytestmark = pytest.mark.e2e
IMAGE = ("--image=mini-kubernetes/demo", "--image-pull-policy=IfNotPresent")
TIMEOUT_SECONDS = 90


@pytest.fixture(scope="module")
def home(cluster: Cluster) -> Iterator[str]:
    """A namespace with a web server of two replicas on two nodes, and a pod `reader` that repeats what it reads."""
    name = f"kubectl-{secrets.token_hex(3)}"
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    cluster.apply(deployment("web", name, replicas=2, spread=False), service("web", name))
    cluster.kubectl(
        "run", "reader", "-n", name, *IMAGE, "--attach=false", "--stdin", "--leave-stdin-open", "--command", "--", "cat"
    )
    cluster.kubectl("rollout", "status", "deployment/web", "-n", name, "--timeout=90s", timeout=100)
    cluster.kubectl("wait", "pod/reader", "-n", name, "--for=condition=Ready", "--timeout=90s", timeout=100)
    yield name
    cluster.tried("delete", "namespace", name, "--wait=false")


@contextlib.contextmanager
def running(cluster: Cluster, *argv: str) -> Iterator["subprocess.Popen[str]"]:
    """kubectl in the background, ended with the block."""
    command = [cluster.kubectl_program, "--kubeconfig", str(cluster.kubeconfig), *argv]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        watchdog = threading.Timer(TIMEOUT_SECONDS, process.kill)
        watchdog.start()
        try:
            yield process
        finally:
            watchdog.cancel()
            process.kill()


@pytest.mark.parametrize("target", ["deployment/web", "service/web"])
def test_port_forward_reaches_the_pod(cluster: Cluster, home: str, target: str) -> None:
    port = "8080" if target.startswith("deployment") else "80"
    with running(cluster, "port-forward", "-n", home, target, f":{port}") as forward:
        assert forward.stdout is not None
        said = forward.stdout.readline()
        local = re.match(r"Forwarding from 127\.0\.0\.1:(\d+) -> 8080", said)
        assert local, said
        for _ in range(3):
            with urllib.request.urlopen(f"http://127.0.0.1:{local[1]}/", timeout=30) as answer:
                assert answer.status == 200


def test_cp_there_and_back(cluster: Cluster, home: str, tmp_path: Path) -> None:
    content = os.urandom(300_000)
    (tmp_path / "there").write_bytes(content)
    cluster.kubectl("cp", str(tmp_path / "there"), f"{home}/reader:/tmp/copy")
    cluster.kubectl("cp", f"{home}/reader:/tmp/copy", str(tmp_path / "back"))
    assert (tmp_path / "back").read_bytes() == content


def test_attach_joins_the_streams_of_the_process(cluster: Cluster, home: str) -> None:
    command = [cluster.kubectl_program, "--kubeconfig", str(cluster.kubeconfig), "attach", "-i", "-n", home, "reader"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as attached:
        assert attached.stdin is not None
        assert attached.stdout is not None
        watchdog = threading.Timer(TIMEOUT_SECONDS, attached.kill)
        watchdog.start()
        attached.stdin.write("hello attached\n")
        attached.stdin.flush()
        assert attached.stdout.readline() == "hello attached\n"
        watchdog.cancel()
        attached.kill()


def test_a_terminal_is_one(cluster: Cluster, home: str) -> None:
    ours, theirs = pty.openpty()
    command = [cluster.kubectl_program, "--kubeconfig", str(cluster.kubeconfig), "exec", "-it", "-n", home, "reader"]
    shown = b""
    with subprocess.Popen([*command, "--", "sh", "-c", "test -t 0 && echo on a tty"], stdin=theirs, stdout=theirs,
                          stderr=theirs, close_fds=True) as session:  # fmt: skip
        os.close(theirs)
        with contextlib.suppress(OSError):  # the other end is closed
            while data := os.read(ours, 4096):
                shown += data
        code = session.wait(TIMEOUT_SECONDS)
    os.close(ours)
    assert (code, b"on a tty\r\n" in shown) == (0, True), shown


def test_run_attached_says_what_it_printed_and_leaves_nothing(cluster: Cluster, home: str) -> None:
    ran = cluster.kubectl("run", "once", "-n", home, "--rm", "-i", "--restart=Never", *IMAGE, "--command", "--", "cat",
                          stdin="passed through\n")  # fmt: skip
    assert "passed through" in ran
    assert 'pod "once" deleted' in ran
    assert cluster.tried("get", "pod", "once", "-n", home).returncode == 1


def test_logs_follow_until_the_end(cluster: Cluster, home: str) -> None:
    script = "for i in 1 2 3 4; do echo line $i; sleep 0.3; done"
    cluster.kubectl("run", "talker", "-n", home, "--restart=Never", *IMAGE, "--command", "--", "sh", "-c", script)
    started = ("wait", "pod/talker", "-n", home, "--for=jsonpath={.status.startTime}", "--timeout=60s")
    cluster.kubectl(*started)
    wait_until(lambda: cluster.tried("logs", "talker", "-n", home).stdout, "the first line is there", seconds=60)
    followed = cluster.kubectl("logs", "-f", "talker", "-n", home, timeout=TIMEOUT_SECONDS)
    assert followed.splitlines() == [f"line {number}" for number in range(1, 5)]
    stamped = cluster.kubectl("logs", "talker", "-n", home, "--timestamps", "--tail=1")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z line 4\n", stamped)


def test_top_shows_nodes_and_pods(cluster: Cluster, home: str) -> None:
    def measured() -> list[str]:
        return cluster.tried("top", "pod", "-n", home, "--containers", "--no-headers").stdout.splitlines()

    wait_until(lambda: len(measured()) >= 3, "every container has figures")
    rows = {row.split()[0]: row.split() for row in measured()}
    assert rows["reader"][1] == "reader"
    web = next(row for name, row in rows.items() if name.startswith("web-"))
    assert web[1] == "web"
    used = cluster.kubectl("get", "pods.metrics.k8s.io", "reader", "-n", home, "-o", "jsonpath={..usage.memory}")
    assert int(used.removesuffix("Ki")) > 0
    nodes = {row.split()[0] for row in cluster.kubectl("top", "node", "--no-headers").splitlines()}
    assert {cluster.control_plane, *cluster.workers} <= nodes


def test_debug_adds_a_container_that_shares_processes(cluster: Cluster, home: str) -> None:
    target = cluster.pods(home, "app=web")[0]["metadata"]["name"]
    cluster.kubectl("debug", target, "-n", home, *IMAGE, "--target=web", "--container=looker",
                    "--profile=general", "--", "sh", "-c", "echo $0; ls -d /proc/[0-9]* | wc -l; sleep 9")  # fmt: skip

    def logged() -> list[str]:
        return cluster.tried("logs", target, "-n", home, "-c", "looker").stdout.split()

    wait_until(lambda: len(logged()) >= 2, "the ephemeral container has said something")
    assert int(logged()[-1]) >= 2
    assert "looker" in cluster.kubectl("describe", "pod", target, "-n", home)


def test_debug_a_node_sees_its_files(cluster: Cluster, home: str) -> None:
    node = cluster.workers[0]
    told = cluster.kubectl("debug", f"node/{node}", "-n", home, *IMAGE, "--profile=sysadmin",
                           "--", "cat", "/host/etc/hostname")  # fmt: skip
    pod = re.search(r"node-debugger-\S+", told)
    assert pod, told
    wait_until(lambda: cluster.tried("logs", pod[0], "-n", home).stdout.strip() == node, "the node's name is read")


def test_drain_waits_for_the_budget(cluster: Cluster, home: str) -> None:
    cluster.kubectl("create", "poddisruptionbudget", "web", "-n", home, "--selector=app=web", "--min-available=2")
    wait_until(lambda: cluster.get("pdb", "web", "-n", home)["status"].get("currentHealthy") == 2, "the budget is seen")
    node = cluster.pods(home, "app=web")[0]["spec"]["nodeName"]
    flags = ("--ignore-daemonsets", "--delete-emptydir-data", "--force", "--pod-selector=app=web")
    try:
        with running(cluster, "drain", node, *flags, "--timeout=80s") as drain:
            assert drain.stdout is not None
            lines: list[str] = []
            for line in drain.stdout:
                lines.append(line)
                if "would violate the pod's disruption budget" in line:
                    break
            assert "(will retry after 5s)" in lines[-1], lines
            assert node in cluster.kubectl("get", "node", node, "--no-headers")
            cluster.kubectl("scale", "deployment/web", "-n", home, "--replicas=3")
            rest = drain.stdout.read()
            assert drain.wait(TIMEOUT_SECONDS) == 0, rest
            assert f"node/{node} drained" in rest
        left = [pod for pod in cluster.pods(home, "app=web") if pod["spec"].get("nodeName") == node]
        assert not left
        assert "SchedulingDisabled" in cluster.kubectl("get", "node", node)
    finally:
        cluster.kubectl("uncordon", node)
    assert "SchedulingDisabled" not in cluster.kubectl("get", "node", node)
