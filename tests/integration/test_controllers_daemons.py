"""DaemonSets against a real API server: a pod for each node, updates and their history; tests play kubelets."""

import asyncio

import pytest

from apimachinery import kinds, meta
from controllers import daemonpods
from tests.integration.conftest import eventually, play_kubelet, pods

pytestmark = pytest.mark.integration


@pytest.fixture
async def nodes(admin):
    names = ["n1", "n2", "n3"]
    for name in names:
        await admin.create(kinds.NODE, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}})
    yield names
    for node in (await admin.list(kinds.NODE))["items"]:
        await admin.delete(kinds.NODE, meta.name(node))


def daemon_set(namespace, **pod):
    spec = {"containers": [{"name": "c", "image": "one"}], "tolerations": [{"operator": "Exists"}], **pod}
    template = {"metadata": {"labels": {"app": "agent"}}, "spec": spec}
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "agent", "namespace": namespace},
        "spec": {"selector": {"matchLabels": {"app": "agent"}}, "template": template},
    }


async def places(admin, namespace):
    return sorted(daemonpods.node_of(pod) for pod in await pods(admin, namespace))


async def test_every_node_has_a_pod_also_one_that_comes_later(admin, controllers, namespace, nodes):
    await admin.create(kinds.DAEMON_SET, daemon_set(namespace, nodeSelector={"run": "yes"}))
    for name in nodes[:2]:
        await admin.patch(kinds.NODE, name, {"metadata": {"labels": {"run": "yes"}}})

    async def on(*expected):
        return await places(admin, namespace) == sorted(expected)

    await eventually(lambda: on("n1", "n2"))
    later = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n4", "labels": {"run": "yes"}}}
    await admin.create(kinds.NODE, later)
    await eventually(lambda: on("n1", "n2", "n4"))
    await admin.patch(kinds.NODE, "n1", {"metadata": {"labels": {"run": None}}})
    await eventually(lambda: on("n2", "n4"))

    async def told():
        found = await admin.get(kinds.DAEMON_SET, "agent", namespace=namespace)
        return found["status"]["desiredNumberScheduled"] == found["status"]["currentNumberScheduled"] == 2

    await eventually(told)


@pytest.mark.parametrize("surge", [0, 1])
async def test_kubectl_tells_and_undoes_rollouts(admin, controllers, namespace, nodes, kubectl, surge):
    body = daemon_set(namespace)
    rolling = {"maxSurge": surge, "maxUnavailable": 1 - surge}
    body["spec"]["updateStrategy"] = {"type": "RollingUpdate", "rollingUpdate": rolling}
    await admin.create(kinds.DAEMON_SET, body)
    kubelet = asyncio.create_task(play_kubelet(admin, namespace))

    async def rolled(image):
        assert "successfully rolled out" in await kubectl("rollout", "status", "ds/agent", "--timeout=20s")

        async def look():
            images = [pod["spec"]["containers"][0]["image"] for pod in await pods(admin, namespace)]
            return images == [image] * 3

        await eventually(look)

    try:
        await rolled("one")
        await kubectl("set", "image", "ds/agent", "c=two")
        await rolled("two")
        assert "one" in await kubectl("rollout", "history", "ds/agent", "--revision=1")
        await kubectl("rollout", "undo", "ds/agent")
        await rolled("one")
        lines = (await kubectl("rollout", "history", "ds/agent")).splitlines()
        assert [line.split()[0] for line in lines if line[:1].isdigit()] == ["2", "3"]
        await kubectl("rollout", "restart", "ds/agent")
        await rolled("one")
        assert await places(admin, namespace) == nodes
    finally:
        kubelet.cancel()
