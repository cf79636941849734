"""Defaults of pods and their templates."""

from __future__ import annotations

import copy

import pytest

from apiserver.registry import podspec


def container(**more: object) -> dict:
    return {"name": "c", "image": "nginx:1", **more}


@pytest.mark.parametrize(
    ("image", "policy"),
    [
        ("nginx", "Always"),
        ("nginx:latest", "Always"),
        ("nginx:1.27", "IfNotPresent"),
        ("registry.example:5000/nginx", "Always"),
        ("registry.example:5000/nginx:1", "IfNotPresent"),
        ("nginx@sha256:" + "a" * 64, "IfNotPresent"),
        ("", "Always"),
    ],
)
def test_pull_policy_follows_from_the_tag(image: str, policy: str) -> None:
    assert podspec.pull_policy(image) == policy


def test_a_bare_pod_gets_every_default() -> None:
    spec = {"containers": [container()]}
    podspec.default_pod(spec)
    assert spec == {
        "containers": [
            {
                "name": "c",
                "image": "nginx:1",
                "imagePullPolicy": "IfNotPresent",
                "terminationMessagePath": "/dev/termination-log",
                "terminationMessagePolicy": "File",
                "resources": {},
            }
        ],
        "restartPolicy": "Always",
        "terminationGracePeriodSeconds": 30,
        "dnsPolicy": "ClusterFirst",
        "schedulerName": "default-scheduler",
        "securityContext": {},
        "enableServiceLinks": True,
    }


def test_defaults_are_idempotent() -> None:
    spec = {
        "containers": [
            container(
                ports=[{"containerPort": 80}],
                livenessProbe={"httpGet": {"port": 80}},
                resources={"limits": {"cpu": "0.5"}},
                env=[{"name": "A", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}}],
            )
        ],
        "hostNetwork": True,
        "volumes": [{"name": "v"}, {"name": "s", "secret": {"secretName": "s"}}],
    }
    podspec.default_pod(spec)
    once = copy.deepcopy(spec)
    podspec.default_pod(spec)
    assert spec == once


def test_requests_follow_limits_in_pods_only() -> None:
    limited = {"limits": {"cpu": "1000m", "memory": "64Mi"}, "requests": {"cpu": "0.5"}}
    pod, template = ({"containers": [container(resources=copy.deepcopy(limited))]} for _ in range(2))
    podspec.default_pod(pod)
    podspec.default_spec(template)
    assert pod["containers"][0]["resources"]["requests"] == {"cpu": "500m", "memory": "64Mi"}
    assert template["containers"][0]["resources"] == {
        "limits": {"cpu": "1", "memory": "64Mi"},
        "requests": {"cpu": "500m"},
    }


def test_host_ports_follow_the_host_network_in_pods_only() -> None:
    pod, template = ({"hostNetwork": True, "containers": [container(ports=[{"containerPort": 80}])]} for _ in range(2))
    podspec.default_pod(pod)
    podspec.default_spec(template)
    assert pod["containers"][0]["ports"] == [{"containerPort": 80, "protocol": "TCP", "hostPort": 80}]
    assert template["containers"][0]["ports"] == [{"containerPort": 80, "protocol": "TCP"}]


@pytest.mark.parametrize(
    ("volume", "wanted"),
    [
        ({}, {"emptyDir": {}}),
        ({"emptyDir": {"sizeLimit": "1024Mi"}}, {"emptyDir": {"sizeLimit": "1Gi"}}),
        ({"secret": {"secretName": "s"}}, {"secret": {"secretName": "s", "defaultMode": 420}}),
        ({"configMap": {"name": "s", "defaultMode": 0}}, {"configMap": {"name": "s", "defaultMode": 0}}),
        ({"hostPath": {"path": "/x"}}, {"hostPath": {"path": "/x", "type": ""}}),
        (
            {"projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}},
            {
                "projected": {
                    "defaultMode": 420,
                    "sources": [{"serviceAccountToken": {"path": "t", "expirationSeconds": 3600}}],
                }
            },
        ),
        (
            {"downwardAPI": {"items": [{"path": "l", "fieldRef": {"fieldPath": "metadata.labels"}}]}},
            {
                "downwardAPI": {
                    "defaultMode": 420,
                    "items": [{"path": "l", "fieldRef": {"fieldPath": "metadata.labels", "apiVersion": "v1"}}],
                }
            },
        ),
    ],
)
def test_volumes(volume: dict, wanted: dict) -> None:
    spec = {"containers": [], "volumes": [{"name": "v", **copy.deepcopy(volume)}]}
    podspec.default_spec(spec)
    assert spec["volumes"] == [{"name": "v", **wanted}]


def test_probes_and_hooks() -> None:
    spec = {
        "containers": [
            container(
                readinessProbe={"httpGet": {"port": 80}, "periodSeconds": 2},
                startupProbe={"grpc": {"port": 1}},
                lifecycle={"preStop": {"httpGet": {"port": 80, "path": "/bye"}}},
            )
        ]
    }
    podspec.default_spec(spec)
    found = spec["containers"][0]
    timing = {"timeoutSeconds": 1, "successThreshold": 1, "failureThreshold": 3}
    http = {"port": 80, "path": "/", "scheme": "HTTP"}
    assert found["readinessProbe"] == {"httpGet": http, "periodSeconds": 2, **timing}
    assert found["startupProbe"] == {"grpc": {"port": 1, "service": ""}, "periodSeconds": 10, **timing}
    assert found["lifecycle"]["preStop"]["httpGet"] == {"port": 80, "path": "/bye", "scheme": "HTTP"}


@pytest.mark.parametrize("name", ["serviceAccount", "serviceAccountName"])
def test_both_names_of_the_service_account_are_kept_equal(name: str) -> None:
    spec = {"containers": [], name: "robot"}
    podspec.default_spec(spec)
    assert (spec["serviceAccount"], spec["serviceAccountName"]) == ("robot", "robot")
