"""StatefulSets against a real API server: identities, order, claims, updates and their history; tests play kubelets."""

import asyncio

import pytest

from apimachinery import errors, kinds, meta
from tests.integration.conftest import eventually, make_ready, play_kubelet, pods, running

pytestmark = pytest.mark.integration


def stateful_set(namespace, *, replicas=2, **spec):
    template = {"metadata": {"labels": {"app": "db"}}, "spec": {"containers": [{"name": "c", "image": "one"}]}}
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": "db", "namespace": namespace},
        "spec": {
            "replicas": replicas,
            "serviceName": "db",
            "selector": {"matchLabels": {"app": "db"}},
            "template": template,
            "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": claim}],
            **spec,
        },
    }


async def settled(admin, namespace, *, image="one", replicas=2):
    """Play kubelet until the StatefulSet says that all is done."""

    async def look():
        await make_ready(admin, namespace)
        found = await admin.get(kinds.STATEFUL_SET, "db", namespace=namespace)
        status = found.get("status") or {}
        present = await pods(admin, namespace)
        return (
            status.get("observedGeneration") == found["metadata"]["generation"]
            and status.get("currentRevision") == status.get("updateRevision")
            and status.get("availableReplicas") == status["replicas"] == len(present) == replicas
            and {pod["spec"]["containers"][0]["image"] for pod in present} <= {image}
            and found
        )

    return await eventually(look)


async def claims(admin, namespace):
    items = (await admin.list(kinds.PERSISTENT_VOLUME_CLAIM, namespace=namespace))["items"]
    return {meta.name(each): each for each in items if not meta.is_deleting(each)}


async def patch(admin, namespace, **spec):
    await admin.patch(kinds.STATEFUL_SET, "db", {"spec": spec}, namespace=namespace)


def image(name):
    return {"spec": {"containers": [{"name": "c", "image": name}]}}


async def test_pods_are_made_in_order_updated_in_reverse_and_keep_their_claims(admin, controllers, namespace):
    await admin.create(kinds.STATEFUL_SET, stateful_set(namespace))

    async def names():
        return [meta.name(pod) for pod in await pods(admin, namespace)]

    async def first():
        return await names() == ["db-0"]

    await eventually(first)
    await settled(admin, namespace)
    assert await names() == ["db-0", "db-1"]
    before = {name: meta.uid(claim) for name, claim in (await claims(admin, namespace)).items()}
    assert before.keys() == {"data-db-0", "data-db-1"}
    await patch(admin, namespace, template=image("two"))

    async def one_updated():
        images = {meta.name(pod): pod["spec"]["containers"][0]["image"] for pod in await pods(admin, namespace)}
        return images == {"db-0": "one", "db-1": "two"}

    await eventually(one_updated)
    await settled(admin, namespace, image="two")
    assert {name: meta.uid(claim) for name, claim in (await claims(admin, namespace)).items()} == before
    revisions = (await admin.list(kinds.CONTROLLER_REVISION, namespace=namespace))["items"]
    assert sorted(each["revision"] for each in revisions) == [1, 2]


async def test_an_identity_is_never_given_away_while_its_old_pod_is_there(admin, controllers, namespace):
    body = stateful_set(namespace, podManagementPolicy="Parallel")
    body["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = 60
    await admin.create(kinds.STATEFUL_SET, body)
    await settled(admin, namespace)
    node = {"target": {"kind": "Node", "name": "n"}, "metadata": {"name": "db-0", "namespace": namespace}}
    await admin.create(
        kinds.POD, {"apiVersion": "v1", "kind": "Binding", **node}, name="db-0", namespace=namespace,
        subresource="binding",
    )  # fmt: skip
    old = meta.uid(await admin.get(kinds.POD, "db-0", namespace=namespace))
    await admin.delete(kinds.POD, "db-0", namespace=namespace)
    await patch(admin, namespace, replicas=3)

    async def third():
        return "db-2" in [meta.name(pod) for pod in await pods(admin, namespace)]

    await eventually(third)
    found = await admin.get(kinds.POD, "db-0", namespace=namespace)
    assert (meta.uid(found), meta.is_deleting(found)) == (old, True)
    await settled(admin, namespace, replicas=3)
    assert meta.uid(await admin.get(kinds.POD, "db-0", namespace=namespace)) != old


async def test_claims_go_with_what_the_policy_says(admin, controllers, namespace):
    policy = {"whenScaled": "Delete", "whenDeleted": "Delete"}
    await admin.create(kinds.STATEFUL_SET, stateful_set(namespace, persistentVolumeClaimRetentionPolicy=policy))
    await settled(admin, namespace)
    await patch(admin, namespace, replicas=1)
    await settled(admin, namespace, replicas=1)

    async def only(*expected):
        return (await claims(admin, namespace)).keys() == set(expected)

    await eventually(lambda: only("data-db-0"))
    await admin.delete(kinds.STATEFUL_SET, "db", namespace=namespace)
    await eventually(only)


async def test_a_restart_in_the_middle_makes_no_pod_twice(admin, config, options, namespace):
    seen: dict[str, str] = {}
    for _ in range(3):
        async with running(config, options, ("*", "-garbage-collector-controller")):
            try:
                await admin.create(kinds.STATEFUL_SET, stateful_set(namespace, replicas=5))
            except errors.AlreadyExists:
                pass

            async def more(known=len(seen)):
                await make_ready(admin, namespace)
                return len(await pods(admin, namespace)) >= min(5, known + 2)

            await eventually(more)
        for pod in await pods(admin, namespace):
            assert seen.setdefault(meta.name(pod), meta.uid(pod)) == meta.uid(pod)
    assert seen.keys() == {f"db-{index}" for index in range(5)}


async def test_kubectl_tells_and_undoes_rollouts(admin, controllers, namespace, kubectl):
    await admin.create(kinds.STATEFUL_SET, stateful_set(namespace))
    kubelet = asyncio.create_task(play_kubelet(admin, namespace))
    try:
        told = await kubectl("rollout", "status", "sts/db", "--timeout=20s")
        assert "partitioned roll out complete: 2 new pods have been updated" in told
        await kubectl("set", "image", "sts/db", "c=two")
        await kubectl("rollout", "status", "sts/db", "--timeout=20s")
        assert [
            line.split()[0] for line in (await kubectl("rollout", "history", "sts/db")).splitlines()[2:] if line
        ] == [
            "1",
            "2",
        ]
        assert "one" in await kubectl("rollout", "history", "sts/db", "--revision=1")
        await kubectl("rollout", "undo", "sts/db")
        await settled(admin, namespace, image="one")
        assert "3" in (await kubectl("rollout", "history", "sts/db")).split()
        await kubectl("rollout", "restart", "sts/db")
        await kubectl("rollout", "status", "sts/db", "--timeout=20s")
        await settled(admin, namespace)
        assert "partitioned" in await kubectl("rollout", "status", "sts/db", "--timeout=20s")
    finally:
        kubelet.cancel()
