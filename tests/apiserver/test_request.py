"""Requests are parsed to verb and target."""

import pytest

from apiserver.request import RequestInfo, parse


@pytest.mark.parametrize(
    ("method", "target", "verb", "group", "resource", "subresource", "namespace", "name"),
    [
        ("GET", "/api/v1/pods", "list", "", "pods", "", "", ""),
        ("GET", "/api/v1/namespaces/n/pods", "list", "", "pods", "", "n", ""),
        ("GET", "/api/v1/namespaces/n/pods/p", "get", "", "pods", "", "n", "p"),
        ("HEAD", "/api/v1/namespaces/n/pods/p", "get", "", "pods", "", "n", "p"),
        ("GET", "/api/v1/namespaces/n/pods?watch=true", "watch", "", "pods", "", "n", ""),
        ("GET", "/api/v1/namespaces/n/pods?watch=false", "list", "", "pods", "", "n", ""),
        ("GET", "/api/v1/watch/namespaces/n/pods", "watch", "", "pods", "", "n", ""),
        ("POST", "/apis/apps/v1/namespaces/n/deployments", "create", "apps", "deployments", "", "n", ""),
        ("PUT", "/apis/apps/v1/namespaces/n/deployments/d/scale", "update", "apps", "deployments", "scale", "n", "d"),
        ("PATCH", "/api/v1/nodes/a/status", "patch", "", "nodes", "status", "", "a"),
        ("DELETE", "/api/v1/namespaces/n/pods", "deletecollection", "", "pods", "", "n", ""),
        ("DELETE", "/api/v1/namespaces/n", "delete", "", "namespaces", "", "n", "n"),
        ("PUT", "/api/v1/namespaces/n/finalize", "update", "", "namespaces", "finalize", "n", "n"),
        ("GET", "/api/v1/namespaces/", "list", "", "namespaces", "", "", ""),
        ("GET", "/api/v1/pods?fieldSelector=metadata.name%3Dx", "list", "", "pods", "", "", "x"),
        ("GET", "/api/v1/namespaces/n/pods/a%3Ab", "get", "", "pods", "", "n", "a:b"),
    ],
)
def test_resources(
    method: str, target: str, verb: str, group: str, resource: str, subresource: str, namespace: str, name: str
) -> None:
    info = parse(method, target)[0]
    assert info.is_resource
    assert (info.verb, info.group, info.resource) == (verb, group, resource)
    assert (info.subresource, info.namespace, info.name) == (subresource, namespace, name)


@pytest.mark.parametrize(
    "path", ["/", "/version", "/api", "/api/v1", "/apis", "/apis/apps", "/apis/apps/v1", "/healthz"]
)
def test_other_paths_are_no_resources(path: str) -> None:
    assert parse("GET", path)[0] == RequestInfo("get", False, path)


def test_a_proxied_path_is_a_subresource() -> None:
    info = parse("GET", "/api/v1/namespaces/n/services/s:http/proxy/a/b?c=d")[0]
    assert (info.name, info.subresource) == ("s:http", "proxy")
    assert info.long_running


def test_the_first_value_of_a_parameter_counts() -> None:
    assert parse("GET", "/api/v1/pods?limit=1&limit=2&watch")[1] == {"limit": "1", "watch": ""}
