"""Managed fields of updates: what a write comes to own, what others lose, what is stored."""

import copy
from typing import Any

import pytest

from apimachinery.managedfields import update_managed
from apimachinery.patch import merge_patch
from apimachinery.structured.fieldset import difference, intersection, paths, union
from tests.apimachinery.shapes import deployment

NOW = "2026-01-01T00:00:00Z"
LATER = "2026-01-01T00:00:01Z"


def created(manager: str = "a", **spec: Any) -> Any:
    obj = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "uid": "1"}, "spec": spec}
    update_managed(None, obj, manager=manager, now=NOW, type=deployment())
    return obj


def updated(live: Any, patch: Any, manager: str, *, now: str = LATER, subresource: str = "") -> Any:
    new = merge_patch(live, patch)
    update_managed(live, new, manager=manager, now=now, type=deployment(), subresource=subresource)
    return new


def owned(obj: Any) -> dict[str, set[str]]:
    return {entry["manager"]: set(paths(entry["fieldsV1"])) for entry in obj["metadata"].get("managedFields", [])}


def test_a_create_owns_all_but_what_the_server_decides() -> None:
    container = {"name": "c", "image": "i", "command": ["x"], "ports": [{"containerPort": 80, "protocol": "TCP"}]}
    obj = created(replicas=1, selector={"a": "b"}, template={"spec": {"containers": [container]}})
    assert obj["metadata"]["managedFields"] == [
        {
            "manager": "a",
            "operation": "Update",
            "apiVersion": "apps/v1",
            "time": NOW,
            "fieldsType": "FieldsV1",
            "fieldsV1": {
                "f:spec": {
                    "f:replicas": {},
                    "f:selector": {},
                    "f:template": {
                        "f:spec": {
                            "f:containers": {
                                'k:{"name":"c"}': {
                                    ".": {},
                                    "f:name": {},
                                    "f:image": {},
                                    "f:command": {},
                                    "f:ports": {
                                        ".": {},
                                        'k:{"containerPort":80,"protocol":"TCP"}': {
                                            ".": {},
                                            "f:containerPort": {},
                                            "f:protocol": {},
                                        },
                                    },
                                }
                            }
                        }
                    },
                }
            },
        }
    ]


def test_the_official_schema_of_a_pod_is_found_by_kind() -> None:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p", "labels": {"a": "b"}, "finalizers": ["x/y"]},
        "spec": {"nodeSelector": {"a": "b"}, "containers": [{"name": "c"}], "tolerations": [{"key": "a"}]},
        "status": {"phase": "Pending"},
    }
    update_managed(None, pod, manager="a", now=NOW)
    assert owned(pod)["a"] == {
        ".metadata.labels",
        ".metadata.labels.a",
        ".metadata.finalizers",
        '.metadata.finalizers[="x/y"]',
        ".spec.nodeSelector",
        ".spec.tolerations",
        '.spec.containers[name="c"]',
        '.spec.containers[name="c"].name',
    }


def test_a_change_takes_the_field_and_a_removal_leaves_it_to_nobody() -> None:
    live = created(replicas=1, paused=True)
    new = updated(live, {"spec": {"replicas": 2, "paused": None}}, "b")
    assert owned(new) == {"b": {".spec.replicas"}}
    assert owned(live) == {"a": {".spec.replicas", ".spec.paused"}}


def test_a_write_that_changes_nothing_leaves_entry_and_time() -> None:
    live = created(replicas=1)
    new = updated(live, {"spec": {"replicas": 1}}, "a")
    assert new == live


def test_status_is_owned_by_its_own_entry() -> None:
    live = created(replicas=1)
    new = updated(live, {"status": {"replicas": 1}}, "a", subresource="status")
    assert [entry.get("subresource") for entry in new["metadata"]["managedFields"]] == [None, "status"]
    assert new["metadata"]["managedFields"][1]["fieldsV1"] == {"f:status": {".": {}, "f:replicas": {}}}


def test_a_client_may_reset_and_rewrite_but_not_break_managed_fields() -> None:
    live = created(replicas=1)
    assert updated(live, {"metadata": {"managedFields": None}}, "a") == live
    assert owned(updated(live, {"metadata": {"managedFields": [{"operation": "Eat"}]}}, "a")) == owned(live)
    entry = {**live["metadata"]["managedFields"][0], "manager": "z"}
    assert owned(updated(live, {"metadata": {"managedFields": [entry]}}, "a")) == {"z": {".spec.replicas"}}
    untracked = updated(live, {"metadata": {"managedFields": [{}]}}, "a")
    assert "managedFields" not in untracked["metadata"]
    assert "managedFields" not in updated(untracked, {"spec": {"replicas": 5}}, "a")["metadata"]


def test_the_oldest_of_many_updaters_become_one() -> None:
    obj = created("m0", replicas=0)
    for number in range(1, 13):
        patch = {"metadata": {"labels": {f"l{number}": "x"}}}
        obj = updated(obj, patch, f"m{number}", now=f"2026-01-01T00:00:{number:02}Z")
    entries = obj["metadata"]["managedFields"]
    assert len(entries) == 10
    assert entries[0]["manager"] == "ancient-changes"
    assert entries[0]["time"] == "2026-01-01T00:00:03Z"
    assert owned(obj)["ancient-changes"] >= {".spec.replicas", ".metadata.labels.l1", ".metadata.labels.l3"}


def test_items_with_the_same_key_are_one_field() -> None:
    def containers(*env: Any) -> Any:
        return {"template": {"spec": {"containers": [{"name": "c", "env": list(env)}]}}}

    twins = [{"name": "x", "value": "1"}, {"name": "x", "value": "2"}]
    live = created(**containers(*twins))
    assert '.spec.template.spec.containers[name="c"].env[name="x"]' in owned(live)["a"]
    new = updated(live, {"spec": containers(twins[0])}, "b")
    assert owned(new)["b"] == {'.spec.template.spec.containers[name="c"].env[name="x"]'}


@pytest.mark.parametrize("broken", [[{"value": "x"}], ["x"], [{"name": None}]])
def test_a_list_whose_items_have_no_keys_is_one_field(broken: Any) -> None:
    live = created(template={"spec": {"containers": [{"name": "c"}]}})
    new = updated(live, {"spec": {"template": {"spec": {"containers": broken}}}}, "b")
    assert owned(new)["b"] == {".spec.template.spec.containers"}


def test_nothing_given_is_changed() -> None:
    live = created(replicas=1, strategy={"rollingUpdate": {"maxSurge": 1}})
    before = copy.deepcopy(live)
    updated(live, {"metadata": {"labels": {"a": "b"}}, "spec": {"strategy": {"type": "x"}}}, "b")
    assert live == before


A: Any = {"f:x": {}, "f:y": {".": {}, "f:z": {}}}


@pytest.mark.parametrize(
    ("operation", "left", "right", "result"),
    [
        (union, A, {"f:x": {"f:w": {}}}, {"f:x": {".": {}, "f:w": {}}, "f:y": {".": {}, "f:z": {}}}),
        (union, {}, A, A),
        (difference, A, {"f:x": {}, "f:y": {"f:z": {}}}, {"f:y": {}}),
        (difference, A, {"f:y": {}}, {"f:x": {}, "f:y": {"f:z": {}}}),
        (difference, A, {"f:x": {"f:w": {}}}, A),
        (difference, A, A, {}),
        (intersection, A, {"f:y": {}}, {"f:y": {}}),
        (intersection, A, {"f:y": {"f:z": {}}, "f:x": {"f:w": {}}}, {"f:y": {"f:z": {}}}),
        (intersection, A, A, A),
    ],
)
def test_set_algebra(operation: Any, left: Any, right: Any, result: Any) -> None:
    before = copy.deepcopy((left, right))
    assert operation(left, right) == result
    assert (left, right) == before
