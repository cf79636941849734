"""Deployments, ReplicaSets and their kin: defaults, the selector that never changes, the template they stamp."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from apimachinery import field, labels
from apimachinery.field import FieldError
from apimachinery.meta import JSON
from apiserver.registry import podrules, podspec
from apiserver.registry.strategy import Context, Strategy

_IMMUTABLE = "field is immutable"
_PERCENT_TEXT = (
    "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for "
    "validation is '[0-9]+%')"
)


class WorkloadStrategy(Strategy):
    """What all kinds with a pod template share. `fixed` names the fields of the spec that never change."""

    fixed: ClassVar[tuple[str, ...]] = ("selector",)
    restart_policies: ClassVar[tuple[str, ...]] = ("Always",)
    counts: ClassVar[tuple[str, ...]] = ("replicas",)
    spec_defaults: ClassVar[JSON] = {}

    def template(self, obj: JSON) -> tuple[JSON, str]:
        """The pod template with its path."""
        spec = obj.get("spec") or {}
        return spec.get("template") or {}, "spec.template"

    def default(self, obj: JSON) -> None:
        spec = obj.get("spec")
        if spec is None:
            return
        for name, value in self.spec_defaults.items():
            if spec.get(name) is None:
                spec[name] = dict(value) if isinstance(value, dict) else value
        template, _ = self.template(obj)
        if template:
            podspec.default_template(template)

    def validate(self, obj: JSON) -> list[FieldError]:
        spec = obj.get("spec") or {}
        faults = [
            field.invalid(f"spec.{name}", spec[name], "must be greater than or equal to 0")
            for name in (*self.counts, "minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds")
            if isinstance(spec.get(name), int) and spec[name] < 0
        ]
        template, path = self.template(obj)
        faults += self.selector_faults(spec, template, path)
        if template:
            pod_spec = template.get("spec") or {}
            faults += podrules.validate_spec(pod_spec, f"{path}.spec", restart_policies=self.restart_policies)
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
        if not selector:
            yield field.required("spec.selector")
            return
        if not selector.get("matchLabels") and not selector.get("matchExpressions"):
            text = "empty selector is invalid for " + self.kind.kind.lower()
            yield field.invalid("spec.selector", selector, text)
            return
        try:
            matches = labels.from_label_selector(selector).matches((template.get("metadata") or {}).get("labels") or {})
        except ValueError as error:
            yield field.invalid("spec.selector", selector, str(error))
            return
        if not matches:
            wrong = (template.get("metadata") or {}).get("labels") or {}
            yield field.invalid(f"{path}.metadata.labels", wrong, "`selector` does not match template `labels`")


class DeploymentStrategy(WorkloadStrategy):
    """apps/v1 Deployment."""

    spec_defaults = {"replicas": 1, "revisionHistoryLimit": 10, "progressDeadlineSeconds": 600}

    def default(self, obj: JSON) -> None:
        super().default(obj)
        spec = obj.get("spec")
        if spec is None:
            return
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
            faults.append(field.not_supported("spec.strategy.type", kind, ("Recreate", "RollingUpdate")))
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
    zeros = 0
    for name in ("maxUnavailable", "maxSurge"):
        value = rolling.get(name)
        percent = isinstance(value, str) and value.endswith("%") and value[:-1].isdigit()
        if isinstance(value, str) and not percent:
            yield field.invalid(f"{path}.{name}", value, _PERCENT_TEXT)
        elif isinstance(value, int) and value < 0:
            yield field.invalid(f"{path}.{name}", value, "must be greater than or equal to 0")
        elif percent and name == "maxUnavailable" and int(str(value)[:-1]) > 100:
            yield field.invalid(f"{path}.{name}", value, "must not be greater than 100%")
        zeros += value in (0, "0%")
    if zeros == 2:
        yield field.invalid(f"{path}.maxUnavailable", rolling["maxUnavailable"], "may not be 0 when `maxSurge` is 0")


class ReplicaSetStrategy(WorkloadStrategy):
    """apps/v1 ReplicaSet."""

    spec_defaults = {"replicas": 1}

    def prepare_create(self, obj: JSON, ctx: Context) -> None:
        obj["status"] = {"replicas": 0}


class ReplicationControllerStrategy(ReplicaSetStrategy):
    """v1 ReplicationController: its selector is a plain map, by default the template's labels."""

    fixed = ()

    def default(self, obj: JSON) -> None:
        super().default(obj)
        spec = obj.get("spec") or {}
        template_labels = ((spec.get("template") or {}).get("metadata") or {}).get("labels")
        if template_labels and not spec.get("selector"):
            spec["selector"] = dict(template_labels)

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

    def default(self, obj: JSON) -> None:
        super().default(obj)
        update = (obj.get("spec") or {}).setdefault("updateStrategy", {})
        if not update.get("type"):
            update["type"] = "RollingUpdate"
        if update["type"] == "RollingUpdate":
            rolling = update.setdefault("rollingUpdate", {})
            rolling.setdefault("maxUnavailable", 1)
            rolling.setdefault("maxSurge", 0)


class StatefulSetStrategy(WorkloadStrategy):
    """apps/v1 StatefulSet."""

    fixed = ("selector", "serviceName", "volumeClaimTemplates", "podManagementPolicy")
    spec_defaults = {
        "replicas": 1,
        "revisionHistoryLimit": 10,
        "podManagementPolicy": "OrderedReady",
        "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Retain", "whenScaled": "Retain"},
    }

    def default(self, obj: JSON) -> None:
        super().default(obj)
        spec = obj.get("spec") or {}
        update = spec.setdefault("updateStrategy", {})
        if not update.get("type"):
            update["type"] = "RollingUpdate"
        if update["type"] == "RollingUpdate":
            update.setdefault("rollingUpdate", {}).setdefault("partition", 0)
        for claim in spec.get("volumeClaimTemplates") or ():
            claim.setdefault("kind", "PersistentVolumeClaim")
            claim.setdefault("apiVersion", "v1")
            claim.setdefault("spec", {}).setdefault("volumeMode", "Filesystem")
            claim.setdefault("status", {}).setdefault("phase", "Pending")


class JobStrategy(WorkloadStrategy):
    """batch/v1 Job: unless told otherwise it selects its own pods by its uid."""

    fixed = ("selector", "template", "completionMode")
    restart_policies = ("OnFailure", "Never")
    counts = ("parallelism", "completions", "backoffLimit", "activeDeadlineSeconds", "ttlSecondsAfterFinished")
    spec_defaults = {"suspend": False, "completionMode": "NonIndexed", "podReplacementPolicy": "TerminatingOrFailed"}

    def default(self, obj: JSON) -> None:
        super().default(obj)
        spec = obj.get("spec") or {}
        if spec.get("completions") is None and spec.get("parallelism") is None:
            spec["completions"] = 1
        for name, value in (("parallelism", 1), ("backoffLimit", 6), ("manualSelector", None)):
            if value is not None and spec.get(name) is None:
                spec[name] = value

    def prepare_create(self, obj: JSON, ctx: Context) -> None:
        super().prepare_create(obj, ctx)
        spec, uid = obj.get("spec") or {}, obj["metadata"]["uid"]
        template = spec.get("template")
        if template is None or spec.get("manualSelector"):
            return
        own = {"batch.kubernetes.io/controller-uid": uid, "controller-uid": uid}
        named = {"batch.kubernetes.io/job-name": obj["metadata"]["name"], "job-name": obj["metadata"]["name"]}
        metadata = template.setdefault("metadata", {})
        metadata["labels"] = {**(metadata.get("labels") or {}), **own, **named}
        spec["selector"] = {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}}


class CronJobStrategy(WorkloadStrategy):
    """batch/v1 CronJob."""

    fixed = ()
    restart_policies = ("OnFailure", "Never")
    counts = ("startingDeadlineSeconds", "successfulJobsHistoryLimit", "failedJobsHistoryLimit")
    spec_defaults = {
        "concurrencyPolicy": "Allow", "suspend": False, "successfulJobsHistoryLimit": 3, "failedJobsHistoryLimit": 1,
    }  # fmt: skip

    def template(self, obj: JSON) -> tuple[JSON, str]:
        spec = (obj.get("spec") or {}).get("jobTemplate") or {}
        return (spec.get("spec") or {}).get("template") or {}, "spec.jobTemplate.spec.template"

    def selector_faults(self, spec: JSON, template: JSON, path: str) -> Iterator[FieldError]:
        if not spec.get("schedule"):
            yield field.required("spec.schedule")
        if spec.get("concurrencyPolicy") not in ("Allow", "Forbid", "Replace"):
            valid = ("Allow", "Forbid", "Replace")
            yield field.not_supported("spec.concurrencyPolicy", spec.get("concurrencyPolicy"), valid)


class PodTemplateStrategy(Strategy):
    """v1 PodTemplate."""

    def default(self, obj: JSON) -> None:
        if obj.get("template"):
            podspec.default_template(obj["template"])
