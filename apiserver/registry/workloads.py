"""Deployments, ReplicaSets and their kin: defaults, the selector that never changes, the template they stamp."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from apimachinery import field, labels, meta
from apimachinery.field import FieldError
from apimachinery.meta import JSON
from apiserver.registry import podrules, podspec, rulewords
from apiserver.registry.quantities import canonical_list
from apiserver.registry.strategy import Context, Strategy

_IMMUTABLE = "field is immutable"
_PERCENT_TEXT = (
    "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for "
    "validation is '[0-9]+%')"
)
_NOTHING = (0, "0%")
_TEMPLATE_GENERATION = "deprecated.daemonset.template.generation"
_RETENTION, _RETENTIONS = ("whenDeleted", "whenScaled"), ("Retain", "Delete")
_STATEFUL_MUTABLE = (
    "replicas", "ordinals", "template", "updateStrategy", "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy", "minReadySeconds",
)  # fmt: skip


class WorkloadStrategy(Strategy):
    """What all kinds with a pod template share. `fixed` names the fields of the spec that never change."""

    fixed: ClassVar[tuple[str, ...]] = ("selector",)
    restart_policies: ClassVar[tuple[str, ...]] = ("Always",)
    counts: ClassVar[tuple[str, ...]] = ("replicas",)
    spec_defaults: ClassVar[JSON] = {}
    fresh_status: ClassVar[JSON] = {}  # what a new object shows before its controller has seen it
    strategies: ClassVar[tuple[str, ...]] = ()  # of spec.updateStrategy

    def template(self, obj: JSON) -> tuple[JSON, str]:
        """The pod template, empty if there was none, with its path."""
        template: JSON = obj["spec"].setdefault("template", {})
        return template, "spec.template"

    def default(self, obj: JSON) -> None:
        spec = obj.setdefault("spec", {})
        for name, value in self.spec_defaults.items():
            if spec.get(name) is None:
                spec[name] = dict(value) if isinstance(value, dict) else value
        podspec.default_template(self.template(obj)[0])

    def prepare_create(self, obj: JSON, ctx: Context) -> None:
        obj["status"] = dict(self.fresh_status)

    def validate(self, obj: JSON) -> list[FieldError]:
        spec = obj["spec"]
        faults = [
            field.invalid(f"spec.{name}", spec[name], "must be greater than or equal to 0")
            for name in (*self.counts, "minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds")
            if isinstance(spec.get(name), int) and spec[name] < 0
        ]
        template, path = self.template(obj)
        faults += self.selector_faults(spec, template, path)
        faults += rulewords.label_map(f"{path}.labels", (template.get("metadata") or {}).get("labels"))
        for key in (template.get("metadata") or {}).get("annotations") or ():
            faults += rulewords.qualified(f"{path}.annotations", key.lower())
        pod_spec = template["spec"]
        claims = [meta.name(claim) for claim in spec.get("volumeClaimTemplates") or ()]
        faults += podrules.validate_spec(
            pod_spec, f"{path}.spec", restart_policies=self.restart_policies, claims=claims
        )
        if self.restart_policies == ("Always",) and pod_spec.get("activeDeadlineSeconds") is not None:
            text = f"activeDeadlineSeconds in {self.kind.kind} is not Supported"
            faults.append(field.forbidden(f"{path}.spec.activeDeadlineSeconds", text))
        update = (spec.get("updateStrategy") or {}).get("type")
        if self.strategies and update not in self.strategies:
            faults.append(field.not_supported("spec.updateStrategy", spec.get("updateStrategy"), self.strategies))
        return faults

    def validate_update(self, obj: JSON, old: JSON) -> list[FieldError]:
        faults = self.validate(obj)
        new_spec, old_spec = obj.get("spec") or {}, old.get("spec") or {}
        for name in self.fixed:
            if new_spec.get(name) != old_spec.get(name):
                faults.append(field.invalid(f"spec.{name}", new_spec.get(name), _IMMUTABLE))
        return faults

    def selector_faults(self, spec: JSON, template: JSON, path: str) -> Iterator[FieldError]:
        """The selector must select something, and the template's pods among it."""
        selector = spec.get("selector")
        if selector is None:
            yield field.required("spec.selector")  # and below: what isn't there matches nothing
        elif not selector.get("matchLabels") and not selector.get("matchExpressions"):
            text = "empty selector is invalid for " + self.kind.kind.lower()
            yield field.invalid("spec.selector", selector, text)
            return
        faults = list(rulewords.label_selector("spec.selector", selector))
        yield from faults
        try:
            matches = labels.from_label_selector(selector).matches((template.get("metadata") or {}).get("labels") or {})
        except ValueError:
            if faults:
                yield field.invalid("spec.selector", selector, "invalid label selector")
            return
        if not matches:
            wrong = (template.get("metadata") or {}).get("labels")
            yield field.invalid(f"{path}.metadata.labels", wrong, "`selector` does not match template `labels`")


class DeploymentStrategy(WorkloadStrategy):
    """apps/v1 Deployment."""

    spec_defaults = {"replicas": 1, "revisionHistoryLimit": 10, "progressDeadlineSeconds": 600}

    def default(self, obj: JSON) -> None:
        super().default(obj)
        spec = obj["spec"]
        strategy = spec.setdefault("strategy", {})
        if not strategy.get("type"):
            strategy["type"] = "RollingUpdate"
        if strategy["type"] == "RollingUpdate":
            rolling = strategy.setdefault("rollingUpdate", {})
            rolling.setdefault("maxUnavailable", "25%")
            rolling.setdefault("maxSurge", "25%")

    def validate(self, obj: JSON) -> list[FieldError]:
        faults = super().validate(obj)
        spec = obj.get("spec") or {}
        strategy = spec.get("strategy") or {}
        kind, rolling = strategy.get("type"), strategy.get("rollingUpdate")
        if kind not in ("Recreate", "RollingUpdate"):
            faults.append(field.not_supported("spec.strategy", strategy, ("Recreate", "RollingUpdate")))
        if kind == "Recreate" and rolling is not None:
            text = "may not be specified when strategy `type` is 'Recreate'"
            faults.append(field.forbidden("spec.strategy.rollingUpdate", text))
        if kind == "RollingUpdate" and rolling:
            faults += _rolling_faults(rolling, "spec.strategy.rollingUpdate")
        if (spec.get("progressDeadlineSeconds") or 0) <= (spec.get("minReadySeconds") or 0):
            text = "must be greater than minReadySeconds"
            faults.append(field.invalid("spec.progressDeadlineSeconds", spec.get("progressDeadlineSeconds"), text))
        return faults


def _rolling_faults(rolling: JSON, path: str) -> Iterator[FieldError]:
    yield from share_faults(rolling, path, capped=("maxUnavailable",))
    if rolling.get("maxUnavailable") in _NOTHING and rolling.get("maxSurge") in _NOTHING:
        yield field.invalid(f"{path}.maxUnavailable", rolling["maxUnavailable"], "may not be 0 when `maxSurge` is 0")


def share_faults(rolling: JSON, path: str, *, capped: tuple[str, ...]) -> Iterator[FieldError]:
    """Numbers of pods, or percents; those that are capped are at most all of them."""
    for name in ("minAvailable", "maxUnavailable", "maxSurge"):
        value = rolling.get(name)
        if isinstance(value, str) and not _is_percent(value):
            yield field.invalid(f"{path}.{name}", value, _PERCENT_TEXT)
        elif isinstance(value, int) and value < 0:
            yield field.invalid(f"{path}.{name}", value, "must be greater than or equal to 0")
    for name in capped:
        value = rolling.get(name)
        if isinstance(value, str) and _is_percent(value) and int(value[:-1]) > 100:
            yield field.invalid(f"{path}.{name}", value, "must not be greater than 100%")


def _is_percent(value: str) -> bool:
    return value.endswith("%") and value[:-1].isdigit()


class ReplicaSetStrategy(WorkloadStrategy):
    """apps/v1 ReplicaSet."""

    spec_defaults = {"replicas": 1}
    fresh_status = {"replicas": 0}


class ReplicationControllerStrategy(ReplicaSetStrategy):
    """v1 ReplicationController: its selector is a plain map, by default the template's labels."""

    fixed = ()

    def default(self, obj: JSON) -> None:
        super().default(obj)
        spec = obj["spec"]
        template_labels = spec["template"]["metadata"].get("labels")
        if template_labels and not spec.get("selector"):
            spec["selector"] = dict(template_labels)
        label_as_template(obj)

    def selector_faults(self, spec: JSON, template: JSON, path: str) -> Iterator[FieldError]:
        selector, found = spec.get("selector") or {}, (template.get("metadata") or {}).get("labels") or {}
        if not selector:
            yield field.required("spec.selector")
        elif any(found.get(key) != value for key, value in selector.items()):
            yield field.invalid(f"{path}.metadata.labels", found, "`selector` does not match template `labels`")


class DaemonSetStrategy(WorkloadStrategy):
    """apps/v1 DaemonSet."""

    counts = ()
    spec_defaults = {"revisionHistoryLimit": 10}
    strategies = ("RollingUpdate", "OnDelete")
    fresh_status = {
        "currentNumberScheduled": 0, "desiredNumberScheduled": 0, "numberMisscheduled": 0, "numberReady": 0,
    }  # fmt: skip

    def default(self, obj: JSON) -> None:
        super().default(obj)
        update = obj["spec"].setdefault("updateStrategy", {})
        if not update.get("type"):
            update["type"] = "RollingUpdate"
        if update["type"] == "RollingUpdate":
            rolling = update.setdefault("rollingUpdate", {})
            rolling.setdefault("maxUnavailable", 1)
            rolling.setdefault("maxSurge", 0)

    def prepare_create(self, obj: JSON, ctx: Context) -> None:
        super().prepare_create(obj, ctx)
        _count_template(obj, 1)

    def prepare_update(self, obj: JSON, old: JSON, ctx: Context) -> None:
        super().prepare_update(obj, old, ctx)
        counted = int((old["metadata"].get("annotations") or {}).get(_TEMPLATE_GENERATION) or 1)
        changed = obj["spec"].get("template") != old["spec"].get("template")
        _count_template(obj, counted + changed)

    def validate(self, obj: JSON) -> list[FieldError]:
        faults = super().validate(obj)
        update, path = obj["spec"].get("updateStrategy") or {}, "spec.updateStrategy.rollingUpdate"
        rolling = update.get("rollingUpdate")
        if update.get("type") != "RollingUpdate" or rolling is None:
            return faults
        faults += share_faults(rolling, path, capped=("maxUnavailable", "maxSurge"))
        unavailable, surge = (rolling.get(name, 0) not in _NOTHING for name in ("maxUnavailable", "maxSurge"))
        if unavailable and surge:
            text = "may not be set when maxUnavailable is non-zero"
            faults.append(field.invalid(f"{path}.maxSurge", rolling["maxSurge"], text))
        elif not unavailable and not surge:
            faults.append(field.required(f"{path}.maxUnavailable", "cannot be 0 when maxSurge is 0"))
        return faults


def _count_template(daemon_set: JSON, generation: int) -> None:
    """Note how many templates a DaemonSet has had, whatever the client says."""
    metadata = daemon_set["metadata"]
    metadata["annotations"] = {**(metadata.get("annotations") or {}), _TEMPLATE_GENERATION: str(generation)}


class StatefulSetStrategy(WorkloadStrategy):
    """apps/v1 StatefulSet."""

    fixed = ()
    fresh_status = {"replicas": 0, "availableReplicas": 0}
    spec_defaults = {
        "replicas": 1,
        "revisionHistoryLimit": 10,
        "podManagementPolicy": "OrderedReady",
        "persistentVolumeClaimRetentionPolicy": {},
    }

    def default(self, obj: JSON) -> None:
        super().default(obj)
        spec = obj.get("spec") or {}
        update = spec.setdefault("updateStrategy", {})
        if not update.get("type"):
            update["type"] = "RollingUpdate"
        if update["type"] == "RollingUpdate":
            update.setdefault("rollingUpdate", {}).setdefault("partition", 0)
        kept = spec["persistentVolumeClaimRetentionPolicy"]
        for name in _RETENTION:
            kept[name] = kept.get(name) or "Retain"
        for claim in spec.get("volumeClaimTemplates") or ():
            claim.setdefault("kind", "PersistentVolumeClaim")
            claim.setdefault("apiVersion", "v1")
            claim.setdefault("spec", {}).setdefault("volumeMode", "Filesystem")
            if (claim["spec"].get("resources") or {}).get("requests"):
                canonical_list(claim["spec"]["resources"], "requests")
            claim.setdefault("status", {}).setdefault("phase", "Pending")

    def validate(self, obj: JSON) -> list[FieldError]:
        faults = super().validate(obj)
        if obj["spec"].get("podManagementPolicy") not in ("OrderedReady", "Parallel"):
            text = "must be 'OrderedReady' or 'Parallel'"
            faults.append(field.invalid("spec.podManagementPolicy", obj["spec"].get("podManagementPolicy"), text))
        if (obj["spec"].get("updateStrategy") or {}).get("type") not in ("RollingUpdate", "OnDelete"):
            text = "must be 'RollingUpdate' or 'OnDelete'"
            faults.append(field.invalid("spec.updateStrategy", obj["spec"].get("updateStrategy"), text))
        return [*faults, *_stateful_faults(obj["spec"])]

    def validate_update(self, obj: JSON, old: JSON) -> list[FieldError]:
        faults = super().validate_update(obj, old)
        before, now = old.get("spec") or {}, obj.get("spec") or {}
        if any(before.get(name) != now.get(name) for name in (before.keys() | now.keys()) - set(_STATEFUL_MUTABLE)):
            listed = ", ".join(f"'{name}'" for name in _STATEFUL_MUTABLE[:-1]) + f" and '{_STATEFUL_MUTABLE[-1]}'"
            text = f"updates to statefulset spec for fields other than {listed} are forbidden"
            faults.append(field.forbidden("spec", text))
        return faults


def _stateful_faults(spec: JSON) -> Iterator[FieldError]:
    update, path = spec.get("updateStrategy") or {}, "spec.updateStrategy.rollingUpdate"
    rolling = update.get("rollingUpdate")
    if rolling is not None and update.get("type") == "OnDelete":
        yield field.invalid(path, rolling, "only allowed for updateStrategy 'RollingUpdate'")
    elif rolling is not None:
        if (rolling.get("partition") or 0) < 0:
            yield field.invalid(f"{path}.partition", rolling["partition"], "must be greater than or equal to 0")
        yield from share_faults(rolling, path, capped=("maxUnavailable",))
        if rolling.get("maxUnavailable") in _NOTHING:
            yield field.invalid(f"{path}.maxUnavailable", rolling["maxUnavailable"], "cannot be 0")
    for name in _RETENTION:
        value = spec["persistentVolumeClaimRetentionPolicy"][name]
        if value not in _RETENTIONS:
            yield field.not_supported(f"spec.persistentVolumeClaimRetentionPolicy.{name}", value, _RETENTIONS)
    first = (spec.get("ordinals") or {}).get("start") or 0
    if first < 0:
        yield field.invalid("spec.ordinals.start", first, "must be greater than or equal to 0")


def label_as_template(obj: JSON) -> None:
    """A Job or ReplicationController without labels of its own has its template's."""
    found = obj["spec"]["template"]["metadata"].get("labels")
    if found and not obj["metadata"].get("labels"):
        obj["metadata"]["labels"] = dict(found)


class ControllerRevisionStrategy(Strategy):
    """apps/v1 ControllerRevision: what it holds never changes."""

    def validate(self, obj: JSON) -> list[FieldError]:
        faults = [field.required("data", "data is mandatory")] if obj.get("data") is None else []
        if (obj.get("revision") or 0) < 0:
            faults.append(field.invalid("revision", obj["revision"], "must be greater than or equal to 0"))
        return faults

    def validate_update(self, obj: JSON, old: JSON) -> list[FieldError]:
        faults = self.validate(obj)
        if obj.get("data") != old.get("data"):
            faults.append(field.invalid("data", obj.get("data"), _IMMUTABLE))
        return faults


class PodTemplateStrategy(Strategy):
    """v1 PodTemplate."""

    def default(self, obj: JSON) -> None:
        if obj.get("template"):
            podspec.default_template(obj["template"])
