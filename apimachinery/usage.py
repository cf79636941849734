"""What an object uses of a ResourceQuota, and which pods a quota is about.

The API server asks before it creates something, the quota controller when it counts again; both have to come to the
same numbers. https://kubernetes.io/docs/concepts/policy/resource-quotas/ has the names.
"""

from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from typing import Any, Final

from apimachinery import placement, quantity
from apimachinery.kinds import Kind

JSON = dict[str, Any]
Usage = dict[str, Fraction]
# kinds that quotas name without "count/" as well
_SHORT: Final = frozenset(
    {"configmaps", "persistentvolumeclaims", "replicationcontrollers", "resourcequotas", "secrets", "services"}
)
_COMPUTE: Final = ("cpu", "memory", "ephemeral-storage")
_BYTES: Final = ("memory", "storage", "hugepages-")


def pod_amounts(spec: JSON, field: str) -> Usage:
    """What a pod needs as a whole, exactly."""
    return placement.pod_amounts(spec, field, lambda name, text: quantity.parse(text))


def count_name(kind: Kind) -> str:
    """`count/deployments.apps`: the number of objects of a kind."""
    return f"count/{kind.resource}"


def names_of(kind: Kind, hard: Iterable[str]) -> list[str]:
    """Which of a quota's names objects of this kind count for."""
    own = {count_name(kind), kind.plural} if kind.plural in _SHORT and not kind.group else {count_name(kind)}
    matches = _MATCHES.get(kind.resource)
    return [name for name in hard if name in own or (matches is not None and matches(name))]


def _pod_name(name: str) -> bool:
    plain = name.removeprefix("requests.").removeprefix("limits.")
    extended = plain.startswith("hugepages-") or (name.startswith("requests.") and "/" in plain)
    return name == "pods" or plain in _COMPUTE or (extended and not plain.endswith("storageclass.storage.k8s.io"))


def _claim_name(name: str) -> bool:
    return name in ("persistentvolumeclaims", "requests.storage") or ".storageclass.storage.k8s.io/" in name


_MATCHES: Final[dict[str, Callable[[str], bool]]] = {
    "pods": _pod_name,
    "persistentvolumeclaims": _claim_name,
    "services": lambda name: name in ("services", "services.loadbalancers", "services.nodeports"),
}


def usage(kind: Kind, obj: JSON) -> Usage:
    """What one object counts for, under every name it could."""
    found = {count_name(kind): Fraction(1)}
    if not kind.group and kind.plural in _SHORT:
        found[kind.plural] = Fraction(1)
    if kind.resource == "pods" and not is_finished(obj):
        found |= _pod(obj.get("spec") or {})
    elif kind.resource == "services":
        found |= _service(obj.get("spec") or {})
    elif kind.resource == "persistentvolumeclaims":
        found |= _claim(obj.get("spec") or {})
    return found


def is_finished(pod: JSON) -> bool:
    """A pod that has ended uses nothing but its own entry."""
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")


def _pod(spec: JSON) -> Usage:
    found = {"pods": Fraction(1)}
    for name, amount in pod_amounts(spec, "requests").items():
        found[f"requests.{name}"] = amount
        if name in _COMPUTE or name.startswith("hugepages-"):
            found[name] = amount
    for name, amount in pod_amounts(spec, "limits").items():
        found[f"limits.{name}"] = amount
    return found


def _service(spec: JSON) -> Usage:
    kind, ports = spec.get("type"), spec.get("ports") or ()
    if kind == "LoadBalancer":
        allocates = spec.get("allocateLoadBalancerNodePorts") is not False
        given = len(ports) if allocates else sum(1 for port in ports if port.get("nodePort"))
        return {"services.loadbalancers": Fraction(1), "services.nodeports": Fraction(given)}
    return {"services.nodeports": Fraction(len(ports))} if kind == "NodePort" else {}


def _claim(spec: JSON) -> Usage:
    amount = quantity.parse(((spec.get("resources") or {}).get("requests") or {}).get("storage") or 0)
    found = {"requests.storage": amount}
    if name := spec.get("storageClassName"):
        prefix = f"{name}.storageclass.storage.k8s.io/"
        found |= {f"{prefix}requests.storage": amount, f"{prefix}persistentvolumeclaims": Fraction(1)}
    return found


def unspecified(spec: JSON, hard: Iterable[str]) -> dict[str, list[str]]:
    """Compute resources that a quota limits and that neither the pod nor containers state: name → containers."""
    missing: dict[str, list[str]] = {}
    if any((spec.get("resources") or {}).get(field) for field in ("requests", "limits")):
        return missing
    for name in hard:
        field, _, plain = name.rpartition(".")
        if plain not in ("cpu", "memory") or field not in ("", "requests", "limits"):
            continue
        for container in (*(spec.get("initContainers") or ()), *(spec.get("containers") or ())):
            if plain not in ((container.get("resources") or {}).get(field or "requests") or {}):
                missing.setdefault(name, []).append(container.get("name", ""))
    return missing


def text(name: str, amount: Fraction) -> str:
    """An amount as a quota shows it: bytes in powers of 1024."""
    plain = name.removeprefix("requests.").removeprefix("limits.")
    binary = plain.startswith(_BYTES) or plain.endswith(("storage", "/requests.storage"))
    return quantity.format_amount(amount, "binary" if binary else "decimal")


# -- scopes


def in_scope(quota: JSON, kind: Kind, obj: JSON) -> bool:
    """Whether a quota is about the object: one with scopes is about the pods that all of them match."""
    spec = quota.get("spec") or {}
    wanted = [(scope, "Exists", ()) for scope in spec.get("scopes") or ()]
    for each in (spec.get("scopeSelector") or {}).get("matchExpressions") or ():
        wanted.append((each.get("scopeName", ""), each.get("operator", "Exists"), tuple(each.get("values") or ())))
    if not wanted:
        return True
    if kind.resource != "pods":
        return False
    pod = obj.get("spec") or {}
    return all(_scope_matches(pod, scope, operator=operator, values=values) for scope, operator, values in wanted)


def _scope_matches(spec: JSON, scope: str, *, operator: str, values: tuple[str, ...]) -> bool:
    if scope == "PriorityClass":
        name = spec.get("priorityClassName") or ""
        answers: Mapping[str, bool] = {
            "Exists": bool(name),
            "DoesNotExist": not name,
            "In": name in values,
            "NotIn": name not in values,
        }
        return answers.get(operator, False)
    return _SCOPES[scope](spec) if scope in _SCOPES else False


def _best_effort(spec: JSON) -> bool:
    return not any(
        name in ("cpu", "memory")
        for container in (*(spec.get("initContainers") or ()), *(spec.get("containers") or ()))
        for field in ("requests", "limits")
        for name in (container.get("resources") or {}).get(field) or ()
    )


def _crosses_namespaces(spec: JSON) -> bool:
    affinity = spec.get("affinity") or {}
    for sort in ("podAffinity", "podAntiAffinity"):
        terms = affinity.get(sort) or {}
        wanted = list(terms.get("requiredDuringSchedulingIgnoredDuringExecution") or ())
        preferred = terms.get("preferredDuringSchedulingIgnoredDuringExecution") or ()
        wanted += [term.get("podAffinityTerm") or {} for term in preferred]
        if any(term.get("namespaces") or term.get("namespaceSelector") is not None for term in wanted):
            return True
    return False


_SCOPES: Final[dict[str, Callable[[JSON], bool]]] = {
    "Terminating": lambda spec: spec.get("activeDeadlineSeconds") is not None,
    "NotTerminating": lambda spec: spec.get("activeDeadlineSeconds") is None,
    "BestEffort": _best_effort,
    "NotBestEffort": lambda spec: not _best_effort(spec),
    "CrossNamespacePodAffinity": _crosses_namespaces,
}
