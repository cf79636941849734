"""Jobs that are over go away after `ttlSecondsAfterFinished`, with their pods."""

from datetime import datetime
from typing import Any

from apimachinery import kinds, meta
from controllers import jobs, objects
from controllers.context import Context, QueueController, enqueue_all

JSON = dict[str, Any]


def seconds_left(job: JSON, *, now: datetime) -> float | None:
    """Until the Job is to go (0 or less: now); None when it isn't over, or stays."""
    ttl = job["spec"].get("ttlSecondsAfterFinished")
    ends = [meta.condition(job, name) for name in jobs.FINAL.values() if meta.is_condition_true(job, name)]
    if ttl is None or not ends or meta.is_deleting(job):
        return None
    ended = meta.parse_time((ends[0] or {})["lastTransitionTime"])
    return float(ttl) - (now - ended).total_seconds()


class TTLAfterFinishedController(QueueController[str]):
    """Deletes Jobs whose time is over."""

    name = "ttl_jobs_to_delete"
    workers = 5

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._jobs = context.informers.informer(kinds.JOB)
        enqueue_all(self._jobs, self._queue)

    async def _reconcile(self, key: str) -> float | None:
        job = self._jobs.get(key)
        left = seconds_left(job, now=self._context.clock()) if job else None
        if job is None or left is None or left > 0:
            return left
        version = job["metadata"]["resourceVersion"]  # the ttl may just have been prolonged
        await objects.delete(self._client, kinds.JOB, job, propagation_policy="Foreground", resource_version=version)
        return None
