"""Discovery, OpenAPI, version, health and metrics."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fixtures.apiserver import APIServerProcess

pytestmark = pytest.mark.integration
JSON = dict[str, Any]
AGGREGATED = "application/json;g=apidiscovery.k8s.io;v={};as=APIGroupDiscoveryList"


@pytest.mark.parametrize("version", ["v2", "v2beta1"])
def test_aggregated_discovery(api_server: APIServerProcess, version: str) -> None:
    accept = f"{AGGREGATED.format(version)},application/json"
    answer = api_server.request("GET", "/apis", headers={"Accept": accept})
    assert answer.headers["Content-Type"] == AGGREGATED.format(version)
    groups = {each["metadata"]["name"]: each for each in answer.json()["items"]}
    deployments = next(each for each in groups["apps"]["versions"][0]["resources"] if each["resource"] == "deployments")
    assert deployments["responseKind"] == {"group": "apps", "version": "v1", "kind": "Deployment"}
    assert deployments["shortNames"] == ["deploy"]
    scale = next(each for each in deployments["subresources"] if each["subresource"] == "scale")
    assert scale["responseKind"] == {"group": "autoscaling", "version": "v1", "kind": "Scale"}
    for group in answer.json()["items"]:
        for each in group["versions"]:
            for resource in each["resources"]:
                assert resource["responseKind"]["kind"] and resource["verbs"]
                assert all(sub["responseKind"]["kind"] for sub in resource.get("subresources", ()))


def test_discovery_is_not_sent_twice(api_server: APIServerProcess) -> None:
    headers = {"Accept": AGGREGATED.format("v2")}
    etag = api_server.request("GET", "/api", headers=headers).headers["ETag"]
    assert etag.startswith('"') and etag.endswith('"')
    assert api_server.request("GET", "/api", headers={**headers, "If-None-Match": etag}).code == 304


def test_legacy_discovery(api_server: APIServerProcess) -> None:
    assert api_server.request("GET", "/api").json()["versions"] == ["v1"]
    groups = {each["name"]: each for each in api_server.request("GET", "/apis").json()["groups"]}
    assert groups["apps"]["preferredVersion"] == {"groupVersion": "apps/v1", "version": "v1"}
    assert api_server.request("GET", "/apis/apps").json()["name"] == "apps"
    resources = {each["name"]: each for each in api_server.request("GET", "/api/v1").json()["resources"]}
    assert resources["pods/eviction"]["kind"] == "Eviction"
    assert resources["pods/eviction"]["group"] == "policy"
    assert api_server.request("GET", "/apis/nothing/v1").code == 404


def test_version_and_root(api_server: APIServerProcess) -> None:
    assert api_server.request("GET", "/version").json()["gitVersion"].startswith("v1.37.0+mini")
    assert "/apis/apps/v1" in api_server.request("GET", "/").json()["paths"]


@pytest.mark.parametrize("path", ["/healthz", "/livez", "/readyz"])
def test_health_is_for_anyone(api_server: APIServerProcess, path: str) -> None:
    answer = api_server.request("GET", path, token="")
    assert (answer.code, answer.body) == (200, b"ok")


def test_health_tells_its_checks(api_server: APIServerProcess) -> None:
    assert api_server.request("GET", "/livez/ping").body == b"ok"
    assert api_server.request("GET", "/livez/nothing").code == 404
    answer = api_server.request("GET", "/readyz?verbose&exclude=etcd")
    assert b"[+]ping ok\n" in answer.body
    assert b"[+]etcd excluded: ok\n" in answer.body
    assert answer.body.endswith(b"readyz check passed\n")


def test_metrics_have_upstreams_names(api_server: APIServerProcess) -> None:
    api_server.request("GET", "/api/v1/namespaces/default")
    text = api_server.request("GET", "/metrics").body.decode()
    labels = 'code="200",group="",resource="namespaces",scope="resource",subresource="",verb="GET",version="v1"'
    counted = [each for each in text.splitlines() if each.startswith("apiserver_request_total")]
    line = next(each for each in counted if 'resource="namespaces"' in each)
    assert sorted(labels.split(",")) == sorted(line.partition("{")[2].partition("}")[0].split(","))
    assert "apiserver_request_duration_seconds_bucket" in text
    assert "apiserver_current_inflight_requests" in text


def test_etcds_metrics_are_for_those_who_may_and_need_no_certificate_of_etcds(api_server: APIServerProcess) -> None:
    text = api_server.request("GET", "/metrics/etcd").body.decode()
    assert "etcd_server_has_leader 1" in text
    assert api_server.request("GET", "/metrics/etcd", token="").code in (401, 403)


def test_openapi_v3_has_what_kubectl_looks_for(api_server: APIServerProcess) -> None:
    index = api_server.request("GET", "/openapi/v3").json()["paths"]
    url = index["apis/apps/v1"]["serverRelativeURL"]
    answer = api_server.request("GET", url)
    assert "immutable" in answer.headers["Cache-Control"]
    document = answer.json()
    patch = document["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]["patch"]
    assert patch["x-kubernetes-group-version-kind"] == {"group": "apps", "kind": "Deployment", "version": "v1"}
    assert patch["x-kubernetes-action"] == "patch"
    assert {"fieldValidation", "fieldManager", "force", "dryRun"} <= {each["name"] for each in patch["parameters"]}
    assert "application/strategic-merge-patch+json" in patch["requestBody"]["content"]
    assert_references_resolve(document, "#/components/schemas/", document["components"]["schemas"])
    other = api_server.request("GET", url[:-4] + "0000")
    assert other.code == 200  # redirected to the current one


def test_openapi_v2_is_json_for_whoever_asks(api_server: APIServerProcess) -> None:
    accept = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf, application/json"
    answer = api_server.request("GET", "/openapi/v2", headers={"Accept": accept})
    document = answer.json()
    assert document["swagger"] == "2.0"
    assert document["definitions"]["io.k8s.api.core.v1.Pod"]["properties"]["spec"]["$ref"]
    assert_references_resolve(document, "#/definitions/", document["definitions"])


def test_openapi_v2_is_protobuf_for_those_who_take_nothing_else(api_server: APIServerProcess) -> None:
    accept = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"
    answer = api_server.request("GET", "/openapi/v2", headers={"Accept": accept})
    assert answer.headers["Content-Type"] == "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
    assert answer.body.startswith(b"\n\x032.0")
    assert b"io.k8s.api.core.v1.Pod" in answer.body


def assert_references_resolve(value: Any, prefix: str, names: JSON) -> None:
    if isinstance(value, dict):
        reference = value.get("$ref")
        if isinstance(reference, str):
            assert reference.startswith(prefix) and reference.removeprefix(prefix) in names, reference
        for each in value.values():
            assert_references_resolve(each, prefix, names)
    elif isinstance(value, list):
        for each in value:
            assert_references_resolve(each, prefix, names)
