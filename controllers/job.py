"""Jobs: pods until enough have succeeded, or too many failed.

`jobs` decides, `jobstatus` says what is written; the order of the writes is what keeps the count right (see `jobs`).
A status is written at the version it was computed from, and a Job is left alone until the cache shows what was written
last: counting from an old status would make pods that are not needed.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any

from apimachinery import errors, kinds, meta
from controllers import jobpods, jobs, jobstatus
from controllers.context import Context
from controllers.jobs import Tally, Verdict
from controllers.podowner import PodOwnerController
from kubeclient.rest import STRATEGIC_MERGE_PATCH
from kubeclient.workqueue import WorkQueue, work

JSON = dict[str, Any]
MANAGED_BY = "kubernetes.io/job-controller"


class JobController(PodOwnerController):
    """Pods for Jobs."""

    kind = kinds.JOB
    name = "job"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._released: dict[str, set[str]] = {}  # by Job: finalizers that we removed and the cache still shows
        self._written: dict[str, int] = {}  # by Job: the version of the status that we wrote last
        self._orphans: WorkQueue[str] = WorkQueue("job_orphan_pod")
        self._pods.add_handler(on_add=self._look_at, on_update=lambda _, pod: self._look_at(pod), on_delete=self._gone)
        self._owners.add_handler(on_delete=self._job_deleted)

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(super().run())
            group.create_task(work(self._orphans, self._release_orphan))

    def _look_at(self, pod: JSON) -> None:
        """A finalizer that is gone needs no remembering; one whose Job is gone has to go."""
        if not jobpods.is_tracked(pod):
            self._gone(pod)
        elif self._owner_key(pod) is None:
            self._orphans.add(meta.key(pod))

    def _gone(self, pod: JSON) -> None:
        if key := self._owner_key(pod):
            self._released.get(key, set()).discard(meta.uid(pod))

    def _job_deleted(self, job: JSON) -> None:
        for pod in self._pods.by_index("controller", meta.uid(job)):
            self._look_at(pod)

    async def _release_orphan(self, key: str) -> float | None:
        """Remove the finalizer of a pod that has no Job to count it."""
        pod = self._pods.get(key)
        if pod is None or not jobpods.is_tracked(pod) or self._owner_key(pod):
            return None
        owner = meta.controller_of(pod)
        if owner and owner["kind"] == "Job":
            try:
                live = await self._client.get(kinds.JOB, owner["name"], namespace=meta.namespace(pod))
                if meta.uid(live) == owner["uid"]:
                    return None  # it is there, the cache just doesn't show it yet
            except errors.NotFound:
                pass
        await self._release(pod)
        return None

    async def _reconcile(self, key: str) -> float | None:
        job = self._owners.get(key)
        if job is None:
            for table in (self._released, self._written):
                table.pop(key, None)
            self._expectations.forget(key)
            return None
        if job["spec"].get("managedBy") not in (None, MANAGED_BY):
            return None
        if int(job["metadata"]["resourceVersion"]) < self._written.get(key, 0):
            return None  # its event is on the way, and brings the key again
        in_step = self._expectations.satisfied(key)
        pods = await self._claimed(job)
        if jobs.is_over(job) or meta.is_deleting(job):
            await self._release_all(key, [pod for pod in pods if jobpods.is_tracked(pod)])
            return None
        now = self._context.clock()
        counted = jobs.tally(job, pods, self._released.get(key, ()))
        over = jobs.verdict(job, pods, counted, now=now)
        noted = await self._write(key, job, jobstatus.noted(job, counted, over, now=now))
        try:  # with the Job as it was: what is counted now is noted by now, and must not be counted from both
            again = await self._act(key, job, pods, counted, over) if in_step else None
        finally:  # pods that can't be made are no reason not to let go those that ended
            await self._count(key, noted, pods, counted, over)
        left = jobs.seconds_left(noted, now=now)
        return min((each for each in (again, left) if each is not None and not over), default=None)

    async def _act(
        self, key: str, job: JSON, pods: Sequence[JSON], counted: Tally, over: Verdict | None
    ) -> float | None:
        """End what still runs of a Job that is over; else make and delete what is wanted."""
        if over:
            await self._delete_pods(key, job, counted.active)
            return None
        planned = jobs.plan(job, pods, counted, now=self._context.clock())
        if planned.delete:  # these shall not count as failed
            await self._release_all(key, planned.delete)
            await self._delete_pods(key, job, planned.delete)
        if planned.create:
            await self._create_pods(key, job, planned.create)
        return planned.again

    async def _count(self, key: str, job: JSON, pods: Sequence[JSON], counted: Tally, over: Verdict | None) -> None:
        """Remove the finalizers of what is noted, and turn the notes into numbers."""
        noted = job["status"].get("uncountedTerminatedPods") or {}
        uids = {uid for each in noted.values() for uid in each}
        ended = {meta.uid(pod) for pod in (*counted.succeeded, *counted.ignored)}
        tracked = [pod for pod in pods if jobpods.is_tracked(pod) and meta.uid(pod) in uids | ended]
        try:
            await self._release_all(key, tracked)
        finally:
            released = self._released.get(key, set())
            held = {meta.uid(pod) for pod in tracked} - released
            now = self._context.clock()
            await self._write(key, job, jobstatus.settled(job["status"], held.__contains__, over, now=now))

    async def _write(self, key: str, job: JSON, status: JSON) -> JSON:
        """Write the status if it changed, and tell what it says for the first time."""
        if status == job.get("status"):
            return job
        written = await self._client.update(kinds.JOB, {**job, "status": status}, subresource="status")
        self._written[key] = int(written["metadata"]["resourceVersion"])
        for each in status.get("conditions") or ():
            old = meta.condition(job, each["type"]) or {}
            if old.get("status") != each["status"]:
                self._tell(job, each)
        written["status"] = status
        return written

    def _tell(self, job: JSON, condition: JSON) -> None:
        type_, text = condition["type"], condition["message"]
        if type_ == "Failed":
            self._events.event(job, "Warning", condition["reason"], text)
        elif type_ == "Complete":
            self._events.event(job, "Normal", "Completed", "Job completed")
        elif type_ == "Suspended":
            self._events.event(job, "Normal", "Suspended" if condition["status"] == "True" else "Resumed", text)

    async def _release_all(self, key: str, pods: Sequence[JSON]) -> None:
        """Remove the finalizers of these pods; the first refusal is raised when all have been tried."""
        released = self._released.setdefault(key, set())

        async def release(pod: JSON) -> None:
            released.add(meta.uid(pod))
            try:
                await self._release(pod)
            except BaseException:
                released.discard(meta.uid(pod))
                raise

        left = [pod for pod in pods if jobpods.is_tracked(pod) and meta.uid(pod) not in released]
        for result in await asyncio.gather(*map(release, left), return_exceptions=True):
            if isinstance(result, BaseException):
                raise result

    async def _release(self, pod: JSON) -> None:
        """Remove our finalizer by UID; a pod that is gone has none."""
        body = {"metadata": {"uid": meta.uid(pod), "$deleteFromPrimitiveList/finalizers": [jobpods.FINALIZER]}}
        with contextlib.suppress(errors.NotFound):
            await self._client.patch(
                kinds.POD, meta.name(pod), body, namespace=meta.namespace(pod), content_type=STRATEGIC_MERGE_PATCH
            )
