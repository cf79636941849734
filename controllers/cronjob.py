"""CronJobs: a Job whenever one is due.

A Job's name is its CronJob's and the minute it is for, so however often a run is tried, there is one. Between runs the
controller sleeps until the next time by its clock; a jump of the clock only means that it looks at the wrong moment,
and finds nothing due, or the last of those it missed.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from apimachinery import errors, kinds, meta, schedules
from controllers import cronjobs, jobs, objects
from controllers.context import Context, QueueController, enqueue_all, on_change
from controllers.podowner import REFUSED

JSON = dict[str, Any]
MAX_SLEEP_SECONDS = 600.0  # a clock that was set forward is noticed by then
_FORBIDDEN = "Not starting job because prior execution is running and concurrency policy is Forbid"
_MANY = "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew"


class CronJobController(QueueController[str]):
    """Jobs for CronJobs."""

    name = "cronjob"
    workers = 5

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._events = context.events.named("cronjob-controller")
        self._cron_jobs = context.informers.informer(kinds.CRON_JOB)
        self._jobs = context.informers.informer(kinds.JOB)
        self._jobs.add_index("controller", objects.controller_uid)
        enqueue_all(self._cron_jobs, self._queue)
        on_change(self._jobs, self._job)

    def _job(self, job: JSON) -> None:
        owner = meta.controller_of(job)
        if owner and owner["kind"] == "CronJob":
            self._queue.add(f"{meta.namespace(job)}/{owner['name']}")

    async def _reconcile(self, key: str) -> float | None:
        cron_job = self._cron_jobs.get(key)
        if cron_job is None:
            return None
        owned = self._jobs.by_index("controller", meta.uid(cron_job))
        active = await self._active(cron_job, owned)
        cron_job = await self._write(cron_job, cronjobs.status(cron_job, active, owned, at=None))
        for job in cronjobs.surplus(cron_job, owned):
            await self._delete(cron_job, job)
        if meta.is_deleting(cron_job) or cron_job["spec"].get("suspend"):
            return None
        try:
            schedule = schedules.parse(cron_job["spec"]["schedule"], cron_job["spec"].get("timeZone") or "")
        except ValueError as error:  # stored before it was checked
            message = f"unparseable schedule: {cron_job['spec']['schedule']!r} : {error}"
            self._events.event(cron_job, "Warning", "UnparseableSchedule", message)
            return None
        now = self._context.clock()
        due = cronjobs.due(cron_job, schedule, active, now=now)
        if due.many_missed:
            self._events.event(cron_job, "Warning", "TooManyMissedTimes", _MANY)
        if due.forbidden:
            self._events.event(cron_job, "Normal", "JobAlreadyActive", _FORBIDDEN)
        elif due.at:
            await self._start(cron_job, due.at, active, owned)
        following = next(schedule.after(now), None)
        return min((following - now).total_seconds(), MAX_SLEEP_SECONDS) if following else None

    async def _active(self, cron_job: JSON, owned: Sequence[JSON]) -> list[JSON]:
        """`status.active` as it is now: without what is over or gone, with what runs and wasn't noted."""
        noted = {each["uid"]: each for each in (cron_job.get("status") or {}).get("active") or ()}
        present = {meta.uid(job): job for job in owned}
        active = []
        for uid, each in noted.items():
            job = present.get(uid)
            if job is None:
                if await self._is_there(cron_job, each):
                    active.append(each)
                else:
                    message = f"Active job went missing: {each['name']}"
                    self._events.event(cron_job, "Normal", "MissingJob", message)
            elif cronjobs.is_running(job):
                active.append(each)
            else:
                how = next(name for name in jobs.FINAL.values() if meta.is_condition_true(job, name))
                message = f"Saw completed job: {meta.name(job)}, condition: {how}"
                self._events.event(cron_job, "Normal", "SawCompletedJob", message)
        for uid, job in present.items():
            if uid not in noted and cronjobs.is_running(job) and not meta.is_deleting(job):
                active.append(cronjobs.reference(job))
        return active

    async def _is_there(self, cron_job: JSON, noted: JSON) -> bool:
        """The cache may not show yet what was just made."""
        try:
            found = await self._client.get(kinds.JOB, noted["name"], namespace=meta.namespace(cron_job))
        except errors.NotFound:
            return False
        return bool(meta.uid(found) == noted["uid"])

    async def _start(self, cron_job: JSON, at: datetime, active: list[JSON], owned: Sequence[JSON]) -> None:
        """Make the Job of a run, and note it."""
        if cron_job["spec"].get("concurrencyPolicy") == "Replace":
            for job in owned:
                if meta.uid(job) in {each["uid"] for each in active}:
                    await self._delete(cron_job, job)
            active = []
        made = await self._create(cron_job, cronjobs.job_for(cron_job, at))
        if made and cronjobs.is_running(made):
            active = [*(each for each in active if each["uid"] != meta.uid(made)), cronjobs.reference(made)]
        await self._write(cron_job, cronjobs.status(cron_job, active, owned, at=at))

    async def _create(self, cron_job: JSON, body: JSON) -> JSON | None:
        """The Job, made now or before; None if another's has its name."""
        try:
            made = await self._client.create(kinds.JOB, body)
        except errors.AlreadyExists:
            found = await self._client.get(kinds.JOB, meta.name(body), namespace=meta.namespace(body))
            return found if (meta.controller_of(found) or {}).get("uid") == meta.uid(cron_job) else None
        except REFUSED as error:
            if objects.is_ending_namespace(error):
                return None
            self._events.event(cron_job, "Warning", "FailedCreate", f"Error creating job: {error}")
            raise
        self._events.event(cron_job, "Normal", "SuccessfulCreate", f"Created job {meta.name(made)}")
        return made

    async def _delete(self, cron_job: JSON, job: JSON) -> None:
        if meta.is_deleting(job):
            return
        if await objects.delete(self._client, kinds.JOB, job, propagation_policy="Background"):
            self._events.event(cron_job, "Normal", "SuccessfulDelete", f"Deleted job {meta.name(job)}")

    async def _write(self, cron_job: JSON, status: JSON) -> JSON:
        """Write the status if it changed, at the version that it was decided on."""
        if status == (cron_job.get("status") or {}):
            return cron_job
        return await self._client.update(kinds.CRON_JOB, {**cron_job, "status": status}, subresource="status")
