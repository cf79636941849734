"""Pods with claims: which nodes do, what is planned, what is said, and how a plan is carried out."""

import asyncio
from typing import Any

import pytest

from apimachinery import meta, volumes
from scheduler import volumes as binding
from scheduler.cluster import Cluster
from scheduler.podinfo import pod_info
from scheduler.volumeplans import plan
from tests.fixtures.volumes import bound_claim, claim, reference, storage_class, volume
from tests.scheduler.test_decision import cluster_of, decided, node
from tests.scheduler.test_decision import pod as plain_pod

JSON = dict[str, Any]


def pod(*claims: str, name: str = "p") -> JSON:
    listed = [{"name": each, "persistentVolumeClaim": {"claimName": each}} for each in claims]
    made: JSON = plain_pod(name, volumes=listed)
    made["metadata"]["namespace"] = "team"
    return made


def world(*objects: JSON, running: Any = ()) -> Cluster:
    """Nodes a and b, the class standard, and the given claims, volumes and classes."""
    cluster = cluster_of(node("a"), node("b"), running=running)
    kept = {
        "PersistentVolumeClaim": cluster.volumes.claims,
        "PersistentVolume": cluster.volumes.volumes,
        "StorageClass": cluster.volumes.classes,
    }
    for each in (storage_class(), *objects):
        kept[each["kind"]][meta.key(each)] = each
    return cluster


MANUAL = storage_class("manual", provisioner=volumes.NO_PROVISIONER)
IMMEDIATE = storage_class("now", mode="Immediate")


def test_a_pod_goes_where_its_volume_is() -> None:
    there = volume("v", node="b", phase="Bound", claimRef=reference("data"))
    cluster = world(bound_claim("data", "v"), there)
    assert decided(cluster, pod("data")).node == "b"
    cluster.set_node(node("b", unschedulable=True))
    assert decided(cluster, pod("data")).message == (
        "0/2 nodes are available: 1 node(s) didn't match PersistentVolume's node affinity, "
        "1 node(s) were unschedulable."
    )


@pytest.mark.parametrize(
    ("objects", "reason"),
    [
        ([], 'persistentvolumeclaim "data" not found'),
        ([claim(klass="now"), IMMEDIATE], "pod has unbound immediate PersistentVolumeClaims"),
        ([claim(klass="")], "pod has unbound immediate PersistentVolumeClaims"),
        (
            [claim(phase="Lost", volumeName="v")],
            'persistentvolumeclaim "data" bound to non-existent persistentvolume "v"',
        ),
        ([claim(klass="manual"), MANUAL], "2 node(s) didn't find available persistent volumes to bind"),
        (
            [bound_claim("data", "v")],
            "2 node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)",
        ),
    ],
)
def test_a_pod_without_a_node_says_what_its_claims_lack(objects: list[JSON], reason: str) -> None:
    assert decided(world(*objects), pod("data")).message == f"0/2 nodes are available: {reason}."


def test_a_free_volume_is_taken_where_a_node_reaches_it() -> None:
    cluster = world(claim(klass="manual"), MANUAL, volume("v", klass="manual", node="b"))
    assert decided(cluster, pod("data")).node == "b"
    found = plan(cluster, pod_info(pod("data")), cluster.index["b"])
    assert found is not None
    assert [meta.name(one) for one, _ in found.reserve] == ["v"]
    assert plan(cluster, pod_info(pod("data")), cluster.index["a"]) is None


def test_a_volume_is_made_where_the_pod_goes_unless_its_node_is_chosen_already() -> None:
    cluster = world(claim())
    found = plan(cluster, pod_info(pod("data")), cluster.index["a"])
    assert found is not None
    assert (found.node, [meta.name(one) for one in found.provision]) == ("a", ["data"])
    again = world(claim(annotations={volumes.SELECTED_NODE: "b"}))
    assert decided(again, pod("data")).node == "b"


def test_a_volume_is_made_only_where_its_class_allows() -> None:
    here = {"matchLabelExpressions": [{"key": volumes.HOSTNAME_LABEL, "values": ["b"]}]}
    klass = {**storage_class("zoned"), "allowedTopologies": [here]}
    cluster = world(klass, claim(klass="zoned"))
    assert decided(cluster, pod("data")).node == "b"
    assert plan(cluster, pod_info(pod("data")), cluster.index["a"]) is None
    cluster.volumes.volumes["v"] = volume("v", klass="zoned", node="a")
    assert plan(cluster, pod_info(pod("data")), cluster.index["a"]) is not None


def test_two_claims_of_one_pod_do_not_share_a_volume() -> None:
    one = [volume("v", klass="manual", node="a"), volume("w", klass="manual", node="b", size="2Gi")]
    claims = [claim("x", klass="manual"), claim("y", klass="manual")]
    assert decided(world(MANUAL, *one, *claims), pod("x", "y")).node is None
    second = volume("u", klass="manual", node="b", size="3Gi")
    assert decided(world(MANUAL, *one, second, *claims), pod("x", "y")).node == "b"


def test_what_is_planned_for_one_claim_is_nobody_elses() -> None:
    only = volume("v", klass="manual")
    cluster = world(MANUAL, only, claim("x", klass="manual"), claim("y", klass="manual"))
    first = plan(cluster, pod_info(pod("x")), cluster.index["a"])
    assert first
    binding.assume(cluster.volumes, first)
    assert decided(cluster, pod("y")).node is None
    binding.give_up(cluster.volumes, first)
    assert decided(cluster, pod("y")).node in ("a", "b")


def test_two_pods_of_one_claim_go_to_one_node() -> None:
    cluster = world(claim())
    first = plan(cluster, pod_info(pod("data")), cluster.index["b"])
    assert first
    binding.assume(cluster.volumes, first)
    assert decided(cluster, pod("data", name="q")).node == "b"
    second = plan(cluster, pod_info(pod("data", name="q")), cluster.index["b"])
    assert second is not None
    assert (second.provision, len(second.await_only)) == ((), 1)


def test_a_claim_of_read_write_once_pod_is_one_pods() -> None:
    one = bound_claim("data", "v", modes=("ReadWriteOncePod",))
    running = [(pod("data", name="r"), "a")]
    cluster = world(one, volume("v", claimRef=reference("data")), running=running)
    assert decided(cluster, pod("data")).message == (
        "0/2 nodes are available: 2 node has pod using PersistentVolumeClaim with the same name and "
        "ReadWriteOncePod access mode."
    )
    cluster.remove_pod("r")
    assert decided(cluster, pod("data")).node is not None


class Writes:
    """A client that notes patches and answers with the next version."""

    def __init__(self) -> None:
        self.patches: list[tuple[str, JSON]] = []
        self.came = asyncio.Event()

    async def patch(self, kind: Any, name: str, body: JSON, **more: Any) -> JSON:
        self.patches.append((name, body))
        self.came.set()
        return {"metadata": {"name": name, "resourceVersion": "5"}}


async def carried_out(cluster: Cluster, then: Any, *, alive: Any = lambda: True) -> Writes:
    """Carry out the plan for a pod of the claim `data`; `then` is done while it waits."""
    client: Any = Writes()
    wanted = plan(cluster, pod_info(pod("data")), cluster.index["a"])
    assert wanted
    binding.assume(cluster.volumes, wanted)
    task = asyncio.create_task(binding.carry_out(client, cluster.volumes, wanted, alive=alive))
    await client.came.wait()
    then(cluster.volumes)
    cluster.volumes.changed.set()
    try:
        await task
    finally:
        binding.give_up(cluster.volumes, wanted)
    return client


async def test_the_node_is_written_to_the_claim_and_its_binding_waited_for() -> None:
    def bind(state: binding.Volumes) -> None:
        state.claims["team/data"] = bound_claim("data", "v")

    client = await carried_out(world(claim()), bind)
    [(name, body)] = client.patches
    assert (name, body["metadata"]["annotations"]) == ("data", {volumes.SELECTED_NODE: "a"})


async def test_a_claim_whose_node_was_taken_back_ends_the_waiting() -> None:
    def reset(state: binding.Volumes) -> None:
        state.claims["team/data"] = claim()
        state.claims["team/data"]["metadata"]["resourceVersion"] = "6"

    with pytest.raises(binding.BindingFailed, match="selectedNode annotation reset"):
        await carried_out(world(claim()), reset)


async def test_a_deleted_pod_or_claim_ends_the_waiting() -> None:
    with pytest.raises(binding.BindingFailed, match="the pod is gone"):
        await carried_out(world(claim()), lambda state: None, alive=lambda: False)
    with pytest.raises(binding.BindingFailed, match="is gone"):
        await carried_out(world(claim()), lambda state: state.claims.clear())
