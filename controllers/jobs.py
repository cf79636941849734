"""The decisions of the Job controller as values: what has ended, what to make or delete, whether the Job is over.

Every pod carries a finalizer until it is counted, so none is lost, and it is counted in three steps, so none counts
twice: its UID is written to `status.uncountedTerminatedPods`; its finalizer is removed; its UID is turned into a
number. A crash between any two leaves what the next look goes on from. Indexed Jobs note indexes instead of UIDs for
what succeeded, which is the same written twice.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from apimachinery import meta
from controllers import jobindexes, jobpods, objects, replicas

JSON = dict[str, Any]
BURST = 500
# why a Job is over: the condition that says so at once, and the one that follows when the last pod has ended
FINAL = {"SuccessCriteriaMet": "Complete", "FailureTarget": "Failed"}
_UNCOUNTED = ("succeeded", "failed")


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why a Job is over: a condition's type, reason and message."""

    type: str
    reason: str
    message: str


_REACHED = Verdict("SuccessCriteriaMet", "CompletionsReached", "Reached expected number of succeeded pods")
_BACKOFF = Verdict("FailureTarget", "BackoffLimitExceeded", "Job has reached the specified backoff limit")
_FAILED_INDEXES = Verdict("FailureTarget", "FailedIndexes", "Job has failed indexes")
_TOO_MANY_FAILED = Verdict(
    "FailureTarget",
    "MaxFailedIndexesExceeded",
    "Job has exceeded the specified maximal number of failed indexes",
)
_DEADLINE = Verdict("FailureTarget", "DeadlineExceeded", "Job was active longer than specified deadline")


@dataclass(slots=True)
class Tally:
    """The Job's pods, sorted. `succeeded` and `failed` are those to be counted now, `ignored` what doesn't count."""

    active: list[JSON] = field(default_factory=list)
    terminating: list[JSON] = field(default_factory=list)
    succeeded: list[JSON] = field(default_factory=list)
    failed: list[JSON] = field(default_factory=list)
    ignored: list[JSON] = field(default_factory=list)
    fatal: str = ""  # what the failure policy says of a pod that ends the Job


@dataclass(slots=True)
class Plan:
    """Bodies of pods to make, active pods to delete uncounted, and in how many seconds to look again."""

    create: list[JSON] = field(default_factory=list)
    delete: list[JSON] = field(default_factory=list)
    again: float | None = None


def is_indexed(job: JSON) -> bool:
    """Whether each completion has an index."""
    return bool(job["spec"].get("completionMode") == "Indexed")


def is_over(job: JSON) -> bool:
    """Whether the Job is complete or failed, and nothing will be done for it any more."""
    return any(meta.is_condition_true(job, name) for name in FINAL.values())


def is_suspended(job: JSON) -> bool:
    """Whether it shall have no pods for now."""
    return bool(job["spec"].get("suspend"))


def _replaces_failed_only(job: JSON) -> bool:
    return bool(job["spec"].get("podReplacementPolicy") == "Failed" or job["spec"].get("podFailurePolicy"))


def uncounted(job: JSON) -> dict[str, list[str]]:
    """The UIDs that are noted and not yet numbers, by how their pods ended."""
    noted = (job.get("status") or {}).get("uncountedTerminatedPods") or {}
    return {name: list(noted.get(name) or ()) for name in _UNCOUNTED}


def tally(job: JSON, pods: Sequence[JSON], released: Collection[str]) -> Tally:
    """Sort the pods; `released` are UIDs of those whose finalizer we removed, whatever the cache still shows."""
    made, noted = Tally(), {uid for uids in uncounted(job).values() for uid in uids}
    for pod in pods:
        phase, deleting = jobpods.phase(pod), meta.is_deleting(pod)
        if objects.is_active(pod):
            made.active.append(pod)
        elif deleting and not objects.is_finished(pod):
            made.terminating.append(pod)
        counted = not jobpods.is_tracked(pod) or meta.uid(pod) in noted or meta.uid(pod) in released
        if counted:
            continue
        if phase == "Succeeded":
            made.succeeded.append(pod)
        elif phase == "Failed" or (deleting and not (_replaces_failed_only(job) and pod["spec"].get("nodeName"))):
            action, why = jobpods.policy_action(job, pod) if phase == "Failed" else ("Count", "")
            (made.ignored if action == "Ignore" else made.failed).append(pod)
            if action == "FailJob":
                made.fatal = made.fatal or why
    return made


def totals(job: JSON, counted: Tally) -> tuple[int, int]:
    """(succeeded, failed) in all, with those that are being counted."""
    status, noted = job.get("status") or {}, uncounted(job)
    failed = (status.get("failed") or 0) + len(noted["failed"]) + len(counted.failed)
    if is_indexed(job):
        return len(jobindexes.completed(job, counted.succeeded)), failed
    return (status.get("succeeded") or 0) + len(noted["succeeded"]) + len(counted.succeeded), failed


def verdict(job: JSON, pods: Sequence[JSON], counted: Tally, *, now: datetime) -> Verdict | None:
    """Whether the Job is over, and why; what was said once stays."""
    for name in FINAL:
        if noted := meta.condition(job, name):
            return Verdict(name, noted.get("reason") or "", noted.get("message") or "")
    spec, (succeeded, failed) = job["spec"], totals(job, counted)
    limit = spec.get("backoffLimit")
    limit = 6 if limit is None else int(limit)
    if counted.fatal:
        return Verdict("FailureTarget", "PodFailurePolicy", counted.fatal)
    retried = jobpods.restarts(pods) if spec["template"]["spec"].get("restartPolicy") == "OnFailure" else 0
    if failed > limit or (retried > 0 and retried >= limit):
        return _BACKOFF
    left = seconds_left(job, now=now)
    if left is not None and left <= 0:
        return _DEADLINE
    if by_index := _verdict_by_index(job, counted, succeeded):
        return by_index
    completions = spec.get("completions")
    reached = succeeded >= completions if completions is not None else succeeded > 0
    return _REACHED if reached and not counted.active else None


def _verdict_by_index(job: JSON, counted: Tally, succeeded: int) -> Verdict | None:
    """What the indexes say: too many failed, all are done and some failed, or enough have succeeded."""
    if not is_indexed(job):
        return None
    lost, most = jobindexes.failed(job, counted.failed), job["spec"].get("maxFailedIndexes")
    if most is not None and len(lost) > most:
        return _TOO_MANY_FAILED
    if lost and succeeded + len(lost) >= (job["spec"].get("completions") or 0):
        return _FAILED_INDEXES
    rule = jobindexes.enough(job, jobindexes.completed(job, counted.succeeded))
    if rule is None:
        return None
    return Verdict("SuccessCriteriaMet", "SuccessPolicy", f"Matched rules at index {rule}")


def seconds_left(job: JSON, *, now: datetime) -> float | None:
    """Until the active deadline; None without one, or before the Job has started."""
    limit, began = job["spec"].get("activeDeadlineSeconds"), (job.get("status") or {}).get("startTime")
    if limit is None or not began or is_suspended(job):
        return None
    return float(limit) - (now - meta.parse_time(began)).total_seconds()


def plan(job: JSON, pods: Sequence[JSON], counted: Tally, *, now: datetime) -> Plan:
    """Pods to make or delete while the Job isn't over."""
    spec, active = job["spec"], counted.active
    if is_suspended(job):
        return Plan(delete=active[:BURST])
    succeeded, _ = totals(job, counted)
    done: set[int] = set()
    if is_indexed(job):
        done = jobindexes.completed(job, counted.succeeded) | jobindexes.failed(job, counted.failed)
        succeeded = len(done)
    wanted, completions = spec.get("parallelism", 1), spec.get("completions")
    if completions is not None:
        wanted = min(wanted, max(0, completions - succeeded))
    elif succeeded:
        wanted = min(wanted, len(active))
    delete = _surplus(job, active, done, wanted)
    if delete:
        return Plan(delete=delete[:BURST])
    held = len(active) + (len(counted.terminating) if _replaces_failed_only(job) else 0)
    missing = min(wanted - held, BURST)
    if missing <= 0:
        return Plan()
    wait = 0.0 if jobindexes.has_own_limit(job) else jobpods.backoff(pods, now=now)
    if wait > 0:
        return Plan(again=wait)
    if not is_indexed(job):
        return Plan(create=[jobpods.pod_for(job, None)] * missing)
    taken = {jobpods.index_of(pod) for pod in (*active, *(counted.terminating if held > len(active) else ()))}
    create, again = jobindexes.free(job, done | taken, pods, missing, now=now)
    return Plan(create=create, again=again)


def _surplus(job: JSON, active: Sequence[JSON], done: Collection[int], wanted: int) -> list[JSON]:
    """Active pods that are too many; of an Indexed Job first those whose index is done, taken, or none."""
    ranked = replicas.ranked(active, active)
    unfit = []
    if is_indexed(job):
        seen = set(done)
        for pod in reversed(ranked):
            index = jobpods.index_of(pod)
            if index in seen or not 0 <= index < (job["spec"].get("completions") or 0):
                unfit.append(pod)
            seen.add(index)
    unfit_uids = {meta.uid(pod) for pod in unfit}
    rest = [pod for pod in ranked if meta.uid(pod) not in unfit_uids]
    return unfit + rest[: max(0, len(rest) - wanted)]
