"""Which controllers run, and what the flags become."""

import pytest

from controllers import manager, podgc
from controllers.__main__ import options, parser
from controllers.namespace import Remains, conditions


@pytest.mark.parametrize(
    ("selection", "inside", "outside"),
    [
        (["*"], "garbage-collector-controller", None),
        (["*", "-garbagecollector"], "namespace-controller", "garbage-collector-controller"),
        (["deployment", "replicaset-controller"], "replicaset-controller", "namespace-controller"),
    ],
)
def test_selection(selection, inside, outside):
    names = manager.chosen(selection)
    assert inside in names
    assert outside not in names


def test_an_unknown_controller_is_an_error():
    with pytest.raises(ValueError, match="unknown controllers: nonsense"):
        manager.chosen(["*", "-nonsense"])


def test_every_alias_leads_somewhere():
    assert set(manager.ALIASES.values()) <= manager.CONTROLLERS.keys()


def test_flags_become_options():
    parsed = parser().parse_args(
        ["--cluster-cidr=10.9.0.0/16", "--node-monitor-grace-period=1m", "--allocate-node-cidrs=false",
         "--concurrent-deployment-syncs=9", "--concurrent-service-endpoint-syncs=3", "--leader-elect"]
    )  # fmt: skip
    made = options(parsed)
    assert (made.cluster_cidr, made.node_monitor_grace_period, made.allocate_node_cidrs) == ("10.9.0.0/16", 60, False)
    assert made.workers == {"deployment": 9, "endpoint_slice": 3}


def test_a_namespace_says_what_is_left():
    remains = Remains({"pods.": 2}, {"example.com/hold": 2}, [])
    said = {type_: (status, message) for type_, status, _, message in conditions(remains)}
    assert said["NamespaceContentRemaining"] == (
        "True",
        "Some resources are remaining: pods. has 2 resource instances",
    )
    assert said["NamespaceFinalizersRemaining"][0] == "True"
    assert said["NamespaceDeletionContentFailure"][0] == "False"


def pod(name, *, phase="Running", node="n1", deleting=False):
    metadata = {"name": name, "creationTimestamp": f"2026-01-01T00:00:0{name[-1]}Z"}
    if deleting:
        metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    return {"metadata": metadata, "spec": {"nodeName": node} if node else {}, "status": {"phase": phase}}


def test_pods_to_collect():
    finished = [pod(f"p{number}", phase="Succeeded") for number in (3, 1, 2)]
    assert [each["metadata"]["name"] for each in podgc.surplus_finished(finished, 1)] == ["p1", "p2"]
    assert podgc.surplus_finished(finished, 0) == []
    unplaced = pod("p4", node="", deleting=True)
    assert podgc.unscheduled_deleting([unplaced, pod("p5", deleting=True), pod("p6", node="")]) == [unplaced]
    dead = {"metadata": {"name": "n1"}, "spec": {"taints": [{"key": podgc.OUT_OF_SERVICE, "effect": "NoExecute"}]}}
    assert podgc.on_dead_nodes([pod("p7", deleting=True), pod("p8")], {"n1": dead}) == [pod("p7", deleting=True)]
