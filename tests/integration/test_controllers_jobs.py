"""Jobs against a real API server: counted right whatever dies when, ended as asked; tests play the kubelets."""

import asyncio
import contextlib
import random

import pytest

from apimachinery import errors, kinds, meta
from controllers import jobpods
from tests.integration.conftest import eventually, pods, running

pytestmark = pytest.mark.integration


def job(namespace, *, name="j", **spec):
    container = {"name": "c", "image": "i"}
    template = {"spec": {"restartPolicy": "Never", "terminationGracePeriodSeconds": 0, "containers": [container]}}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"template": template, **spec},
    }


async def end(admin, pod, phase):
    """What a kubelet says when a pod's container has ended."""
    ended = {"exitCode": int(phase == "Failed"), "finishedAt": "2026-01-01T00:00:00Z"}
    container = {"name": "c", "ready": False, "restartCount": 0, "image": "i", "imageID": "",
                 "state": {"terminated": ended}}  # fmt: skip
    status = {"status": {"phase": phase, "containerStatuses": [container]}}
    with contextlib.suppress(errors.NotFound, errors.Conflict):
        await admin.patch(kinds.POD, meta.name(pod), status, namespace=meta.namespace(pod), subresource="status")


async def end_all(admin, namespace, phase="Succeeded"):
    for pod in await pods(admin, namespace):
        if jobpods.phase(pod) in ("Pending", "Running"):
            await end(admin, pod, phase)


async def over(admin, namespace, name="Complete"):
    found = await admin.get(kinds.JOB, "j", namespace=namespace)
    return meta.is_condition_true(found, name) and found


async def test_a_job_is_complete_when_enough_have_succeeded(admin, controllers, namespace, kubectl):
    await admin.create(kinds.JOB, job(namespace, completions=3, parallelism=2))

    async def complete():
        assert len([pod for pod in await pods(admin, namespace) if jobpods.phase(pod) != "Succeeded"]) <= 2
        await end_all(admin, namespace)
        return await over(admin, namespace)

    found = await eventually(complete)
    status = found["status"]
    assert [each["type"] for each in status["conditions"]] == ["SuccessCriteriaMet", "Complete"]
    assert {each["message"] for each in status["conditions"]} == {"Reached expected number of succeeded pods"}
    assert (status["succeeded"], status.get("failed"), status.get("active")) == (3, None, None)
    assert (status["ready"], status["terminating"], status["uncountedTerminatedPods"]) == (0, 0, {})
    assert not any(jobpods.is_tracked(pod) for pod in await pods(admin, namespace))
    await kubectl("wait", "--for=condition=complete", "job/j", "--timeout=10s")
    assert "3/3" in await kubectl("get", "job", "j")
    await admin.delete(kinds.JOB, "j", namespace=namespace, propagation_policy="Background")

    async def gone():
        return not (await admin.list(kinds.POD, namespace=namespace))["items"]

    await eventually(gone)


async def test_pods_of_a_deleted_job_lose_their_finalizer(admin, controllers, namespace):
    await admin.create(kinds.JOB, job(namespace, parallelism=2))

    async def two():
        return len(await pods(admin, namespace)) == 2

    await eventually(two)
    for policy in ("Orphan", "Foreground"):
        await admin.delete(kinds.JOB, "j", namespace=namespace, propagation_policy=policy)

        async def free():
            left = (await admin.list(kinds.POD, namespace=namespace))["items"]
            jobs = (await admin.list(kinds.JOB, namespace=namespace))["items"]
            return not jobs and not any(jobpods.is_tracked(pod) for pod in left)

        await eventually(free)
        if policy == "Orphan":
            await admin.create(kinds.JOB, job(namespace))


async def test_an_indexed_job_gives_every_index_once(admin, controllers, namespace):
    await admin.create(kinds.JOB, job(namespace, completions=4, parallelism=3, completionMode="Indexed"))
    seen = []

    async def complete():
        for pod in await pods(admin, namespace):
            if jobpods.phase(pod) == "Pending":
                seen.append(jobpods.index_of(pod))
                await end(admin, pod, "Succeeded")
        return await over(admin, namespace)

    found = await eventually(complete)
    assert found["status"]["completedIndexes"] == "0-3"
    assert sorted(seen) == [0, 1, 2, 3]


async def test_a_job_that_failed_too_often_says_so_and_its_pods_end(admin, controllers, namespace, kubectl):
    await admin.create(kinds.JOB, job(namespace, completions=3, parallelism=2, backoffLimit=0))

    async def failed():
        active = [pod for pod in await pods(admin, namespace) if jobpods.phase(pod) == "Pending"]
        if len(active) == 2:
            await end(admin, active[0], "Failed")
        return await over(admin, namespace, "Failed")

    found = await eventually(failed)
    assert [each["type"] for each in found["status"]["conditions"]] == ["FailureTarget", "Failed"]
    assert found["status"]["failed"] == 2, "the other one was ended, and counts"
    assert not [pod for pod in await pods(admin, namespace) if jobpods.phase(pod) == "Pending"]
    assert "BackoffLimitExceeded" in await kubectl("describe", "job", "j")


async def test_a_suspended_job_has_no_pods_and_goes_on_when_resumed(admin, controllers, namespace):
    await admin.create(kinds.JOB, job(namespace, suspend=True))

    async def suspended():
        return await over(admin, namespace, "Suspended") and not await pods(admin, namespace)

    async def resumed():
        found = await admin.get(kinds.JOB, "j", namespace=namespace)
        return found["status"].get("startTime") and await pods(admin, namespace)

    await eventually(suspended)
    await admin.patch(kinds.JOB, "j", {"spec": {"suspend": False}}, namespace=namespace)
    await eventually(resumed)
    await admin.patch(kinds.JOB, "j", {"spec": {"suspend": True}}, namespace=namespace)
    await eventually(suspended)
    found = await admin.get(kinds.JOB, "j", namespace=namespace)
    assert not found["status"].get("failed"), "what was suspended didn't fail"


async def test_a_finished_job_goes_after_its_time(admin, controllers, namespace):
    await admin.create(kinds.JOB, job(namespace, ttlSecondsAfterFinished=0))

    async def gone():
        await end_all(admin, namespace)
        jobs = (await admin.list(kinds.JOB, namespace=namespace))["items"]
        return not jobs and not (await admin.list(kinds.POD, namespace=namespace))["items"]

    await eventually(gone)


@pytest.mark.parametrize("seed", [1, 2])
async def test_no_pod_is_counted_twice_or_lost_when_controllers_die(admin, config, options, namespace, seed):
    chance, completions = random.Random(seed), 30
    await admin.create(kinds.JOB, job(namespace, completions=completions, parallelism=8, backoffLimit=100))

    async def play():
        for pod in await pods(admin, namespace):
            if jobpods.phase(pod) == "Pending" and chance.random() < 0.5:
                await end(admin, pod, "Succeeded")
        return await over(admin, namespace)

    for _ in range(8):
        async with running(config, options, ("job-controller",)):
            stop = asyncio.get_running_loop().time() + chance.uniform(0.05, 0.5)
            while asyncio.get_running_loop().time() < stop:
                await play()
    async with running(config, options, ("job-controller",)):
        found = await eventually(play)
    left = await pods(admin, namespace)
    assert not any(jobpods.is_tracked(pod) for pod in left)
    # one whose creation was under way at a kill is too many, and may succeed before it is deleted
    assert found["status"]["succeeded"] == len(left) >= completions, f"seed {seed}"
    assert not found["status"].get("failed")


async def test_an_index_that_fails_doesnt_keep_the_others_from_succeeding(admin, controllers, namespace):
    spec = {"completions": 3, "parallelism": 3, "completionMode": "Indexed", "backoffLimitPerIndex": 0}
    await admin.create(kinds.JOB, job(namespace, **spec))

    async def failed():
        for pod in await pods(admin, namespace):
            if jobpods.phase(pod) == "Pending":
                await end(admin, pod, "Failed" if jobpods.index_of(pod) == 1 else "Succeeded")
        return await over(admin, namespace, "Failed")

    status = (await eventually(failed))["status"]
    assert (status["completedIndexes"], status["failedIndexes"]) == ("0,2", "1")
    assert meta.condition({"status": status}, "Failed")["reason"] == "FailedIndexes"


async def test_a_namespace_goes_while_its_jobs_run(admin, controllers, namespace):
    await admin.create(kinds.JOB, job(namespace, parallelism=2, completions=5))
    await admin.create(kinds.JOB, job(namespace, name="replacing", podReplacementPolicy="Failed"))

    async def three():
        return len(await pods(admin, namespace)) == 3

    await eventually(three)
    await admin.delete(kinds.NAMESPACE, namespace)

    async def gone():
        return namespace not in {meta.name(each) for each in (await admin.list(kinds.NAMESPACE))["items"]}

    await eventually(gone)


async def test_a_pods_end_disturbs_no_other_pod(admin, controllers, namespace):
    await admin.create(kinds.JOB, job(namespace, completions=5, parallelism=2))

    async def running():
        return [pod for pod in await pods(admin, namespace) if jobpods.phase(pod) == "Pending"]

    for left in (4, 3, 2, 1, 0):

        async def as_many_as_may(number=min(2, left + 1)):
            found = await running()
            return len(found) == number and found

        first, *others = await eventually(as_many_as_may)
        await end(admin, first, "Succeeded")

        async def counted(number=5 - left):
            return (await admin.get(kinds.JOB, "j", namespace=namespace))["status"].get("succeeded") == number

        await eventually(counted)
        assert {meta.uid(pod) for pod in others} <= {meta.uid(pod) for pod in await running()}
    await eventually(lambda: over(admin, namespace))
    assert len(await pods(admin, namespace)) == 5
