"""Namespaces, nodes, volumes, classes, budgets, leases, autoscalers."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from apimachinery import kinds
from apimachinery.kinds import Kind
from apiserver.registry.table import strategy_for
from tests.apiserver.registry.objects import changed, made, refused

NAMESPACE = strategy_for(kinds.NAMESPACE)


def test_a_new_namespace_is_active_labelled_and_finalized_by_the_cluster() -> None:
    obj = made(kinds.NAMESPACE, {"metadata": {"name": "team"}})
    assert obj["metadata"]["labels"] == {"kubernetes.io/metadata.name": "team"}
    assert (obj["spec"], obj["status"]) == ({"finalizers": ["kubernetes"]}, {"phase": "Active"})


def test_a_namespace_goes_when_finalize_has_emptied_its_finalizers() -> None:
    obj = made(kinds.NAMESPACE, {"metadata": {"name": "team"}})
    NAMESPACE.mark_deleting(obj)
    assert obj["status"]["phase"] == "Terminating"
    assert NAMESPACE.held(obj)
    emptied = {**copy.deepcopy(obj), "spec": {}}
    by_update, _ = changed(NAMESPACE, obj, emptied)
    assert NAMESPACE.held(by_update)
    by_finalize, _ = changed(NAMESPACE, obj, emptied, "finalize")
    assert not NAMESPACE.held(by_finalize)
    assert by_finalize["status"]["phase"] == "Terminating"


def test_a_namespace_keeps_its_label() -> None:
    obj = made(kinds.NAMESPACE, {"metadata": {"name": "team"}})
    new, _ = changed(NAMESPACE, obj, {"metadata": {"name": "team", "labels": {"a": "b"}}})
    assert new["metadata"]["labels"] == {"a": "b", "kubernetes.io/metadata.name": "team"}


DEFAULTS: list[tuple[Kind, dict[str, Any], dict[str, Any]]] = [
    (kinds.NODE, {"spec": {"podCIDR": "10.1.0.0/24"}},
     {"spec": {"podCIDR": "10.1.0.0/24", "podCIDRs": ["10.1.0.0/24"]}}),
    (kinds.STORAGE_CLASS, {}, {"reclaimPolicy": "Delete", "volumeBindingMode": "Immediate"}),
    (kinds.PRIORITY_CLASS, {"value": 1}, {"preemptionPolicy": "PreemptLowerPriority"}),
    (
        kinds.PERSISTENT_VOLUME,
        {"spec": {"capacity": {"storage": "1024Mi"}, "hostPath": {"path": "/x"}}},
        {
            "spec": {
                "capacity": {"storage": "1Gi"}, "hostPath": {"path": "/x", "type": ""}, "volumeMode": "Filesystem",
                "persistentVolumeReclaimPolicy": "Retain",
            },
            "status": {"phase": "Pending"},
        },
    ),
    (
        kinds.PERSISTENT_VOLUME_CLAIM,
        {"spec": {"resources": {"requests": {"storage": "1024Mi"}}}},
        {"spec": {"resources": {"requests": {"storage": "1Gi"}}, "volumeMode": "Filesystem"}},
    ),
    (kinds.INGRESS_CLASS, {"spec": {"parameters": {}}}, {"spec": {"parameters": {"scope": "Cluster"}}}),
    (
        kinds.HORIZONTAL_POD_AUTOSCALER,
        {"spec": {"maxReplicas": 3}},
        {
            "spec": {
                "maxReplicas": 3, "minReplicas": 1,
                "metrics": [{
                    "type": "Resource",
                    "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}},
                }],
            }
        },
    ),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "body", "wanted"), DEFAULTS)
def test_defaults(kind: Kind, body: dict[str, Any], wanted: dict[str, Any]) -> None:
    found = made(kind, body)
    assert {name: found.get(name) for name in wanted} == wanted


TAINT = {"key": "a", "effect": "NoSchedule"}
CLAIM = {
    "accessModes": ["ReadWriteOnce"],
    "resources": {"requests": {"storage": "1Gi"}},
    "volumeMode": "Filesystem",
}
VOLUME = {
    "accessModes": ["ReadWriteOnce"],
    "capacity": {"storage": "1Gi"},
    "hostPath": {"path": "/a", "type": ""},
}
REFUSED: list[tuple[Kind, dict[str, Any], list[str]]] = [
    (kinds.NODE, {"spec": {"taints": [TAINT]}}, []),
    (
        kinds.NODE,
        {"spec": {"taints": [TAINT, {**TAINT, "value": "x"}]}},
        [
            'metadata.taints[1]: Duplicate value: {"key":"a","effect":"NoSchedule","value":"x"}: taints must be unique '
            "by key and effect pair"
        ],
    ),
    (
        kinds.NODE,
        {"spec": {"taints": [{"key": "a", "effect": "x"}]}},
        [
            'metadata.taints[0].effect: Unsupported value: "x": supported values: "NoSchedule", "PreferNoSchedule", '
            '"NoExecute"'
        ],
    ),
    (
        kinds.PRIORITY_CLASS,
        {"metadata": {"name": "a"}, "value": 2_000_000_000},
        ["value: Forbidden: maximum allowed value of a user defined priority is 1000000000"],
    ),
    (
        kinds.PRIORITY_CLASS,
        {"metadata": {"name": "system-x"}, "value": 1},
        [
            "metadata.name: Forbidden: priority class names with 'system-' prefix are reserved for system use only. "
            "error: system-x is not a known system priority class"
        ],
    ),
    (
        kinds.PERSISTENT_VOLUME_CLAIM,
        {"spec": {}},
        [
            "spec.accessModes: Required value: at least 1 access mode is required",
            "spec.resources[storage]: Required value",
        ],
    ),
    (
        kinds.PERSISTENT_VOLUME,
        {"spec": {**VOLUME, "local": {"path": "/a/../b"}, "persistentVolumeReclaimPolicy": "Burn"}},
        [
            "spec.local: Forbidden: may not specify more than 1 volume type",
            "spec.local.path: Invalid value: \"/a/../b\": must not contain '..'",
            "spec.nodeAffinity: Required value: Local volume requires node affinity",
            'spec.persistentVolumeReclaimPolicy: Unsupported value: "Burn": supported values: "Delete", "Recycle", '
            '"Retain"',
        ],
    ),
    (
        kinds.LEASE,
        {"spec": {"leaseDurationSeconds": 0}},
        ["spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0"],
    ),
    (
        kinds.HORIZONTAL_POD_AUTOSCALER,
        {"spec": {"minReplicas": 3, "maxReplicas": 2, "scaleTargetRef": {"kind": "Deployment", "name": "d"}}},
        ["spec.maxReplicas: Invalid value: 2: must be greater than or equal to `minReplicas`"],
    ),
    (
        kinds.HORIZONTAL_POD_AUTOSCALER,
        {
            "spec": {
                "maxReplicas": 2,
                "scaleTargetRef": {"kind": "Deployment", "name": "d"},
                "metrics": [{"type": "Resource"}],
            }
        },
        ["spec.metrics[0].resource: Required value: must populate information for the given metric source"],
    ),
    (
        kinds.POD_DISRUPTION_BUDGET,
        {"spec": {"maxUnavailable": "120%"}},
        ['spec.maxUnavailable: Invalid value: "120%": must not be greater than 100%'],
    ),
    (
        kinds.POD_DISRUPTION_BUDGET,
        {"spec": {"minAvailable": -1}},
        ["spec.minAvailable: Invalid value: -1: must be greater than or equal to 0"],
    ),
]


@pytest.mark.parametrize(("kind", "body", "wanted"), REFUSED)
def test_refused(kind: Kind, body: dict[str, Any], wanted: list[str]) -> None:
    assert refused(kind, body) == wanted


CIDR = {"podCIDR": "10.1.0.0/24", "podCIDRs": ["10.1.0.0/24"]}
STEPS: list[tuple[Kind, dict[str, Any], dict[str, Any], list[str]]] = [
    (kinds.NODE, {"spec": {}}, {"spec": CIDR}, []),
    (
        kinds.NODE,
        {"spec": CIDR},
        {"spec": {"podCIDR": "10.2.0.0/24", "podCIDRs": ["10.2.0.0/24"]}},
        ['spec.podCIDRs: Forbidden: node updates may not change podCIDR except from "" to valid'],
    ),
    (kinds.PRIORITY_CLASS, {"value": 1}, {"value": 2}, ["value: Forbidden: may not be changed in an update."]),
    (
        kinds.STORAGE_CLASS,
        {"provisioner": "a"},
        {"provisioner": "b"},
        ["provisioner: Forbidden: updates to provisioner are forbidden."],
    ),
    (kinds.PERSISTENT_VOLUME_CLAIM, {"spec": CLAIM}, {"spec": {**CLAIM, "volumeName": "v"}}, []),
    (
        kinds.PERSISTENT_VOLUME_CLAIM,
        {"spec": CLAIM},
        {"spec": {**CLAIM, "accessModes": ["ReadWriteMany"]}},
        [
            "spec: Forbidden: spec is immutable after creation except resources.requests and "
            "volumeAttributesClassName for bound claims"
        ],
    ),
    (
        kinds.PERSISTENT_VOLUME,
        {"spec": VOLUME},
        {"spec": {**VOLUME, "hostPath": {"path": "/b", "type": ""}}},
        ["spec.persistentvolumesource: Forbidden: spec.persistentvolumesource is immutable after creation"],
    ),
]


@pytest.mark.parametrize(("kind", "before", "change", "wanted"), STEPS)
def test_what_never_changes(kind: Kind, before: dict[str, Any], change: dict[str, Any], wanted: list[str]) -> None:
    old = made(kind, before)
    assert changed(strategy_for(kind), old, {**copy.deepcopy(old), **change})[1] == wanted


@pytest.mark.parametrize(("asked", "allowed"), [("2Gi", True), ("1536Mi", True), ("512Mi", False)])
def test_a_claim_never_asks_for_less_than_it_was_given(asked: str, allowed: bool) -> None:
    old = made(kinds.PERSISTENT_VOLUME_CLAIM, {"spec": {**CLAIM, "resources": {"requests": {"storage": "2Gi"}}}})
    old["status"] = {"phase": "Bound", "capacity": {"storage": "1Gi"}}
    new = {**copy.deepcopy(old), "spec": {**old["spec"], "resources": {"requests": {"storage": asked}}}}
    found = changed(strategy_for(kinds.PERSISTENT_VOLUME_CLAIM), old, new)[1]
    message = "spec.resources.requests.storage: Forbidden: field can not be less than status.capacity"
    assert found == ([] if allowed else [message])
