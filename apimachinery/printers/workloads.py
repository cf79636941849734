"""Columns of what runs pods: deployments, sets, jobs, autoscalers, disruption budgets."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

from apimachinery import meta
from apimachinery.printers.cells import (
    AGE,
    NAME,
    NONE,
    UNKNOWN,
    UNSET,
    Column,
    at,
    count,
    human_duration,
    joined,
    label_list,
    look,
    python_bool,
    selector,
    simply,
    since,
    text,
    wide,
)

JSON = dict[str, Any]
Columns = tuple[Column, ...]


def _integer(name: str, path: str) -> Column:
    return Column(name, at(path, 0), "integer")


def _containers(path: str = "spec.template.spec") -> Columns:
    """The wide columns that show what a pod template runs."""
    return (
        wide("Containers", simply(lambda obj: _each(obj, path, "name"))),
        wide("Images", simply(lambda obj: _each(obj, path, "image"))),
    )


def _each(obj: JSON, path: str, key: str) -> str:
    return joined((each.get(key, "") for each in look(obj, f"{path}.containers") or ()), default="")


_SELECTOR: Final = wide("Selector", selector("spec.selector"))


def _ready(obj: JSON, _now: datetime) -> str:
    return f"{look(obj, 'status.readyReplicas') or 0}/{look(obj, 'spec.replicas') or 0}"


def _job_status(job: JSON) -> str:
    for type_ in ("Complete", "Failed"):
        if meta.is_condition_true(job, type_):
            return type_
    if meta.is_deleting(job):
        return "Terminating"
    for type_ in ("Suspended", "FailureTarget", "SuccessCriteriaMet"):
        if meta.is_condition_true(job, type_):
            return type_
    return "Running"


def _job_completions(job: JSON) -> str:
    succeeded = look(job, "status.succeeded") or 0
    if (completions := look(job, "spec.completions")) is not None:
        return f"{succeeded}/{completions}"
    parallelism = look(job, "spec.parallelism") or 0
    return f"{succeeded}/1 of {parallelism}" if parallelism > 1 else f"{succeeded}/1"


def _job_duration(job: JSON, now: datetime) -> str:
    start, end = look(job, "status.startTime"), look(job, "status.completionTime")
    if not start:
        return ""
    return human_duration((meta.parse_time(end) if end else now) - meta.parse_time(start))


def _last_schedule(job: JSON, now: datetime) -> str:
    last = look(job, "status.lastScheduleTime")
    return since(last, now) if last else NONE


def _targets(autoscaler: JSON) -> str:
    current = look(autoscaler, "status.currentMetrics") or []
    shown = [
        _target(metric, current[index] if index < len(current) else {})
        for index, metric in enumerate(look(autoscaler, "spec.metrics") or ())
    ]
    return _with_more(shown, most=2)


def _with_more(shown: Iterable[str], *, most: int) -> str:
    listed = list(shown)
    if not listed:
        return NONE
    more = f" + {len(listed) - most} more..." if len(listed) > most else ""
    return ", ".join(listed[:most]) + more


# metric type -> its field
_SOURCES: Final = {
    "Resource": "resource",
    "ContainerResource": "containerResource",
    "Pods": "pods",
    "Object": "object",
    "External": "external",
}


def _target(metric: JSON, current: JSON) -> str:
    """ "cpu: 20%/80%", "1500m/2 (avg)"."""
    source = _SOURCES.get(metric.get("type") or "")
    if source is None:
        return "<unknown type>"
    wanted, actual = look(metric, f"{source}.target") or {}, look(current, f"{source}.current") or {}
    prefix = f"{metric[source].get('name')}: " if source in ("resource", "containerResource") else ""
    if "averageUtilization" in wanted:
        seen = actual.get("averageUtilization")
        return f"{prefix}{UNKNOWN if seen is None else f'{seen}%'}/{wanted['averageUtilization']}%"
    key = "averageValue" if "averageValue" in wanted else "value"
    suffix = " (avg)" if key == "averageValue" and source in ("object", "external") else ""
    return f"{prefix}{actual.get(key, UNKNOWN)}/{wanted.get(key, UNKNOWN)}{suffix}"


def _reference(obj: JSON) -> str:
    return f"{look(obj, 'spec.scaleTargetRef.kind')}/{look(obj, 'spec.scaleTargetRef.name')}"


def _revision_owner(obj: JSON) -> str:
    owner = meta.controller_of(obj)
    if owner is None:
        return NONE
    group = owner["apiVersion"].rpartition("/")[0]
    return f"{owner['kind'].lower()}{'.' if group else ''}{group}/{owner['name']}"


_REPLICAS: Final = (
    NAME,
    _integer("Desired", "spec.replicas"),
    _integer("Current", "status.replicas"),
    _integer("Ready", "status.readyReplicas"),
    AGE,
    *_containers(),
)

TABLES: Final[dict[str, Columns]] = {
    "podtemplates": (
        NAME,
        *(Column(each.name, each.cell) for each in _containers("template.spec")),
        Column("Pod Labels", simply(lambda obj: label_list(look(obj, "template.metadata.labels")))),
    ),
    "replicationcontrollers": (
        *_REPLICAS,
        wide("Selector", simply(lambda obj: label_list(look(obj, "spec.selector")))),
    ),
    "replicasets.apps": (*_REPLICAS, _SELECTOR),
    "deployments.apps": (
        NAME,
        Column("Ready", _ready),
        _integer("Up-to-date", "status.updatedReplicas"),
        _integer("Available", "status.availableReplicas"),
        AGE,
        *_containers(),
        _SELECTOR,
    ),
    "daemonsets.apps": (
        NAME,
        _integer("Desired", "status.desiredNumberScheduled"),
        _integer("Current", "status.currentNumberScheduled"),
        _integer("Ready", "status.numberReady"),
        _integer("Up-to-date", "status.updatedNumberScheduled"),
        _integer("Available", "status.numberAvailable"),
        Column("Node Selector", simply(lambda obj: label_list(look(obj, "spec.template.spec.nodeSelector")))),
        AGE,
        *_containers(),
        _SELECTOR,
    ),
    "statefulsets.apps": (NAME, Column("Ready", _ready), AGE, *_containers()),
    "controllerrevisions.apps": (
        NAME,
        Column("Controller", simply(_revision_owner)),
        _integer("Revision", "revision"),
        AGE,
    ),
    "jobs.batch": (
        NAME,
        Column("Status", simply(_job_status)),
        Column("Completions", simply(_job_completions)),
        Column("Duration", _job_duration),
        AGE,
        *_containers(),
        _SELECTOR,
    ),
    "cronjobs.batch": (
        NAME,
        Column("Schedule", at("spec.schedule")),
        Column("Timezone", at("spec.timeZone", NONE)),
        Column("Suspend", simply(lambda obj: python_bool(look(obj, "spec.suspend")))),
        Column("Active", count("status.active"), "integer"),
        Column("Last Schedule", _last_schedule),
        AGE,
        *_containers("spec.jobTemplate.spec.template.spec"),
        wide("Selector", selector("spec.jobTemplate.spec.selector")),
    ),
    "horizontalpodautoscalers.autoscaling": (
        NAME,
        Column("Reference", simply(_reference)),
        Column("Targets", simply(_targets)),
        Column("MinPods", text("spec.minReplicas", UNSET)),
        _integer("MaxPods", "spec.maxReplicas"),
        _integer("Replicas", "status.currentReplicas"),
        AGE,
    ),
    "poddisruptionbudgets.policy": (
        NAME,
        Column("Min Available", text("spec.minAvailable", "N/A")),
        Column("Max Unavailable", text("spec.maxUnavailable", "N/A")),
        _integer("Allowed Disruptions", "status.disruptionsAllowed"),
        AGE,
    ),
}
