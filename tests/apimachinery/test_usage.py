"""What objects use of quotas, and which pods a quota is about."""

from __future__ import annotations

from typing import Any

import pytest

from apimachinery import kinds, usage
from apimachinery.kinds import Kind
from apimachinery.meta import JSON


def container(requests: JSON | None = None, limits: JSON | None = None, **fields: Any) -> JSON:
    return {"name": "c", "resources": {"requests": requests or {}, "limits": limits or {}}, **fields}


def texts(kind: Kind, obj: JSON) -> dict[str, str]:
    return {name: usage.text(name, amount) for name, amount in usage.usage(kind, obj).items()}


def test_a_pod_counts_with_what_it_requests_and_may_use() -> None:
    pod = {
        "spec": {
            "containers": [container({"cpu": "100m", "memory": "64Mi"}, {"cpu": "1"}), container({"cpu": "1"})],
            "initContainers": [container({"memory": "1Gi", "example.com/gpu": "2"})],
        }
    }
    assert texts(kinds.POD, pod) == {
        "count/pods": "1",
        "pods": "1",
        "requests.cpu": "1100m",
        "cpu": "1100m",
        "requests.memory": "1Gi",
        "memory": "1Gi",
        "requests.example.com/gpu": "2",
        "limits.cpu": "1",
    }
    assert texts(kinds.POD, {**pod, "status": {"phase": "Failed"}}) == {"count/pods": "1"}


def test_init_containers_run_one_at_a_time_and_sidecars_stay() -> None:
    spec = {"containers": [container({"cpu": "500m"})], "initContainers": [container({"cpu": "2"})]}
    assert usage.pod_amounts(spec, "requests") == {"cpu": 2}
    sidecar = container({"cpu": "1"}, restartPolicy="Always")
    spec = {"containers": [container({"cpu": "500m"})], "initContainers": [sidecar]}
    assert usage.pod_amounts(spec, "requests") == {"cpu": 1.5}
    spec["initContainers"] = [sidecar, container({"cpu": "2"})]
    assert usage.pod_amounts(spec, "requests") == {"cpu": 3}
    spec["overhead"] = {"cpu": "1"}
    assert usage.pod_amounts(spec, "requests") == {"cpu": 4}


def test_what_a_pod_states_as_a_whole_counts_instead_of_its_containers() -> None:
    spec = {
        "containers": [container({"cpu": "500m", "memory": "1Gi"}), container()],
        "resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "3"}},
    }
    assert usage.pod_amounts(spec, "requests") == {"cpu": 2, "memory": 2**30}
    assert usage.pod_amounts(spec, "limits") == {"cpu": 3}
    assert usage.unspecified(spec, ["cpu", "limits.memory"]) == {}


def test_overhead_is_requested_and_raises_only_limits_that_are_set() -> None:
    spec = {"containers": [container({}, {"cpu": "1"})], "overhead": {"cpu": "250m", "memory": "64Mi"}}
    assert usage.pod_amounts(spec, "requests") == {"cpu": 0.25, "memory": 64 * 2**20}
    assert usage.pod_amounts(spec, "limits") == {"cpu": 1.25}


@pytest.mark.parametrize(
    ("kind", "spec", "found"),
    [
        (kinds.SERVICE, {"type": "ClusterIP", "ports": [{}]}, {"count/services": "1", "services": "1"}),
        (
            kinds.SERVICE,
            {"type": "NodePort", "ports": [{}, {}]},
            {"count/services": "1", "services": "1", "services.nodeports": "2"},
        ),
        (
            kinds.SERVICE,
            {"type": "LoadBalancer", "ports": [{}], "allocateLoadBalancerNodePorts": False},
            {"count/services": "1", "services": "1", "services.loadbalancers": "1", "services.nodeports": "0"},
        ),
        (
            kinds.PERSISTENT_VOLUME_CLAIM,
            {"storageClassName": "fast", "resources": {"requests": {"storage": "10Gi"}}},
            {
                "count/persistentvolumeclaims": "1",
                "persistentvolumeclaims": "1",
                "requests.storage": "10Gi",
                "fast.storageclass.storage.k8s.io/requests.storage": "10Gi",
                "fast.storageclass.storage.k8s.io/persistentvolumeclaims": "1",
            },
        ),
        (kinds.DEPLOYMENT, {}, {"count/deployments.apps": "1"}),
        (kinds.CONFIG_MAP, {}, {"count/configmaps": "1", "configmaps": "1"}),
    ],
)
def test_other_kinds(kind: Kind, spec: JSON, found: dict[str, str]) -> None:
    assert texts(kind, {"spec": spec}) == found


def test_names_belong_to_one_kind() -> None:
    hard = [
        "pods",
        "cpu",
        "limits.memory",
        "requests.nvidia.com/gpu",
        "count/pods",
        "services",
        "requests.storage",
        "gold.storageclass.storage.k8s.io/requests.storage",
        "count/deployments.apps",
        "configmaps",
    ]
    assert usage.names_of(kinds.POD, hard) == hard[:5]
    assert usage.names_of(kinds.SERVICE, hard) == ["services"]
    assert usage.names_of(kinds.PERSISTENT_VOLUME_CLAIM, hard) == hard[6:8]
    assert usage.names_of(kinds.DEPLOYMENT, hard) == ["count/deployments.apps"]
    assert usage.names_of(kinds.CONFIG_MAP, hard) == ["configmaps"]


@pytest.mark.parametrize(
    ("quota", "pod", "matches"),
    [
        ({}, {}, True),
        ({"scopes": ["Terminating"]}, {"activeDeadlineSeconds": 5}, True),
        ({"scopes": ["NotTerminating"]}, {"activeDeadlineSeconds": 5}, False),
        ({"scopes": ["BestEffort"]}, {"containers": [container()]}, True),
        ({"scopes": ["BestEffort"]}, {"containers": [container({"cpu": "1"})]}, False),
        ({"scopes": ["NotBestEffort", "NotTerminating"]}, {"containers": [container({"cpu": "1"})]}, True),
        (
            {
                "scopeSelector": {
                    "matchExpressions": [{"scopeName": "PriorityClass", "operator": "In", "values": ["high"]}]
                }
            },
            {"priorityClassName": "high"},
            True,
        ),
        (
            {
                "scopeSelector": {
                    "matchExpressions": [{"scopeName": "PriorityClass", "operator": "NotIn", "values": ["high"]}]
                }
            },
            {"priorityClassName": "high"},
            False,
        ),
        (
            {"scopes": ["CrossNamespacePodAffinity"]},
            {"affinity": {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"namespaces": ["x"]}]}}},
            True,
        ),
        ({"scopes": ["NoSuchScope"]}, {}, False),
    ],
)
def test_scopes(quota: JSON, pod: JSON, matches: bool) -> None:
    assert usage.in_scope({"spec": quota}, kinds.POD, {"spec": pod}) is matches


def test_a_quota_with_scopes_is_about_pods_only() -> None:
    assert not usage.in_scope({"spec": {"scopes": ["BestEffort"]}}, kinds.SERVICE, {"spec": {}})


def test_what_containers_leave_open() -> None:
    spec = {"containers": [container({"cpu": "1"}), {"name": "d"}]}
    assert usage.unspecified(spec, ["cpu", "limits.memory", "pods"]) == {"cpu": ["d"], "limits.memory": ["c", "d"]}
