"""The indexes of an Indexed Job: which are done, which have failed for good, which get a pod next, when that is enough.

With `backoffLimitPerIndex` each index has failures of its own: a pod says how often its index failed before it.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from controllers import jobpods

JSON = dict[str, Any]


def _valid(job: JSON, indexes: Collection[int]) -> set[int]:
    """Those that the Job has; it may have become smaller."""
    return {index for index in indexes if 0 <= index < (job["spec"].get("completions") or 0)}


def completed(job: JSON, succeeded: Sequence[JSON] = ()) -> set[int]:
    """The indexes that succeeded, with those of these pods."""
    noted = jobpods.indexes((job.get("status") or {}).get("completedIndexes") or "")
    return _valid(job, noted | {jobpods.index_of(pod) for pod in succeeded})


def has_own_limit(job: JSON) -> bool:
    """Whether each index may fail so and so often."""
    return job["spec"].get("backoffLimitPerIndex") is not None


def failed(job: JSON, pods: Sequence[JSON]) -> set[int]:
    """The indexes that get no pod any more, with those that these failed pods were the last of."""
    if not has_own_limit(job):
        return set()
    limit = int(job["spec"]["backoffLimitPerIndex"])
    noted = jobpods.indexes((job.get("status") or {}).get("failedIndexes") or "")
    last = {
        jobpods.index_of(pod)
        for pod in pods
        if jobpods.failures(pod) >= limit or jobpods.policy_action(job, pod)[0] == "FailIndex"
    }
    return _valid(job, noted | last)


def free(
    job: JSON, done: Collection[int], pods: Sequence[JSON], number: int, *, now: datetime
) -> tuple[list[JSON], float | None]:
    """Pods for the first free indexes, and in how many seconds the next index may be tried again."""
    made: list[JSON] = []
    waits = []
    own_limit = has_own_limit(job)
    for index in range(job["spec"].get("completions") or 0):
        if index in done:
            continue
        if len(made) == number:
            break
        if not own_limit:
            made.append(jobpods.pod_for(job, index))
            continue
        before = [pod for pod in pods if jobpods.index_of(pod) == index and jobpods.phase(pod) == "Failed"]
        wait = jobpods.backoff(before, now=now)
        if wait > 0:
            waits.append(wait)
            continue
        counted = [pod for pod in before if jobpods.policy_action(job, pod)[0] != "Ignore"]
        failures = max((jobpods.failures(pod) + 1 for pod in counted), default=0)
        made.append(jobpods.pod_for(job, index, failures=failures))
    return made, min(waits, default=None)


def enough(job: JSON, done: Collection[int]) -> int | None:
    """The first rule of `spec.successPolicy` that the completed indexes satisfy."""
    for number, rule in enumerate((job["spec"].get("successPolicy") or {}).get("rules") or ()):
        named, count = rule.get("succeededIndexes"), rule.get("succeededCount")
        wanted = jobpods.indexes(named) if named else set(range(job["spec"].get("completions") or 0))
        matched = len(wanted & set(done))
        if matched >= (len(wanted) if count is None else count):
            return number
    return None
