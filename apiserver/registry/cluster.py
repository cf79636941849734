"""What belongs to the cluster: namespaces, nodes, priority and ingress classes, budgets, leases, autoscalers."""

from __future__ import annotations

from collections.abc import Iterator

from apimachinery import field, names
from apimachinery.field import FieldError
from apimachinery.meta import JSON
from apiserver.registry import placementrules, rulewords
from apiserver.registry.strategy import Context, Strategy
from apiserver.registry.workloads import share_faults

_FINALIZER = "kubernetes"
_NAME_LABEL = "kubernetes.io/metadata.name"


class NamespaceStrategy(Strategy):
    """v1 Namespace: it stays, Terminating, until its content is gone and `spec.finalizers` is empty."""

    def default(self, obj: JSON) -> None:
        metadata = obj["metadata"]
        if metadata.get("name"):
            labels = metadata.get("labels") or {}
            if labels.get(_NAME_LABEL) != metadata["name"]:
                metadata["labels"] = {**labels, _NAME_LABEL: metadata["name"]}

    def prepare_create(self, obj: JSON, ctx: Context) -> None:
        spec = obj.setdefault("spec", {})
        if _FINALIZER not in (spec.get("finalizers") or ()):
            spec["finalizers"] = [*(spec.get("finalizers") or ()), _FINALIZER]
        obj["status"] = {"phase": "Active"}

    def prepare_update(self, obj: JSON, old: JSON, ctx: Context) -> None:
        super().prepare_update(obj, old, ctx)
        obj["spec"] = old.get("spec") or {}

    def prepare_subresource(self, subresource: str, obj: JSON, old: JSON, ctx: Context) -> None:
        if subresource == "finalize":
            obj["status"] = old.get("status") or {}
        else:
            super().prepare_subresource(subresource, obj, old, ctx)

    def mark_deleting(self, obj: JSON) -> None:
        obj["status"] = {**(obj.get("status") or {}), "phase": "Terminating"}

    def held(self, obj: JSON) -> bool:
        return super().held(obj) or bool((obj.get("spec") or {}).get("finalizers"))

    def check_name(self, name: str) -> list[str]:
        return names.dns1123_label(name)


class NodeStrategy(Strategy):
    """v1 Node: it may set its own status when it registers."""

    def default(self, obj: JSON) -> None:
        spec = obj.setdefault("spec", {})
        if spec.get("podCIDR") and not spec.get("podCIDRs"):
            spec["podCIDRs"] = [spec["podCIDR"]]
        status = obj.get("status") or {}
        if status.get("capacity") and status.get("allocatable") is None:
            obj["status"] = {**status, "allocatable": dict(status["capacity"])}

    def prepare_create(self, obj: JSON, ctx: Context) -> None:
        obj.setdefault("status", {})

    def validate(self, obj: JSON) -> Iterator[FieldError]:
        spec = obj.get("spec") or {}
        seen: set[tuple[str, str]] = set()
        for i, taint in enumerate(spec.get("taints") or ()):
            path, key = f"metadata.taints[{i}]", taint.get("key") or ""
            yield from (field.invalid(f"{path}.key", taint.get("key"), text) for text in names.qualified_name(key))
            yield from rulewords.one_of(f"{path}.effect", taint.get("effect"), placementrules.EFFECTS)
            pair = (key, taint.get("effect") or "")
            if pair in seen:
                text = "taints must be unique by key and effect pair"
                yield FieldError("FieldValueDuplicate", path, taint, text)
            seen.add(pair)
        for i, cidr in enumerate(spec.get("podCIDRs") or ()):
            yield from rulewords.network(f"spec.podCIDRs[{i}]", cidr)

    def validate_update(self, obj: JSON, old: JSON) -> Iterator[FieldError]:
        yield from self.validate(obj)
        now, before = (obj.get("spec") or {}), (old.get("spec") or {})
        if before.get("podCIDRs") and any(now.get(name) != before.get(name) for name in ("podCIDR", "podCIDRs")):
            text = 'node updates may not change podCIDR except from "" to valid'
            yield field.forbidden("spec.podCIDRs", text)
        if before.get("providerID") and now.get("providerID") != before["providerID"]:
            text = 'node updates may not change providerID except from "" to valid'
            yield field.forbidden("spec.providerID", text)


class PriorityClassStrategy(Strategy):
    """scheduling.k8s.io/v1 PriorityClass."""

    def default(self, obj: JSON) -> None:
        obj.setdefault("preemptionPolicy", "PreemptLowerPriority")
        obj.setdefault("value", 0)

    def validate(self, obj: JSON) -> Iterator[FieldError]:
        name = obj["metadata"].get("name") or ""
        if name.startswith("system-") and name not in ("system-cluster-critical", "system-node-critical"):
            text = (
                "priority class names with 'system-' prefix are reserved for system use only. "
                f"error: {name} is not a known system priority class"
            )
            yield field.forbidden("metadata.name", text)
        if not name.startswith("system-") and (obj.get("value") or 0) > 1_000_000_000:
            yield field.forbidden("value", "maximum allowed value of a user defined priority is 1000000000")

    def validate_update(self, obj: JSON, old: JSON) -> Iterator[FieldError]:
        yield from self.validate(obj)
        if obj["value"] != old.get("value"):
            yield field.forbidden("value", "may not be changed in an update.")
        yield from rulewords.unchanged(obj, old, "preemptionPolicy")


class IngressClassStrategy(Strategy):
    """networking.k8s.io/v1 IngressClass."""

    fixed = ("spec.controller",)

    def default(self, obj: JSON) -> None:
        parameters = (obj.get("spec") or {}).get("parameters")
        if parameters is not None:
            parameters.setdefault("scope", "Cluster")

    def validate(self, obj: JSON) -> Iterator[FieldError]:
        if not (obj.get("spec") or {}).get("controller"):
            yield field.required("spec.controller")


class RuntimeClassStrategy(Strategy):
    """node.k8s.io/v1 RuntimeClass."""

    fixed = ("handler",)

    def validate(self, obj: JSON) -> Iterator[FieldError]:
        return rulewords.label("handler", obj.get("handler"))


class PodDisruptionBudgetStrategy(Strategy):
    """policy/v1 PodDisruptionBudget."""

    def validate(self, obj: JSON) -> Iterator[FieldError]:
        spec = obj.get("spec") or {}
        if spec.get("minAvailable") is not None and spec.get("maxUnavailable") is not None:
            yield field.invalid("spec", spec, "minAvailable and maxUnavailable cannot be both set")
        else:
            yield from share_faults(spec, "spec", capped=("minAvailable", "maxUnavailable"))


class LeaseStrategy(Strategy):
    """coordination.k8s.io/v1 Lease."""

    unconditional_update = False

    def validate(self, obj: JSON) -> Iterator[FieldError]:
        spec = obj.get("spec") or {}
        seconds = spec.get("leaseDurationSeconds")
        if seconds is not None and seconds <= 0:
            yield field.invalid("spec.leaseDurationSeconds", seconds, "must be greater than 0")
        yield from rulewords.not_negative("spec.", spec, "leaseTransitions")


_SCALING_RULES: JSON = {
    "scaleUp": {
        "stabilizationWindowSeconds": 0,
        "selectPolicy": "Max",
        "policies": [
            {"type": "Pods", "value": 4, "periodSeconds": 15},
            {"type": "Percent", "value": 100, "periodSeconds": 15},
        ],
    },
    "scaleDown": {"selectPolicy": "Max", "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}]},
}
METRIC_SOURCES = ("ContainerResource", "External", "Object", "Pods", "Resource")


class HorizontalPodAutoscalerStrategy(Strategy):
    """autoscaling/v2 HorizontalPodAutoscaler."""

    def default(self, obj: JSON) -> None:
        spec = obj.get("spec") or {}
        if spec.get("minReplicas") is None:
            spec["minReplicas"] = 1
        if not spec.get("metrics") and "targetCPUUtilizationPercentage" not in spec:
            target = {"type": "Utilization", "averageUtilization": 80}
            spec["metrics"] = [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]
        if spec.get("behavior") is not None:
            for name, defaults in _SCALING_RULES.items():
                spec["behavior"][name] = {**defaults, **(spec["behavior"].get(name) or {})}

    def validate(self, obj: JSON) -> Iterator[FieldError]:
        spec = obj.get("spec") or {}
        low, high = spec.get("minReplicas") or 0, spec.get("maxReplicas") or 0
        if low < 1:
            yield field.invalid("spec.minReplicas", low, "must be greater than or equal to 1")
        if high < 1:
            yield field.invalid("spec.maxReplicas", high, "must be greater than 0")
        elif high < low:
            yield field.invalid("spec.maxReplicas", high, "must be greater than or equal to `minReplicas`")
        target = spec.get("scaleTargetRef") or {}
        yield from (field.required(f"spec.scaleTargetRef.{name}") for name in ("kind", "name") if not target.get(name))
        for i, metric in enumerate(spec.get("metrics") or ()):
            source = metric["type"][:1].lower() + metric["type"][1:]
            if metric["type"] in METRIC_SOURCES and not metric.get(source):
                text = "must populate information for the given metric source"
                yield field.required(f"spec.metrics[{i}].{source}", text)
        if low == 0 and not any(each.get("type") in ("Object", "External") for each in spec.get("metrics") or ()):
            text = "must specify at least one Object or External metric to support scaling to zero replicas"
            yield field.forbidden("spec.metrics", text)
