"""A pod's status from what is observed: pure, so that a test can compare it.

The rules are upstream's: a container that is to be started again shows as waiting with its last run in lastState; the
phase follows from the containers; Ready needs every container ready and every readiness gate.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from apimachinery import meta
from apimachinery.meta import JSON

from .observed import EXITED, NEVER, Container, PodState
from .plan import restart_policy, to_be_restarted
from .resources import is_sidecar, qos_class

OWNED_CONDITIONS = (
    "PodReadyToStartContainers",
    "Initialized",
    "Ready",
    "ContainersReady",
    "PodScheduled",
    "DisruptionTarget",
)
EPOCH = "1970-01-01T00:00:00Z"
EVICTED = "Evicted"
DEADLINE_EXCEEDED = ("DeadlineExceeded", "Pod was active on the node longer than the specified deadline")


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the worker knows beyond Docker's containers."""

    waiting: Mapping[str, tuple[str, str]] = field(default_factory=dict)  # container -> reason, message
    messages: Callable[[Container], str] = lambda run: ""  # its termination message
    started: Callable[[Container], bool] = lambda run: True
    ready: Callable[[Container], bool] = lambda run: True
    pod_ips: tuple[str, ...] = ()
    host_ips: tuple[str, ...] = ()
    network_ready: bool = False
    terminating: bool = False
    ended: bool = False  # nothing of it runs any more, nor will
    rejected: tuple[str, str] | None = None  # reason, message: the node did not admit it
    failed: tuple[str, str] | None = None  # reason, message: the kubelet ends it (DEADLINE_EXCEEDED, or evicted)
    now: str = ""


def generate(pod: JSON, state: PodState, facts: Facts) -> JSON:
    """The whole status."""
    spec, old = pod["spec"], pod.get("status") or {}
    if facts.rejected:
        return _rejected(pod, facts)
    initialised = _initialised(spec, state, facts)
    init = [_init_status(pod, c, state, facts) for c in spec.get("initContainers") or []]
    regular = [_container_status(pod, c, state, facts, initialised) for c in spec["containers"]]
    status: JSON = {
        "phase": "Failed" if facts.failed and facts.ended else _phase(spec, init, regular, facts),
        "qosClass": old.get("qosClass") or qos_class(spec),
        "startTime": old.get("startTime") or facts.now,
        "observedGeneration": meta.metadata(pod).get("generation", 1),
        "containerStatuses": regular,
    }
    if facts.failed and facts.ended:
        status |= {"reason": facts.failed[0], "message": facts.failed[1]}
    if init:
        status["initContainerStatuses"] = init
    if ephemeral := spec.get("ephemeralContainers"):
        statuses = [_container_status(pod, c, state, facts, True) for c in ephemeral]
        status["ephemeralContainerStatuses"] = [{**s, "ready": False} for s in statuses]
    if facts.host_ips:
        status |= {"hostIP": facts.host_ips[0], "hostIPs": [{"ip": ip} for ip in facts.host_ips]}
    if facts.pod_ips:
        status |= {"podIP": facts.pod_ips[0], "podIPs": [{"ip": ip} for ip in facts.pod_ips]}
    status["conditions"] = _conditions(pod, status, initialised, facts)
    return status


def deadline_of(pod: JSON) -> float | None:
    """When a pod with activeDeadlineSeconds has been active for too long; None before it started, or without one."""
    allowed, started = pod["spec"].get("activeDeadlineSeconds"), (pod.get("status") or {}).get("startTime")
    return meta.parse_time(started).timestamp() + allowed if allowed is not None and started else None


def _rejected(pod: JSON, facts: Facts) -> JSON:
    assert facts.rejected is not None
    reason, message = facts.rejected
    return {
        "phase": "Failed",
        "reason": reason,
        "message": f"Pod was rejected: {message}",
        "startTime": (pod.get("status") or {}).get("startTime") or facts.now,
        "qosClass": qos_class(pod["spec"]),
        "conditions": (pod.get("status") or {}).get("conditions") or [],
    }


def _initialised(spec: JSON, state: PodState, facts: Facts) -> bool:
    """All init containers have done their part."""
    if any((run := state.newest(c["name"])) is not None and run.state != "created" for c in spec["containers"]):
        return True
    for container in spec.get("initContainers") or []:
        run = state.newest(container["name"])
        if run is None:
            return False
        if is_sidecar(container):
            if not run.running or not facts.started(run):
                return False
        elif run.state != EXITED or run.exit_code != 0:
            return False
    return True


def container_statuses(pod: JSON) -> list[JSON]:
    """What the API has of all its containers."""
    old = pod.get("status") or {}
    listed = ("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses")
    return [status for name in listed for status in old.get(name) or []]


def _old_status(pod: JSON, name: str) -> JSON:
    return next((status for status in container_statuses(pod) if status["name"] == name), {})


def _init_status(pod: JSON, container: JSON, state: PodState, facts: Facts) -> JSON:
    status = _container_status(pod, container, state, facts, False)
    if not is_sidecar(container):
        run = state.newest(container["name"])
        status["ready"] = run is not None and run.state == EXITED and run.exit_code == 0
        status["started"] = run is not None and run.running
    return status


def _container_status(pod: JSON, container: JSON, state: PodState, facts: Facts, initialised: bool) -> JSON:
    spec, name = pod["spec"], container["name"]
    runs = [run for run in state.runs.get(name, []) if run.state != "created"]
    newest = runs[0] if runs else None
    started = newest is not None and newest.running and facts.started(newest)
    status: JSON = {
        "name": name,
        "image": container["image"],
        "imageID": f"docker://{newest.image_id}" if newest else "",
        "restartCount": newest.attempt if newest else int(_old_status(pod, name).get("restartCount", 0)),
        "ready": newest is not None and started and facts.network_ready and facts.ready(newest),
        "started": started,
        "lastState": {},
    }
    if newest is not None:
        status["containerID"] = f"docker://{newest.id}"
    waiting = facts.waiting.get(name)
    if newest is None:
        status["state"], status["lastState"] = _never_ran(pod, container, facts, initialised)
    elif newest.running:
        status["state"] = {"running": {"startedAt": _time(newest.started_at)}}
        if len(runs) > 1:
            status["lastState"] = _terminated(runs[1], facts)
    elif waiting and not (facts.terminating or facts.failed) and to_be_restarted(spec, container, newest):
        status["state"] = {"waiting": {"reason": waiting[0], "message": waiting[1]}}
        status["lastState"] = _terminated(newest, facts)
    else:
        status["state"] = _terminated(newest, facts)
        if len(runs) > 1:
            status["lastState"] = _terminated(runs[1], facts)
    return status


def _never_ran(pod: JSON, container: JSON, facts: Facts, initialised: bool) -> tuple[JSON, JSON]:
    """(state, lastState) of a container of which no run is left."""
    if waiting := facts.waiting.get(container["name"]):
        state: JSON = {"waiting": {"reason": waiting[0], **({"message": waiting[1]} if waiting[1] else {})}}
    else:
        has_init = bool(pod["spec"].get("initContainers"))
        reason = "PodInitializing" if has_init and not initialised else "ContainerCreating"
        state = {"waiting": {"reason": reason}}
    old = _old_status(pod, container["name"])
    if facts.ended and "running" in (old.get("state") or {}):
        lost = {
            "exitCode": 137,
            "reason": "ContainerStatusUnknown",
            "message": "The container could not be located when the pod was terminated",
            "startedAt": old["state"]["running"].get("startedAt"),
            "finishedAt": facts.now,
        }
        return {"terminated": lost}, {}
    if "terminated" in (old.get("state") or {}) and facts.ended:
        return old["state"], old.get("lastState") or {}
    return state, old.get("lastState") or {}


def _terminated(run: Container, facts: Facts) -> JSON:
    if run.failed_to_start:
        reason = "StartError"
    elif run.oom_killed:
        reason = "OOMKilled"
    else:
        reason = "Completed" if run.exit_code == 0 else "Error"
    terminated: JSON = {
        "exitCode": run.exit_code,
        "reason": reason,
        "startedAt": _time(run.started_at),
        "finishedAt": _time(run.created_at if run.finished_at == NEVER else run.finished_at),
        "containerID": f"docker://{run.id}",
    }
    if message := (run.error or facts.messages(run)):
        terminated["message"] = message
    return {"terminated": terminated}


def _time(text: str) -> str:
    """Docker's nanoseconds cut to whole seconds."""
    return EPOCH if text == NEVER else text[:19] + "Z"


def _phase(spec: JSON, init: list[JSON], regular: list[JSON], facts: Facts) -> str:
    for container, status in zip(spec.get("initContainers") or [], init, strict=True):
        terminated = status["state"].get("terminated") or {}
        failed = terminated.get("exitCode", 0) != 0
        if failed and not is_sidecar(container) and restart_policy(spec, container) == "Never":
            return "Failed"
    if facts.ended:
        codes = [(s["state"].get("terminated") or s["lastState"].get("terminated") or {}) for s in regular]
        return "Succeeded" if all(code.get("exitCode", 1) == 0 for code in codes) else "Failed"
    if any("running" in s["state"] for s in regular):
        return "Running"
    waiting_first = [s for s in regular if "waiting" in s["state"] and not s["lastState"].get("terminated")]
    if waiting_first:
        return "Pending"
    stopped = [s["state"].get("terminated") for s in regular]
    if any("running" in s["state"] for s in init):
        return "Running"  # sidecars are being stopped; a phase that is final comes after them
    if all(stopped) and spec.get("restartPolicy", "Always") != "Always":
        if all(code["exitCode"] == 0 for code in stopped if code):
            return "Succeeded"
        if spec["restartPolicy"] == "Never":
            return "Failed"
    return "Running"


def _conditions(pod: JSON, status: JSON, initialised: bool, facts: Facts) -> list[JSON]:
    """The kubelet's conditions put into the ones that are there; others' stay as they are."""
    conditions = [dict(c) for c in (pod.get("status") or {}).get("conditions") or []]
    phase = status["phase"]
    network = facts.network_ready and not facts.ended
    ready = _containers_ready(pod["spec"], status, phase)
    if facts.failed:  # so that Services let go of it before it ends
        ready = ("False", "PodFailed", "")
    all_ready = ready if ready[0] == "False" else _gates(pod["spec"], conditions, ready)
    wanted: list[tuple[str, str, str, str]] = [
        ("PodReadyToStartContainers", "True" if network else "False", "", ""),
        ("Initialized", *_initialised_condition(pod["spec"], status, initialised, phase)),
        ("Ready", *all_ready),
        ("ContainersReady", *ready),
        ("PodScheduled", "True", "", ""),
    ]
    if facts.failed and facts.failed[0] == EVICTED:
        wanted.append(("DisruptionTarget", "True", "TerminationByKubelet", facts.failed[1]))
    for type_, value, reason, message in wanted:
        meta.set_condition(conditions, type=type_, status=value, reason=reason, message=message, now=facts.now)
        for condition in conditions:
            if condition["type"] == type_:
                condition["observedGeneration"] = status["observedGeneration"]
                condition.setdefault("lastProbeTime", None)
    return conditions


def _initialised_condition(spec: JSON, status: JSON, initialised: bool, phase: str) -> tuple[str, str, str]:
    if initialised:
        return ("True", "PodCompleted" if phase == "Succeeded" else "", "")
    names = [s["name"] for s in status.get("initContainerStatuses", []) if not s["ready"]]
    return ("False", "ContainersNotInitialized", f"containers with incomplete status: [{' '.join(names)}]")


def _containers_ready(spec: JSON, status: JSON, phase: str) -> tuple[str, str, str]:
    if phase == "Succeeded":
        return ("False", "PodCompleted", "")
    if phase == "Failed":
        return ("False", "PodFailed", "")
    sidecars = {c["name"] for c in spec.get("initContainers") or [] if is_sidecar(c)}
    counted = [s for s in status.get("initContainerStatuses", []) if s["name"] in sidecars]
    counted += status["containerStatuses"]
    unready = [s["name"] for s in counted if not s["ready"]]
    if unready:
        return ("False", "ContainersNotReady", f"containers with unready status: [{' '.join(unready)}]")
    return ("True", "", "")


def _gates(spec: JSON, conditions: list[JSON], ready: tuple[str, str, str]) -> tuple[str, str, str]:
    missing = []
    for gate in spec.get("readinessGates") or []:
        wanted = gate["conditionType"]
        found = next((c for c in conditions if c["type"] == wanted), None)
        if found is None:
            missing.append(f'corresponding condition of pod readiness gate "{wanted}" does not exist.')
        elif found["status"] != "True":
            missing.append(f'the status of pod readiness gate "{wanted}" is not "True", but {found["status"]}')
    if missing:
        return ("False", "ReadinessGatesNotReady", ", ".join(missing))
    return ready


def patch(old: JSON, new: JSON, uid: str) -> JSON | None:
    """The strategic merge patch that makes `old` (the status in the API) `new`; None when it is so already."""
    changes: JSON = {}
    for key in (set(old) | set(new)) - {"conditions", "resize", "resourceClaimStatuses", "nominatedNodeName"}:
        if old.get(key) != new.get(key):
            changes[key] = new.get(key)
    for key in ("podIPs", "hostIPs"):
        if key in changes:
            present = {entry["ip"] for entry in new.get(key) or []}
            gone = [{"ip": e["ip"], "$patch": "delete"} for e in old.get(key) or [] if e["ip"] not in present]
            changes[key] = (changes[key] or []) + gone
    before = {condition["type"]: condition for condition in old.get("conditions") or []}
    moved = [
        condition
        for condition in new.get("conditions") or []
        if condition["type"] in OWNED_CONDITIONS and before.get(condition["type"]) != condition
    ]
    if moved:
        changes["conditions"] = [{**dict.fromkeys(set(before.get(c["type"], {})) - set(c)), **c} for c in moved]
    return {"metadata": {"uid": uid}, "status": changes} if changes else None
