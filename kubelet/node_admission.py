"""Whether this node takes a pod that was bound to it: the last check, with the reasons upstream gives.

The scheduler has checked all this against its own picture; a pod bound by hand, or by a scheduler that lagged, is
refused here. A refused pod fails, and its controller makes another.
"""

from collections.abc import Iterable
from typing import Any

from apimachinery import meta, quantity

from .resources import pod_requests

JSON = dict[str, Any]

_OPERATORS = {
    "In": lambda value, values: value in values,
    "NotIn": lambda value, values: value not in values,
    "Exists": lambda value, values: value is not None,
    "DoesNotExist": lambda value, values: value is None,
    "Gt": lambda value, values: value is not None and int(value) > int(values[0]),
    "Lt": lambda value, values: value is not None and int(value) < int(values[0]),
}


def check(pod: JSON, node: JSON, others: Iterable[JSON]) -> tuple[str, str] | None:
    """None to admit, else (reason, message)."""
    if not matches_node(pod["spec"], node):
        return "NodeAffinity", "Predicate NodeAffinity failed"
    allocatable = (node.get("status") or {}).get("allocatable") or {}
    placed = list(others)
    if len(placed) + 1 > quantity.value(allocatable.get("pods", 110)):
        limit = allocatable.get("pods", 110)
        message = f"Node didn't have enough resource: pods, requested: 1, used: {len(placed)}, capacity: {limit}"
        return "OutOfpods", message
    used: dict[str, int] = {}
    for other in placed:
        for name, amount in pod_requests(other["spec"]).items():
            used[name] = used.get(name, 0) + amount
    for name, amount in pod_requests(pod["spec"]).items():
        capacity = quantity.milli(allocatable.get(name, 0))
        if amount > 0 and used.get(name, 0) + amount > capacity:
            unit = 1 if name == "cpu" else 1000
            return f"OutOf{name}", (
                f"Node didn't have enough resource: {name}, requested: {amount // unit}, "
                f"used: {used.get(name, 0) // unit}, capacity: {capacity // unit}"
            )
    return None


def matches_node(spec: JSON, node: JSON) -> bool:
    """nodeSelector and required node affinity."""
    labels = meta.labels(node)
    if any(labels.get(key) != value for key, value in (spec.get("nodeSelector") or {}).items()):
        return False
    affinity = ((spec.get("affinity") or {}).get("nodeAffinity") or {}).get(
        "requiredDuringSchedulingIgnoredDuringExecution"
    )
    if not affinity:
        return True
    return any(_term(term, node) for term in affinity.get("nodeSelectorTerms") or [])


def _term(term: JSON, node: JSON) -> bool:
    expressions, fields = term.get("matchExpressions") or [], term.get("matchFields") or []
    if not expressions and not fields:
        return False
    labels, names = meta.labels(node), {"metadata.name": meta.name(node)}
    try:
        return all(
            _OPERATORS[e["operator"]](table.get(e["key"]), e.get("values") or [])
            for table, group in ((labels, expressions), (names, fields))
            for e in group
        )
    except (KeyError, ValueError):
        return False
