"""Variables: expansion, references, Services."""

import base64
from typing import Any

import pytest

from kubelet import environment
from kubelet.environment import ConfigError, Sources
from tests.kubelet.objects import pod

CONFIG = {"metadata": {"name": "cm"}, "data": {"a": "1", "b": "2"}}
SECRET = {"metadata": {"name": "s"}, "data": {"pw": base64.b64encode(b"geheim").decode()}}


def sources(**changes: Any) -> Sources:
    values: dict[str, Any] = {
        "config_map": {"cm": CONFIG}.get,
        "secret": {"s": SECRET}.get,
        "services": (),
        "pod_ips": ("10.244.1.5",),
        "host_ips": ("172.30.0.3",),
        "node_allocatable": {"cpu": "4", "memory": "8Gi"},
    }
    return Sources(**{**values, **changes})


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("$(A)", "1"),
        ("x$(A)y$(B)", "x1y"),
        ("$$(A)", "$(A)"),
        ("$$$(A)", "$1"),
        ("$(MISSING)", "$(MISSING)"),
        ("$(A", "$(A"),
        ("$A $", "$A $"),
    ],
)
def test_expansion(text: str, result: str) -> None:
    assert environment.expand(text, {"A": "1", "B": ""}) == result


def build(container: dict[str, Any], **changes: Any) -> dict[str, str]:
    subject = pod(container, enableServiceLinks=False, serviceAccountName="robot")
    subject["metadata"]["labels"] = {"app": "web"}
    return environment.build(subject, subject["spec"]["containers"][0], sources(**changes))


def test_values_see_the_variables_before_them() -> None:
    env = [{"name": "A", "value": "1"}, {"name": "B", "value": "$(A)-$(C)"}, {"name": "C", "value": "3"}]
    assert build({"name": "c", "env": env}) == {"A": "1", "B": "1-$(C)", "C": "3"}


def test_env_wins_over_env_from() -> None:
    container = {
        "name": "c",
        "envFrom": [{"configMapRef": {"name": "cm"}, "prefix": "P_"}, {"secretRef": {"name": "s"}}],
        "env": [{"name": "P_a", "value": "own"}],
    }
    assert build(container) == {"P_a": "own", "P_b": "2", "pw": "geheim"}


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ({"fieldRef": {"fieldPath": "metadata.name"}}, "web"),
        ({"fieldRef": {"fieldPath": "metadata.labels['app']"}}, "web"),
        ({"fieldRef": {"fieldPath": "spec.serviceAccountName"}}, "robot"),
        ({"fieldRef": {"fieldPath": "status.podIP"}}, "10.244.1.5"),
        ({"fieldRef": {"fieldPath": "status.hostIP"}}, "172.30.0.3"),
        ({"configMapKeyRef": {"name": "cm", "key": "a"}}, "1"),
        ({"secretKeyRef": {"name": "s", "key": "pw"}}, "geheim"),
        ({"resourceFieldRef": {"resource": "limits.cpu"}}, "1"),
        ({"resourceFieldRef": {"resource": "requests.cpu", "divisor": "1m"}}, "250"),
        ({"resourceFieldRef": {"resource": "limits.memory", "divisor": "1Mi"}}, "8192"),
    ],
)
def test_references(source: dict[str, Any], value: str) -> None:
    resources = {"requests": {"cpu": "250m"}, "limits": {"cpu": "500m"}}
    assert build({"name": "c", "resources": resources, "env": [{"name": "V", "valueFrom": source}]}) == {"V": value}


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"configMapKeyRef": {"name": "no", "key": "a"}}, 'configmap "no" not found'),
        ({"configMapKeyRef": {"name": "cm", "key": "x"}}, "couldn't find key x in ConfigMap shop/cm"),
        ({"secretKeyRef": {"name": "no", "key": "a"}}, 'secret "no" not found'),
    ],
)
def test_missing_references_say_what_is_missing(source: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build({"name": "c", "env": [{"name": "V", "valueFrom": source}]})
    field = next(iter(source))
    optional = {field: {**source[field], "optional": True}}
    assert build({"name": "c", "env": [{"name": "V", "valueFrom": optional}]}) == {}


def test_services_of_the_namespace_and_always_the_api_servers() -> None:
    services = [
        {"metadata": {"namespace": "default", "name": "kubernetes"}, "spec": {"clusterIP": "10.96.0.1", "ports": [
            {"name": "https", "port": 443, "protocol": "TCP"}]}},
        {"metadata": {"namespace": "shop", "name": "my-db"}, "spec": {"clusterIP": "10.96.0.9", "ports": [
            {"port": 5432}]}},
        {"metadata": {"namespace": "shop", "name": "headless"}, "spec": {"clusterIP": "None", "ports": [{"port": 1}]}},
        {"metadata": {"namespace": "other", "name": "x"}, "spec": {"clusterIP": "10.96.0.8", "ports": [{"port": 1}]}},
    ]  # fmt: skip
    linked = environment.service_variables(services, "shop", True)
    assert linked["MY_DB_SERVICE_HOST"] == "10.96.0.9"
    assert linked["MY_DB_PORT_5432_TCP"] == "tcp://10.96.0.9:5432"
    assert linked["KUBERNETES_SERVICE_PORT_HTTPS"] == "443"
    assert not any(name.startswith(("HEADLESS", "X_")) for name in linked)
    assert "MY_DB_SERVICE_HOST" not in environment.service_variables(services, "shop", False)
