"""The decisions about nodes that fall silent, as values: conditions, taints, and how fast to evict.

A node's kubelet renews a lease; when it hasn't for the grace period, the node's conditions become Unknown. Conditions
become taints: NoSchedule at once, NoExecute at a rate that depends on how much of the zone is in trouble, and not at
all when every node is: then the trouble is most likely ours.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from apimachinery import meta
from apimachinery.placement import tolerates

JSON = dict[str, Any]
NOT_READY = "node.kubernetes.io/not-ready"
UNREACHABLE = "node.kubernetes.io/unreachable"
UNSCHEDULABLE = "node.kubernetes.io/unschedulable"
ZONE, REGION = "topology.kubernetes.io/zone", "topology.kubernetes.io/region"
_BY_CONDITION = {
    ("Ready", "False"): NOT_READY,
    ("Ready", "Unknown"): UNREACHABLE,
    ("MemoryPressure", "True"): "node.kubernetes.io/memory-pressure",
    ("DiskPressure", "True"): "node.kubernetes.io/disk-pressure",
    ("PIDPressure", "True"): "node.kubernetes.io/pid-pressure",
    ("NetworkUnavailable", "True"): "node.kubernetes.io/network-unavailable",
}
_MANAGED = {(key, "NoSchedule") for key in _BY_CONDITION.values()} | {
    (UNSCHEDULABLE, "NoSchedule"),
    (NOT_READY, "NoExecute"),
    (UNREACHABLE, "NoExecute"),
}
_HEARD_OF = ("Ready", "MemoryPressure", "DiskPressure", "PIDPressure")
NORMAL, PARTIAL, FULL = "Normal", "PartialDisruption", "FullDisruption"


def ready(node: JSON) -> str | None:
    """The status of the Ready condition; None if the node never said."""
    found = meta.condition(node, "Ready")
    return str(found["status"]) if found else None


def zone(node: JSON) -> str:
    """The failure domain that a node is in."""
    labels = meta.labels(node)
    return f"{labels.get(REGION, '')}:{labels.get(ZONE, '')}"


def silent_conditions(node: JSON, *, now: str) -> list[JSON]:
    """The conditions of a node that was not heard of for too long."""
    conditions = [dict(each) for each in (node.get("status") or {}).get("conditions") or ()]
    known = {each["type"] for each in conditions}
    for each in conditions:
        if each["type"] in _HEARD_OF and each["status"] != "Unknown":
            each["status"] = "Unknown"
            each["reason"] = "NodeStatusUnknown"
            each["message"] = "Kubelet stopped posting node status."
            each["lastTransitionTime"] = now
    created = meta.metadata(node).get("creationTimestamp") or now
    for type_ in _HEARD_OF:
        if type_ not in known:
            conditions.append(
                {
                    "type": type_,
                    "status": "Unknown",
                    "reason": "NodeStatusNeverUpdated",
                    "message": "Kubelet never posted node status.",
                    "lastHeartbeatTime": created,
                    "lastTransitionTime": now,
                }
            )
    return conditions


def needs_eviction(node: JSON) -> bool:
    """Whether the node's condition calls for a NoExecute taint."""
    return ready(node) in ("False", "Unknown")


def taints(node: JSON, *, evict: bool, now: str) -> list[JSON] | None:
    """The taints a node is to have; None if it has them. Those that we don't manage stay as they are."""
    present = node["spec"].get("taints") or []
    wanted = [
        (_BY_CONDITION[each["type"], each["status"]], "NoSchedule")
        for each in (node.get("status") or {}).get("conditions") or ()
        if (each["type"], each.get("status")) in _BY_CONDITION
    ]
    if ready(node) is None:
        wanted.append((NOT_READY, "NoSchedule"))
    if node["spec"].get("unschedulable"):
        wanted.append((UNSCHEDULABLE, "NoSchedule"))
    if evict and needs_eviction(node):
        wanted.append((NOT_READY if ready(node) == "False" else UNREACHABLE, "NoExecute"))
    kept = [each for each in present if _identity(each) not in _MANAGED or _identity(each) in wanted]
    missing = [identity for identity in dict.fromkeys(wanted) if identity not in map(_identity, kept)]
    result = [*kept, *({"key": key, "effect": effect, "timeAdded": now} for key, effect in missing)]
    return None if len(kept) == len(present) and not missing else result


def has_no_execute(node: JSON) -> bool:
    """Whether a node carries one of our NoExecute taints."""
    ours = {(NOT_READY, "NoExecute"), (UNREACHABLE, "NoExecute")}
    return any(_identity(each) in ours for each in node["spec"].get("taints") or ())


def zone_counts(nodes: Iterable[JSON]) -> dict[str, tuple[int, int]]:
    """How many nodes of each zone are well, and how many not."""
    counts: dict[str, list[int]] = {}
    for node in nodes:
        count = counts.setdefault(zone(node), [0, 0])
        count[ready(node) != "True"] += 1
    return {name: (well, ill) for name, (well, ill) in counts.items()}


def zone_states(nodes: Iterable[JSON], *, unhealthy_threshold: float) -> dict[str, str]:
    """How each zone is. Partial disruption takes more than two nodes: two of three is not a zone's failure."""
    return {name: _state(*count, threshold=unhealthy_threshold) for name, count in zone_counts(nodes).items()}


def _state(well: int, ill: int, *, threshold: float) -> str:
    if ill and not well:
        return FULL
    return PARTIAL if ill > 2 and ill / (well + ill) >= threshold else NORMAL


@dataclass(slots=True)
class Bucket:
    """Permits for evictions: one at once, then `rate` a second."""

    rate: float
    tokens: float = 1.0
    at: float = 0.0

    def wait(self, now: float) -> float:
        """Take a permit (0), or say in how many seconds to ask again."""
        self.tokens = min(1.0, self.tokens + (now - self.at) * self.rate)
        self.at = now
        if self.tokens >= 1.0:
            self.tokens -= 1.0
            return 0.0
        return (1.0 - self.tokens) / self.rate if self.rate > 0 else 60.0


def _identity(taint: JSON) -> tuple[str, str]:
    return taint["key"], taint["effect"]


def toleration_seconds(pod: JSON, no_execute: Sequence[JSON]) -> float | None:
    """How long a pod tolerates NoExecute taints: 0 not at all, None for ever."""
    used = []
    for taint in no_execute:
        matching = [each for each in pod["spec"].get("tolerations") or () if tolerates(each, taint)]
        if not matching:
            return 0.0
        used += matching
    limits = [max(0.0, float(each["tolerationSeconds"])) for each in used if each.get("tolerationSeconds") is not None]
    return min(limits) if limits else None
