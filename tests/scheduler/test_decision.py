"""Decisions: which node, or why none, over tables of nodes and pods as on the wire."""

import random

import pytest

from scheduler.cluster import Cluster
from scheduler.configuration import ConfigurationError, profiles
from scheduler.decision import Decision, decide
from scheduler.podinfo import effective_requests, pod_info


def node(name, *, cpu="4", memory="8Gi", pods="110", labels=None, taints=(), unschedulable=False):
    return {
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, **(labels or {})}},
        "spec": {"taints": list(taints), "unschedulable": unschedulable},
        "status": {"allocatable": {"cpu": cpu, "memory": memory, "pods": pods}},
    }


def pod(name="p", *, cpu="100m", labels=None, ports=(), **spec):
    container = {
        "name": "c",
        "image": "i",
        "resources": {"requests": {"cpu": cpu}},
        "ports": [{"containerPort": 80, "hostPort": port} for port in ports],
    }
    return {
        "metadata": {"name": name, "namespace": "default", "uid": name, "labels": labels or {}},
        "spec": {"containers": [container], **spec},
    }


def cluster_of(*nodes, running=()):
    cluster = Cluster()
    for one in nodes:
        cluster.set_node(one)
    for one, where in running:
        cluster.add_pod(pod_info(one), where)
    return cluster


def decided(cluster, wanted, *, profile=None) -> Decision:
    made = profiles([profile or {}])
    return decide(cluster, pod_info(wanted), next(iter(made.values())), random.Random(1))


GPU = {"key": "gpu", "value": "yes", "effect": "NoSchedule"}
ZONED = [node("a", labels={"zone": "1"}), node("b", labels={"zone": "2"})]


@pytest.mark.parametrize(
    ("nodes", "wanted", "expected"),
    [
        ([node("a"), node("b", unschedulable=True)], pod(), "a"),
        ([node("a", taints=[GPU]), node("b")], pod(), "b"),
        ([node("a", cpu="1"), node("b")], pod(cpu="2"), "b"),
        (ZONED, pod(nodeSelector={"zone": "2"}), "b"),
        (
            [node("a", taints=[GPU])],
            pod(tolerations=[{"key": "gpu", "operator": "Exists"}]),
            "a",
        ),
    ],
)
def test_a_filter_leaves_the_node_that_fits(nodes, wanted, expected):
    assert decided(cluster_of(*nodes), wanted).node == expected


@pytest.mark.parametrize(
    ("operator", "values", "expected"),
    [("In", ["1"], "a"), ("NotIn", ["1"], "b"), ("Exists", [], "a"), ("DoesNotExist", [], "b"), ("Gt", ["0"], "a")],
)
def test_required_node_affinity_operators(operator, values, expected):
    cluster = cluster_of(node("a", labels={"rack": "1"}), node("b"))
    term = {"matchExpressions": [{"key": "rack", "operator": operator, "values": values}]}
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}}
    assert decided(cluster, pod(affinity=affinity)).node == expected


def test_reasons_count_each_node_once_and_are_sorted():
    cluster = cluster_of(node("a", cpu="1"), node("b", taints=[GPU]), node("c", unschedulable=True))
    decision = decided(cluster, pod(cpu="2"))
    assert decision.node is None
    assert decision.message == (
        "0/3 nodes are available: 1 Insufficient cpu, 1 node(s) had untolerated taint(s), 1 node(s) were unschedulable."
    )
    assert decision.refused_by == {"NodeResourcesFit", "TaintToleration", "NodeUnschedulable"}


def test_without_nodes_the_message_says_so():
    assert decided(Cluster(), pod()).message == "no nodes available to schedule pods"


def test_bins_are_packed_by_default_and_spread_by_configuration():
    running = [(pod("r", cpu="1"), "a")]
    cluster = cluster_of(node("a"), node("b"), running=running)
    spreading = {
        "pluginConfig": [{"name": "NodeResourcesFit", "args": {"scoringStrategy": {"type": "LeastAllocated"}}}]
    }
    assert decided(cluster, pod()).node == "a"
    assert decided(cluster, pod(), profile=spreading).node == "b"


def test_a_taken_host_port_refuses_the_node():
    cluster = cluster_of(node("a"), running=[(pod("r", ports=[80]), "a")])
    assert "1 node(s) didn't have free ports" in decided(cluster, pod(ports=[80])).message
    assert decided(cluster, pod(ports=[81])).node == "a"


def test_anti_affinity_holds_for_the_incoming_and_for_running_pods():
    term = {"labelSelector": {"matchLabels": {"app": "db"}}, "topologyKey": "kubernetes.io/hostname"}
    anti = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
    running = [(pod("r", labels={"app": "db"}, affinity=anti), "a")]
    cluster = cluster_of(node("a"), node("b"), running=running)
    assert decided(cluster, pod(labels={"app": "db"}, affinity=anti)).node == "b"
    assert decided(cluster, pod(labels={"app": "db"})).node == "b"
    assert decided(cluster, pod(labels={"app": "web"})).node == "a"


def test_affinity_lets_the_first_of_its_group_in():
    term = {"labelSelector": {"matchLabels": {"app": "db"}}, "topologyKey": "zone"}
    near = {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
    assert decided(cluster_of(*ZONED), pod(labels={"app": "db"}, affinity=near)).node in ("a", "b")
    assert decided(cluster_of(*ZONED), pod(labels={"app": "web"}, affinity=near)).node is None
    there = cluster_of(*ZONED, running=[(pod("r", labels={"app": "db"}), "b")])
    assert decided(there, pod(labels={"app": "web"}, affinity=near)).node == "b"


def test_topology_spread_keeps_the_skew():
    constraint = {
        "maxSkew": 1,
        "topologyKey": "zone",
        "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"app": "web"}},
    }
    cluster = cluster_of(*ZONED, running=[(pod("r", labels={"app": "web"}), "a")])
    wanted = pod(labels={"app": "web"}, topologySpreadConstraints=[constraint])
    assert decided(cluster, wanted).node == "b"


def test_a_row_is_reused_and_room_given_back():
    cluster = cluster_of(node("a", cpu="1"), running=[(pod("r", cpu="1"), "a")])
    assert decided(cluster, pod()).node is None
    cluster.remove_pod("r")
    assert decided(cluster, pod()).node == "a"
    cluster.remove_node("a")
    cluster.set_node(node("b"))
    assert decided(cluster, pod()).node == "b"
    assert cluster.node_count == 1


def test_init_containers_and_sidecars_count_as_they_run():
    def container(cpu, **more):
        return {"resources": {"requests": {"cpu": cpu}}, **more}

    spec = {
        "containers": [container("1")],
        "initContainers": [container("500m", restartPolicy="Always"), container("3")],
        "overhead": {"cpu": "100m"},
    }
    assert effective_requests(spec) == {"cpu": 3600}


def test_configuration_names_every_problem():
    wrong = {
        "plugins": {"filter": {"enabled": [{"name": "Nope"}]}},
        "pluginConfig": [{"name": "NodeResourcesFit", "args": {"scoringStrategy": {"type": "Odd"}}}],
    }
    with pytest.raises(ConfigurationError, match=r"Odd.*Nope"):
        profiles([wrong])


def test_nodes_that_hold_the_image_are_preferred_until_they_drop_it():
    holder = node("b")
    holder["status"]["images"] = [{"names": ["i"], "sizeBytes": 900 * 1024 * 1024}]
    cluster = cluster_of(node("a"), holder)
    assert decided(cluster, pod()).node == "b"
    cluster.set_node(node("b"))
    assert cluster.images == {}


def test_pods_of_one_controller_share_what_is_equal():
    template = {"tolerations": [GPU], "affinity": {"podAffinity": {}}, "labels": {"app": "web"}}
    one, other = (pod_info(pod(name, nodeName=node, **template)) for name, node in (("p", ""), ("q", "b")))
    assert (one.key, one.node, other.key, other.node) == ("default/p", "", "default/q", "b")
    for field in ("labels", "requests", "tolerations", "affinity", "signature", "class_key"):
        assert getattr(one, field) is getattr(other, field)


def test_a_pod_confirmed_where_it_was_assumed_is_counted_once():
    cluster = cluster_of(node("a"), running=[(pod("p", cpu="3"), "a")])
    cluster.add_pod(pod_info(pod("p", cpu="3", nodeName="a")), "a")
    assert cluster.pods["p"].node == "a"
    assert decided(cluster, pod(cpu="1")).node == "a"
    cluster.add_pod(pod_info(pod("p", cpu="4", nodeName="a")), "a")  # resized
    assert decided(cluster, pod(cpu="1")).node is None
