"""A Job's status, step by step: what is noted before finalizers go, what is counted after, and the conditions."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from apimachinery import meta
from controllers import jobindexes, jobpods, jobs, objects
from controllers.jobs import Tally, Verdict

JSON = dict[str, Any]


def noted(job: JSON, counted: Tally, over: Verdict | None, *, now: datetime) -> JSON:
    """The status in which the pods to be counted are noted by UID (or index), before their finalizers are removed."""
    status: JSON = {**(job.get("status") or {})}
    begun(job, status, now=now)
    uncounted = jobs.uncounted(job)
    uncounted["failed"] += [meta.uid(pod) for pod in counted.failed]
    if jobs.is_indexed(job):
        done = jobindexes.completed(job, counted.succeeded)
        status["completedIndexes"], status["succeeded"] = jobpods.indexes_text(done), len(done)
        if jobindexes.has_own_limit(job):
            status["failedIndexes"] = jobpods.indexes_text(jobindexes.failed(job, counted.failed))
    else:
        uncounted["succeeded"] += [meta.uid(pod) for pod in counted.succeeded]
    status["uncountedTerminatedPods"] = {name: uids for name, uids in uncounted.items() if uids}
    status["active"] = len(counted.active)
    status["ready"] = sum(map(objects.is_ready, counted.active))
    status["terminating"] = len(counted.terminating)
    if over:
        _set(status, over.type, "True", over.reason, over.message, now=now)
    return _tidy(status)


def begun(job: JSON, status: JSON, *, now: datetime) -> None:
    """Started, suspended or resumed: the start time counts from the last time that it was resumed."""
    suspended, was = jobs.is_suspended(job), meta.is_condition_true({"status": status}, "Suspended")
    if suspended and not was:
        _set(status, "Suspended", "True", "JobSuspended", "Job suspended", now=now)
    elif was and not suspended:
        _set(status, "Suspended", "False", "JobResumed", "Job resumed", now=now)
        status["startTime"] = meta.format_time(now)
    elif not suspended:
        status.setdefault("startTime", meta.format_time(now))


def settled(status: JSON, is_held: Callable[[str], bool], over: Verdict | None, *, now: datetime) -> JSON:
    """The status after finalizers were removed: UIDs that no finalizer holds become numbers, and the end is said.

    `is_held` says of a UID whether its pod still has the finalizer. Complete or Failed is the last thing that is said:
    when all are counted and no pod is left that runs.
    """
    status = {**status}
    left: JSON = {}
    for name, uids in (status.get("uncountedTerminatedPods") or {}).items():
        held = [uid for uid in uids if is_held(uid)]
        status[name] = (status.get(name) or 0) + len(uids) - len(held)
        left |= {name: held} if held else {}
    status["uncountedTerminatedPods"] = left
    if over and not left and not status.get("active") and not status.get("terminating"):
        final = jobs.FINAL[over.type]
        _set(status, final, "True", over.reason, over.message, now=now)
        if final == "Complete":
            status["completionTime"] = meta.format_time(now)
    return _tidy(status)


def _tidy(status: JSON) -> JSON:
    """Without the zeros and empty texts that upstream leaves out."""
    omitted = ("active", "succeeded", "failed", "completedIndexes")
    return {key: value for key, value in status.items() if value or key not in omitted}


def _set(status: JSON, type_: str, value: str, reason: str, message: str, *, now: datetime) -> None:
    moment = meta.format_time(now)
    conditions = [dict(each) for each in status.get("conditions") or ()]
    if meta.set_condition(conditions, type=type_, status=value, reason=reason, message=message, now=moment):
        for each in conditions:
            if each["type"] == type_:
                each["lastProbeTime"] = moment
    status["conditions"] = conditions
