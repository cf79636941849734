"""Why a pod that has a node doesn't run, or a workload has no pods: from statuses and events to words and a remedy.

Pure functions: a `Trouble` is what is so, and what to do about it. The reasons are those that kubelets and controllers
write.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from apimachinery import meta

JSON = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Trouble:
    """What is so, and what would have to change."""

    what: str
    remedy: str = ""


# why a container waits → what to do; {pod}, {container} and {image} are filled in
_WAITING: Final = {
    "ImagePullBackOff": "check the name of image {image} and that the node can reach its registry; for a private one, "
    "`minikubectl create secret docker-registry` and imagePullSecrets",
    "ErrImageNeverPull": "imagePullPolicy is Never: load image {image} onto the node, or change the policy",
    "InvalidImageName": "{image} is no name of an image: correct it",
    "CrashLoopBackOff": "the container starts and ends again: `minikubectl logs {pod} -c {container} -p` has its last "
    "words",
    "CreateContainerConfigError": "a ConfigMap, Secret or key that the container names is missing: create it, or mark "
    "it optional",
    "CreateContainerError": "the runtime refuses the container: look at its command, mounts and security context",
    "RunContainerError": "the command can't be started: is it in the image, and may it be executed?",
}
_WAITING_ALIKE: Final = {"ErrImagePull": "ImagePullBackOff", "RegistryUnavailable": "ImagePullBackOff"}
# exit codes that mean something by themselves
_EXITS: Final = {
    126: "the command can't be executed: is it a program?",
    127: "the command was not found in the image",
    128: "the command can't be started: is it in the image, and may it be executed?",
    137: "it was killed (SIGKILL): out of memory, or a liveness probe and no end within the grace period",
    139: "it crashed (segmentation fault)",
    143: "it was asked to end (SIGTERM): by a liveness probe, or a deletion",
}
# reason of an event → what to do
_EVENTS: Final = {
    "FailedMount": "the volume, ConfigMap, Secret or claim that it names must be there",
    "FailedAttachVolume": "the volume must be free, and reachable from the node",
    "FailedCreatePodSandBox": "the node's network or container runtime: `minikubectl describe node {node}`",
    "NetworkNotReady": "the node's pod network isn't up: `minikubectl describe node {node}`",
    "ProvisioningFailed": "the StorageClass must exist, and who provisions for it must run",
    "WaitForFirstConsumer": "it is bound once a pod that uses it has a node",
    "Unhealthy": "the probe's path, port and time limits must fit what the container does",
    "Evicted": "the node was short of something: set requests and limits to what the pod uses",
}
_CREATING: Final = ("ContainerCreating", "PodInitializing", "")


def pod_troubles(pod: JSON, events: Sequence[JSON], node: JSON | None) -> list[Trouble]:
    """What keeps a pod with a node from being ready, the most telling first; [] if nothing does."""
    status, spec = pod.get("status") or {}, pod["spec"]
    name = spec.get("nodeName", "")
    found: list[Trouble] = []
    if meta.is_deleting(pod):
        held = meta.metadata(pod).get("finalizers")
        what = f"is being deleted since {meta.metadata(pod)['deletionTimestamp']}"
        found.append(Trouble(what, f"finalizers hold it: {', '.join(held)}" if held else "its node must confirm"))
    if status.get("phase") == "Failed" and status.get("reason"):
        text = ": ".join(filter(None, (status["reason"], status.get("message"))))
        found.append(Trouble(text, _EVENTS.get(status["reason"], "its controller makes another one, if it has one")))
    if node is None:
        found.append(Trouble(f"its node {name} doesn't exist", "delete the pod, so that another is made elsewhere"))
    elif not meta.is_condition_true(node, "Ready"):
        why = (meta.condition(node, "Ready") or {}).get("message") or "its kubelet has never reported"
        found.append(Trouble(f"its node {name} is not ready: {why}", f"`minikubectl describe node {name}`"))
    for entry in _entries(pod, status):
        found += _container_troubles(pod, entry, events)
    waits = [entry for entry in _entries(pod, status) if "waiting" in (entry.get("state") or {})]
    if (waits or not status.get("containerStatuses")) and status.get("phase") not in ("Succeeded", "Failed"):
        told = ("Unhealthy", "BackOff", "Failed") if found else ("Unhealthy",)
        found += event_troubles([each for each in events if each.get("reason") not in told], name)
    for gate in spec.get("readinessGates") or ():
        if not meta.is_condition_true(pod, gate["conditionType"]):
            found.append(Trouble(f"readiness gate {gate['conditionType']} is not True", "its controller must set it"))
    return list(dict.fromkeys(found))


def _entries(pod: JSON, status: JSON) -> list[JSON]:
    spec = {each["name"]: each for group in ("initContainers", "containers") for each in pod["spec"].get(group) or ()}
    listed = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
    return [{**each, "spec": spec.get(each["name"]) or {}} for each in listed]


def _container_troubles(pod: JSON, entry: JSON, events: Sequence[JSON]) -> Iterator[Trouble]:
    name, state, last = entry["name"], entry.get("state") or {}, entry.get("lastState") or {}
    waiting, ended = state.get("waiting") or {}, state.get("terminated") or last.get("terminated") or {}
    reason = waiting.get("reason") or ""
    filled = {"pod": meta.name(pod), "container": name, "image": entry.get("image") or entry["spec"].get("image")}
    if reason not in _CREATING:
        advice = _WAITING.get(_WAITING_ALIKE.get(reason, reason), "")
        text = ": ".join(filter(None, (reason, waiting.get("message"))))
        yield Trouble(f"container {name} waits: {text}", advice.format(**filled))
    failed = ended.get("exitCode") or ended.get("reason") == "OOMKilled"
    if failed and (reason not in _CREATING or "terminated" in state or not entry.get("ready")):
        filled["previous"] = "" if "terminated" in state else " -p"
        yield _ended(name, ended, int(entry.get("restartCount") or 0), filled)
    if "running" in state and not entry.get("ready"):
        kind = "startup" if entry.get("started") is False and entry["spec"].get("startupProbe") else "readiness"
        said = [each for each in events if each.get("reason") == "Unhealthy" and f"{{{name}}}" in _path(each)]
        why = str(said[-1].get("message") or "").strip() if said else f"its {kind} probe hasn't succeeded yet"
        yield Trouble(f"container {name} runs and is not ready: {why}", _EVENTS["Unhealthy"])


def _ended(name: str, ended: JSON, restarts: int, filled: JSON) -> Trouble:
    code, reason = int(ended.get("exitCode") or 0), str(ended.get("reason") or "")
    what = f"container {name} ended with exit code {code}" + (f" ({reason})" if reason not in ("", "Error") else "")
    if restarts:
        what += f", {restarts} restart{'' if restarts == 1 else 's'}"
    if ended.get("message"):
        what += f": {ended['message'].strip()}"
    if reason == "OOMKilled":
        return Trouble(what, "it used more memory than its limit: raise the limit, or use less")
    logs = "`minikubectl logs {pod} -c {container}{previous}`".format(**filled)
    return Trouble(what, f"{_EXITS[code]}; {logs}" if code in _EXITS else logs)


def _path(event: JSON) -> str:
    return str((event.get("involvedObject") or {}).get("fieldPath") or "")


def event_troubles(events: Iterable[JSON], node: str = "", *, types: Sequence[str] = ("Warning",)) -> list[Trouble]:
    """What the latest warnings say, one of each reason."""
    latest = {str(each.get("reason")): each for each in events if each.get("type") in types}
    return [
        Trouble(f"{reason}: {str(event.get('message') or '').strip()}", _advice(reason, event).format(node=node))
        for reason, event in latest.items()
    ]


def _advice(reason: str, event: JSON) -> str:
    message = str(event.get("message") or "")
    if "exceeded quota" in message:
        return "raise the ResourceQuota (`minikubectl describe quota`), or use less"
    if "violates PodSecurity" in message:
        return "change the pod's securityContext as it says, or the namespace's pod-security label"
    if "serviceaccount" in message and "not found" in message:
        return "create the service account"
    return _EVENTS.get(
        reason, "" if "forbidden" not in message else "an admission rule refuses it: change what it names"
    )


def workload_troubles(owner: JSON, events: Sequence[JSON], pods: int) -> list[Trouble]:
    """What keeps a workload from having the pods that it should have; [] if nothing does."""
    spec, status = owner.get("spec") or {}, owner.get("status") or {}
    wanted = spec.get("replicas", 1) if "replicas" in spec or owner.get("kind") != "DaemonSet" else None
    found: list[Trouble] = []
    if wanted == 0:
        found.append(Trouble("0 replicas are wanted", "`minikubectl scale --replicas=N`"))
    if spec.get("paused"):
        found.append(Trouble("its rollout is paused", "`minikubectl rollout resume`"))
    if spec.get("suspend"):
        found.append(Trouble("it is suspended", "set spec.suspend to false"))
    seen = int(status.get("observedGeneration") or 0)
    if owner.get("kind") in _OBSERVED and seen < int(meta.metadata(owner).get("generation") or 0):
        found.append(Trouble("no controller has looked at it yet", "is the controller manager running?"))
    for condition in status.get("conditions") or ():
        if (condition["type"], condition["status"]) in _BAD:
            event = {"message": condition.get("message"), "reason": condition.get("reason")}
            text = f"{condition.get('reason')}: {condition.get('message')}"
            found.append(Trouble(text, _advice(str(condition.get("reason")), event)))
    if owner.get("kind") == "DaemonSet" and status.get("desiredNumberScheduled") == 0 and seen:
        found.append(Trouble("no node is one of its", "its nodeSelector, affinity and tolerations must fit some node"))
    said = {each.what for each in found}
    return found + [each for each in event_troubles(events) if each.what not in said and not pods]


def object_troubles(obj: JSON, events: Sequence[JSON], pods: int) -> list[Trouble]:
    """What is wrong with an object that makes no pods of its own."""
    status, spec = obj.get("status") or {}, obj.get("spec") or {}
    match obj.get("kind"):
        case "PersistentVolumeClaim" if status.get("phase") != "Bound":
            return event_troubles(events, types=("Warning", "Normal"))
        case "Service" if spec.get("selector") and not pods:
            said = ",".join(f"{key}={value}" for key, value in spec["selector"].items())
            return [Trouble(f"no pod has the labels {said}", "correct its selector, or the labels of the pods")]
        case "Node" if not meta.is_condition_true(obj, "Ready"):
            why = (meta.condition(obj, "Ready") or {}).get("message") or "its kubelet has never reported"
            return [Trouble(f"it is not ready: {why}", f"`minikubectl describe node {meta.name(obj)}`")]
    return event_troubles(events)


_OBSERVED: Final = ("Deployment", "ReplicaSet", "StatefulSet", "DaemonSet")
_BAD: Final = (("ReplicaFailure", "True"), ("Progressing", "False"), ("Failed", "True"))
