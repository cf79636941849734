"""How far an object has come, as a value: done or not, failed or not, and in words what is still missing.

The words of rollouts are kubectl's; the rest is what `apply --wait` shows.
"""

from dataclasses import dataclass
from typing import Any, Final

from apimachinery import meta

JSON = dict[str, Any]


@dataclass(frozen=True, slots=True)
class State:
    """`failed`: it will not get there by waiting."""

    done: bool
    text: str
    failed: bool = False


def state_of(obj: JSON) -> State:
    """Whether an object that was applied is in effect; kinds without progress are so once they exist."""
    judge = _JUDGES.get(obj.get("kind") or "")
    return judge(obj) if judge else State(True, "present")


def rollout(obj: JSON) -> State:
    """Whether a rollout is complete, in the words of `rollout status`."""
    judge = _ROLLOUTS.get(obj.get("kind") or "")
    if judge is None:
        return State(True, f"no status viewer has been implemented for {obj.get('kind')}", failed=True)
    if int(meta.metadata(obj).get("generation") or 0) > int(_status(obj).get("observedGeneration") or 0):
        noun = _NOUNS[obj["kind"]]
        return State(False, f"Waiting for {noun} spec update to be observed...")
    return judge(obj)


def pod_trouble(pod: JSON) -> str:
    """Why a pod isn't ready, from its own status; "" if it is, or doesn't say."""
    status = _status(pod)
    for entry in [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]:
        state = entry.get("state") or {}
        waiting, terminated = state.get("waiting") or {}, state.get("terminated") or {}
        reason = waiting.get("reason") or ""
        if reason and reason not in ("PodInitializing", "ContainerCreating"):
            return ": ".join(filter(None, (f"{entry.get('name')} {reason}", waiting.get("message"))))
        if terminated.get("exitCode"):
            return f"{entry.get('name')} ended with exit code {terminated['exitCode']}"
    scheduled = meta.condition(pod, "PodScheduled") or {}
    if scheduled.get("status") == "False":
        return str(scheduled.get("message") or scheduled.get("reason") or "not scheduled")
    return str(status.get("message") or "")


def _status(obj: JSON) -> JSON:
    return obj.get("status") or {}


def _count(obj: JSON, field: str) -> int:
    return int(_status(obj).get(field) or 0)


def _wanted(obj: JSON) -> int:
    replicas = (obj.get("spec") or {}).get("replicas")
    return 1 if replicas is None else int(replicas)


def _deployment(obj: JSON) -> State:
    name, wanted, updated = meta.name(obj), _wanted(obj), _count(obj, "updatedReplicas")
    total, available = _count(obj, "replicas"), _count(obj, "availableReplicas")
    waiting = f'Waiting for deployment "{name}" rollout to finish:'
    progressing = meta.condition(obj, "Progressing") or {}
    if progressing.get("reason") == "ProgressDeadlineExceeded":
        return State(False, f'deployment "{name}" exceeded its progress deadline', failed=True)
    if updated < wanted:
        return State(False, f"{waiting} {updated} out of {wanted} new replicas have been updated...")
    if total > updated:
        return State(False, f"{waiting} {total - updated} old replicas are pending termination...")
    if available < updated:
        return State(False, f"{waiting} {available} of {updated} updated replicas are available...")
    return State(True, f'deployment "{name}" successfully rolled out')


def _daemon_set(obj: JSON) -> State:
    name, wanted, updated = meta.name(obj), _count(obj, "desiredNumberScheduled"), _count(obj, "updatedNumberScheduled")
    available = _count(obj, "numberAvailable")
    waiting = f'Waiting for daemon set "{name}" rollout to finish:'
    if updated < wanted:
        return State(False, f"{waiting} {updated} out of {wanted} new pods have been updated...")
    if available < wanted:
        return State(False, f"{waiting} {available} of {wanted} updated pods are available...")
    return State(True, f'daemon set "{name}" successfully rolled out')


def _stateful_set(obj: JSON) -> State:
    wanted, ready, updated = _wanted(obj), _count(obj, "readyReplicas"), _count(obj, "updatedReplicas")
    status = _status(obj)
    if ready < wanted:
        return State(False, f"Waiting for {wanted - ready} pods to be ready...")
    if status.get("updateRevision") != status.get("currentRevision"):
        return State(
            False,
            f"waiting for statefulset rolling update to complete {updated} pods at revision "
            f"{status.get('updateRevision')}...",
        )
    return State(
        True, f"statefulset rolling update complete {wanted} pods at revision {status.get('currentRevision')}..."
    )


def _replicas(obj: JSON) -> State:
    wanted, ready = _wanted(obj), _count(obj, "readyReplicas")
    observed = _count(obj, "observedGeneration") >= int(meta.metadata(obj).get("generation") or 0)
    return State(observed and ready == wanted, f"{ready} of {wanted} pods ready")


def _rolled_out(obj: JSON) -> State:
    state = rollout(obj)
    return state if not state.done else State(True, "rolled out")


def _pod(obj: JSON) -> State:
    phase = str(_status(obj).get("phase") or "Pending")
    if phase == "Succeeded":
        return State(True, "completed")
    if phase == "Failed":
        return State(False, f"failed: {pod_trouble(obj)}", failed=True)
    if meta.is_condition_true(obj, "Ready"):
        return State(True, "ready")
    return State(False, pod_trouble(obj) or phase.lower())


def _job(obj: JSON) -> State:
    if meta.is_condition_true(obj, "Complete"):
        return State(True, "completed")
    failed = meta.condition(obj, "Failed") or {}
    if failed.get("status") == "True":
        return State(False, f"failed: {failed.get('message') or failed.get('reason')}", failed=True)
    return State(
        False, f"{_count(obj, 'succeeded')} of {(obj.get('spec') or {}).get('completions') or 1} pods succeeded"
    )


def _claim(obj: JSON) -> State:
    phase = str(_status(obj).get("phase") or "Pending")
    return State(phase == "Bound", phase.lower())


def _namespace(obj: JSON) -> State:
    phase = str(_status(obj).get("phase") or "Active")
    return State(phase == "Active", phase.lower(), failed=phase != "Active")


def _definition(obj: JSON) -> State:
    return State(meta.is_condition_true(obj, "Established"), "established or being so")


_NOUNS: Final = {"Deployment": "deployment", "DaemonSet": "daemon set", "StatefulSet": "statefulset"}
_ROLLOUTS: Final = {"Deployment": _deployment, "DaemonSet": _daemon_set, "StatefulSet": _stateful_set}
_JUDGES: Final = {
    "Deployment": _rolled_out,
    "DaemonSet": _rolled_out,
    "StatefulSet": _rolled_out,
    "ReplicaSet": _replicas,
    "ReplicationController": _replicas,
    "Pod": _pod,
    "Job": _job,
    "PersistentVolumeClaim": _claim,
    "Namespace": _namespace,
    "CustomResourceDefinition": _definition,
}
