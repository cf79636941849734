"""Where a pod may be: tolerations, node selectors, requests and host ports, as functions of plain objects.

The scheduler decides over columns of numbers, but a toleration, a term or a request means the same to the controllers,
the kubelet and to whoever explains a decision; what it means is here, once.
https://kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node/ has the rules.
"""

import operator
from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from functools import lru_cache
from typing import Any, Final, NamedTuple, TypeVar

from apimachinery import labels, meta, quantity

JSON = dict[str, Any]
Amount = TypeVar("Amount", int, Fraction)

HARD_EFFECTS: Final = ("NoSchedule", "NoExecute")
_NAME_FIELD: Final = "metadata.name"


def tolerates(toleration: JSON, taint: JSON) -> bool:
    """Whether a toleration matches a taint: an empty key or effect matches all."""
    if toleration.get("effect") and toleration["effect"] != taint["effect"]:
        return False
    if toleration.get("key") and toleration["key"] != taint["key"]:
        return False
    if (toleration.get("operator") or "Equal") == "Exists":
        return True
    return bool(toleration.get("key")) and (toleration.get("value") or "") == (taint.get("value") or "")


def untolerated(spec: JSON, node: JSON) -> list[JSON]:
    """The node's taints that keep a pod of this spec off it."""
    taints = (node.get("spec") or {}).get("taints") or ()
    accepted = spec.get("tolerations") or ()
    hard = (taint for taint in taints if taint["effect"] in HARD_EFFECTS)
    return [taint for taint in hard if not any(tolerates(each, taint) for each in accepted)]


def matches_expression(expression: JSON, values: Mapping[str, str]) -> bool:
    """Whether labels (or fields) satisfy one NodeSelectorRequirement."""
    wanted = tuple(expression.get("values") or ())
    return labels.Requirement(expression["key"], expression["operator"], wanted).matches(values)


def matches_term(term: JSON, node: JSON) -> bool:
    """Whether a NodeSelectorTerm selects a node; a term without expressions selects nothing."""
    expressions, fields = term.get("matchExpressions") or (), term.get("matchFields") or ()
    return bool(expressions or fields) and (
        all(matches_expression(each, meta.labels(node)) for each in expressions)
        and all(matches_expression(each, {_NAME_FIELD: meta.name(node)}) for each in fields)
    )


def required_terms(spec: JSON) -> list[JSON] | None:
    """The terms of required node affinity, one of which must select the node; None: there is no such rule."""
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    return None if not required else list(required.get("nodeSelectorTerms") or ())


def selects_node(spec: JSON, node: JSON) -> bool:
    """nodeSelector and required node affinity."""
    present = meta.labels(node)
    if any(present.get(key) != value for key, value in (spec.get("nodeSelector") or {}).items()):
        return False
    terms = required_terms(spec)
    return terms is None or any(matches_term(term, node) for term in terms)


@lru_cache(maxsize=4096)
def amount(resource: str, text: str) -> int:
    """A request as an integer: cpu in milli, everything else in whole units, rounded up."""
    return quantity.milli(text) if resource == "cpu" else quantity.value(text)


def effective_requests(spec: JSON) -> dict[str, int]:
    """What a node must have free for the pod."""
    return pod_amounts(spec, "requests", lambda name, text: amount(name, str(text)))


def pod_amounts(spec: JSON, field: str, read: Callable[[str, Any], Amount]) -> dict[str, Amount]:
    """The requests or limits of a pod as a whole, each amount as `read` reads it.

    Init containers run one after another beside the sidecars started before them, then all app containers run
    together with all sidecars (the rule of KEP-753). What is stated at pod level wins over the sum of the containers.
    """

    def stated(holder: JSON) -> dict[str, Amount]:
        listed = (holder.get("resources") or {}).get(field) or {}
        return {name: read(name, text) for name, text in listed.items()}

    running: dict[str, Amount] = {}
    sidecars: dict[str, Amount] = {}
    starting: dict[str, Amount] = {}
    for container in spec.get("containers") or ():
        running = _joined(running, stated(container), operator.add)
    for container in spec.get("initContainers") or ():
        beside = _joined(sidecars, stated(container), operator.add)
        starting = _joined(starting, beside, max)
        if container.get("restartPolicy") == "Always":
            sidecars = beside
    total = _joined(_joined(running, sidecars, operator.add), starting, max) | stated(spec)
    overhead = {name: read(name, text) for name, text in (spec.get("overhead") or {}).items()}
    if field == "limits":  # what has no limit gets none by that
        overhead = {name: more for name, more in overhead.items() if total.get(name)}
    return _joined(total, overhead, operator.add)


def _joined(
    left: dict[str, Amount], right: dict[str, Amount], how: Callable[[Amount, Amount], Amount]
) -> dict[str, Amount]:
    return {**left, **right, **{name: how(left[name], right[name]) for name in left.keys() & right.keys()}}


class HostPort(NamedTuple):
    """A port that the pod takes on its node; address 0.0.0.0 clashes with every address."""

    address: str
    protocol: str
    port: int

    def clashes(self, other: "HostPort") -> bool:
        """Says whether both cannot be bound on one node."""
        return (
            self.port == other.port
            and self.protocol == other.protocol
            and (self.address == other.address or "0.0.0.0" in (self.address, other.address))
        )


def host_ports(containers: Iterable[JSON]) -> tuple[HostPort, ...]:
    """The ports that containers take on their node."""
    return tuple(
        HostPort(port.get("hostIP") or "0.0.0.0", port.get("protocol") or "TCP", port["hostPort"])
        for container in containers
        for port in container.get("ports") or ()
        if port.get("hostPort")
    )
