"""Addons and bootstrap objects are valid objects of known kinds."""

from typing import Any

import pytest

from apimachinery import kinds, meta, schemas
from minikubeadm import addons, bootstrap, tokens
from minikubeadm.configuration import ClusterConfiguration

CLUSTER = ClusterConfiguration(endpoint="192.0.2.2:6443", dns_image="mini-kubernetes/dns:1")
OBJECTS = [
    *addons.dns(CLUSTER),
    *addons.storage(),
    bootstrap.administrators(),
    *bootstrap.node_roles(),
    bootstrap.configuration(CLUSTER),
    bootstrap.proxy_secret(b"kubeconfig"),
    bootstrap.cluster_info(CLUSTER.endpoint, b"pem", [tokens.new()]),
    tokens.secret_for(tokens.new()),
]


@pytest.mark.parametrize("body", OBJECTS, ids=lambda body: f"{body['kind']}-{meta.name(body)}")
def test_it_is_what_its_schema_says(body: dict[str, Any]) -> None:
    assert kinds.by_gvk(meta.gvk(body)).namespaced == bool(meta.namespace(body))
    assert schemas.validate(meta.gvk(body), body) == []


def test_the_dns_service_has_the_address_that_pods_are_told() -> None:
    service = next(body for body in addons.dns(CLUSTER) if body["kind"] == "Service")
    assert service["spec"]["clusterIP"] == "10.96.0.10"
