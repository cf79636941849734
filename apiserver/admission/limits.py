"""LimitRanger: what LimitRanges give to containers that say nothing, and refuse to those that say too much.

Defaults are for containers; minimum, maximum and the ratio of limit to request hold for containers, for pods (the sum)
and for claims. https://kubernetes.io/docs/concepts/policy/limit-range/ has the rules.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from apimachinery import kinds, quantity, usage
from apimachinery.meta import JSON
from apiserver.admission.chain import CREATE, UPDATE, Attributes, Plugin, refused
from apiserver.storage import Storage

_ANNOTATION = "kubernetes.io/limit-ranger"
Amounts = Mapping[str, str]


class LimitRanger(Plugin):
    """See the module. Kept by namespace from the storage's events."""

    watched = {("", "pods", ""): (CREATE,), ("", "persistentvolumeclaims", ""): (CREATE, UPDATE)}

    def __init__(self, storage: Storage) -> None:
        self._ranges: dict[str, dict[str, JSON]] = {}
        storage.listen(kinds.LIMIT_RANGE, self._on_range)

    def _on_range(self, event: str, key: str, obj: JSON | None) -> None:
        namespace, name = key.split("/")[-2:]
        ranges = self._ranges.setdefault(namespace, {})
        if event == "DELETED" or obj is None:
            ranges.pop(name, None)
            if not ranges:
                del self._ranges[namespace]
        else:
            ranges[name] = obj

    def _items(self, a: Attributes, kind: str) -> list[JSON]:
        ranges = self._ranges.get(a.namespace, {})
        return [item for each in ranges.values() for item in each["spec"].get("limits") or () if item["type"] == kind]

    async def admit(self, a: Attributes) -> None:
        """Give containers the default request and limit for what they leave open."""
        if a.namespace not in self._ranges or a.kind.plural != "pods":
            return
        told: list[str] = []
        for item in self._items(a, "Container"):
            limits, requests = item.get("default") or {}, item.get("defaultRequest") or {}
            spec = a.object.get("spec") or {}
            for field, what in (("containers", "container"), ("initContainers", "init container")):
                for container in spec.get(field) or ():
                    told += _fill(container, what, limits=limits, requests=requests)
        if told:
            annotations: JSON = a.object["metadata"].setdefault("annotations", {})
            annotations[_ANNOTATION] = "LimitRanger plugin set: " + "; ".join(told)

    async def validate(self, a: Attributes) -> None:
        """Refuse what is beyond a bound, with every bound that is broken."""
        if a.namespace not in self._ranges:
            return
        faults: list[str] = []
        spec = a.object.get("spec") or {}
        if a.kind.plural == "persistentvolumeclaims":
            requests = (spec.get("resources") or {}).get("requests") or {}
            for item in self._items(a, "PersistentVolumeClaim"):
                faults += _bounds(item, "PersistentVolumeClaim", requests, {}, claims=True)
        else:
            containers = [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
            for item in self._items(a, "Container"):
                for container in containers:
                    resources = container.get("resources") or {}
                    faults += _bounds(item, "Container", resources.get("requests") or {}, resources.get("limits") or {})
            for item in self._items(a, "Pod"):
                faults += _bounds(item, "Pod", _pod(spec, "requests"), _pod(spec, "limits"))
        if faults:
            raise refused(a, faults[0] if len(faults) == 1 else f"[{', '.join(faults)}]")


def _fill(container: JSON, what: str, *, limits: Amounts, requests: Amounts) -> list[str]:
    """Set what is absent; a limit that is set without a request is the request as well (by the pod's defaults)."""
    told = []
    resources: JSON = dict(container.get("resources") or {})
    for field, word, defaults in (("requests", "request", requests), ("limits", "limit", limits)):
        have: dict[str, str] = resources.get(field) or {}
        absent = {name: amount for name, amount in defaults.items() if name not in have}
        if absent:
            resources[field] = {**have, **absent}
            told.append(f"{', '.join(sorted(absent))} {word} for {what} {container.get('name')}")
    if told:
        container["resources"] = resources
    return told


def _pod(spec: JSON, field: str) -> dict[str, str]:
    return {name: usage.text(name, amount) for name, amount in usage.pod_amounts(spec, field).items()}


def _bounds(item: JSON, kind: str, requests: Amounts, limits: Amounts, *, claims: bool = False) -> Iterable[str]:
    """What one LimitRangeItem says against these amounts."""
    for name, least in sorted((item.get("min") or {}).items()):
        have = requests.get(name)
        if have is None:
            yield f"minimum {name} usage per {kind} is {least}.  No request is specified"
        elif quantity.parse(have) < quantity.parse(least):
            yield f"minimum {name} usage per {kind} is {least}, but request is {have}"
    for name, most in sorted((item.get("max") or {}).items()):
        have = requests.get(name) if claims else limits.get(name)
        if have is None:
            yield f"maximum {name} usage per {kind} is {most}.  No {'request' if claims else 'limit'} is specified"
        elif quantity.parse(have) > quantity.parse(most):
            yield f"maximum {name} usage per {kind} is {most}, but {'request' if claims else 'limit'} is {have}"
    for name, ratio in sorted((item.get("maxLimitRequestRatio") or {}).items()):
        request, limit = requests.get(name), limits.get(name)
        if request is None or limit is None or not quantity.parse(request):
            yield (
                f"{name} max limit to request ratio per {kind} is {ratio}, but no "
                f"{'request' if request is None else 'limit'} is specified or request is 0"
            )
        elif quantity.parse(limit) / quantity.parse(request) > quantity.parse(ratio):
            actual = float(quantity.parse(limit) / quantity.parse(request))
            yield f"{name} max limit to request ratio per {kind} is {ratio}, but provided ratio is {actual:f}"
