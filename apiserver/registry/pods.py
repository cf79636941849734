"""Pods: what is filled in, what may change after creation, and how long a deletion waits for the kubelet."""

from __future__ import annotations

from collections.abc import Iterator

from apimachinery import field, meta, quantity
from apimachinery.field import FieldError
from apimachinery.meta import JSON
from apiserver.registry import podrules, podspec
from apiserver.registry.strategy import Context, Strategy

_MUTABLE = ("activeDeadlineSeconds", "tolerations", "schedulingGates")
_MUTABLE_WHILE_GATED = ("nodeSelector", "affinity")
_UPDATE_TEXT = (
    "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
    "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)
_QOS_RESOURCES = ("cpu", "memory")


def qos_class(spec: JSON) -> str:
    """Guaranteed: cpu and memory limits everywhere, as requested. BestEffort: nothing asked. Else Burstable."""
    asked, guaranteed = False, True
    for name in ("containers", "initContainers"):
        for container in spec.get(name) or ():
            resources = container.get("resources") or {}
            requests, limits = resources.get("requests") or {}, resources.get("limits") or {}
            for resource in _QOS_RESOURCES:
                request, limit = requests.get(resource), limits.get(resource)
                asked = asked or request is not None or limit is not None
                if limit is None or (request is not None and request != limit and _differ(request, limit)):
                    guaranteed = False
    return "BestEffort" if not asked else "Guaranteed" if guaranteed else "Burstable"


def _differ(left: str, right: str) -> bool:
    return bool(quantity.parse(left) != quantity.parse(right))


class PodStrategy(Strategy):
    """Pods are deleted gracefully: the kubelet of their node confirms."""

    def default(self, obj: JSON) -> None:
        podspec.default_pod(obj.setdefault("spec", {}))

    def prepare_create(self, obj: JSON, ctx: Context) -> None:
        spec = obj.get("spec") or {}
        status: JSON = {"phase": "Pending", "qosClass": qos_class(spec)}
        if spec.get("schedulingGates"):
            status["conditions"] = [
                {
                    "type": "PodScheduled",
                    "status": "False",
                    "reason": "SchedulingGated",
                    "message": "Scheduling is blocked due to non-empty scheduling gates",
                    "lastTransitionTime": ctx.now,
                }
            ]
        obj["status"] = status

    def validate(self, obj: JSON) -> Iterator[FieldError]:
        yield from podrules.faults(obj["spec"], "spec")
        if obj["spec"].get("ephemeralContainers"):
            yield field.forbidden("spec.ephemeralContainers", "cannot be set on create")

    def validate_update(self, obj: JSON, old: JSON) -> Iterator[FieldError]:
        new_spec, old_spec = obj.get("spec") or {}, old["spec"]
        if new_spec != old_spec:  # the old one was found right when it was stored
            yield from podrules.faults(new_spec, "spec")
            yield from _step_faults(new_spec, old_spec)

    def prepare_subresource(self, subresource: str, obj: JSON, old: JSON, ctx: Context) -> None:
        if subresource == "status":
            self.prepare_status_update(obj, old)
            status = {"qosClass": qos_class(old["spec"]), **(obj.get("status") or {})}
            if status.get("podIP") and (status.get("podIPs") or [{}])[0].get("ip") != status["podIP"]:
                status["podIPs"] = [{"ip": status["podIP"]}]
            obj["status"] = status
        elif subresource in ("ephemeralcontainers", "resize"):
            obj["status"] = old.get("status") or {}
        elif subresource != "binding":
            super().prepare_subresource(subresource, obj, old, ctx)

    def validate_subresource(self, subresource: str, obj: JSON, old: JSON) -> Iterator[FieldError]:
        new_spec, old_spec, name = obj["spec"], old["spec"], "ephemeralContainers"
        if subresource not in ("ephemeralcontainers", "resize"):
            return
        if subresource == "resize":
            if _without_resources(new_spec) != _without_resources(old_spec):
                yield field.forbidden("spec", "only cpu and memory resources are mutable")
        elif _without(new_spec, name) != _without(old_spec, name) or any(
            container not in (new_spec.get(name) or ()) for container in old_spec.get(name) or ()
        ):
            yield field.forbidden(f"spec.{name}", "existing ephemeral containers may not be changed or removed")
        yield from podrules.faults(new_spec, "spec")

    def deletion_grace(self, obj: JSON, requested: int | None) -> int | None:
        spec, phase = obj.get("spec") or {}, (obj.get("status") or {}).get("phase")
        if not spec.get("nodeName") or phase in ("Succeeded", "Failed"):
            return 0
        return spec.get("terminationGracePeriodSeconds") if requested is None else requested


def _step_faults(new: JSON, old: JSON) -> Iterator[FieldError]:
    """What an update may not do to a pod's spec."""
    after = [_without(toleration, "tolerationSeconds") for toleration in new.get("tolerations") or ()]
    if any(_without(toleration, "tolerationSeconds") not in after for toleration in old.get("tolerations") or ()):
        text = "existing toleration can not be modified except its tolerationSeconds"
        yield field.forbidden("spec.tolerations", text)
    gates = {gate["name"] for gate in old.get("schedulingGates") or ()}
    added = [gate["name"] for gate in new.get("schedulingGates") or () if gate["name"] not in gates]
    if added:
        text = "only deletion is allowed, but found new scheduling gate "
        yield field.forbidden("spec.schedulingGates", text + ", ".join(f"'{name}'" for name in added))
    deadline, before = new.get("activeDeadlineSeconds"), old.get("activeDeadlineSeconds")
    if before is not None and deadline is None:
        yield field.invalid("spec.activeDeadlineSeconds", None, "must not update from a positive integer to nil value")
    elif before is not None and deadline is not None and deadline > before:
        text = "must be less than or equal to previous value"
        yield field.invalid("spec.activeDeadlineSeconds", deadline, text)
    if _fixed(new, gated=bool(gates)) != _fixed(old, gated=bool(gates)):
        yield field.forbidden("spec", _UPDATE_TEXT)


def _fixed(spec: JSON, *, gated: bool) -> JSON:
    """The part of a spec that no update may change."""
    mutable = _MUTABLE + _MUTABLE_WHILE_GATED if gated else _MUTABLE
    fixed = {key: value for key, value in spec.items() if key not in mutable}
    if (spec.get("terminationGracePeriodSeconds") or 0) < 0:
        fixed["terminationGracePeriodSeconds"] = 1
    for name in ("containers", "initContainers"):
        if name in fixed:
            fixed[name] = [_without(container, "image") for container in fixed[name]]
    return fixed


def _without_resources(spec: JSON) -> JSON:
    bare = dict(spec)
    for name in ("containers", "initContainers"):
        if name in bare:
            bare[name] = [_without(container, "resources", "resizePolicy") for container in bare[name]]
    return bare


def bound(pod: JSON, node: str, annotations: JSON, labels: JSON) -> JSON:
    """The pod with its node, as a binding makes it."""
    status = dict(pod.get("status") or {})
    conditions = [dict(entry) for entry in status.get("conditions") or ()]
    meta.set_condition(conditions, type="PodScheduled", status="True", now=meta.now())
    status["conditions"] = [_without(entry, "reason", "message") if entry["type"] == "PodScheduled" else entry
                            for entry in conditions]  # fmt: skip
    metadata = dict(pod["metadata"])
    for name, more in (("annotations", annotations), ("labels", labels)):
        if more:
            metadata[name] = {**(metadata.get(name) or {}), **more}
    return {**pod, "metadata": metadata, "spec": {**pod["spec"], "nodeName": node}, "status": status}


def _without(entry: JSON, *names: str) -> JSON:
    return {key: value for key, value in entry.items() if key not in names}
