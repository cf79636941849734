"""The scheduler as a process of its own against a real API server: bindings, reasons, restarts, one leader."""

from __future__ import annotations

import contextlib
import itertools
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.apiserver import ROOT, APIServerProcess

pytestmark = pytest.mark.integration
WAIT_SECONDS = 30.0
_numbers = itertools.count()


def wait_until(what: str, condition: Callable[[], Any]) -> Any:
    """The first true value of `condition`, which is asked again and again."""
    end = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.05)
    raise AssertionError(f"not within {WAIT_SECONDS:.0f} s: {what}")


@contextlib.contextmanager
def scheduler(server: APIServerProcess, *flags: str) -> Iterator[subprocess.Popen[bytes]]:
    """A running scheduler with the scheduler's own credentials."""
    kubeconfig = server.directory / "scheduler.conf"
    config = json.loads(Path(server.kubeconfig()).read_text())
    config["users"][0]["user"]["token"] = "scheduler-token"
    kubeconfig.write_text(json.dumps(config))
    command = [sys.executable, "-m", "scheduler", f"--kubeconfig={kubeconfig}", "--secure-port=0", *flags]
    with (server.directory / "scheduler.log").open("ab") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def cluster(api_server: APIServerProcess) -> Iterator[APIServerProcess]:
    """An API server with two nodes of two CPUs; whatever a test makes is gone after it."""
    for name in ("n1", "n2"):
        made = api_server.request(
            "POST",
            "/api/v1/nodes",
            {
                "apiVersion": "v1",
                "kind": "Node",
                "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
                "status": {"allocatable": {"cpu": "2", "memory": "4Gi", "pods": "10"}},
            },
        )
        assert made.code == 201, made.body
        patch = {"spec": {"taints": None}}
        api_server.request("PATCH", f"/api/v1/nodes/{name}", patch, content_type="application/merge-patch+json")
    yield api_server
    api_server.request("DELETE", "/api/v1/namespaces/default/pods?gracePeriodSeconds=0")
    api_server.request("DELETE", "/api/v1/nodes")


def make_pod(server: APIServerProcess, cpu: str = "100m", **spec: Any) -> str:
    """Creates a pod; gives its name."""
    name = f"p{next(_numbers)}"
    container = {"name": "c", "image": "i", "resources": {"requests": {"cpu": cpu}}}
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {"containers": [container], **spec}}
    made = server.request("POST", "/api/v1/namespaces/default/pods", body)
    assert made.code == 201, made.body
    return name


def node_of(server: APIServerProcess, pod: str) -> str | None:
    found = server.request("GET", f"/api/v1/namespaces/default/pods/{pod}").json()
    return found["spec"].get("nodeName")


def events(server: APIServerProcess, pod: str, reason: str) -> list[str]:
    path = f"/api/v1/namespaces/default/events?fieldSelector=involvedObject.name%3D{pod},reason%3D{reason}"
    return [event["message"] for event in server.request("GET", path).json()["items"]]


def test_a_pod_gets_a_node_and_an_event_says_so(cluster: APIServerProcess) -> None:
    with scheduler(cluster, "--leader-elect=false"):
        pod = make_pod(cluster)
        node = wait_until("bound", lambda: node_of(cluster, pod))
        (message,) = wait_until("event", lambda: events(cluster, pod, "Scheduled"))
        assert message == f"Successfully assigned default/{pod} to {node}"
        status = cluster.request("GET", f"/api/v1/namespaces/default/pods/{pod}").json()["status"]
        assert [(c["type"], c["status"]) for c in status["conditions"]] == [("PodScheduled", "True")]


def test_a_pod_too_big_says_why_and_fits_once_there_is_room(cluster: APIServerProcess) -> None:
    with scheduler(cluster, "--leader-elect=false"):
        first, second = make_pod(cluster, "1500m"), make_pod(cluster, "1500m")
        wait_until("both bound", lambda: node_of(cluster, first) and node_of(cluster, second))
        third = make_pod(cluster, "1500m")
        (message,) = wait_until("event", lambda: events(cluster, third, "FailedScheduling"))
        assert message.startswith("0/2 nodes are available: 2 Insufficient cpu.")
        condition = wait_until(
            "condition",
            lambda: (
                cluster.request("GET", f"/api/v1/namespaces/default/pods/{third}").json()["status"].get("conditions")
            ),
        )
        assert condition[0]["reason"] == "Unschedulable"
        cluster.request("DELETE", f"/api/v1/namespaces/default/pods/{first}?gracePeriodSeconds=0")
        wait_until("third bound", lambda: node_of(cluster, third))


def test_bins_are_packed_and_a_killed_scheduler_goes_on_from_what_it_sees(cluster: APIServerProcess) -> None:
    with scheduler(cluster, "--leader-elect=false") as process:
        nodes = [wait_until("bound", lambda pod=make_pod(cluster): node_of(cluster, pod)) for _ in range(3)]
        assert len(set(nodes)) == 1
        process.kill()
    waiting = make_pod(cluster)
    with scheduler(cluster, "--leader-elect=false"):
        assert wait_until("bound", lambda: node_of(cluster, waiting)) == nodes[0]


def test_of_two_schedulers_one_leads_and_the_other_takes_over(cluster: APIServerProcess) -> None:
    quick = (
        "--leader-elect-lease-duration=3s",
        "--leader-elect-renew-deadline=2s",
        "--leader-elect-retry-period=500ms",
    )
    path = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/kube-scheduler"

    def holder() -> str:
        lease = cluster.request("GET", path)
        return str((lease.json().get("spec") or {}).get("holderIdentity") or "") if lease.code == 200 else ""

    cluster.request("DELETE", path)
    with scheduler(cluster, *quick) as leader:
        first = wait_until("a leader", holder)
        with scheduler(cluster, *quick):
            leader.kill()
            wait_until("another leader", lambda: holder() not in ("", first))
            wait_until("bound", lambda pod=make_pod(cluster): node_of(cluster, pod))


def test_a_pod_for_another_scheduler_is_left_alone(cluster: APIServerProcess) -> None:
    with scheduler(cluster, "--leader-elect=false"):
        other, ours = make_pod(cluster, schedulerName="elsewhere"), make_pod(cluster)
        wait_until("ours bound", lambda: node_of(cluster, ours))
        assert node_of(cluster, other) is None
