"""The rules of metadata."""

import uuid
from typing import Any

import pytest

from apimachinery import names
from apiserver.registry import metadata


def faults(value: dict[str, Any], *, namespaced: bool = True) -> list[str]:
    return [
        each.message() for each in metadata.validate(value, namespaced=namespaced, check_name=names.dns1123_subdomain)
    ]


def test_good_metadata_has_no_faults() -> None:
    labels = {"app.kubernetes.io/name": "x", "empty": ""}
    assert faults({"name": "a.b", "namespace": "n", "labels": labels, "finalizers": ["example.com/x"]}) == []


@pytest.mark.parametrize(
    ("value", "part"),
    [
        ({"namespace": "n"}, "metadata.name: Required value: name or generateName is required"),
        ({"name": "a"}, "metadata.namespace: Required value"),
        ({"name": "A", "namespace": "n"}, 'metadata.name: Invalid value: "A"'),
        ({"name": "a", "namespace": "n", "labels": {"a": "b c"}}, 'metadata.labels: Invalid value: "b c"'),
        ({"name": "a", "namespace": "n", "annotations": {"/x": ""}}, "metadata.annotations: Invalid value"),
        ({"name": "a", "namespace": "n", "finalizers": ["x"]}, "neither a standard finalizer name nor"),
        ({"name": "a", "namespace": "n", "finalizers": ["orphan", "foregroundDeletion"]}, "cannot be both set"),
        ({"name": "a", "namespace": "n", "ownerReferences": [{"kind": "X"}]}, "ownerReferences.uid: Invalid value"),
    ],
)
def test_faults_are_named(value: dict[str, Any], part: str) -> None:
    assert any(part in each for each in faults(value)), faults(value)


def test_cluster_scoped_kinds_have_no_namespace() -> None:
    assert faults({"name": "a", "namespace": "n"}, namespaced=False) == [
        "metadata.namespace: Forbidden: not allowed on this type"
    ]


def test_an_update_keeps_what_the_server_set() -> None:
    new = {"name": "a", "uid": "forged", "creationTimestamp": "then", "generation": 9, "deletionTimestamp": "now"}
    metadata.keep_system_fields(new, {"name": "a", "uid": "u", "creationTimestamp": "t", "generation": 2})
    assert new == {"name": "a", "uid": "u", "creationTimestamp": "t", "generation": 2}


def test_uids_are_random_uuids() -> None:
    made = [uuid.UUID(metadata.new_uid()) for _ in range(100)]
    assert len(set(made)) == 100
    assert all(each.version == 4 and each.variant == uuid.RFC_4122 for each in made)


def test_generated_names_fit_a_label() -> None:
    made = names.generate("x" * 80)
    assert len(made) == 63 and names.dns1123_label(made) == []
