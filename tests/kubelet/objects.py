"""Pods and containers for the kubelet's tests, made from what a test cares about."""

from typing import Any

from kubelet.observed import NEVER, Container, PodState, group

JSON = dict[str, Any]

UID = "11111111-2222-3333-4444-555555555555"


def pod(*containers: JSON, init: list[JSON] | None = None, status: JSON | None = None, **spec: Any) -> JSON:
    """A pod; a container without image gets one."""
    listed = containers or ({"name": "c"},)
    made: JSON = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web", "namespace": "shop", "uid": UID, "generation": 1},
        "spec": {"nodeName": "n1", "containers": [{"image": "img:1", **c} for c in listed], **spec},
    }
    if init is not None:
        made["spec"]["initContainers"] = [{"image": "img:1", **c} for c in init]
    if status is not None:
        made["status"] = status
    return made


def run(name: str, **changes: Any) -> Container:
    """A run of a container, by default the first and running."""
    values: JSON = {
        "id": f"{name}-{changes.get('attempt', 0)}",
        "name": name,
        "pod_uid": UID,
        "pod_name": "web",
        "pod_namespace": "shop",
        "sandbox": "POD-0",
        "attempt": 0,
        "state": "running",
        "created_at": "2026-01-01T00:00:00.5Z",
        "started_at": "2026-01-01T00:00:01.123456789Z",
        "finished_at": NEVER,
        "exit_code": 0,
        "pid": 42,
        "oom_killed": False,
        "error": "",
        "image": "img:1",
        "image_id": "sha256:abc",
        "stop_signal": "SIGTERM",
        "message_file": "",
        "tty": False,
        "host_network": False,
    }
    return Container(**{**values, **changes})


def exited(name: str, code: int, **changes: Any) -> Container:
    """A run that has ended."""
    return run(name, state="exited", exit_code=code, finished_at="2026-01-01T00:00:09Z", **changes)


def sandbox(**changes: Any) -> Container:
    """The pod's sandbox."""
    return run("POD", **{"sandbox": "", **changes})


def observed(*runs: Container) -> PodState:
    """What Docker shows of the pod."""
    return group(list(runs)).get(UID) or PodState(UID)
