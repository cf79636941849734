"""Creating, updating, patching and deleting over the wire."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.fixtures.apiserver import APIServerProcess

pytestmark = pytest.mark.integration
JSON = dict[str, Any]
MAPS = "/api/v1/namespaces/default/configmaps"
MERGE = "application/merge-patch+json"
APPLY = "application/apply-patch+yaml"


def config_map(name: str, **data: str) -> JSON:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def deployment(name: str) -> JSON:
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "i"}]}},
        },
    }


def test_a_created_object_has_what_the_server_sets(api_server: APIServerProcess) -> None:
    answer = api_server.request("POST", MAPS, config_map("made", a="1"))
    assert answer.code == 201
    metadata = answer.json()["metadata"]
    assert metadata["uid"] and metadata["creationTimestamp"] and metadata["resourceVersion"]
    assert metadata["namespace"] == "default"
    assert metadata["managedFields"][0]["operation"] == "Update"
    assert api_server.request("GET", f"{MAPS}/made").json() == answer.json()


def test_a_taken_name_is_a_conflict(api_server: APIServerProcess) -> None:
    api_server.request("POST", MAPS, config_map("taken"))
    answer = api_server.request("POST", MAPS, config_map("taken"))
    assert answer.code == 409
    assert answer.json()["reason"] == "AlreadyExists"
    assert answer.json()["message"] == 'configmaps "taken" already exists'
    assert answer.json()["details"] == {"name": "taken", "kind": "configmaps"}


def test_generate_name_gives_different_names(api_server: APIServerProcess) -> None:
    body = config_map("")
    body["metadata"] = {"generateName": "gen-"}
    names = {api_server.request("POST", MAPS, body).json()["metadata"]["name"] for _ in range(3)}
    assert len(names) == 3
    assert all(name.startswith("gen-") and len(name) == 9 for name in names)


@pytest.mark.parametrize(
    ("body", "code", "part"),
    [
        pytest.param(b"{", 400, "json parse error", id="no JSON"),
        pytest.param(b"[]", 400, "not an object", id="a list"),
        pytest.param({"kind": "Secret", "apiVersion": "v1"}, 400, "cannot be handled as a ConfigMap", id="other kind"),
        pytest.param({"kind": "ConfigMap", "apiVersion": "v2"}, 400, "does not match the expected", id="other version"),
        pytest.param({"metadata": {"name": "x", "namespace": "y"}}, 400, "namespace of the provided", id="namespace"),
        pytest.param({"metadata": {"name": "Bad_Name"}}, 422, "RFC 1123 subdomain", id="name"),
        pytest.param({"metadata": {}}, 422, "name or generateName is required", id="no name"),
        pytest.param({"metadata": {"name": "x"}, "data": []}, 400, "cannot be handled as a ConfigMap", id="types"),
        pytest.param({"metadata": {"name": "x", "resourceVersion": "1"}}, 400, "should not be set", id="version"),
        pytest.param({"metadata": {"name": "x", "labels": {"a b": "c"}}}, 422, "name part must", id="label"),
    ],
)
def test_bad_bodies_are_told_apart(api_server: APIServerProcess, body: Any, code: int, part: str) -> None:
    answer = api_server.request("POST", MAPS, body)
    assert (answer.code, answer.json()["kind"]) == (code, "Status")
    assert part in answer.json()["message"]


def test_bodies_of_other_types_are_refused(api_server: APIServerProcess) -> None:
    answer = api_server.request("POST", MAPS, b"k8s", content_type="application/cbor")
    assert (answer.code, answer.json()["reason"]) == (415, "UnsupportedMediaType")


def test_a_body_beyond_the_limit_is_413(api_server: APIServerProcess) -> None:
    answer = api_server.request("POST", MAPS, config_map("big", a="x" * (3 * 1024 * 1024)))
    assert (answer.code, answer.json()["reason"]) == (413, "RequestEntityTooLarge")


def test_yaml_bodies_are_taken(api_server: APIServerProcess) -> None:
    body = b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: yaml}\ndata: {day: 2024-01-01T00:00:00Z}\n"
    answer = api_server.request("POST", MAPS, body, content_type="application/yaml")
    assert answer.code == 201
    assert answer.json()["data"] == {"day": "2024-01-01T00:00:00Z"}


def test_unknown_fields_are_warned_of_refused_or_ignored(api_server: APIServerProcess) -> None:
    body = {**config_map("unknown"), "foo": 1}
    warned = api_server.request("POST", f"{MAPS}?dryRun=All", body)
    assert warned.headers["Warning"] == '299 - "unknown field \\"foo\\""'
    assert "foo" not in warned.json()
    strict = api_server.request("POST", f"{MAPS}?fieldValidation=Strict", body)
    assert strict.code == 400
    assert 'strict decoding error: unknown field "foo"' in strict.json()["message"]
    ignored = api_server.request("POST", f"{MAPS}?fieldValidation=Ignore&dryRun=All", body)
    assert ignored.code == 201 and "Warning" not in ignored.headers


def test_duplicate_fields_are_found(api_server: APIServerProcess) -> None:
    body = b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"dup"},"data":{"a":"1","a":"2"}}'
    answer = api_server.request("POST", f"{MAPS}?fieldValidation=Strict", body)
    assert answer.code == 400
    assert 'duplicate field "data.a"' in answer.json()["message"]


def test_a_dry_run_stores_nothing(api_server: APIServerProcess) -> None:
    assert api_server.request("POST", f"{MAPS}?dryRun=All", config_map("dry")).code == 201
    assert api_server.request("GET", f"{MAPS}/dry").code == 404


def test_an_update_from_an_old_version_is_a_conflict(api_server: APIServerProcess) -> None:
    first = api_server.request("POST", MAPS, config_map("locked", a="1")).json()
    second = api_server.request("PUT", f"{MAPS}/locked", {**first, "data": {"a": "2"}})
    assert second.code == 200
    third = api_server.request("PUT", f"{MAPS}/locked", {**first, "data": {"a": "3"}})
    assert (third.code, third.json()["reason"]) == (409, "Conflict")
    assert "the object has been modified" in third.json()["message"]


def test_an_update_without_a_version_is_unconditional(api_server: APIServerProcess) -> None:
    api_server.request("POST", MAPS, config_map("free", a="1"))
    answer = api_server.request("PUT", f"{MAPS}/free", config_map("free", a="2"))
    assert (answer.code, answer.json()["data"]) == (200, {"a": "2"})


def test_an_update_that_changes_nothing_keeps_the_version(api_server: APIServerProcess) -> None:
    first = api_server.request("POST", MAPS, config_map("same", a="1")).json()
    answer = api_server.request("PUT", f"{MAPS}/same", config_map("same", a="1")).json()
    assert answer["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]


def test_an_update_of_what_is_absent_is_not_found(api_server: APIServerProcess) -> None:
    answer = api_server.request("PUT", f"{MAPS}/absent", config_map("absent"))
    assert (answer.code, answer.json()["message"]) == (404, 'configmaps "absent" not found')


def test_generation_counts_changes_of_the_spec_only(api_server: APIServerProcess) -> None:
    path = "/apis/apps/v1/namespaces/default/deployments"
    assert api_server.request("POST", path, deployment("gen")).json()["metadata"]["generation"] == 1
    labelled = api_server.request("PATCH", f"{path}/gen", {"metadata": {"labels": {"a": "b"}}}, content_type=MERGE)
    assert labelled.json()["metadata"]["generation"] == 1
    scaled = api_server.request("PATCH", f"{path}/gen", {"spec": {"replicas": 3}}, content_type=MERGE)
    assert scaled.json()["metadata"]["generation"] == 2


def test_status_and_spec_are_written_apart(api_server: APIServerProcess) -> None:
    path = "/apis/apps/v1/namespaces/default/deployments"
    api_server.request("POST", path, deployment("split"))
    body = {"spec": {"replicas": 7}, "status": {"replicas": 1, "observedGeneration": 1}}
    through_status = api_server.request("PATCH", f"{path}/split/status", body, content_type=MERGE).json()
    assert through_status["status"]["replicas"] == 1
    assert through_status["spec"]["replicas"] == 1
    through_object = api_server.request(
        "PATCH", f"{path}/split", {"status": {"replicas": 9}}, content_type=MERGE
    ).json()
    assert through_object["status"]["replicas"] == 1


def test_a_deployments_status_carries_annotations_not_labels(api_server: APIServerProcess) -> None:
    path = "/apis/apps/v1/namespaces/default/deployments"
    api_server.request("POST", path, deployment("noted"))
    body = {"metadata": {"labels": {"a": "b"}, "annotations": {"c": "d"}}}
    metadata = api_server.request("PATCH", f"{path}/noted/status", body, content_type=MERGE).json()["metadata"]
    assert metadata["annotations"] == {"c": "d"}  # the real controller notes its revision so
    assert "labels" not in metadata and metadata["generation"] == 1


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        pytest.param(MERGE, {"data": {"b": "2", "a": None}}, id="merge"),
        pytest.param("application/strategic-merge-patch+json", {"data": {"b": "2", "a": None}}, id="strategic"),
        pytest.param(
            "application/json-patch+json",
            [{"op": "add", "path": "/data/b", "value": "2"}, {"op": "remove", "path": "/data/a"}],
            id="json",
        ),
    ],
)
def test_patches_of_each_type(
    api_server: APIServerProcess, content_type: str, body: Any, request: pytest.FixtureRequest
) -> None:
    name = f"patched-{request.node.callspec.id}"
    api_server.request("POST", MAPS, config_map(name, a="1", c="3"))
    answer = api_server.request("PATCH", f"{MAPS}/{name}", body, content_type=content_type)
    assert (answer.code, answer.json()["data"]) == (200, {"b": "2", "c": "3"})


def test_a_patch_that_leaves_no_object_of_the_kind_is_invalid(api_server: APIServerProcess) -> None:
    api_server.request("POST", MAPS, config_map("unpatched"))
    answer = api_server.request("PATCH", f"{MAPS}/unpatched", {"data": {"a": 1}}, content_type=MERGE)
    assert (answer.code, answer.json()["reason"]) == (422, "Invalid")
    assert answer.json()["details"]["causes"][0]["field"] == "patch"


def test_empty_lists_and_maps_of_metadata_are_absent(api_server: APIServerProcess) -> None:
    body = {"metadata": {"name": "empty", "labels": {}, "finalizers": []}}
    metadata = api_server.request("POST", MAPS, body).json()["metadata"]
    assert "labels" not in metadata and "finalizers" not in metadata


def test_other_patch_types_are_refused(api_server: APIServerProcess) -> None:
    answer = api_server.request("PATCH", f"{MAPS}/made", {}, content_type="application/json")
    assert answer.code == 415


def test_apply_creates_then_updates_then_conflicts(api_server: APIServerProcess) -> None:
    path = f"{MAPS}/applied"
    body = json.dumps(config_map("applied", a="1", b="2")).encode()
    first = api_server.request("PATCH", f"{path}?fieldManager=one", body, content_type=APPLY)
    assert first.code == 201
    entries = first.json()["metadata"]["managedFields"]
    assert [(each["manager"], each["operation"]) for each in entries] == [("one", "Apply")]
    fewer = json.dumps(config_map("applied", a="1")).encode()
    second = api_server.request("PATCH", f"{path}?fieldManager=one", fewer, content_type=APPLY)
    assert (second.code, second.json()["data"]) == (200, {"a": "1"})
    other = json.dumps(config_map("applied", a="9")).encode()
    third = api_server.request("PATCH", f"{path}?fieldManager=two", other, content_type=APPLY)
    assert third.code == 409
    cause = third.json()["details"]["causes"][0]
    assert (cause["reason"], cause["field"]) == ("FieldManagerConflict", ".data.a")
    forced = api_server.request("PATCH", f"{path}?fieldManager=two&force=true", other, content_type=APPLY)
    assert forced.json()["data"] == {"a": "9"}


def test_apply_needs_a_field_manager(api_server: APIServerProcess) -> None:
    answer = api_server.request("PATCH", f"{MAPS}/applied", b"{}", content_type=APPLY)
    assert answer.code == 422 and "fieldManager: Required value" in answer.json()["message"]


def test_apply_creates_what_has_no_namespace(api_server: APIServerProcess) -> None:
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "applied"}}
    path = "/api/v1/namespaces/applied?fieldManager=one"
    assert api_server.request("PATCH", path, body, content_type=APPLY).code == 201


def test_a_patch_does_not_rename(api_server: APIServerProcess) -> None:
    api_server.request("POST", MAPS, config_map("named"))
    answer = api_server.request("PATCH", f"{MAPS}/named", {"metadata": {"name": "other"}}, content_type=MERGE)
    assert answer.code == 400
    assert answer.json()["message"] == "the name of the object (other) does not match the name on the URL (named)"


def test_a_deleted_object_is_answered_as_a_status_with_its_uid(api_server: APIServerProcess) -> None:
    made = api_server.request("POST", MAPS, config_map("gone")).json()
    answer = api_server.request("DELETE", f"{MAPS}/gone")
    assert answer.json()["status"] == "Success"
    assert answer.json()["details"] == {"name": "gone", "kind": "configmaps", "uid": made["metadata"]["uid"]}
    assert api_server.request("DELETE", f"{MAPS}/gone").code == 404


def test_finalizers_hold_an_object_until_the_last_is_removed(api_server: APIServerProcess) -> None:
    body = config_map("held")
    body["metadata"]["finalizers"] = ["example.com/hold"]
    api_server.request("POST", MAPS, body)
    deleted = api_server.request("DELETE", f"{MAPS}/held")
    assert deleted.code == 200
    assert deleted.json()["metadata"]["deletionTimestamp"]
    more = {"metadata": {"finalizers": ["example.com/hold", "example.com/more"]}}
    assert api_server.request("PATCH", f"{MAPS}/held", more, content_type=MERGE).code == 422
    api_server.request("PATCH", f"{MAPS}/held", {"metadata": {"finalizers": None}}, content_type=MERGE)
    assert api_server.request("GET", f"{MAPS}/held").code == 404


@pytest.mark.parametrize(("policy", "finalizer"), [("Foreground", "foregroundDeletion"), ("Orphan", "orphan")])
def test_a_propagation_policy_is_a_finalizer(api_server: APIServerProcess, policy: str, finalizer: str) -> None:
    name = f"policy-{policy.lower()}"
    api_server.request("POST", MAPS, config_map(name))
    answer = api_server.request("DELETE", f"{MAPS}/{name}", {"propagationPolicy": policy})
    assert answer.json()["metadata"]["finalizers"] == [finalizer]


def test_preconditions_of_a_delete(api_server: APIServerProcess) -> None:
    made = api_server.request("POST", MAPS, config_map("conditional")).json()
    wrong = api_server.request("DELETE", f"{MAPS}/conditional", {"preconditions": {"uid": "other"}})
    assert wrong.code == 409 and "the UID in the precondition (other) does not match" in wrong.json()["message"]
    right = {"uid": made["metadata"]["uid"], "resourceVersion": made["metadata"]["resourceVersion"]}
    assert api_server.request("DELETE", f"{MAPS}/conditional", {"preconditions": right}).code == 200


def test_a_collection_is_deleted_by_selector(api_server: APIServerProcess) -> None:
    for name, tier in (("c1", "x"), ("c2", "x"), ("c3", "y")):
        body = config_map(name)
        body["metadata"]["labels"] = {"tier": tier}
        api_server.request("POST", MAPS, body)
    answer = api_server.request("DELETE", f"{MAPS}?labelSelector=tier%3Dx")
    assert {each["metadata"]["name"] for each in answer.json()["items"]} == {"c1", "c2"}
    left = api_server.request("GET", f"{MAPS}?labelSelector=tier").json()["items"]
    assert [each["metadata"]["name"] for each in left] == ["c3"]


def test_scale_reads_and_writes_replicas(api_server: APIServerProcess) -> None:
    path = "/apis/apps/v1/namespaces/default/deployments"
    api_server.request("POST", path, deployment("scaled"))
    scale = api_server.request("GET", f"{path}/scaled/scale").json()
    assert (scale["kind"], scale["spec"], scale["status"]["selector"]) == ("Scale", {"replicas": 1}, "app=scaled")
    scale["spec"]["replicas"] = 4
    assert api_server.request("PUT", f"{path}/scaled/scale", scale).json()["spec"]["replicas"] == 4
    patched = api_server.request("PATCH", f"{path}/scaled/scale", {"spec": {"replicas": 2}}, content_type=MERGE)
    assert patched.json()["spec"]["replicas"] == 2
    assert api_server.request("GET", f"{path}/scaled").json()["spec"]["replicas"] == 2
