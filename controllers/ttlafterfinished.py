"""Jobs that are over go away after `ttlSecondsAfterFinished`, with their pods."""

import contextlib
from datetime import datetime
from typing import Any

from apimachinery import errors, kinds, meta
from controllers import jobs
from controllers.context import Context, enqueue_all
from kubeclient.workqueue import WorkQueue, work

JSON = dict[str, Any]
WORKERS = 5


def seconds_left(job: JSON, *, now: datetime) -> float | None:
    """Until the Job is to go (0 or less: now); None when it isn't over, or stays."""
    ttl = job["spec"].get("ttlSecondsAfterFinished")
    ends = [meta.condition(job, name) for name in jobs.FINAL.values() if meta.is_condition_true(job, name)]
    if ttl is None or not ends or meta.is_deleting(job):
        return None
    ended = meta.parse_time((ends[0] or {})["lastTransitionTime"])
    return float(ttl) - (now - ended).total_seconds()


class TTLAfterFinishedController:
    """Deletes Jobs whose time is over."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._queue: WorkQueue[str] = WorkQueue("ttl_jobs_to_delete")
        self._jobs = context.informers.informer(kinds.JOB)
        enqueue_all(self._jobs, self._queue)

    async def run(self) -> None:
        """Work until cancelled."""
        await work(self._queue, self._reconcile, workers=WORKERS)

    async def _reconcile(self, key: str) -> float | None:
        job = self._jobs.get(key)
        left = seconds_left(job, now=self._context.clock()) if job else None
        if job is None or left is None or left > 0:
            return left
        with contextlib.suppress(errors.NotFound):
            await self._context.client.delete(
                kinds.JOB,
                meta.name(job),
                namespace=meta.namespace(job),
                propagation_policy="Foreground",
                uid=meta.uid(job),
                resource_version=job["metadata"]["resourceVersion"],  # the ttl may just have been prolonged
            )
        return None
