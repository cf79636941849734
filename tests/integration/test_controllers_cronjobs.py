"""CronJobs against a real API server, by a clock that the test sets."""

import contextlib
from datetime import timedelta

import pytest

from apimachinery import errors, kinds, meta
from controllers.context import utc_now
from tests.integration.conftest import eventually, running

pytestmark = pytest.mark.integration


class Clock:
    """The time, put forward by minutes."""

    def __init__(self):
        self.minutes = 1.1

    def __call__(self):
        return utc_now() + timedelta(minutes=self.minutes)


@pytest.fixture
async def clock(config, options):
    made = Clock()
    async with running(config, options, clock=made):
        yield made


def cron_job(namespace, **spec):
    pod = {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": "cj", "namespace": namespace},
        "spec": {"schedule": "* * * * *", "jobTemplate": {"spec": {"template": {"spec": pod}}}, **spec},
    }


async def jobs(admin, namespace):
    items = (await admin.list(kinds.JOB, namespace=namespace))["items"]
    return {meta.name(each): each for each in items if not meta.is_deleting(each)}


async def tick(admin, namespace, clock):
    """Let two minutes go by, and have the controller look."""
    clock.minutes += 2
    label = {"metadata": {"labels": {"at": str(clock.minutes)}}}
    await admin.patch(kinds.CRON_JOB, "cj", label, namespace=namespace)


async def status(admin, namespace):
    return (await admin.get(kinds.CRON_JOB, "cj", namespace=namespace)).get("status") or {}


async def test_a_run_makes_a_job_and_its_end_is_noted(admin, namespace, clock):
    await admin.create(kinds.CRON_JOB, cron_job(namespace, successfulJobsHistoryLimit=1))
    done = set()

    async def finished(number):
        for pod in (await admin.list(kinds.POD, namespace=namespace))["items"]:
            ended = {"status": {"phase": "Succeeded"}}
            with contextlib.suppress(errors.NotFound):  # its Job went, and it too
                await admin.patch(kinds.POD, meta.name(pod), ended, namespace=namespace, subresource="status")
        done.update(
            name for name, job in (await jobs(admin, namespace)).items() if meta.is_condition_true(job, "Complete")
        )
        found = await status(admin, namespace)
        return len(done) == number and found.get("lastSuccessfulTime") and not found.get("active")

    await eventually(lambda: finished(1))
    (name,) = done
    assert name.startswith("cj-")
    await tick(admin, namespace, clock)
    await eventually(lambda: finished(2))

    async def one_is_kept():
        return (await jobs(admin, namespace)).keys() == done - {name}

    await eventually(one_is_kept)


@pytest.mark.parametrize(("policy", "running_jobs"), [("Allow", 2), ("Forbid", 1), ("Replace", 1)])
async def test_what_happens_when_the_last_run_still_runs(admin, namespace, clock, policy, running_jobs):
    await admin.create(kinds.CRON_JOB, cron_job(namespace, concurrencyPolicy=policy))

    async def running_now(number):
        active = (await status(admin, namespace)).get("active") or []
        found = await jobs(admin, namespace)
        return len(active) == number == len(found) and found.keys() == {each["name"] for each in active} and found

    first = await eventually(lambda: running_now(1))
    await tick(admin, namespace, clock)
    if policy == "Forbid":

        async def told():
            events = (await admin.list(kinds.CORE_EVENT, namespace=namespace))["items"]
            return any(each["reason"] == "JobAlreadyActive" for each in events)

        await eventually(told)
        assert (await jobs(admin, namespace)).keys() == first.keys()
        return

    async def other():
        second = await running_now(running_jobs)
        return second and second.keys() != first.keys() and second

    second = await eventually(other)
    assert (first.keys() <= second.keys()) == (policy == "Allow")


async def test_a_suspended_one_runs_only_by_hand(admin, namespace, clock, kubectl):
    await admin.create(kinds.CRON_JOB, cron_job(namespace, suspend=True))
    await tick(admin, namespace, clock)
    assert "job.batch/by-hand created" in await kubectl("create", "job", "by-hand", "--from=cronjob/cj")

    async def has_a_pod():
        return (await admin.list(kinds.POD, namespace=namespace))["items"]

    await eventually(has_a_pod)
    assert (await jobs(admin, namespace)).keys() == {"by-hand"}
