"""Why a pod on a node doesn't run, or a workload has no pods: statuses and events as kubelets and controllers write."""

from typing import Any

import pytest

from minikubectl.troubles import Trouble, object_troubles, pod_troubles, workload_troubles

JSON = dict[str, Any]

READY: JSON = {"metadata": {"name": "n1"}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}}


def pod(*, phase: str = "Pending", **entry: Any) -> JSON:
    spec = {"nodeName": "n1", "containers": [{"name": "c", "image": "web:1", "readinessProbe": {}}]}
    entries = [{"name": "c", "image": "web:1", "ready": False, **entry}] if entry else []
    return {
        "kind": "Pod",
        "metadata": {"name": "p", "namespace": "ns"},
        "spec": spec,
        "status": {"phase": phase, "containerStatuses": entries},
    }


def warning(reason: str, message: str, path: str = "") -> JSON:
    about = {"fieldPath": path} if path else {}
    return {"type": "Warning", "reason": reason, "message": message, "involvedObject": about}


CRASHING = {
    "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s restarting"}},
    "lastState": {"terminated": {"exitCode": 127, "reason": "Error"}},
    "restartCount": 3,
}
OUT_OF_MEMORY = {
    "state": {"running": {}},
    "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}},
    "restartCount": 1,
    "started": True,
}


@pytest.mark.parametrize(
    ("given", "events", "said"),
    [
        (
            pod(state={"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling image"}}),
            [],
            ["container c waits: ImagePullBackOff: Back-off pulling image | check the name of image web:1"],
        ),
        (
            pod(**CRASHING),
            [],
            [
                "container c waits: CrashLoopBackOff: back-off 10s restarting | the container starts and ends again",
                "container c ended with exit code 127, 3 restarts | the command was not found in the image",
            ],
        ),
        (
            pod(phase="Running", **OUT_OF_MEMORY),
            [],
            [
                "container c ended with exit code 137 (OOMKilled), 1 restart | it used more memory than its limit",
                "container c runs and is not ready: its readiness probe hasn't succeeded yet | the probe's path",
            ],
        ),
        (
            pod(phase="Running", state={"running": {}}, started=True),
            [warning("Unhealthy", "Readiness probe failed: statuscode: 500", "spec.containers{c}")],
            ["container c runs and is not ready: Readiness probe failed: statuscode: 500 | the"],
        ),
        (
            pod(state={"waiting": {"reason": "ContainerCreating"}}),
            [warning("FailedMount", 'configmap "settings" not found')],
            ['FailedMount: configmap "settings" not found | the volume, ConfigMap, Secret or claim that it names must'],
        ),
    ],
)
def test_a_pod_on_a_node_says_why_it_does_not_run(given: JSON, events: list[JSON], said: list[str]) -> None:
    found = [f"{each.what} | {each.remedy}" for each in pod_troubles(given, events, READY)]
    assert [text[: len(wanted)] for text, wanted in zip(found, said, strict=True)] == said


def test_a_pod_whose_node_is_gone_or_not_ready_says_so() -> None:
    running = pod(phase="Running", state={"running": {}}, ready=True)
    assert pod_troubles(running, [], READY) == []
    assert pod_troubles(running, [], None)[0].what == "its node n1 doesn't exist"
    lost = {"type": "Ready", "status": "Unknown", "message": "Kubelet stopped posting node status."}
    (trouble,) = pod_troubles(running, [], {**READY, "status": {"conditions": [lost]}})
    assert trouble.what == "its node n1 is not ready: Kubelet stopped posting node status."


@pytest.mark.parametrize(
    ("message", "remedy"),
    [
        ("exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1", "raise the ResourceQuota"),
        ('violates PodSecurity "restricted:latest": runAsNonRoot != true', "change the pod's securityContext"),
        ('error looking up service account ns/robot: serviceaccount "robot" not found', "create the service account"),
    ],
)
def test_a_workload_whose_pods_are_refused_says_what_refuses_them(message: str, remedy: str) -> None:
    failure = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": message}
    owner = {
        "kind": "Deployment",
        "metadata": {"name": "d"},
        "spec": {"replicas": 1},
        "status": {"conditions": [failure]},
    }
    (trouble,) = workload_troubles(owner, [warning("FailedCreate", message)], 0)
    assert trouble.what == f"FailedCreate: {message}"
    assert trouble.remedy.startswith(remedy)


def test_a_workload_that_is_paused_or_wants_nothing_says_so() -> None:
    owner = {"kind": "Deployment", "metadata": {"name": "d"}, "spec": {"replicas": 0, "paused": True}}
    assert workload_troubles(owner, [], 0) == [
        Trouble("0 replicas are wanted", "`minikubectl scale --replicas=N`"),
        Trouble("its rollout is paused", "`minikubectl rollout resume`"),
    ]


@pytest.mark.parametrize(
    ("obj", "events", "said"),
    [
        ({"kind": "Service", "spec": {"selector": {"app": "web"}}}, [], ["no pod has the labels app=web"]),
        (
            {"kind": "Node", "metadata": {"name": "n1"}},
            [],
            ["it is not ready: its kubelet has never reported"],
        ),
        (
            {"kind": "PersistentVolumeClaim", "status": {"phase": "Pending"}},
            [{"type": "Normal", "reason": "WaitForFirstConsumer", "message": "waiting for first consumer"}],
            ["WaitForFirstConsumer: waiting for first consumer"],
        ),
        ({"kind": "PersistentVolumeClaim", "status": {"phase": "Bound"}}, [], []),
    ],
)
def test_services_nodes_and_claims_say_what_they_lack(obj: JSON, events: list[JSON], said: list[str]) -> None:
    assert [each.what for each in object_troubles(obj, events, 0)] == said


def test_the_log_of_a_container_that_is_not_started_again_is_its_only_one() -> None:
    ended = pod(phase="Failed", state={"terminated": {"exitCode": 3}})
    assert pod_troubles(ended, [], READY)[0].remedy == "`minikubectl logs p -c c`"
