"""A pod's row: STATUS says the one thing a reader should know, which the API has nowhere as such.

It is found by going through the containers: the first init container that isn't done, else the first app container
that waits or ended (the loop goes backwards, so the first in the list has the last word), else the phase; deletion
overrides. kubectl's users and scripts know these words, so the order of the rules matters.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from apimachinery import meta
from apimachinery.printers.cells import AGE, NAME, NONE, Column, age, at, since, wide

JSON = dict[str, Any]


@dataclass(slots=True)
class Summary:
    """What the containers of one pod amount to."""

    reason: str
    ready: int = 0
    total: int = 0
    restarts: int = 0
    last_restart: str = ""  # the latest end of a container that was restarted

    def count_restarts(self, container: JSON) -> None:
        self.restarts += container.get("restartCount") or 0
        ended = (container.get("lastState") or {}).get("terminated") or {}
        self.last_restart = max(self.last_restart, ended.get("finishedAt") or "")


def summarize(pod: JSON) -> Summary:
    """The pod's READY, STATUS and RESTARTS."""
    spec, status = pod.get("spec") or {}, pod.get("status") or {}
    phase = status.get("phase") or ""
    summary = Summary(reason=status.get("reason") or phase)
    scheduled = meta.condition(pod, "PodScheduled")
    if scheduled and scheduled.get("reason") == "SchedulingGated":
        summary.reason = "SchedulingGated"
    sidecars = {each["name"] for each in spec.get("initContainers") or () if each.get("restartPolicy") == "Always"}
    summary.total = len(spec.get("containers") or ()) + len(sidecars)

    sidecar_restarts = Summary("")
    for each in status.get("initContainerStatuses") or ():
        if each["name"] in sidecars:
            sidecar_restarts.count_restarts(each)
    initializing = _initialize(summary, pod, sidecars)
    if not initializing or meta.is_condition_true(pod, "Initialized"):
        summary.restarts, summary.last_restart = sidecar_restarts.restarts, sidecar_restarts.last_restart
        _run(summary, pod)

    if meta.is_deleting(pod):
        if status.get("reason") == "NodeLost":
            summary.reason = "Unknown"
        elif phase not in ("Succeeded", "Failed"):
            summary.reason = "Terminating"
    return summary


def _initialize(summary: Summary, pod: JSON, sidecars: set[str]) -> bool:
    """Whether an init container is still to be done; says so in the summary."""
    total = len((pod.get("spec") or {}).get("initContainers") or ())
    for index, each in enumerate((pod.get("status") or {}).get("initContainerStatuses") or ()):
        summary.count_restarts(each)
        state = each.get("state") or {}
        terminated, waiting = state.get("terminated"), (state.get("waiting") or {}).get("reason")
        if terminated and not terminated.get("exitCode"):
            continue
        if each["name"] in sidecars and each.get("started"):
            summary.ready += bool(each.get("ready"))
            continue
        if terminated:
            summary.reason = f"Init:{_end(terminated)}"
        elif waiting and waiting != "PodInitializing":
            summary.reason = f"Init:{waiting}"
        else:
            summary.reason = f"Init:{index}/{total}"
        return True
    return False


def _run(summary: Summary, pod: JSON) -> None:
    running = False
    for each in reversed((pod.get("status") or {}).get("containerStatuses") or ()):
        summary.count_restarts(each)
        state = each.get("state") or {}
        if waiting := (state.get("waiting") or {}).get("reason"):
            summary.reason = waiting
        elif terminated := state.get("terminated"):
            summary.reason = _end(terminated)
        elif each.get("ready") and state.get("running") is not None:
            running = True
            summary.ready += 1
    if summary.reason == "Completed" and running:
        summary.reason = "Running" if meta.is_condition_true(pod, "Ready") else "NotReady"


def _end(terminated: JSON) -> str:
    """Why a container ended."""
    if terminated.get("reason"):
        return str(terminated["reason"])
    if terminated.get("signal"):
        return f"Signal:{terminated['signal']}"
    return f"ExitCode:{terminated.get('exitCode', 0)}"


def _gates(pod: JSON, _now: datetime) -> str:
    gates = (pod.get("spec") or {}).get("readinessGates") or ()
    if not gates:
        return NONE
    return f"{sum(meta.is_condition_true(pod, each['conditionType']) for each in gates)}/{len(gates)}"


def _address(pod: JSON, _now: datetime) -> str:
    addresses = (pod.get("status") or {}).get("podIPs") or ()
    return str(addresses[0]["ip"]) if addresses else NONE


_WIDE: Final = (
    wide("IP", _address),
    wide("Node", at("spec.nodeName", NONE)),
    wide("Nominated Node", at("status.nominatedNodeName", NONE)),
    wide("Readiness Gates", _gates),
)
COLUMNS: Final = (
    NAME,
    Column("Ready", lambda pod, now: row(pod, now)[1]),
    Column("Status", lambda pod, now: row(pod, now)[2]),
    Column("Restarts", lambda pod, now: row(pod, now)[3]),
    AGE,
    *_WIDE,
)


def row(pod: JSON, now: datetime) -> list[Any]:
    """The cells of COLUMNS, with the containers gone through only once."""
    summary = summarize(pod)
    restarts = str(summary.restarts)
    if summary.restarts and summary.last_restart:
        restarts += f" ({since(summary.last_restart, now)} ago)"
    return [
        meta.name(pod),
        f"{summary.ready}/{summary.total}",
        summary.reason,
        restarts,
        age(pod, now),
        *(column.cell(pod, now) for column in _WIDE),
    ]
