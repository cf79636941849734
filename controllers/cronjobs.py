"""The decisions of the CronJob controller as values: whether a run is due, what its Job is, which Jobs are to go."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from apimachinery import meta
from apimachinery.schedules import Schedule
from controllers import jobs, objects

JSON = dict[str, Any]
SCHEDULED_AT = "batch.kubernetes.io/cronjob-scheduled-timestamp"
MANY_MISSED = 100


@dataclass(frozen=True, slots=True)
class Due:
    """When the run is due (None: none is), whether one that is running forbids it, whether many were missed."""

    at: datetime | None
    forbidden: bool = False
    many_missed: bool = False


def since(cron_job: JSON, *, now: datetime) -> datetime:
    """After when runs are still to be made: the last one, the CronJob's creation, the deadline for a late start."""
    status, spec = cron_job.get("status") or {}, cron_job["spec"]
    earliest = meta.parse_time(status.get("lastScheduleTime") or cron_job["metadata"]["creationTimestamp"])
    deadline = spec.get("startingDeadlineSeconds")
    return max(earliest, now - timedelta(seconds=deadline)) if deadline is not None else earliest


def due(cron_job: JSON, schedule: Schedule, active: Sequence[JSON], *, now: datetime) -> Due:
    """Whether a run is due; of several that were missed, only the last."""
    earliest = since(cron_job, now=now)
    at = schedule.latest(earliest, now)
    if at is None:
        return Due(None)
    many = schedule.missed(earliest, now, limit=MANY_MISSED + 1) > MANY_MISSED
    return Due(at, cron_job["spec"].get("concurrencyPolicy") == "Forbid" and bool(active), many)


def job_for(cron_job: JSON, at: datetime) -> JSON:
    """The Job of one run; its name says which, so that there is never a second one."""
    template = cron_job["spec"]["jobTemplate"]
    described = template.get("metadata") or {}
    local = at.astimezone(ZoneInfo(cron_job["spec"].get("timeZone") or "UTC")).isoformat()
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": f"{meta.name(cron_job)}-{int(at.timestamp()) // 60}",
            "namespace": meta.namespace(cron_job),
            "labels": described.get("labels") or {},
            "annotations": {**(described.get("annotations") or {}), SCHEDULED_AT: local.replace("+00:00", "Z")},
            "ownerReferences": [meta.owner_reference(cron_job)],
        },
        "spec": template["spec"],
    }


def reference(job: JSON) -> JSON:
    """How `status.active` names a Job."""
    metadata = job["metadata"]
    named = {key: metadata[key] for key in ("name", "namespace", "uid", "resourceVersion")}
    return {"apiVersion": "batch/v1", "kind": "Job", **named}


def surplus(cron_job: JSON, owned: Sequence[JSON]) -> list[JSON]:
    """The oldest finished Jobs beyond the two history limits."""
    found: list[JSON] = []
    for limit, condition in (("successfulJobsHistoryLimit", "Complete"), ("failedJobsHistoryLimit", "Failed")):
        kept = cron_job["spec"].get(limit)
        finished = sorted((job for job in owned if meta.is_condition_true(job, condition)), key=_start_order)
        found += finished[: max(0, len(finished) - int(kept))] if kept is not None else []
    return found


def _start_order(job: JSON) -> tuple[str, str, str]:
    return (job.get("status") or {}).get("startTime") or "", *objects.creation_order(job)


def last_success(cron_job: JSON, owned: Sequence[JSON]) -> str | None:
    """When a Job completed last, as far as we know."""
    known = (cron_job.get("status") or {}).get("lastSuccessfulTime")
    ends = [job["status"].get("completionTime") for job in owned if meta.is_condition_true(job, "Complete")]
    return max(filter(None, (known, *ends)), default=None)


def status(cron_job: JSON, active: Sequence[JSON], owned: Sequence[JSON], *, at: datetime | None) -> JSON:
    """The status to write; `at` is the time of a run that was just made."""
    old = cron_job.get("status") or {}
    made: JSON = {
        "active": list(active),
        "lastScheduleTime": meta.format_time(at) if at else old.get("lastScheduleTime"),
        "lastSuccessfulTime": last_success(cron_job, owned),
    }
    return {key: value for key, value in made.items() if value}


def is_running(job: JSON) -> bool:
    """Whether the Job isn't over."""
    return not jobs.is_over(job)
