"""The decisions of the ReplicaSet controller as values: how many pods to make, which to delete, what the status is."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from apimachinery import meta
from controllers import objects

JSON = dict[str, Any]
BURST = 500
_PHASE_RANK = {"Pending": 0, "Unknown": 1, "Running": 2}
POD_DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"


@dataclass(frozen=True, slots=True)
class Plan:
    """Pods to create, and pods to delete; never both."""

    create: int
    delete: list[JSON]


def plan(replica_set: JSON, pods: Sequence[JSON], *, related: Sequence[JSON] = ()) -> Plan:
    """What brings the number of active pods to `spec.replicas`, at most BURST at a time.

    `related` are all pods of the same owner's ReplicaSets: those who share a node with many of them go first.
    """
    missing = int(replica_set["spec"].get("replicas", 1)) - len(pods)
    if missing >= 0:
        return Plan(min(missing, BURST), [])
    surplus = min(-missing, BURST)
    if surplus == len(pods):
        return Plan(0, list(pods))
    return Plan(0, ranked(pods, related or pods)[:surplus])


def ranked(pods: Sequence[JSON], related: Sequence[JSON]) -> list[JSON]:
    """The pods whose loss costs least first: unassigned, pending, not ready, cheap, crowded, young, often restarted."""
    per_node: dict[str, int] = {}
    for pod in related:
        if objects.is_active(pod):
            node = pod["spec"].get("nodeName") or ""
            per_node[node] = per_node.get(node, 0) + 1

    def cost(pod: JSON) -> tuple[Any, ...]:
        status, ready = pod.get("status") or {}, meta.condition(pod, "Ready") or {}
        is_ready = ready.get("status") == "True"
        restarts = sum(each.get("restartCount", 0) for each in status.get("containerStatuses") or ())
        node = pod["spec"].get("nodeName") or ""
        return (
            bool(node),
            _PHASE_RANK.get(status.get("phase", "Pending"), 0),
            is_ready,
            _deletion_cost(pod),
            -per_node.get(node, 0),
            _youngest_first(ready.get("lastTransitionTime") if is_ready else None),
            -restarts,
            _youngest_first(pod["metadata"].get("creationTimestamp")),
        )

    return sorted(pods, key=cost)


def _deletion_cost(pod: JSON) -> int:
    try:
        return int(meta.annotations(pod).get(POD_DELETION_COST, "0"))
    except ValueError:
        return 0


def _youngest_first(time: str | None) -> float:
    return -meta.parse_time(time).timestamp() if time else float("-inf")


def status(
    replica_set: JSON, active: Sequence[JSON], *, terminating: int, failure: JSON | None, now: datetime
) -> tuple[JSON, float | None]:
    """The status to write, and in how many seconds it changes by itself (a pod that becomes available)."""
    spec, old = replica_set["spec"], replica_set.get("status") or {}
    template_labels = (spec.get("template") or {}).get("metadata", {}).get("labels") or {}
    waits = [objects.seconds_to_available(pod, spec.get("minReadySeconds") or 0, now=now) for pod in active]
    counts = {
        "replicas": len(active),
        "fullyLabeledReplicas": sum(template_labels.items() <= meta.labels(pod).items() for pod in active),
        "readyReplicas": sum(wait is not None for wait in waits),
        "availableReplicas": sum(wait == 0 for wait in waits),
    }
    new: JSON = {key: count for key, count in counts.items() if count or key == "replicas"}
    new["terminatingReplicas"] = terminating
    new["observedGeneration"] = replica_set["metadata"].get("generation", 0)
    conditions = [each for each in old.get("conditions") or () if each["type"] != "ReplicaFailure"]
    if failure:
        kept = meta.condition(replica_set, "ReplicaFailure")
        conditions.append(kept if kept and kept.get("reason") == failure["reason"] else failure)
    if conditions:
        new["conditions"] = conditions
    return new, min(filter(None, waits), default=None)


def pod_for(replica_set: JSON) -> JSON:
    """The pod that the template describes, owned by the ReplicaSet."""
    template = replica_set["spec"].get("template") or {}
    described = template.get("metadata") or {}
    kept = {key: described[key] for key in ("labels", "annotations", "finalizers") if described.get(key)}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            **kept,
            "generateName": f"{meta.name(replica_set)}-",
            "namespace": meta.namespace(replica_set),
            "ownerReferences": [meta.owner_reference(replica_set)],
        },
        "spec": template.get("spec") or {},
    }
