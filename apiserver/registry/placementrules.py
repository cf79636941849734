"""The rules of what a PodSpec says about where it may run: node selector, tolerations, affinity, spreading."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from apimachinery import field
from apimachinery.field import FieldError
from apimachinery.meta import JSON
from apiserver.registry.metadata import _label_value, _qualified

EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_UNSATISFIABLE = ("DoNotSchedule", "ScheduleAnyway")


def faults(spec: JSON, path: str) -> Iterator[FieldError]:
    """Faults of node selector, tolerations, affinity and spreading."""
    for key, value in (spec.get("nodeSelector") or {}).items():
        yield from (field.invalid(f"{path}.nodeSelector", key, text) for text in _qualified(key))
        yield from (field.invalid(f"{path}.nodeSelector", value, text) for text in _label_value(value))
    for i, toleration in enumerate(spec.get("tolerations") or ()):
        where = f"{path}.tolerations[{i}]"
        operator = toleration.get("operator") or "Equal"
        if operator not in ("Equal", "Exists"):
            yield field.not_supported(f"{where}.operator", operator, ("Equal", "Exists"))
        if not toleration.get("key") and operator != "Exists":
            yield field.invalid(
                f"{where}.operator", toleration.get("operator", ""),
                "operator must be Exists when `key` is empty, which means \"match all values and all keys\"",
            )  # fmt: skip
        if operator == "Exists" and toleration.get("value"):
            yield field.invalid(
                f"{where}.operator", toleration.get("operator"), "value must be empty when `operator` is 'Exists'"
            )
        if toleration.get("effect") and toleration["effect"] not in EFFECTS:
            yield field.not_supported(f"{where}.effect", toleration["effect"], EFFECTS)
    if spec.get("affinity"):
        yield from _affinity(spec["affinity"], f"{path}.affinity")
    for i, constraint in enumerate(spec.get("topologySpreadConstraints") or ()):
        yield from _spreading(constraint, f"{path}.topologySpreadConstraints[{i}]")


def _affinity(affinity: JSON, path: str) -> Iterator[FieldError]:
    node = affinity.get("nodeAffinity") or {}
    where = f"{path}.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms"
    required = node.get("requiredDuringSchedulingIgnoredDuringExecution")
    if required is not None and not required.get("nodeSelectorTerms"):
        yield field.required(where, "must have at least one node selector term")
    for i, term in enumerate((required or {}).get("nodeSelectorTerms") or ()):
        yield from _node_term(term, f"{where}[{i}]")
    for i, weighted in enumerate(node.get("preferredDuringSchedulingIgnoredDuringExecution") or ()):
        where = f"{path}.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[{i}]"
        yield from _weight(weighted, where)
        yield from _node_term(weighted.get("preference") or {}, f"{where}.preference")
    for kind in ("podAffinity", "podAntiAffinity"):
        rules = affinity.get(kind) or {}
        for i, term in enumerate(rules.get("requiredDuringSchedulingIgnoredDuringExecution") or ()):
            where = f"{path}.{kind}.requiredDuringSchedulingIgnoredDuringExecution[{i}]"
            yield from _topology_key(term, where)
        for i, weighted in enumerate(rules.get("preferredDuringSchedulingIgnoredDuringExecution") or ()):
            where = f"{path}.{kind}.preferredDuringSchedulingIgnoredDuringExecution[{i}]"
            yield from _weight(weighted, where)
            yield from _topology_key(weighted.get("podAffinityTerm") or {}, f"{where}.podAffinityTerm")


def _topology_key(term: JSON, path: str) -> Iterable[FieldError]:
    if not term.get("topologyKey"):
        yield field.required(f"{path}.topologyKey", "can not be empty")


def _weight(weighted: JSON, path: str) -> Iterator[FieldError]:
    if not 1 <= (weighted.get("weight") or 0) <= 100:
        yield field.invalid(f"{path}.weight", weighted.get("weight"), "must be in the range 1-100")


def _node_term(term: JSON, path: str) -> Iterator[FieldError]:
    for i, wanted in enumerate(term.get("matchExpressions") or ()):
        where, operator, values = f"{path}.matchExpressions[{i}]", wanted.get("operator"), wanted.get("values") or []
        if operator in ("In", "NotIn"):
            if not values:
                text = "must be specified when `operator` is 'In' or 'NotIn'"
                yield field.required(f"{where}.values", text)
        elif operator in ("Exists", "DoesNotExist"):
            if values:
                text = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
                yield field.forbidden(f"{where}.values", text)
        elif operator in ("Gt", "Lt"):
            if len(values) != 1:
                text = "must be specified single value when `operator` is 'Lt' or 'Gt'"
                yield field.required(f"{where}.values", text)
        else:
            yield field.invalid(f"{where}.operator", operator, "not a valid selector operator")
        key = wanted.get("key") or ""
        yield from (field.invalid(f"{where}.key", key, text) for text in _qualified(key))


def _spreading(constraint: JSON, path: str) -> Iterator[FieldError]:
    if (constraint.get("maxSkew") or 0) <= 0:
        yield field.invalid(f"{path}.maxSkew", constraint.get("maxSkew"), "must be greater than zero")
    yield from _topology_key(constraint, path)
    if constraint.get("whenUnsatisfiable") not in _UNSATISFIABLE:
        yield field.not_supported(f"{path}.whenUnsatisfiable", constraint.get("whenUnsatisfiable"), _UNSATISFIABLE)
