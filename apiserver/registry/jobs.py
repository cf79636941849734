"""Jobs and CronJobs: a Job selects its own pods by its uid, unless told otherwise."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from apimachinery import field, schedules
from apimachinery.field import FieldError
from apimachinery.meta import JSON
from apiserver.registry import jobrules, rulewords
from apiserver.registry.strategy import Context
from apiserver.registry.workloads import WorkloadStrategy, label_as_template

_PLACEMENT = ("nodeSelector", "tolerations", "schedulingGates", "affinity")
_OWN_LABELS = frozenset({"batch.kubernetes.io/controller-uid", "controller-uid"})
_CRON_NAME_LENGTH = 52  # so that its Jobs' names fit a label


class JobStrategy(WorkloadStrategy):
    """batch/v1 Job: unless told otherwise it selects its own pods by its uid."""

    fixed = ("spec.selector", "spec.completionMode")
    restart_policies = ("OnFailure", "Never")
    counts = ()
    spec_defaults = {"suspend": False, "completionMode": "NonIndexed", "manualSelector": False}

    def default(self, obj: JSON) -> None:
        super().default(obj)
        spec = obj.get("spec") or {}
        if spec.get("completions") is None and spec.get("parallelism") is None:
            spec["completions"] = 1
        by_index, policy = spec.get("backoffLimitPerIndex"), spec.get("podFailurePolicy")
        for name, value in (
            ("parallelism", 1),
            ("backoffLimit", 6 if by_index is None else 2**31 - 1),
            ("podReplacementPolicy", "Failed" if policy else "TerminatingOrFailed"),
        ):
            if spec.get(name) is None:
                spec[name] = value
        label_as_template(obj)

    def validate(self, obj: JSON) -> Iterator[FieldError]:
        yield from _restart_required([*super().validate(obj), *jobrules.faults(obj["spec"], "spec")])
        selector = obj["spec"].get("selector") or {}
        foreign = selector.get("matchExpressions") or not set(selector.get("matchLabels") or ()) <= _OWN_LABELS
        if foreign and not obj["spec"].get("manualSelector"):
            yield field.invalid("spec.selector", selector, "`selector` not auto-generated")

    def validate_update(self, obj: JSON, old: JSON) -> Iterator[FieldError]:
        yield from super().validate_update(obj, old)
        held = bool(old["spec"].get("suspend")) and not (old.get("status") or {}).get("startTime")
        if _fixed_template(obj, held=held) != _fixed_template(old, held=held):
            yield field.invalid("spec.template", obj["spec"]["template"], rulewords.IMMUTABLE)
        completions = obj["spec"].get("completions")
        if obj["spec"].get("completionMode") != "Indexed":
            yield from rulewords.unchanged(obj, old, "spec.completions")
        elif completions not in (None, old["spec"].get("completions"), obj["spec"].get("parallelism")):
            text = "can only be modified in tandem with spec.parallelism"
            yield field.invalid("spec.completions", completions, text)

    def prepare_create(self, obj: JSON, ctx: Context) -> None:
        super().prepare_create(obj, ctx)
        spec, uid = obj.get("spec") or {}, obj["metadata"]["uid"]
        template = spec["template"]
        if spec.get("manualSelector"):
            return
        own = {"batch.kubernetes.io/controller-uid": uid, "controller-uid": uid}
        named = {"batch.kubernetes.io/job-name": obj["metadata"]["name"], "job-name": obj["metadata"]["name"]}
        metadata = template.setdefault("metadata", {})
        metadata["labels"] = {**(metadata.get("labels") or {}), **own, **named}
        selector = spec["selector"] = dict(spec.get("selector") or {})
        selector["matchLabels"] = {**(selector.get("matchLabels") or {}), "batch.kubernetes.io/controller-uid": uid}
        label_as_template(obj)


class CronJobStrategy(WorkloadStrategy):
    """batch/v1 CronJob."""

    fixed = ()
    restart_policies = ("OnFailure", "Never")
    counts = ("startingDeadlineSeconds", "successfulJobsHistoryLimit", "failedJobsHistoryLimit")
    spec_defaults = {
        "concurrencyPolicy": "Allow", "suspend": False, "successfulJobsHistoryLimit": 3, "failedJobsHistoryLimit": 1,
    }  # fmt: skip

    def template(self, obj: JSON) -> tuple[JSON, str]:
        job: JSON = obj["spec"].setdefault("jobTemplate", {}).setdefault("spec", {})
        return job.setdefault("template", {}), "spec.jobTemplate.spec.template"

    def check_name(self, name: str) -> list[str]:
        too_long = ["must be no more than 52 characters"] if len(name) > _CRON_NAME_LENGTH else []
        return super().check_name(name) + too_long

    def validate(self, obj: JSON) -> Iterator[FieldError]:
        job = jobrules.faults(obj["spec"]["jobTemplate"]["spec"], "spec.jobTemplate.spec")
        return _restart_required([*super().validate(obj), *job])

    def selector_faults(self, spec: JSON, template: JSON, path: str) -> Iterator[FieldError]:
        yield from _schedule_faults(spec)
        policies = ("Allow", "Forbid", "Replace")
        yield from rulewords.one_of("spec.concurrencyPolicy", spec.get("concurrencyPolicy"), policies)


def _fixed_template(job: JSON, *, held: bool) -> JSON:
    """What never changes of a Job's template: of one that hasn't started, all but where its pods may go."""
    template: JSON = job["spec"]["template"]
    if not held:
        return template
    metadata = {key: value for key, value in template["metadata"].items() if key not in ("labels", "annotations")}
    spec = {key: value for key, value in template["spec"].items() if key not in _PLACEMENT}
    affinity = {key: value for key, value in (template["spec"].get("affinity") or {}).items() if key != "nodeAffinity"}
    return {"metadata": metadata, "spec": {**spec, "affinity": affinity}}


def _schedule_faults(spec: JSON) -> Iterator[FieldError]:
    """The schedule and its time zone, which has a field of its own."""
    schedule, zone = spec.get("schedule") or "", spec.get("timeZone")
    if not schedule:
        yield field.required("spec.schedule")
    elif "TZ" in schedule:
        text = "cannot use TZ or CRON_TZ in schedule, use timeZone field instead"
        yield field.invalid("spec.schedule", schedule, text)
    else:
        yield from _refused(lambda: schedules.parse(schedule), "spec.schedule", schedule)
    if zone == "":
        yield field.invalid("spec.timeZone", zone, "timeZone must be nil or non-empty string")
    elif zone and zone.lower() == "local":
        text = "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones"
        yield field.invalid("spec.timeZone", zone, text)
    elif zone:
        yield from _refused(lambda: schedules.zone(zone), "spec.timeZone", zone)


def _refused(read: Callable[[], object], path: str, value: str) -> Iterator[FieldError]:
    try:
        read()
    except ValueError as error:
        yield field.invalid(path, value, str(error))


def _restart_required(faults: Iterable[FieldError]) -> Iterator[FieldError]:
    """Always is what a template gets that says nothing: a Job must say something else."""
    for fault in faults:
        if fault.field.endswith(".spec.restartPolicy") and fault.value == "Always":
            yield field.required(fault.field, 'valid values: "OnFailure", "Never"')
        else:
            yield fault
