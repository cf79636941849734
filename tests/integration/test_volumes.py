"""Claims, volumes, their controllers, the scheduler and a kubelet's part, each with the rights it has in a cluster.

No pod runs; the tests write what a kubelet would report.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from apimachinery import errors, kinds, meta, volumes
from kubeclient.config import ClientConfig
from kubeclient.events import EventRecorder
from kubeclient.informer import InformerFactory
from kubeclient.rest import Client
from kubelet.settings import Settings
from kubelet.volumes.nodelocal import NodeLocalVolumes, directory, make
from minikubeadm import addons
from scheduler import configuration
from scheduler.service import Scheduler
from tests.integration.conftest import eventually, running

pytestmark = pytest.mark.integration
JSON = dict[str, Any]
CONTROLLERS = ("persistentvolume-binder", "pvc-protection", "pv-protection", "ephemeral-volume",
               "node-local-provisioner-controller")  # fmt: skip
NODE = "n1"


@pytest.fixture(scope="module")
def api_server(start_api_server: Any) -> Any:
    """With NodeRestriction, as in a cluster."""
    return start_api_server("--disable-admission-plugins=ServiceAccount", "--enable-admission-plugins=NodeRestriction")


@pytest.fixture
async def cluster(admin: Client, config: ClientConfig, options: Any) -> AsyncIterator[Client]:
    """The volume controllers, a scheduler, one node, the default class; gives the administrator's client."""
    [klass] = addons.storage()
    node = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": NODE, "labels": {volumes.HOSTNAME_LABEL: NODE}},
        "status": {"allocatable": {"cpu": "8", "memory": "8Gi", "pods": "110"}},
    }
    await admin.create(kinds.STORAGE_CLASS, klass)
    await admin.create(kinds.NODE, node)
    await admin.patch(kinds.NODE, NODE, {"spec": {"taints": None}})
    async with running(config, options, CONTROLLERS), scheduler(config):
        yield admin
    await admin.delete(kinds.STORAGE_CLASS, "standard")
    await absent(admin, kinds.NODE, NODE)


async def absent(client: Client, kind: Any, name: str) -> None:
    try:
        await client.delete(kind, name)
    except errors.NotFound:
        pass


@asynccontextmanager
async def scheduler(config: ClientConfig) -> AsyncIterator[None]:
    async with Client(replace(config, token="scheduler-token"), user_agent="scheduler") as client:
        recorder = EventRecorder(client, "default-scheduler")
        made = Scheduler(client, configuration.load(None), recorder, seed=1)
        tasks = [asyncio.create_task(made.run(InformerFactory(client))), asyncio.create_task(recorder.run())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def kubelet(config: ClientConfig, folder: Path) -> AsyncIterator[Settings]:
    """The part of a kubelet that removes directories, as the node's user."""
    settings = Settings(node_name=NODE, node_ips=(), kubeconfig=folder / "none", node_local_dir=folder)
    async with Client(replace(config, token="node-token"), user_agent="kubelet") as client:
        task = asyncio.create_task(NodeLocalVolumes(client, settings, EventRecorder(client, "kubelet")).run())
        try:
            yield settings
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def claim(namespace: str, name: str = "data", **spec: Any) -> JSON:
    wanted = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, **spec}
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": wanted}


def volume(name: str, **spec: Any) -> JSON:
    wanted = {"accessModes": ["ReadWriteOnce"], "capacity": {"storage": "2Gi"}, "hostPath": {"path": "/data"}, **spec}
    return {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": wanted}


def pod(namespace: str, *claims: str) -> JSON:
    listed = [{"name": each, "persistentVolumeClaim": {"claimName": each}} for each in claims]
    spec = {"containers": [{"name": "c", "image": "i"}], "volumes": listed}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "namespace": namespace}, "spec": spec}


async def claim_is(client: Client, namespace: str, phase: str, name: str = "data") -> JSON:
    async def look() -> JSON | None:
        listed = (await client.list(kinds.PERSISTENT_VOLUME_CLAIM, namespace=namespace))["items"]
        return next((one for one in listed if meta.name(one) == name and volumes.phase(one) == phase), None)

    found: JSON = await eventually(look)
    return found


async def volume_is(client: Client, name: str, phase: str) -> JSON:
    async def look() -> JSON | None:
        found = await client.get(kinds.PERSISTENT_VOLUME, name)
        return found if volumes.phase(found) == phase else None

    found: JSON = await eventually(look)
    return found


async def gone(client: Client, kind: Any, name: str, namespace: str = "") -> None:
    async def look() -> bool:
        listed = (await client.list(kind, namespace=namespace or None))["items"]
        return name not in [meta.name(each) for each in listed]

    await eventually(look)


async def reasons(client: Client, namespace: str, name: str) -> set[str]:
    listed = await client.list(kinds.CORE_EVENT, namespace=namespace, field_selector=f"involvedObject.name={name}")
    return {event["reason"] for event in listed["items"]}


async def test_a_pods_claim_gets_a_directory_of_its_node_which_goes_with_the_claim(
    cluster: Client, config: ClientConfig, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("componentbase.defaults.NODE_LOCAL_DIRECTORY", str(tmp_path))
    waiting = await cluster.create(kinds.PERSISTENT_VOLUME_CLAIM, claim(namespace))
    assert waiting["spec"]["storageClassName"] == "standard"
    await eventually(lambda: reasons(cluster, namespace, "data"))
    assert await reasons(cluster, namespace, "data") == {"WaitForFirstConsumer"}
    await cluster.create(kinds.POD, pod(namespace, "data"))
    bound = await claim_is(cluster, namespace, "Bound")
    made = await volume_is(cluster, bound["spec"]["volumeName"], "Bound")
    assert meta.annotations(bound)[volumes.SELECTED_NODE] == NODE

    async def placed() -> bool:
        return bool((await cluster.get(kinds.POD, "web", namespace=namespace))["spec"].get("nodeName") == NODE)

    await eventually(placed)
    settings = Settings(node_name=NODE, node_ips=(), kubeconfig=tmp_path / "none", node_local_dir=tmp_path)
    folder = directory(made, settings)
    make(folder)
    await cluster.delete(kinds.PERSISTENT_VOLUME_CLAIM, "data", namespace=namespace)
    assert meta.is_deleting(await claim_is(cluster, namespace, "Bound")), "a pod uses it"
    await cluster.delete(kinds.POD, "web", namespace=namespace, grace_period_seconds=0)
    await gone(cluster, kinds.PERSISTENT_VOLUME_CLAIM, "data", namespace)

    async def deleting() -> bool:
        return meta.is_deleting(await cluster.get(kinds.PERSISTENT_VOLUME, meta.name(made)))

    await eventually(deleting)
    assert folder.exists(), "its node is away"
    async with kubelet(config, tmp_path):
        await gone(cluster, kinds.PERSISTENT_VOLUME, meta.name(made))
    assert not folder.exists()
    assert await reasons(cluster, namespace, "data") >= {
        "WaitForFirstConsumer",
        "Provisioning",
        "ProvisioningSucceeded",
    }


async def test_a_volume_of_a_node_that_is_gone_for_good_is_let_go(cluster: Client, namespace: str) -> None:
    await cluster.create(kinds.PERSISTENT_VOLUME_CLAIM, claim(namespace))
    await cluster.create(kinds.POD, pod(namespace, "data"))
    name = (await claim_is(cluster, namespace, "Bound"))["spec"]["volumeName"]
    await cluster.delete(kinds.POD, "web", namespace=namespace, grace_period_seconds=0)
    await cluster.delete(kinds.PERSISTENT_VOLUME_CLAIM, "data", namespace=namespace)
    await gone(cluster, kinds.PERSISTENT_VOLUME_CLAIM, "data", namespace)
    await cluster.delete(kinds.NODE, NODE)
    await gone(cluster, kinds.PERSISTENT_VOLUME, name)


async def test_a_user_made_volume_is_bound_released_and_bound_again(cluster: Client, namespace: str) -> None:
    name = f"v-{meta.uid(await cluster.get(kinds.NAMESPACE, namespace))}"
    await cluster.create(kinds.PERSISTENT_VOLUME, volume(name))
    await volume_is(cluster, name, "Available")
    await cluster.create(kinds.PERSISTENT_VOLUME_CLAIM, claim(namespace, storageClassName=""))
    bound = await claim_is(cluster, namespace, "Bound")
    assert bound["status"]["capacity"] == {"storage": "2Gi"}
    await cluster.delete(kinds.PERSISTENT_VOLUME, name)
    assert meta.is_deleting(await volume_is(cluster, name, "Bound")), "it is in use"
    await cluster.delete(kinds.PERSISTENT_VOLUME_CLAIM, "data", namespace=namespace)
    await gone(cluster, kinds.PERSISTENT_VOLUME, name)
    await cluster.create(kinds.PERSISTENT_VOLUME, volume(name))
    await cluster.create(kinds.PERSISTENT_VOLUME_CLAIM, claim(namespace, storageClassName=""))
    await claim_is(cluster, namespace, "Bound")
    await cluster.delete(kinds.PERSISTENT_VOLUME_CLAIM, "data", namespace=namespace)
    await volume_is(cluster, name, "Released")
    await cluster.patch(kinds.PERSISTENT_VOLUME, name, {"spec": {"claimRef": None}})
    await volume_is(cluster, name, "Available")
    await cluster.delete(kinds.PERSISTENT_VOLUME, name)
    await gone(cluster, kinds.PERSISTENT_VOLUME, name)


async def test_a_user_made_volume_with_policy_delete_fails_and_stays(cluster: Client, namespace: str) -> None:
    name = f"v-{meta.uid(await cluster.get(kinds.NAMESPACE, namespace))}"
    await cluster.create(kinds.PERSISTENT_VOLUME, volume(name, persistentVolumeReclaimPolicy="Delete"))
    await cluster.create(kinds.PERSISTENT_VOLUME_CLAIM, claim(namespace, storageClassName="", volumeName=name))
    await claim_is(cluster, namespace, "Bound")
    await cluster.delete(kinds.PERSISTENT_VOLUME_CLAIM, "data", namespace=namespace)
    failed = await volume_is(cluster, name, "Failed")
    assert "no deletable volume plugin matched" in failed["status"]["message"]
    await cluster.delete(kinds.PERSISTENT_VOLUME, name)
    await gone(cluster, kinds.PERSISTENT_VOLUME, name)


async def test_a_local_volume_takes_its_pod_to_its_node(cluster: Client, namespace: str) -> None:
    klass = {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": "local"},
        "provisioner": volumes.NO_PROVISIONER,
        "volumeBindingMode": volumes.WAIT_FOR_FIRST_CONSUMER,
    }
    await cluster.create(kinds.STORAGE_CLASS, klass)
    await cluster.create(kinds.PERSISTENT_VOLUME_CLAIM, claim(namespace, storageClassName="local"))
    await cluster.create(kinds.POD, pod(namespace, "data"))

    async def said() -> list[str]:
        selector = "involvedObject.name=web,reason=FailedScheduling"
        listed = await cluster.list(kinds.CORE_EVENT, namespace=namespace, field_selector=selector)
        return [event["message"] for event in listed["items"]]

    assert (await eventually(said))[0] == (
        "0/1 nodes are available: 1 node(s) didn't find available persistent volumes to bind."
    )
    here = {"key": volumes.HOSTNAME_LABEL, "operator": "In", "values": [NODE]}
    affinity = {"required": {"nodeSelectorTerms": [{"matchExpressions": [here]}]}}
    name = f"v-{meta.uid(await cluster.get(kinds.NAMESPACE, namespace))}"
    await cluster.create(kinds.PERSISTENT_VOLUME, volume(name, storageClassName="local", nodeAffinity=affinity))
    assert (await claim_is(cluster, namespace, "Bound"))["spec"]["volumeName"] == name

    async def placed() -> bool:
        return bool((await cluster.get(kinds.POD, "web", namespace=namespace))["spec"].get("nodeName") == NODE)

    await eventually(placed)
    await cluster.delete(kinds.STORAGE_CLASS, "local")


async def test_an_ephemeral_volume_is_claimed_for_its_pod(cluster: Client, namespace: str) -> None:
    body = pod(namespace)
    template = {"spec": claim(namespace)["spec"]}
    body["spec"]["volumes"] = [{"name": "scratch", "ephemeral": {"volumeClaimTemplate": template}}]
    made = await cluster.create(kinds.POD, body)
    bound = await claim_is(cluster, namespace, "Bound", "web-scratch")
    assert bound["metadata"]["ownerReferences"][0]["uid"] == meta.uid(made)


async def test_a_claim_made_before_there_was_a_default_class_gets_it(
    admin: Client, config: ClientConfig, options: Any, namespace: str
) -> None:
    [klass] = addons.storage()
    await admin.create(kinds.PERSISTENT_VOLUME_CLAIM, claim(namespace))
    async with running(config, options, CONTROLLERS):
        await eventually(lambda: reasons(admin, namespace, "data"))
        assert await reasons(admin, namespace, "data") == {"FailedBinding"}
        await admin.create(kinds.STORAGE_CLASS, klass)

        async def classed() -> bool:
            found = await admin.get(kinds.PERSISTENT_VOLUME_CLAIM, "data", namespace=namespace)
            return bool(found["spec"].get("storageClassName") == "standard")

        await eventually(classed)
    await admin.delete(kinds.STORAGE_CLASS, "standard")


async def test_a_node_may_neither_delete_volumes_nor_free_those_of_others(admin: Client, config: ClientConfig) -> None:
    theirs = volume("theirs")
    theirs["metadata"] |= {"labels": {volumes.NODE_LABEL: "n2"}, "finalizers": [volumes.NODE_LOCAL_FINALIZER]}
    await admin.create(kinds.PERSISTENT_VOLUME, theirs)
    async with Client(replace(config, token="node-token"), user_agent="kubelet") as client:
        with pytest.raises(errors.Forbidden):
            await client.delete(kinds.PERSISTENT_VOLUME, "theirs")
        with pytest.raises(errors.Forbidden):
            await client.patch(kinds.PERSISTENT_VOLUME, "theirs", {"metadata": {"finalizers": None}})
        with pytest.raises(errors.Forbidden):
            await client.list(kinds.PERSISTENT_VOLUME)
        selector = f"{volumes.NODE_LABEL}={NODE}"
        own = (await client.list(kinds.PERSISTENT_VOLUME, label_selector=selector))["items"]
        assert "theirs" not in map(meta.name, own)
