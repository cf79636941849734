"""Pods as the store keeps them: their QoS class, what an update may change, how long they are given to go."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from apimachinery import kinds
from apiserver.registry import pods
from apiserver.registry.table import strategy_for
from tests.apiserver.registry.objects import NOW, changed, made, pod_spec

STRATEGY = strategy_for(kinds.POD)


def pod(**more: Any) -> dict[str, Any]:
    return made(kinds.POD, {"spec": pod_spec(**more)})


def resources(requests: dict[str, str] | None = None, limits: dict[str, str] | None = None) -> dict[str, Any]:
    return {"containers": [{"name": "c", "resources": {"requests": requests or {}, "limits": limits or {}}}]}


@pytest.mark.parametrize(
    ("spec", "wanted"),
    [
        (pod_spec(), "BestEffort"),
        (resources({"cpu": "1"}), "Burstable"),
        (resources({"cpu": "1", "memory": "1Gi"}, {"cpu": "1", "memory": "1Gi"}), "Guaranteed"),
        (resources({"cpu": "1000m", "memory": "1Gi"}, {"cpu": "1", "memory": "1024Mi"}), "Guaranteed"),
        (resources({"cpu": "500m", "memory": "1Gi"}, {"cpu": "1", "memory": "1Gi"}), "Burstable"),
        (resources({}, {"cpu": "1"}), "Burstable"),
        (resources({"example.com/gpu": "1"}), "BestEffort"),
    ],
)
def test_qos_class(spec: dict[str, Any], wanted: str) -> None:
    assert pods.qos_class(spec) == wanted


def test_a_new_pod_is_pending_whatever_the_client_says() -> None:
    obj = made(kinds.POD, {"spec": pod_spec(), "status": {"phase": "Running"}})
    assert obj["status"] == {"phase": "Pending", "qosClass": "BestEffort"}


def test_a_gated_pod_says_so() -> None:
    obj = pod(schedulingGates=[{"name": "example.com/wait"}])
    assert obj["status"]["conditions"] == [
        {
            "type": "PodScheduled",
            "status": "False",
            "reason": "SchedulingGated",
            "message": "Scheduling is blocked due to non-empty scheduling gates",
            "lastTransitionTime": NOW,
        }
    ]


TOLERATION = {"key": "a", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 10}
UPDATES: list[tuple[dict[str, Any], dict[str, Any], list[str]]] = [
    ({}, {"containers": [{"name": "c", "image": "nginx:2"}]}, []),
    ({}, {"restartPolicy": "Never"}, ["spec"]),
    ({}, {"nodeName": "n"}, ["spec"]),
    ({}, {"terminationGracePeriodSeconds": 5}, ["spec"]),
    ({}, {"activeDeadlineSeconds": 5}, []),
    ({"activeDeadlineSeconds": 5}, {"activeDeadlineSeconds": 4}, []),
    ({"activeDeadlineSeconds": 5}, {"activeDeadlineSeconds": 6}, ["spec.activeDeadlineSeconds"]),
    ({"activeDeadlineSeconds": 5}, {"activeDeadlineSeconds": None}, ["spec.activeDeadlineSeconds"]),
    ({}, {"tolerations": [TOLERATION]}, []),
    ({"tolerations": [TOLERATION]}, {"tolerations": [{**TOLERATION, "tolerationSeconds": 99}]}, []),
    ({"tolerations": [TOLERATION]}, {"tolerations": []}, ["spec.tolerations"]),
    ({"schedulingGates": [{"name": "a"}]}, {"schedulingGates": []}, []),
    ({"schedulingGates": [{"name": "a"}]}, {"nodeSelector": {"a": "b"}}, []),
    ({}, {"schedulingGates": [{"name": "a"}]}, ["spec.schedulingGates"]),
    ({}, {"nodeSelector": {"a": "b"}}, ["spec"]),
]


@pytest.mark.parametrize(("before", "after", "refused"), UPDATES)
def test_what_an_update_may_change(before: dict[str, Any], after: dict[str, Any], refused: list[str]) -> None:
    old = pod(**before)
    new = copy.deepcopy(old)
    new["spec"] |= after
    _, found = changed(STRATEGY, old, new)
    assert [text.partition(":")[0] for text in found] == refused


def test_an_update_leaves_the_status_alone_and_a_status_update_the_spec() -> None:
    old = pod()
    new = copy.deepcopy(old)
    new["status"], new["spec"]["restartPolicy"] = {"phase": "Running", "podIP": "10.0.0.1"}, "Never"
    stored, _ = changed(STRATEGY, old, new)
    assert stored["status"] == old["status"]
    stored, faults = changed(STRATEGY, old, new, "status")
    assert (stored["spec"], faults) == (old["spec"], [])
    assert stored["status"] == {
        "qosClass": "BestEffort", "phase": "Running", "podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.1"}],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("spec", "phase", "requested", "wanted"),
    [
        ({"nodeName": "n"}, "Running", None, 30),
        ({"nodeName": "n"}, "Running", 5, 5),
        ({"nodeName": "n"}, "Running", 0, 0),
        ({"nodeName": "n", "terminationGracePeriodSeconds": 7}, "Pending", None, 7),
        ({}, "Pending", None, 0),
        ({"nodeName": "n"}, "Succeeded", None, 0),
        ({"nodeName": "n"}, "Failed", 10, 0),
    ],
)
def test_grace_of_a_deletion(spec: dict[str, Any], phase: str, requested: int | None, wanted: int) -> None:
    obj = pod(**spec)
    obj["status"]["phase"] = phase
    assert STRATEGY.deletion_grace(obj, requested) == wanted


def test_a_bound_pod_has_its_node_and_its_condition() -> None:
    old = pod()
    kept = copy.deepcopy(old)
    new = pods.bound(old, "n1", {"a": "b"}, {})
    assert new["spec"]["nodeName"] == "n1"
    assert new["metadata"]["annotations"] == {"a": "b"}
    assert [(c["type"], c["status"]) for c in new["status"]["conditions"]] == [("PodScheduled", "True")]
    assert old == kept


def test_ephemeral_containers_are_only_added() -> None:
    old = pod()
    new = copy.deepcopy(old)
    new["spec"]["ephemeralContainers"] = [{"name": "debug", "image": "busybox"}]
    stored, faults = changed(STRATEGY, old, new, "ephemeralcontainers")
    assert faults == []
    _, faults = changed(STRATEGY, stored, old, "ephemeralcontainers")
    assert faults == [
        "spec.ephemeralContainers: Forbidden: existing ephemeral containers may not be changed or removed"
    ]


def test_a_resize_changes_resources_only() -> None:
    old = pod()
    new = copy.deepcopy(old)
    new["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "1"}}
    assert changed(STRATEGY, old, new, "resize")[1] == []
    new["spec"]["containers"][0]["image"] = "other"
    assert changed(STRATEGY, old, new, "resize")[1] == ["spec: Forbidden: only cpu and memory resources are mutable"]
