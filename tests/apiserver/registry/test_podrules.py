"""What is refused in a pod's spec, and in which words."""

from __future__ import annotations

from typing import Any

import pytest

from apiserver.registry import podrules, podspec

LABEL = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end "
    "with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)


def faults(spec: dict[str, Any]) -> list[str]:
    podspec.default_pod(spec)
    return [fault.message() for fault in podrules.faults(spec, "spec")]


def container(**more: Any) -> dict[str, Any]:
    return {"name": "c", "image": "nginx", **more}


C = "spec.containers[0]"
S = "spec.securityContext"
CONTAINERS: list[tuple[dict[str, Any], list[str]]] = [
    (container(), []),
    ({"image": "nginx"}, [f"{C}.name: Required value"]),
    (container(name="A_b"), [f'{C}.name: Invalid value: "A_b": {LABEL}']),
    ({"name": "c"}, [f"{C}.image: Required value"]),
    (
        container(image=" x"),
        [f'{C}.image: Invalid value: " x": must not have leading or trailing whitespace'],
    ),
    (
        container(imagePullPolicy="Often"),
        [f'{C}.imagePullPolicy: Unsupported value: "Often": supported values: "Always", "IfNotPresent", "Never"'],
    ),
    (
        container(ports=[{"containerPort": 70000}]),
        [f"{C}.ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive"],
    ),
    (container(ports=[{"name": "a"}]), [f"{C}.ports[0].containerPort: Required value"]),
    (
        container(ports=[{"containerPort": 1, "name": "a"}, {"containerPort": 2, "name": "a"}]),
        [f'{C}.ports[1].name: Duplicate value: "a"'],
    ),
    (
        container(ports=[{"containerPort": 1, "protocol": "XX"}]),
        [f'{C}.ports[0].protocol: Unsupported value: "XX": supported values: "SCTP", "TCP", "UDP"'],
    ),
    (
        container(volumeMounts=[{"name": "gone", "mountPath": "/x"}]),
        [f'{C}.volumeMounts[0].name: Not found: "gone"'],
    ),
    (
        container(resources={"requests": {"cpu": "200m"}, "limits": {"cpu": "100m"}}),
        [f'{C}.resources.requests: Invalid value: "200m": must be less than or equal to cpu limit of 100m'],
    ),
    (
        container(resources={"requests": {"memory": "-1"}}),
        [f'{C}.resources.requests[memory]: Invalid value: "-1": must be greater than or equal to 0'],
    ),
    (
        container(livenessProbe={"periodSeconds": 1}),
        [f"{C}.livenessProbe: Required value: must specify a handler type"],
    ),
    (
        container(livenessProbe={"exec": {"command": ["x"]}, "successThreshold": 2}),
        [f"{C}.livenessProbe.successThreshold: Invalid value: 2: must be 1"],
    ),
    (container(readinessProbe={"exec": {"command": ["x"]}, "successThreshold": 2}), []),
    (container(env=[{"value": "a"}]), [f"{C}.env[0].name: Required value"]),
    (
        container(env=[{"name": "A", "value": "x", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]),
        [f'{C}.env[0].valueFrom: Invalid value: "": may not be specified when `value` is not empty'],
    ),
]


@pytest.mark.parametrize(("one", "wanted"), CONTAINERS)
def test_containers(one: dict[str, Any], wanted: list[str]) -> None:
    assert faults({"containers": [one]}) == wanted


I = "spec.initContainers[0]"  # noqa: E741
SPECS: list[tuple[dict[str, Any], list[str]]] = [
    ({"containers": []}, ["spec.containers: Required value"]),
    (
        {"restartPolicy": "Sometimes"},
        ['spec.restartPolicy: Unsupported value: "Sometimes": supported values: "Always", "OnFailure", "Never"'],
    ),
    (
        {"initContainers": [container()]},
        ['spec.initContainers[0].name: Duplicate value: "c"'],
    ),
    (
        {"initContainers": [container(name="i", livenessProbe={"exec": {"command": ["x"]}})]},
        [f"{I}.livenessProbe: Forbidden: may not be set for init containers without restartPolicy=Always"],
    ),
    (
        {"initContainers": [container(name="i", restartPolicy="Always", livenessProbe={"exec": {"command": ["x"]}})]},
        [],
    ),
    (
        {"hostNetwork": True, "containers": [container(ports=[{"containerPort": 80, "hostPort": 81}])]},
        [f"{C}.ports[0].containerPort: Invalid value: 80: must match `hostPort` when `hostNetwork` is true"],
    ),
    ({"volumes": [{"name": "v"}, {"name": "v"}]}, ['spec.volumes[1].name: Duplicate value: "v"']),
    (
        {"volumes": [{"name": "v", "emptyDir": {}, "hostPath": {"path": "/x"}}]},
        ["spec.volumes[0].hostPath: Forbidden: may not specify more than 1 volume type"],
    ),
    ({"volumes": [{"name": "v", "secret": {}}]}, ["spec.volumes[0].secret.secretName: Required value"]),
    (
        {"activeDeadlineSeconds": 0},
        ["spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive"],
    ),
    ({"dnsPolicy": "None"}, ["spec.dnsConfig: Required value: must provide `dnsConfig` when `dnsPolicy` is None"]),
    (
        {"securityContext": {"supplementalGroups": [1, -1], "sysctls": [{"name": "a.b"}, {"name": "a.b"}]}},
        [
            f"{S}.supplementalGroups[1]: Invalid value: -1: must be between 0 and 2147483647, inclusive",
            f'{S}.sysctls[1].name: Duplicate value: "a.b"',
        ],
    ),
    ({"securityContext": {"seccompProfile": {"type": "RuntimeDefault"}, "sysctls": [{"name": "net/a.b_c"}]}}, []),
    (
        {"securityContext": {"seccompProfile": {"type": "Localhost", "localhostProfile": "../x"}}},
        [f"""{S}.seccompProfile.localhostProfile: Invalid value: "../x": must not contain '..'"""],
    ),
    (
        {"securityContext": {"seccompProfile": {"type": "Localhost"}}},
        [f"{S}.seccompProfile.localhostProfile: Required value: must be set when seccomp type is Localhost"],
    ),
    (
        {"securityContext": {"appArmorProfile": {"type": "Unconfined", "localhostProfile": "p"}}},
        [f'{S}.appArmorProfile.localhostProfile: Invalid value: "p": can only be set when AppArmor type is Localhost'],
    ),
    (
        {"containers": [container(securityContext={"seccompProfile": {"type": "None"}})]},
        [
            f'{C}.securityContext.seccompProfile.type: Unsupported value: "None": '
            'supported values: "Localhost", "RuntimeDefault", "Unconfined"'
        ],
    ),
    ({"hostname": "A"}, [f'spec.hostname: Invalid value: "A": {LABEL}']),
]


@pytest.mark.parametrize(("more", "wanted"), SPECS)
def test_specs(more: dict[str, Any], wanted: list[str]) -> None:
    assert faults({"containers": [container()], **more}) == wanted


def test_every_fault_is_told_at_once() -> None:
    found = faults({"containers": [{"name": "A"}, {"image": "x"}], "restartPolicy": "x", "dnsPolicy": "y"})
    assert [text.partition(":")[0] for text in found] == [
        "spec.containers[0].name", "spec.containers[0].image", "spec.containers[1].name", "spec.restartPolicy",
        "spec.dnsPolicy",
    ]  # fmt: skip
