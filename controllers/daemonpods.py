"""A DaemonSet's pods and nodes: which nodes are eligible, and what the pod of one looks like.

The scheduler binds it like any other pod: a node affinity for the node's name says where.
"""

from dataclasses import dataclass
from typing import Any

from apimachinery import meta, placement
from controllers import history, objects, replicas

JSON = dict[str, Any]
GENERATION_ANNOTATION = "deprecated.daemonset.template.generation"
GENERATION_LABEL = "pod-template-generation"
_NAME_FIELD = "metadata.name"
# taints that say "not now" to other pods; a daemon is what makes a node usable
_TOLERATED = (
    ("not-ready", "NoExecute"),
    ("unreachable", "NoExecute"),
    ("disk-pressure", "NoSchedule"),
    ("memory-pressure", "NoSchedule"),
    ("pid-pressure", "NoSchedule"),
    ("unschedulable", "NoSchedule"),
)
_OF_HOST_NETWORK = ("network-unavailable", "NoSchedule")


@dataclass(frozen=True, slots=True)
class Fitness:
    """Whether a node is to get the pod, and whether one that is there may stay."""

    run: bool
    stay: bool


def pod_for(daemon_set: JSON, node: str, hashed: str) -> JSON:
    """The pod of a node."""
    pod = objects.copied(replicas.pod_for(daemon_set))
    metadata, spec = pod["metadata"], pod["spec"]
    metadata["labels"] = {**(metadata.get("labels") or {}), history.POD_LABEL: hashed}
    if generation := meta.annotations(daemon_set).get(GENERATION_ANNOTATION):
        metadata["labels"][GENERATION_LABEL] = generation
    affinity = spec["affinity"] = spec.get("affinity") or {}
    here = {"matchFields": [{"key": _NAME_FIELD, "operator": "In", "values": [node]}]}
    affinity["nodeAffinity"] = {
        **(affinity.get("nodeAffinity") or {}),
        "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [here]},
    }
    spec["tolerations"] = tolerations(daemon_set)
    return pod


def tolerations(daemon_set: JSON) -> list[JSON]:
    """The template's, and those that every daemon has."""
    spec = daemon_set["spec"]["template"]["spec"]
    own = list(spec.get("tolerations") or ())
    for name, effect in (*_TOLERATED, *([_OF_HOST_NETWORK] if spec.get("hostNetwork") else [])):
        added = {"key": f"node.kubernetes.io/{name}", "operator": "Exists", "effect": effect}
        if added not in own:
            own.append(added)
    return own


def node_of(pod: JSON) -> str:
    """The node that a pod is on, or is made for, or ""."""
    spec = pod["spec"]
    if spec.get("nodeName"):
        return str(spec["nodeName"])
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    for term in required.get("nodeSelectorTerms") or ():
        for each in term.get("matchFields") or ():
            if each["key"] == _NAME_FIELD and len(each.get("values") or ()) == 1:
                return str(each["values"][0])
    return ""


def fitness(daemon_set: JSON, node: JSON) -> Fitness:
    """Whether the node is one of the DaemonSet's: by name, selector, affinity and taints."""
    spec = daemon_set["spec"]["template"]["spec"]
    if spec.get("nodeName") not in (None, "", meta.name(node)) or not placement.selects_node(spec, node):
        return Fitness(run=False, stay=False)
    accepted = tolerations(daemon_set)
    taints = (node.get("spec") or {}).get("taints") or ()
    refused = {each["effect"] for each in taints if not any(placement.tolerates(one, each) for one in accepted)}
    return Fitness(run=not refused & {"NoSchedule", "NoExecute"}, stay="NoExecute" not in refused)
