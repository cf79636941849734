"""The Node authorizer: along the graph, its own objects, nothing else."""

from __future__ import annotations

import pytest

from apimachinery.meta import JSON
from apiserver.authorization import build_authorizer
from apiserver.request import RequestInfo, User
from tests.apiserver.fake_storage import FakeStorage, obj

NODE1 = User("system:node:node1", "", ("system:nodes", "system:authenticated"))


def pod(node: str) -> JSON:
    container = {
        "name": "c",
        "env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "env-secret", "key": "k"}}}],
        "envFrom": [{"configMapRef": {"name": "env-config"}}],
    }
    volumes = [
        {"name": "s", "secret": {"secretName": "volume-secret"}},
        {"name": "p", "projected": {"sources": [{"configMap": {"name": "kube-root-ca.crt"}}]}},
        {"name": "c", "persistentVolumeClaim": {"claimName": "data"}},
        {"name": "scratch", "ephemeral": {}},
    ]
    spec = {
        "nodeName": node,
        "serviceAccountName": "bot",
        "containers": [container],
        "volumes": volumes,
        "imagePullSecrets": [{"name": "registry"}],
    }
    return obj("v1", "Pod", "web", namespace="team", spec=spec)


def info(
    verb: str,
    resource: str,
    name: str = "",
    *,
    namespace: str = "team",
    group: str = "",
    fields: str = "",
    labels: str = "",
) -> RequestInfo:
    resource, _, subresource = resource.partition("/")
    return RequestInfo(verb, True, "", group, "v1", resource, subresource, namespace, name, fields, labels)


VOLUME = obj("v1", "PersistentVolume", "pv", spec={"claimRef": {"namespace": "team", "name": "data"}})
OWN = obj("v1", "PersistentVolume", "own", spec={}, metadata={"labels": {"mini-kubernetes.io/node": "node1"}})
LEASES, STORAGE = "coordination.k8s.io", "storage.k8s.io"


@pytest.mark.parametrize(
    ("asked", "allowed"),
    [
        (info("get", "secrets", "env-secret"), True),
        (info("watch", "secrets", "volume-secret"), True),
        (info("get", "secrets", "registry"), True),
        (info("get", "secrets", "other"), False),
        (info("get", "secrets", "env-secret", namespace="default"), False),
        (info("list", "secrets"), False),
        (info("update", "secrets", "env-secret"), False),
        (info("get", "configmaps", "env-config"), True),
        (info("get", "configmaps", "kube-root-ca.crt"), True),
        (info("get", "configmaps", "env-secret"), False),
        (info("get", "persistentvolumeclaims", "data"), True),
        (info("get", "persistentvolumeclaims", "web-scratch"), True),
        (info("get", "persistentvolumes", "pv", namespace=""), True),
        (info("get", "persistentvolumes", "pv2", namespace=""), False),
        (info("patch", "persistentvolumes", "own", namespace=""), True),
        (info("patch", "persistentvolumes", "pv", namespace=""), False),
        (info("delete", "persistentvolumes", "own", namespace=""), False),
        (info("watch", "persistentvolumes", namespace="", labels="mini-kubernetes.io/node=node1"), True),
        (info("watch", "persistentvolumes", namespace="", labels="mini-kubernetes.io/node=node2"), False),
        (info("list", "persistentvolumes", namespace=""), False),
        (info("create", "serviceaccounts/token", "bot"), True),
        (info("create", "serviceaccounts/token", "default"), False),
        (info("get", "pods", "web"), True),
        (info("get", "pods", "other"), False),
        (info("list", "pods", namespace=""), False),
        (info("watch", "pods", namespace="", fields="spec.nodeName=node1"), True),
        (info("list", "pods", fields="status.phase=Running,spec.nodeName==node1"), True),
        (info("list", "pods", namespace="", fields="spec.nodeName=node2"), False),
        (info("list", "pods", namespace="", fields="spec.nodeName!=node1"), False),
        (info("patch", "pods/status", "web"), True),
        (info("list", "nodes", namespace=""), True),
        (info("update", "leases", "node1", namespace="kube-node-lease", group=LEASES), True),
        (info("create", "leases", "", namespace="kube-node-lease", group=LEASES), True),
        (info("update", "leases", "node2", namespace="kube-node-lease", group=LEASES), False),
        (info("update", "leases", "node1", namespace="kube-system", group=LEASES), False),
        (info("create", "csinodes", "node1", namespace="", group=STORAGE), True),
        (info("delete", "namespaces", "default", namespace=""), False),
        (info("create", "events"), True),
        (RequestInfo("get", False, "/metrics"), False),
    ],
)
def test_a_node_reaches_what_its_pods_refer_to(asked: RequestInfo, allowed: bool) -> None:
    storage = FakeStorage()
    authorizer = build_authorizer(storage, ["Node"])  # type: ignore[arg-type]
    storage.put(pod("node1"))
    storage.put(VOLUME)
    storage.put(OWN)
    assert authorizer.authorize(NODE1, asked).allowed is allowed


def test_the_edge_ends_with_the_pod_and_is_one_nodes() -> None:
    storage = FakeStorage()
    authorizer = build_authorizer(storage, ["Node"])  # type: ignore[arg-type]
    asked = info("get", "secrets", "env-secret")
    unbound = pod("")
    storage.put(unbound)
    assert not authorizer.authorize(NODE1, asked).allowed
    key = storage.put(pod("node1"))
    assert authorizer.authorize(NODE1, asked).allowed
    assert not authorizer.authorize(User("system:node:node2", "", ("system:nodes",)), asked).allowed
    assert not authorizer.authorize(User("system:node:node1", "", ()), asked).allowed
    storage.remove(key)
    refusal = authorizer.authorize(NODE1, asked)
    assert refusal.reason == "no relationship found between node 'node1' and this object"
