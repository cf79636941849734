"""What belongs to the cluster: namespaces, nodes, priority and ingress classes, budgets, leases, autoscalers."""

from __future__ import annotations

from apimachinery import field, names
from apimachinery.field import FieldError
from apimachinery.meta import JSON
from apiserver.registry import rulewords
from apiserver.registry.strategy import Context, Strategy
from apiserver.registry.workloads import share_faults

_FINALIZER = "kubernetes"
_IMMUTABLE = "field is immutable"
_NAME_LABEL = "kubernetes.io/metadata.name"
_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")


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

    def validate(self, obj: JSON) -> list[FieldError]:
        faults: list[FieldError] = []
        seen: set[tuple[str, str]] = set()
        for i, taint in enumerate((obj.get("spec") or {}).get("taints") or ()):
            path = f"metadata.taints[{i}]"
            faults += [
                field.invalid(f"{path}.key", taint.get("key"), t) for t in names.qualified_name(taint.get("key") or "")
            ]
            if taint.get("effect") not in _EFFECTS:
                faults.append(field.not_supported(f"{path}.effect", taint.get("effect"), _EFFECTS))
            pair = (taint.get("key") or "", taint.get("effect") or "")
            if pair in seen:
                text = "taints must be unique by key and effect pair"
                faults.append(FieldError("FieldValueDuplicate", path, taint, text))
            seen.add(pair)
        for i, cidr in enumerate((obj.get("spec") or {}).get("podCIDRs") or ()):
            faults += rulewords.network(
                f"spec.podCIDRs[{i}]", cidr, "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"
            )
        return faults

    def validate_update(self, obj: JSON, old: JSON) -> list[FieldError]:
        faults = self.validate(obj)
        now, before = (obj.get("spec") or {}), (old.get("spec") or {})
        if before.get("podCIDRs") and any(now.get(name) != before.get(name) for name in ("podCIDR", "podCIDRs")):
            text = 'node updates may not change podCIDR except from "" to valid'
            faults.append(field.forbidden("spec.podCIDRs", text))
        if before.get("providerID") and now.get("providerID") != before["providerID"]:
            text = 'node updates may not change providerID except from "" to valid'
            faults.append(field.forbidden("spec.providerID", text))
        return faults


class PriorityClassStrategy(Strategy):
    """scheduling.k8s.io/v1 PriorityClass."""

    def default(self, obj: JSON) -> None:
        obj.setdefault("preemptionPolicy", "PreemptLowerPriority")
        obj.setdefault("value", 0)

    def validate(self, obj: JSON) -> list[FieldError]:
        name = obj["metadata"].get("name") or ""
        if name.startswith("system-") and name not in ("system-cluster-critical", "system-node-critical"):
            text = (
                "priority class names with 'system-' prefix are reserved for system use only. "
                f"error: {name} is not a known system priority class"
            )
            return [field.forbidden("metadata.name", text)]
        if not name.startswith("system-") and (obj.get("value") or 0) > 1_000_000_000:
            text = "maximum allowed value of a user defined priority is 1000000000"
            return [field.forbidden("value", text)]
        return []

    def validate_update(self, obj: JSON, old: JSON) -> list[FieldError]:
        faults = self.validate(obj)
        if obj["value"] != old.get("value"):
            faults.append(field.forbidden("value", "may not be changed in an update."))
        if obj["preemptionPolicy"] != old.get("preemptionPolicy"):
            faults.append(field.invalid("preemptionPolicy", obj["preemptionPolicy"], _IMMUTABLE))
        return faults


class IngressClassStrategy(Strategy):
    """networking.k8s.io/v1 IngressClass."""

    def default(self, obj: JSON) -> None:
        parameters = (obj.get("spec") or {}).get("parameters")
        if parameters is not None:
            parameters.setdefault("scope", "Cluster")

    def validate(self, obj: JSON) -> list[FieldError]:
        return [] if (obj.get("spec") or {}).get("controller") else [field.required("spec.controller")]

    def validate_update(self, obj: JSON, old: JSON) -> list[FieldError]:
        now, before = ((each.get("spec") or {}).get("controller") for each in (obj, old))
        changed = [field.invalid("spec.controller", now, _IMMUTABLE)] if now != before else []
        return self.validate(obj) + changed


class RuntimeClassStrategy(Strategy):
    """node.k8s.io/v1 RuntimeClass."""

    def validate(self, obj: JSON) -> list[FieldError]:
        return list(rulewords.label("handler", obj.get("handler")))

    def validate_update(self, obj: JSON, old: JSON) -> list[FieldError]:
        changed = obj.get("handler") != old.get("handler")
        return [*self.validate(obj), *([field.invalid("handler", obj.get("handler"), _IMMUTABLE)] if changed else [])]


class PodDisruptionBudgetStrategy(Strategy):
    """policy/v1 PodDisruptionBudget."""

    def validate(self, obj: JSON) -> list[FieldError]:
        spec = obj.get("spec") or {}
        if spec.get("minAvailable") is not None and spec.get("maxUnavailable") is not None:
            text = "minAvailable and maxUnavailable cannot be both set"
            return [field.invalid("spec", spec, text)]
        return list(share_faults(spec, "spec", capped=("minAvailable", "maxUnavailable")))


class LeaseStrategy(Strategy):
    """coordination.k8s.io/v1 Lease."""

    allow_create_on_update = True
    unconditional_update = False

    def validate(self, obj: JSON) -> list[FieldError]:
        spec = obj.get("spec") or {}
        faults = []
        if spec.get("leaseDurationSeconds") is not None and spec["leaseDurationSeconds"] <= 0:
            faults.append(
                field.invalid("spec.leaseDurationSeconds", spec["leaseDurationSeconds"], "must be greater than 0")
            )
        if (spec.get("leaseTransitions") or 0) < 0:
            text = "must be greater than or equal to 0"
            faults.append(field.invalid("spec.leaseTransitions", spec["leaseTransitions"], text))
        return faults


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

    def validate(self, obj: JSON) -> list[FieldError]:
        spec = obj.get("spec") or {}
        low, high = spec.get("minReplicas") or 0, spec.get("maxReplicas") or 0
        faults = []
        if low < 1:
            faults.append(field.invalid("spec.minReplicas", low, "must be greater than or equal to 1"))
        if high < 1:
            faults.append(field.invalid("spec.maxReplicas", high, "must be greater than 0"))
        elif high < low:
            faults.append(field.invalid("spec.maxReplicas", high, "must be greater than or equal to `minReplicas`"))
        target = spec.get("scaleTargetRef") or {}
        faults += [field.required(f"spec.scaleTargetRef.{name}") for name in ("kind", "name") if not target.get(name)]
        for i, metric in enumerate(spec.get("metrics") or ()):
            source = metric["type"][:1].lower() + metric["type"][1:]
            if metric["type"] in METRIC_SOURCES and not metric.get(source):
                text = "must populate information for the given metric source"
                faults.append(field.required(f"spec.metrics[{i}].{source}", text))
        if low == 0 and not any(each.get("type") in ("Object", "External") for each in spec.get("metrics") or ()):
            text = "must specify at least one Object or External metric to support scaling to zero replicas"
            faults.append(field.forbidden("spec.metrics", text))
        return faults
