"""Which filters of the default scheduler refuse a pod on a node, in words, and what would have to change.

The scheduler decides over columns and says only how many nodes each reason refuses; this looks at one node at a time,
at plain objects from the API, with the rules that both share in `apimachinery.placement`. A test over random clusters
holds its verdicts to those of the scheduler's own filters.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from apimachinery import labels, meta, volumes
from apimachinery.placement import (
    amount,
    effective_requests,
    host_ports,
    matches_term,
    required_terms,
    selects_node,
    tolerates,
    untolerated,
)

JSON = dict[str, Any]

_CORDONED: Final = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}
_REQUIRED: Final = "requiredDuringSchedulingIgnoredDuringExecution"
_CONDITIONS: Final = "node.kubernetes.io/"


@dataclass(frozen=True, slots=True)
class Refusal:
    """One reason why a node won't do: the plugin's upstream name, what is so, and what would have to change."""

    plugin: str
    what: str
    remedy: str


@dataclass(frozen=True, slots=True)
class World:
    """What the filters look at beside the pod. `pods` are those that have a node and haven't ended."""

    nodes: list[JSON]
    pods: list[JSON]
    namespaces: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # labels of each
    claims: Mapping[str, JSON] = field(default_factory=dict)  # by namespace/name
    volumes: Mapping[str, JSON] = field(default_factory=dict)
    classes: Mapping[str, JSON] = field(default_factory=dict)

    def on(self, node: JSON) -> list[JSON]:
        return [pod for pod in self.pods if pod["spec"]["nodeName"] == meta.name(node)]


def refusals(pod: JSON, node: JSON, world: World) -> list[Refusal]:
    """Every filter that refuses the pod on this node; none: the node would do."""
    return [
        Refusal(plugin, what, remedy) for plugin, judge in FILTERS.items() for what, remedy in judge(pod, node, world)
    ]


def _unschedulable(pod: JSON, node: JSON, _: World) -> Iterator[tuple[str, str]]:
    accepted = pod["spec"].get("tolerations") or ()
    if (node.get("spec") or {}).get("unschedulable") and not any(tolerates(each, _CORDONED) for each in accepted):
        yield "the node is cordoned", f"`minikubectl uncordon {meta.name(node)}` once it is to take pods again"


def _taints(pod: JSON, node: JSON, _: World) -> Iterator[tuple[str, str]]:
    for taint in untolerated(pod["spec"], node):
        key, effect, name = taint["key"], taint["effect"], meta.name(node)
        text = f"{key}={taint['value']}:{effect}" if taint.get("value") else f"{key}:{effect}"
        if key == _CORDONED["key"]:
            remedy = f"`minikubectl uncordon {name}`"
        elif key.startswith(_CONDITIONS):
            remedy = f"find out why the node is {key.rpartition('/')[2]}: `minikubectl describe node {name}`"
        else:
            remedy = f"give the pod a toleration for it, or `minikubectl taint node {name} {key}:{effect}-`"
        yield f"the pod doesn't tolerate the node's taint {text}", remedy


def _affinity(pod: JSON, node: JSON, _: World) -> Iterator[tuple[str, str]]:
    spec, name, present = pod["spec"], meta.name(node), meta.labels(node)
    for key, value in (spec.get("nodeSelector") or {}).items():
        if present.get(key) != value:
            has = f"the node has {key}={present[key]}" if key in present else "the node has no such label"
            remedy = f"`minikubectl label node {name} {key}={value}{' --overwrite' if key in present else ''}`"
            yield f"nodeSelector asks for {key}={value}, {has}", f"{remedy}, or change nodeSelector"
    terms = required_terms(spec)
    if terms is not None and not any(matches_term(term, node) for term in terms):
        said = " or ".join(_term(term) for term in terms) or "nothing"
        yield f"required node affinity asks for {said}", "label the node so, or change the affinity"


def _term(term: JSON) -> str:
    parts = [*(term.get("matchExpressions") or ()), *(term.get("matchFields") or ())]
    words = [f"{each['key']} {each['operator']} {','.join(each.get('values') or ())}".strip() for each in parts]
    return f"({' and '.join(words)})" if words else "(an empty term, which nothing matches)"


def _ports(pod: JSON, node: JSON, world: World) -> Iterator[tuple[str, str]]:
    wanted = host_ports(pod["spec"].get("containers") or ())
    for other in world.on(node) if wanted else ():
        for taken in host_ports(other["spec"].get("containers") or ()):
            if any(each.clashes(taken) for each in wanted):
                what = f"host port {taken.port}/{taken.protocol} is taken by pod {meta.key(other)}"
                yield what, "another hostPort, or none: a Service or port-forward does without"


def _resources(pod: JSON, node: JSON, world: World) -> Iterator[tuple[str, str]]:
    listed = (node.get("status") or {}).get("allocatable") or {}
    here = [effective_requests(other["spec"]) for other in world.on(node)]
    for name, wanted in {**effective_requests(pod["spec"]), "pods": 1}.items():
        whole = amount(name, str(listed.get(name, 0)))
        used = len(here) if name == "pods" else sum(each.get(name, 0) for each in here)
        if not wanted or wanted <= whole - used:
            continue
        if name == "pods":
            yield f"{used} of at most {whole} pods are there", "move or delete pods, or raise the kubelet's --max-pods"
            continue
        what = f"{name}: the pod requests {_text(name, wanted)}, {_text(name, max(whole - used, 0))} of "
        what += f"{_text(name, whole)} are free"
        if wanted > whole:
            yield what, "more than the whole node has: request less, or add a larger node"
        else:
            yield what, f"request less, or free {_text(name, wanted - whole + used)} there"


def _text(name: str, number: int) -> str:
    if name == "cpu":
        return f"{number}m" if number % 1000 else str(number // 1000)
    for suffix, unit in (("Gi", 1 << 30), ("Mi", 1 << 20), ("Ki", 1 << 10)):
        if name != "pods" and number >= unit and not number % unit:
            return f"{number // unit}{suffix}"
    return str(number)


def _restrictions(pod: JSON, _: JSON, world: World) -> Iterator[tuple[str, str]]:
    for key in volumes.claim_keys(pod):
        claim = world.claims.get(key)
        if claim and "ReadWriteOncePod" in claim["spec"]["accessModes"]:
            for other in world.pods:
                if meta.uid(other) != meta.uid(pod) and key in volumes.claim_keys(other):
                    what = f"claim {key} is ReadWriteOncePod and in use by pod {meta.key(other)}"
                    yield what, "wait until that pod is gone, or use another access mode"
                    break


def _binding(pod: JSON, node: JSON, world: World) -> Iterator[tuple[str, str]]:
    for key in volumes.claim_keys(pod):
        claim = world.claims.get(key)
        if claim is None:
            yield f"claim {key} doesn't exist", "create the PersistentVolumeClaim"
            continue
        volume = world.volumes.get(claim["spec"].get("volumeName") or "")
        if volumes.phase(claim) == "Lost" or (volumes.is_fully_bound(claim) and volume is None):
            yield (
                f"claim {key} has lost its volume {claim['spec'].get('volumeName')}",
                "restore it, or make a new claim",
            )
        elif meta.is_deleting(claim):
            yield f"claim {key} is being deleted", "make a new claim"
        elif volumes.is_fully_bound(claim):
            if volume and not _reaches(volume, node):
                yield f"the volume of claim {key} can't be reached from this node", "run where the volume is"
        else:
            yield from _unbound(claim, node, world)


def _unbound(claim: JSON, node: JSON, world: World) -> Iterator[tuple[str, str]]:
    key, name = meta.key(claim), volumes.class_of(claim)
    storage = world.classes.get(name) or {}
    if storage.get("volumeBindingMode") != volumes.WAIT_FOR_FIRST_CONSUMER or claim["spec"].get("volumeName"):
        why = f"no StorageClass {name}" if name and not storage else "no volume fits, or none has been made yet"
        yield (
            f"claim {key} is not bound: {why}",
            f"`minikubectl describe pvc -n {meta.namespace(claim)} {meta.name(claim)}`",
        )
        return
    selected = meta.annotations(claim).get(volumes.SELECTED_NODE)
    if selected:
        if selected != meta.name(node):
            yield f"a volume for claim {key} is being made on node {selected}", "wait, or delete the claim"
    elif (storage.get("provisioner") or volumes.NO_PROVISIONER) == volumes.NO_PROVISIONER:
        options = volumes.candidates(world.volumes.values(), claim)
        if not any(_reaches(each, node) for each in options):
            yield f"no free volume for claim {key} can be reached from this node", "create a PersistentVolume that fits"


def _reaches(volume: JSON, node: JSON) -> bool:
    required = (volume["spec"].get("nodeAffinity") or {}).get("required")
    return not required or any(matches_term(term, node) for term in required.get("nodeSelectorTerms") or ())


def _selector(term: JSON, owner: JSON) -> labels.Selector:
    """The term's label selector, with the owner's values of `matchLabelKeys`."""
    selector, own = term.get("labelSelector"), meta.labels(owner)
    keys = [key for key in term.get("matchLabelKeys") or () if key in own]
    if keys and selector is not None:
        more = [{"key": key, "operator": "In", "values": [own[key]]} for key in keys]
        selector = {**selector, "matchExpressions": [*(selector.get("matchExpressions") or ()), *more]}
    return labels.from_label_selector(selector)


def _domain(node: JSON, key: str) -> str | None:
    return meta.labels(node).get(key)


def _spread(pod: JSON, node: JSON, world: World) -> Iterator[tuple[str, str]]:
    for constraint in pod["spec"].get("topologySpreadConstraints") or ():
        if constraint.get("whenUnsatisfiable") == "ScheduleAnyway":
            continue
        key = constraint["topologyKey"]
        here = _domain(node, key)
        if here is None:
            yield f"the pod is to be spread by {key}, the node has no such label", f"label the node with {key}"
            continue
        counts = _counts(pod, constraint, world)
        fewest = min(counts.values(), default=0) if len(counts) >= (constraint.get("minDomains") or 1) else 0
        itself = int(_selector(constraint, pod).matches(meta.labels(pod)))
        skew = counts.get(here, 0) + itself - fewest
        if skew > constraint.get("maxSkew", 1):
            what = f"{key}={here} has {counts.get(here, 0)} such pods, the least {fewest}: one more is a skew of {skew}"
            yield (
                f"{what}, maxSkew is {constraint.get('maxSkew', 1)}",
                "room in the domains with fewer, or a larger maxSkew",
            )


def _counts(pod: JSON, constraint: JSON, world: World) -> dict[str, int]:
    """Matching pods in each domain that has a node which counts."""
    key, selector, spec = constraint["topologyKey"], _selector(constraint, pod), pod["spec"]
    counts: dict[str, int] = {}
    for node in world.nodes:
        domain = _domain(node, key)
        honored = constraint.get("nodeAffinityPolicy", "Honor") != "Honor" or selects_node(spec, node)
        tainted = constraint.get("nodeTaintsPolicy") == "Honor" and untolerated(spec, node)
        if domain is None or not honored or tainted:
            continue
        alike = [each for each in world.on(node) if meta.namespace(each) == meta.namespace(pod)]
        matching = sum(selector.matches(meta.labels(each)) for each in alike)
        counts[domain] = counts.get(domain, 0) + matching
    return counts


def _terms(pod: JSON, kind: str) -> list[JSON]:
    return ((pod["spec"].get("affinity") or {}).get(kind) or {}).get(_REQUIRED) or []


def _selects(term: JSON, owner: JSON, other: JSON, world: World) -> bool:
    """Whether an affinity term of `owner` selects the pod `other`."""
    space, named, selector = meta.namespace(other), term.get("namespaces") or (), term.get("namespaceSelector")
    if space not in named:
        if selector is None and (named or space != meta.namespace(owner)):
            return False
        if selector is not None and not labels.from_label_selector(selector).matches(world.namespaces.get(space, {})):
            return False
    return _selector(term, owner).matches(meta.labels(other))


def _inter_pod(pod: JSON, node: JSON, world: World) -> Iterator[tuple[str, str]]:
    nodes = {meta.name(each): each for each in world.nodes}

    def near(term: JSON, others: list[JSON]) -> list[JSON]:
        """Those of `others` in the node's domain."""
        here = _domain(node, term["topologyKey"])
        there = [each for each in others if each["spec"]["nodeName"] in nodes]
        return [
            each
            for each in there
            if here is not None and here == _domain(nodes[each["spec"]["nodeName"]], term["topologyKey"])
        ]

    for term in _terms(pod, "podAffinity"):
        selected = [each for each in world.pods if _selects(term, pod, each, world)]
        first_of_its_group = not selected and _selects(term, pod, pod, world)
        where = f"{term['topologyKey']}={_domain(node, term['topologyKey'])}"
        if first_of_its_group:
            if _domain(node, term["topologyKey"]) is None:
                yield f"podAffinity goes by {term['topologyKey']}, the node has no such label", "label the node"
        elif not near(term, selected):
            what = f"podAffinity asks for a pod with {_selector(term, pod)} in {where}, there is none"
            yield what, "start such a pod there, or make the affinity preferred"
    for term in _terms(pod, "podAntiAffinity"):
        if met := near(term, [each for each in world.pods if _selects(term, pod, each, world)]):
            where = f"{term['topologyKey']}={_domain(node, term['topologyKey'])}"
            yield (
                f"podAntiAffinity: pod {meta.key(met[0])} is in {where}",
                "one more node or domain, fewer replicas, or a preferred anti-affinity",
            )
    for other in world.pods:
        for term in _terms(other, "podAntiAffinity"):
            if _selects(term, other, pod, world) and near(term, [other]):
                yield (
                    f"pod {meta.key(other)} there keeps pods like this one away (its podAntiAffinity)",
                    "run elsewhere",
                )


# in the scheduler's order, by upstream's names
FILTERS: Final[Mapping[str, Callable[[JSON, JSON, World], Iterator[tuple[str, str]]]]] = {
    "NodeUnschedulable": _unschedulable,
    "TaintToleration": _taints,
    "NodeAffinity": _affinity,
    "NodePorts": _ports,
    "NodeResourcesFit": _resources,
    "VolumeRestrictions": _restrictions,
    "VolumeBinding": _binding,
    "PodTopologySpread": _spread,
    "InterPodAffinity": _inter_pod,
}
