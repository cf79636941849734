"""Random changes to several Deployments, controllers killed in the middle: it settles on what was asked for last.

The seeds are fixed; a failing one is printed by its parameter.
"""

import asyncio
import contextlib
import random
from dataclasses import replace

import pytest

from apimachinery import errors, kinds, meta
from controllers import manager
from controllers.context import Context, Options
from kubeclient.config import ClientConfig
from kubeclient.events import EventRecorder
from kubeclient.informer import InformerFactory
from kubeclient.rest import Client

pytestmark = pytest.mark.integration
SETTLE_SECONDS = 30.0
STEPS = 25


def deployment(name, namespace, *, replicas, strategy):
    template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [{"name": "c", "image": "i0"}]}}
    spec = {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {**spec, "strategy": {"type": strategy}},
    }


async def play_kubelet(admin, namespace, chance):
    """Pods become ready some time, and end when deleted."""
    while True:
        for pod in (await admin.list(kinds.POD, namespace=namespace))["items"]:
            with contextlib.suppress(errors.NotFound, errors.Conflict):
                if meta.is_deleting(pod):
                    await admin.delete(kinds.POD, meta.name(pod), namespace=namespace, grace_period_seconds=0)
                elif not meta.is_condition_true(pod, "Ready") and chance.random() < 0.5:
                    ready = {"type": "Ready", "status": "True", "lastTransitionTime": meta.now()}
                    status = {"status": {"phase": "Running", "conditions": [ready]}}
                    await admin.patch(kinds.POD, meta.name(pod), status, namespace=namespace, subresource="status")
        await asyncio.sleep(0.05)


async def run_controllers(config):
    async with Client(replace(config, impersonate="system:kube-controller-manager")) as client:
        context = Context(client, InformerFactory(client), EventRecorder(client, "kcm"), Options())
        await manager.run(context, manager.chosen(["*"]))


async def settled(admin, namespace, wanted):
    """Whether every Deployment has exactly the pods asked for last, and says so."""
    pods = (await admin.list(kinds.POD, namespace=namespace))["items"]
    for name, (replicas, image) in wanted.items():
        found = await admin.get(kinds.DEPLOYMENT, name, namespace=namespace)
        status = found.get("status") or {}
        mine = [pod for pod in pods if meta.labels(pod).get("app") == name]
        counts = {status.get(count, 0) for count in ("replicas", "updatedReplicas", "availableReplicas")}
        done = (meta.condition(found, "Progressing") or {}).get("reason") == "NewReplicaSetAvailable"
        images = {pod["spec"]["containers"][0]["image"] for pod in mine}
        if len(mine) != replicas or counts != {replicas} or not done or not images <= {image}:
            return False
    return True


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_it_settles(api_server, seed):
    config = ClientConfig(server=api_server.url, token=api_server.token, insecure=True)
    chance, namespace = random.Random(seed), f"random-{seed}"
    async with Client(config) as admin:
        await admin.create(kinds.NAMESPACE, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
        working = asyncio.create_task(run_controllers(config))
        kubelet = asyncio.create_task(play_kubelet(admin, namespace, chance))
        wanted = {}
        for name in ("a", "b", "c"):
            wanted[name] = (chance.randint(1, 6), "i0")
            strategy = chance.choice(["RollingUpdate", "Recreate"])
            body = deployment(name, namespace, replicas=wanted[name][0], strategy=strategy)
            await admin.create(kinds.DEPLOYMENT, body)
        for _ in range(STEPS):
            name = chance.choice(list(wanted))
            if chance.random() < 0.1:
                working.cancel()
                await asyncio.gather(working, return_exceptions=True)
                working = asyncio.create_task(run_controllers(config))
            wanted[name] = (chance.randint(0, 7), f"i{chance.randint(1, 3)}")
            template = {"spec": {"containers": [{"name": "c", "image": wanted[name][1]}]}}
            patch = {"spec": {"replicas": wanted[name][0], "template": template}}
            await admin.patch(kinds.DEPLOYMENT, name, patch, namespace=namespace)
            await asyncio.sleep(chance.uniform(0, 0.15))
        async with asyncio.timeout(SETTLE_SECONDS):
            while not await settled(admin, namespace, wanted):  # noqa: ASYNC110 — it polls a server
                await asyncio.sleep(0.1)
        for task in (kubelet, working):
            assert not task.done()
            task.cancel()
        await asyncio.gather(kubelet, working, return_exceptions=True)
