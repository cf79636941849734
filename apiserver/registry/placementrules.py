"""The rules of what a PodSpec says about where it may run: node selector, tolerations, affinity, spreading."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from apimachinery import field
from apimachinery.field import FieldError
from apimachinery.meta import JSON
from apiserver.registry import rulewords

_OPERATORS = ("Equal", "Exists")
EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_UNSATISFIABLE = ("DoNotSchedule", "ScheduleAnyway")


def faults(spec: JSON, path: str) -> Iterator[FieldError]:
    """Faults of node selector, tolerations, affinity and spreading."""
    if spec.get("nodeSelector"):
        yield from rulewords.label_map(f"{path}.nodeSelector", spec["nodeSelector"])
    for i, toleration in enumerate(spec.get("tolerations") or ()):
        yield from _toleration(toleration, f"{path}.tolerations[{i}]")
    if spec.get("affinity"):
        yield from _affinity(spec["affinity"], f"{path}.affinity")
    if spec.get("topologySpreadConstraints"):
        yield from _spreading(spec["topologySpreadConstraints"], f"{path}.topologySpreadConstraints")


def _toleration(toleration: JSON, path: str) -> Iterator[FieldError]:
    operator, key, effect = toleration.get("operator") or "Equal", toleration.get("key"), toleration.get("effect")
    if key:
        yield from rulewords.qualified(f"{path}.key", key)
    if not key and operator != "Exists":
        text = 'operator must be Exists when `key` is empty, which means "match all values and all keys"'
        yield field.invalid(f"{path}.operator", toleration.get("operator") or "", text)
    if toleration.get("tolerationSeconds") is not None and effect != "NoExecute":
        text = "effect must be 'NoExecute' when `tolerationSeconds` is set"
        yield field.invalid(f"{path}.effect", effect or "", text)
    if operator not in _OPERATORS:
        yield field.not_supported(f"{path}.operator", operator, _OPERATORS)
    elif operator == "Exists" and toleration.get("value"):
        yield field.invalid(f"{path}.operator", toleration, "value must be empty when `operator` is 'Exists'")
    if effect and effect not in EFFECTS:
        yield field.not_supported(f"{path}.effect", effect, EFFECTS)


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
            yield from _pod_term(term, where)
        for i, weighted in enumerate(rules.get("preferredDuringSchedulingIgnoredDuringExecution") or ()):
            where = f"{path}.{kind}.preferredDuringSchedulingIgnoredDuringExecution[{i}]"
            yield from _weight(weighted, where)
            yield from _pod_term(weighted.get("podAffinityTerm") or {}, f"{where}.podAffinityTerm")


def _pod_term(term: JSON, path: str) -> Iterable[FieldError]:
    yield from rulewords.label_selector(f"{path}.labelSelector", term.get("labelSelector"))
    key = term.get("topologyKey") or ""
    if not key:
        yield field.required(f"{path}.topologyKey", "can not be empty")
    yield from rulewords.qualified(f"{path}.topologyKey", key)


def _weight(weighted: JSON, path: str) -> Iterator[FieldError]:
    if not 1 <= (weighted.get("weight") or 0) <= 100:
        yield field.invalid(f"{path}.weight", weighted.get("weight"), "must be in the range 1-100")


def _node_term(term: JSON, path: str) -> Iterator[FieldError]:
    for i, wanted in enumerate(term.get("matchExpressions") or ()):
        where = f"{path}.matchExpressions[{i}]"
        yield from rulewords.operator(where, wanted, single=("Gt", "Lt"))
        yield from rulewords.qualified(f"{where}.key", wanted.get("key") or "")
    for i, wanted in enumerate(term.get("matchFields") or ()):
        where = f"{path}.matchFields[{i}]"
        if wanted.get("operator") not in ("In", "NotIn"):
            yield field.invalid(f"{where}.operator", wanted.get("operator"), "not a valid selector operator")
        elif len(wanted.get("values") or ()) != 1:
            text = "must be only one value when `operator` is 'In' or 'NotIn' for node field selector"
            yield field.required(f"{where}.values", text)
        if wanted.get("key") != "metadata.name":
            yield field.invalid(f"{where}.key", wanted.get("key"), "not a valid field selector key")


def _spreading(constraints: list[JSON], path: str) -> Iterator[FieldError]:
    seen: set[tuple[str, str]] = set()
    for i, constraint in enumerate(constraints):
        where, key = f"{path}[{i}]", constraint.get("topologyKey") or ""
        choice = constraint.get("whenUnsatisfiable") or ""
        if (constraint.get("maxSkew") or 0) <= 0:
            yield field.invalid(f"{where}.maxSkew", constraint.get("maxSkew"), "must be greater than zero")
        if not key:
            yield field.required(f"{where}.topologyKey", "can not be empty")
        if choice not in _UNSATISFIABLE:
            yield field.not_supported(f"{where}.whenUnsatisfiable", choice, _UNSATISFIABLE)
        if (key, choice) in seen:
            yield field.duplicate(f"{where}.{{topologyKey, whenUnsatisfiable}}", f"{{{key}, {choice}}}")
        seen.add((key, choice))
        yield from rulewords.label_selector(f"{where}.labelSelector", constraint.get("labelSelector"))
