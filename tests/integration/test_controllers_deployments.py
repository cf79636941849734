"""Rollouts as users steer them, by the real kubectl: history, undo, pause, restart, deadlines; tests play kubelets."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from apimachinery import kinds, meta
from controllers import templates
from tests.integration.conftest import eventually, play_kubelet

pytestmark = pytest.mark.integration
STATUS = ("rollout", "status", "deploy/web", "--timeout=20s")
CAUSE = "kubernetes.io/change-cause"


def deployment(namespace, **spec):
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "v1"}]}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": namespace, "annotations": {CAUSE: "first"}},
        "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "web"}}, "template": template, **spec},
    }


@asynccontextmanager
async def kubelet(admin, namespace):
    task = asyncio.create_task(play_kubelet(admin, namespace))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def sets(admin, namespace):
    """The ReplicaSets by image."""
    items = (await admin.list(kinds.REPLICA_SET, namespace=namespace))["items"]
    return {each["spec"]["template"]["spec"]["containers"][0]["image"]: each for each in items}


async def images(admin, namespace):
    found = await sets(admin, namespace)
    return {image for image, each in found.items() if each["spec"]["replicas"]}


def revisions(printed):
    return {line.split()[0]: " ".join(line.split()[1:]) for line in printed.splitlines() if line[:1].isdigit()}


async def test_history_is_told_and_undone(admin, controllers, namespace, kubectl):
    await admin.create(kinds.DEPLOYMENT, deployment(namespace))

    async def noted(image):
        return meta.annotations((await sets(admin, namespace))[image])[CAUSE] == f"to {image}"

    async with kubelet(admin, namespace):
        assert "successfully rolled out" in await kubectl(*STATUS)
        for image in ("v2", "v3"):
            await kubectl("set", "image", "deploy/web", f"c={image}")
            await kubectl(*STATUS)
            await kubectl("annotate", "deploy/web", f"{CAUSE}=to {image}", "--overwrite")
            await eventually(lambda image=image: noted(image))
        assert revisions(await kubectl("rollout", "history", "deploy/web")) == {
            "1": "first",
            "2": "to v2",
            "3": "to v3",
        }
        assert "v2" in await kubectl("rollout", "history", "deploy/web", "--revision=2")
        await kubectl("rollout", "undo", "deploy/web", "--to-revision=1")
        await kubectl(*STATUS)
        assert revisions(await kubectl("rollout", "history", "deploy/web")) == {
            "2": "to v2",
            "3": "to v3",
            "4": "first",
        }
        assert await images(admin, namespace) == {"v1"}
        first = (await sets(admin, namespace))["v1"]
        assert meta.annotations(first)[templates.REVISION_HISTORY] == "1"
        await kubectl("rollout", "undo", "deploy/web")
        await kubectl(*STATUS)
        assert await images(admin, namespace) == {"v3"}


async def test_a_paused_deployment_rolls_when_resumed_and_restarts(admin, controllers, namespace, kubectl):
    await admin.create(kinds.DEPLOYMENT, deployment(namespace))
    async with kubelet(admin, namespace):
        await kubectl(*STATUS)
        await kubectl("rollout", "pause", "deploy/web")
        await kubectl("set", "image", "deploy/web", "c=v2")
        await kubectl("scale", "deploy/web", "--replicas=3")

        async def grown():
            found = await admin.get(kinds.DEPLOYMENT, "web", namespace=namespace)
            paused = (meta.condition(found, "Progressing") or {}).get("reason") == "DeploymentPaused"
            return paused and found["status"].get("availableReplicas") == 3

        await eventually(grown)
        assert (await sets(admin, namespace)).keys() == {"v1"}
        await kubectl("rollout", "resume", "deploy/web")
        await kubectl(*STATUS)
        assert await images(admin, namespace) == {"v2"}
        before = meta.name((await sets(admin, namespace))["v2"])
        await kubectl("rollout", "restart", "deploy/web")
        await kubectl(*STATUS)
        items = (await admin.list(kinds.REPLICA_SET, namespace=namespace))["items"]
        assert {meta.name(each) for each in items if each["spec"]["replicas"]} != {before}


async def test_old_revisions_beyond_the_limit_go(admin, controllers, namespace, kubectl):
    await admin.create(kinds.DEPLOYMENT, deployment(namespace, revisionHistoryLimit=1))
    async with kubelet(admin, namespace):
        for image in ("v1", "v2", "v3"):
            await kubectl("set", "image", "deploy/web", f"c={image}")
            await kubectl(*STATUS)

        async def two():
            return (await sets(admin, namespace)).keys() == {"v2", "v3"}

        await eventually(two)


async def test_a_rollout_that_hangs_is_past_its_deadline_and_can_still_succeed(admin, controllers, namespace, kubectl):
    await admin.create(kinds.DEPLOYMENT, deployment(namespace, progressDeadlineSeconds=1))
    told = await kubectl(*STATUS, code=1)
    assert 'error: deployment "web" exceeded its progress deadline' in told
    found = await admin.get(kinds.DEPLOYMENT, "web", namespace=namespace)
    progressing = meta.condition(found, "Progressing")
    assert (progressing["status"], progressing["reason"]) == ("False", "ProgressDeadlineExceeded")
    (replica_set,) = (await sets(admin, namespace)).values()
    assert progressing["message"] == f'ReplicaSet "{meta.name(replica_set)}" has timed out progressing.'
    async with kubelet(admin, namespace):

        async def complete():
            found = await admin.get(kinds.DEPLOYMENT, "web", namespace=namespace)
            return meta.condition(found, "Progressing")["reason"] == "NewReplicaSetAvailable"

        await eventually(complete)


@pytest.mark.parametrize(("surge", "unavailable", "most", "fewest"), [("50%", "0%", 6, 4), ("0%", "50%", 4, 2)])
async def test_shares_bound_a_rollout(admin, controllers, namespace, surge, unavailable, most, fewest):
    rolling = {"maxSurge": surge, "maxUnavailable": unavailable}
    strategy = {"type": "RollingUpdate", "rollingUpdate": rolling}
    await admin.create(kinds.DEPLOYMENT, deployment(namespace, replicas=4, strategy=strategy))
    seen = []

    async def ready(image):
        found = [
            pod for pod in (await admin.list(kinds.POD, namespace=namespace))["items"] if not meta.is_deleting(pod)
        ]
        up = [pod for pod in found if meta.is_condition_true(pod, "Ready")]
        seen.append((len(found), len(up)))
        new = [pod for pod in up if pod["spec"]["containers"][0]["image"] == image]
        return len(new) == 4 == len(found)

    async with kubelet(admin, namespace):
        await eventually(lambda: ready("v1"))
        seen.clear()
        template = {"spec": {"containers": [{"name": "c", "image": "v2"}]}}
        await admin.patch(kinds.DEPLOYMENT, "web", {"spec": {"template": template}}, namespace=namespace)
        await eventually(lambda: ready("v2"))
    assert max(pods for pods, _ in seen) <= most
    assert min(up for _, up in seen) >= fewest


async def test_a_budget_counts_on_what_the_deployment_wants_not_on_both_sets_of_a_rollout(
    admin, controllers, namespace, kubectl
):
    budget = {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "web"}}
    budget["spec"] = {"maxUnavailable": 1, "selector": {"matchLabels": {"app": "web"}}}
    alone = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "alone", "labels": {"app": "web"}}}
    alone["spec"] = {"containers": [{"name": "c", "image": "v1"}]}
    for kind, body in ((kinds.POD_DISRUPTION_BUDGET, budget), (kinds.POD, alone)):
        await admin.create(kind, {**body, "metadata": {**body["metadata"], "namespace": namespace}})
    await admin.create(kinds.DEPLOYMENT, deployment(namespace))
    async with kubelet(admin, namespace):
        await kubectl(*STATUS)
    await kubectl("set", "image", "deploy/web", "c=v2")  # no kubelet: the new pod never runs

    async def told():
        found = await admin.get(kinds.POD_DISRUPTION_BUDGET, "web", namespace=namespace)
        pods = (await admin.list(kinds.POD, namespace=namespace))["items"]
        seen = {name: found["status"].get(name) for name in ("expectedPods", "desiredHealthy", "disruptionsAllowed")}
        return len(pods) == 4 and seen == {"expectedPods": 2, "desiredHealthy": 1, "disruptionsAllowed": 2}

    await eventually(told)
