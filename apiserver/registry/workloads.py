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
    """What all kinds with a pod template share."""

    fixed: ClassVar[tuple[str, ...]] = ("spec.selector",)
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

    def validate(self, obj: JSON) -> Iterator[FieldError]:
        spec, (template, path) = obj["spec"], self.template(obj)
        metadata, pod_spec = template.get("metadata") or {}, template["spec"]
        counts = (*self.counts, "minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds")
        yield from rulewords.not_negative("spec.", spec, *counts)
        yield from self.selector_faults(spec, template, path)
        yield from rulewords.label_map(f"{path}.labels", metadata.get("labels"))
        for key in metadata.get("annotations") or ():
            yield from rulewords.qualified(f"{path}.annotations", key.lower())
        claims = [meta.name(claim) for claim in spec.get("volumeClaimTemplates") or ()]
        yield from podrules.faults(pod_spec, f"{path}.spec", restart_policies=self.restart_policies, claims=claims)
        if self.restart_policies == ("Always",) and pod_spec.get("activeDeadlineSeconds") is not None:
            text = f"activeDeadlineSeconds in {self.kind.kind} is not Supported"
            yield field.forbidden(f"{path}.spec.activeDeadlineSeconds", text)
        update = (spec.get("updateStrategy") or {}).get("type")
        if self.strategies and update not in self.strategies:
            yield field.not_supported("spec.updateStrategy", spec.get("updateStrategy"), self.strategies)

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

    def validate(self, obj: JSON) -> Iterator[FieldError]:
        yield from super().validate(obj)
        spec, path = obj["spec"], "spec.strategy.rollingUpdate"
        strategy = spec.get("strategy") or {}
        kind, rolling = strategy.get("type"), strategy.get("rollingUpdate")
        if kind not in ("Recreate", "RollingUpdate"):
            yield field.not_supported("spec.strategy", strategy, ("Recreate", "RollingUpdate"))
        if kind == "Recreate" and rolling is not None:
            yield field.forbidden(path, "may not be specified when strategy `type` is 'Recreate'")
        if kind == "RollingUpdate" and rolling:
            yield from share_faults(rolling, path, capped=("maxUnavailable",))
            if rolling.get("maxUnavailable") in _NOTHING and rolling.get("maxSurge") in _NOTHING:
                text = "may not be 0 when `maxSurge` is 0"
                yield field.invalid(f"{path}.maxUnavailable", rolling["maxUnavailable"], text)
        if (spec.get("progressDeadlineSeconds") or 0) <= (spec.get("minReadySeconds") or 0):
            text = "must be greater than minReadySeconds"
            yield field.invalid("spec.progressDeadlineSeconds", spec.get("progressDeadlineSeconds"), text)


def share_faults(rolling: JSON, path: str, *, capped: tuple[str, ...]) -> Iterator[FieldError]:
    """Numbers of pods, or percents; those that are capped are at most all of them."""
    for name in ("minAvailable", "maxUnavailable", "maxSurge"):
        value = rolling.get(name)
        if isinstance(value, str) and not _is_percent(value):
            yield field.invalid(f"{path}.{name}", value, _PERCENT_TEXT)
        yield from rulewords.not_negative(f"{path}.", rolling, name)
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

    def validate(self, obj: JSON) -> Iterator[FieldError]:
        yield from super().validate(obj)
        update, path = obj["spec"].get("updateStrategy") or {}, "spec.updateStrategy.rollingUpdate"
        rolling = update.get("rollingUpdate")
        if update.get("type") != "RollingUpdate" or rolling is None:
            return
        yield from share_faults(rolling, path, capped=("maxUnavailable", "maxSurge"))
        unavailable, surge = (rolling.get(name, 0) not in _NOTHING for name in ("maxUnavailable", "maxSurge"))
        if unavailable and surge:
            yield field.invalid(
                f"{path}.maxSurge", rolling["maxSurge"], "may not be set when maxUnavailable is non-zero"
            )
        elif not unavailable and not surge:
            yield field.required(f"{path}.maxUnavailable", "cannot be 0 when maxSurge is 0")


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

    def validate(self, obj: JSON) -> Iterator[FieldError]:
        yield from super().validate(obj)
        spec, path = obj["spec"], "spec.updateStrategy.rollingUpdate"
        update = spec.get("updateStrategy") or {}
        rolling = update.get("rollingUpdate")
        if spec.get("podManagementPolicy") not in ("OrderedReady", "Parallel"):
            text = "must be 'OrderedReady' or 'Parallel'"
            yield field.invalid("spec.podManagementPolicy", spec.get("podManagementPolicy"), text)
        if update.get("type") not in ("RollingUpdate", "OnDelete"):
            text = "must be 'RollingUpdate' or 'OnDelete'"
            yield field.invalid("spec.updateStrategy", spec.get("updateStrategy"), text)
        if rolling is not None and update.get("type") == "OnDelete":
            yield field.invalid(path, rolling, "only allowed for updateStrategy 'RollingUpdate'")
        elif rolling is not None:
            yield from rulewords.not_negative(f"{path}.", rolling, "partition")
            yield from share_faults(rolling, path, capped=("maxUnavailable",))
            if rolling.get("maxUnavailable") in _NOTHING:
                yield field.invalid(f"{path}.maxUnavailable", rolling["maxUnavailable"], "cannot be 0")
        for name in _RETENTION:
            policy = spec["persistentVolumeClaimRetentionPolicy"]
            yield from rulewords.one_of(f"spec.persistentVolumeClaimRetentionPolicy.{name}", policy[name], _RETENTIONS)
        yield from rulewords.not_negative("spec.ordinals.", spec.get("ordinals") or {}, "start")

    def validate_update(self, obj: JSON, old: JSON) -> Iterator[FieldError]:
        yield from self.validate(obj)
        before, now = old.get("spec") or {}, obj.get("spec") or {}
        if any(before.get(name) != now.get(name) for name in (before.keys() | now.keys()) - set(_STATEFUL_MUTABLE)):
            listed = ", ".join(f"'{name}'" for name in _STATEFUL_MUTABLE[:-1]) + f" and '{_STATEFUL_MUTABLE[-1]}'"
            text = f"updates to statefulset spec for fields other than {listed} are forbidden"
            yield field.forbidden("spec", text)


def label_as_template(obj: JSON) -> None:
    """A Job or ReplicationController without labels of its own has its template's."""
    found = obj["spec"]["template"]["metadata"].get("labels")
    if found and not obj["metadata"].get("labels"):
        obj["metadata"]["labels"] = dict(found)


class ControllerRevisionStrategy(Strategy):
    """apps/v1 ControllerRevision: what it holds never changes."""

    fixed = ("data",)

    def validate(self, obj: JSON) -> Iterator[FieldError]:
        if obj.get("data") is None:
            yield field.required("data", "data is mandatory")
        yield from rulewords.not_negative("", obj, "revision")


class PodTemplateStrategy(Strategy):
    """v1 PodTemplate."""

    def default(self, obj: JSON) -> None:
        if obj.get("template"):
            podspec.default_template(obj["template"])
