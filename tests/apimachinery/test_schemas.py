"""Decoding: what is quickly all right, and what is said of the rest."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apimachinery import definitions, kinds, schemas
from apimachinery.errors import BadRequest

JSON = dict[str, Any]
POD: JSON = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "a", "labels": {"app": "x"}, "creationTimestamp": "2026-01-02T03:04:05Z"},
    "spec": {
        "containers": [
            {
                "name": "c",
                "image": "nginx",
                "ports": [{"containerPort": 80}],
                "resources": {"requests": {"cpu": "100m", "memory": 1024}},
                "env": [{"name": "A", "value": "b"}],
                "livenessProbe": {"httpGet": {"port": "http"}},
            }
        ]
    },
}


def changed(obj: JSON, path: str, value: Any) -> JSON:
    """A copy with one value set; in a list, the path has the index."""
    result = copy.deepcopy(obj)
    *way, last = path.split(".")
    place: Any = result
    for key in way:
        place = place[int(key)] if isinstance(place, list) else place[key]
    place[int(last) if isinstance(place, list) else last] = value
    return result


def test_an_ordinary_object_needs_no_examination() -> None:
    assert schemas.quick(kinds.POD.gvk, POD)
    assert schemas.examine(kinds.POD.gvk, POD) == schemas.Report()


CONTAINER = "spec.containers.0"
UNDECODABLE = [
    (f"{CONTAINER}.ports.0.containerPort", "x", "json: cannot unmarshal string into Go struct field "
     "ContainerPort.spec.containers.ports.containerPort of type int32"),
    (f"{CONTAINER}.ports.0.containerPort", 2**40, "json: cannot unmarshal number 1099511627776 into Go struct field "
     "ContainerPort.spec.containers.ports.containerPort of type int32"),
    (f"{CONTAINER}.env.0.value", 5, "json: cannot unmarshal number into Go struct field "
     "EnvVar.spec.containers.env.value of type string"),
    ("spec.containers", {}, "json: cannot unmarshal object into Go struct field PodSpec.spec.containers "
     "of type []v1.Container"),
    ("spec", 5, "json: cannot unmarshal number into Go struct field Pod.spec of type v1.PodSpec"),
    (f"{CONTAINER}.image", True, "json: cannot unmarshal bool into Go struct field Container.spec.containers.image "
     "of type string"),
    ("metadata.labels", [], "json: cannot unmarshal array into Go struct field ObjectMeta.metadata.labels "
     "of type map[string]string"),
    (f"{CONTAINER}.resources.requests.cpu", "1zz", "quantities must match the regular expression "
     "'^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"),
    ("metadata.creationTimestamp", "2026-01-02 03:04:05Z", 'parsing time "2026-01-02 03:04:05Z" as '
     '"2006-01-02T15:04:05Z07:00": cannot parse "2026-01-02 03:04:05Z" as "2006"'),
    ("metadata.creationTimestamp", "now", 'parsing time "now" as "2006-01-02T15:04:05Z07:00": cannot parse "now" '
     'as "2006"'),
]  # fmt: skip


@pytest.mark.parametrize(("path", "value", "why"), UNDECODABLE)
def test_a_wrong_type_is_worded_as_the_decoder_does(path: str, value: Any, why: str) -> None:
    obj = changed(POD, path, value)
    assert not schemas.quick(kinds.POD.gvk, obj)
    with pytest.raises(BadRequest) as caught:
        schemas.examine(kinds.POD.gvk, obj)
    assert caught.value.message == f'Pod in version "v1" cannot be handled as a Pod: {why}'


def test_base64_is_decoded() -> None:
    gvk = kinds.SECRET.gvk
    assert schemas.quick(gvk, {"data": {"a": "aGk=", "b": ""}})
    assert schemas.examine(gvk, {"data": {"a": "aG\nk="}}) == schemas.Report()
    with pytest.raises(BadRequest, match="illegal base64 data at input byte 1"):
        schemas.examine(gvk, {"data": {"a": "x!"}})


def test_unknown_missing_and_null_are_reported_and_pruned() -> None:
    obj = changed(POD, "spec.foo", 1)
    obj = changed(obj, f"{CONTAINER}.bar", {"x": 1})
    obj = changed(obj, f"{CONTAINER}.name", None)
    report = schemas.examine(kinds.POD.gvk, obj)
    assert sorted(report.unknown) == ["spec.containers[0].bar", "spec.foo"]
    assert [each.message() for each in report.missing] == ["spec.containers[0].name: Required value"]
    assert report.nulls
    schemas.prune(kinds.POD.gvk, obj)
    del (wanted := copy.deepcopy(POD))["spec"]["containers"][0]["name"]
    assert obj == wanted


def test_what_is_missing_in_a_status_is_nobodys_error() -> None:
    obj = changed(POD, "status", {"conditions": [{"type": "Ready"}]})
    assert schemas.validate(kinds.POD.gvk, obj) == []


def test_free_form_fields_keep_what_they_hold() -> None:
    revision = {
        "metadata": {"name": "r", "managedFields": [{"fieldsV1": {"f:a": {}}}]},
        "data": {"spec": {"x": None}},
        "revision": 1,
    }
    schemas.prune(kinds.CONTROLLER_REVISION.gvk, revision)
    assert revision["data"] == {"spec": {"x": None}}
    assert schemas.quick(kinds.CONTROLLER_REVISION.gvk, revision)


def test_null_in_a_map_is_the_empty_value() -> None:
    config = {"data": {"a": None}, "immutable": None}
    schemas.prune(kinds.CONFIG_MAP.gvk, config)
    assert config == {"data": {"a": ""}}


def test_null_in_a_list_is_the_empty_value() -> None:
    obj = changed(POD, "spec.containers", [None])
    assert [each.field for each in schemas.validate(kinds.POD.gvk, obj)] == ["spec.containers[0].name"]
    schemas.prune(kinds.POD.gvk, obj)
    assert obj["spec"]["containers"] == [{}]


def test_strict_error_lists_the_problems() -> None:
    error = schemas.strict_error(kinds.DEPLOYMENT.gvk, ['unknown field "spec.foo"', 'duplicate field "spec.x"'])
    assert error.message == (
        'Deployment in version "v1" cannot be handled as a Deployment: strict decoding error: '
        'unknown field "spec.foo", duplicate field "spec.x"'
    )


def test_types_say_how_fields_merge() -> None:
    spec = definitions.typed(kinds.DEPLOYMENT.gvk).fields["spec"]
    assert spec.fields["strategy"].patch_strategy == "retainKeys"
    assert spec.fields["selector"].map_type == "atomic"
    containers = spec.fields["template"].fields["spec"].fields["containers"]
    assert (containers.merge_key, containers.list_type, containers.list_map_keys) == ("name", "map", ("name",))
    ports = containers.item.fields["ports"] if containers.item else None
    assert ports is not None
    assert ports.list_map_keys == ("containerPort", "protocol")
    labels = definitions.typed(kinds.POD.gvk).fields["metadata"].fields["labels"]
    assert labels.item is not None
    assert labels.item.type == "string"
    assert definitions.typed(kinds.CONTROLLER_REVISION.gvk).fields["data"].fields == {}


def test_a_recursive_schema_has_a_finite_type() -> None:
    schema = definitions.typed(kinds.CUSTOM_RESOURCE_DEFINITION.gvk)
    for name in ("spec", "versions"):
        schema = schema.fields[name]
    assert schema.item is not None
    root = schema.item.fields["schema"].fields["openAPIV3Schema"]
    assert root.fields["not"].fields is root.fields


def test_custom_schemas_make_types() -> None:
    node = definitions.type_of(
        {
            "type": "object",
            "properties": {
                "port": {"x-kubernetes-int-or-string": True},
                "rest": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                "list": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
            },
        }
    )
    assert node.fields["port"].format == "int-or-string"
    assert node.fields["rest"].preserves_unknown
    assert node.fields["list"].list_type == "set"


def test_closure_holds_all_it_refers_to() -> None:
    names = definitions.closure([definitions.definition_name(kinds.SERVICE.gvk)])
    assert "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta" in names
    assert all(definitions.closure([name]).keys() <= names.keys() for name in names)


def mutations() -> st.SearchStrategy[tuple[str, Any]]:
    places = ["metadata", "metadata.labels", "spec", "spec.containers", f"{CONTAINER}.env", f"{CONTAINER}.image"]
    keys = ["", ".name", ".replicas", ".image", ".0", ".x"]
    values = st.one_of(st.none(), st.booleans(), st.integers(-5, 2**33), st.text(max_size=3), st.just([]), st.just({}))
    return st.tuples(st.builds(str.__add__, st.sampled_from(places), st.sampled_from(keys)), values)


@given(mutations())
def test_quick_says_yes_exactly_where_there_is_nothing_to_say(mutation: tuple[str, Any]) -> None:
    try:
        obj = changed(POD, *mutation)
    except (TypeError, ValueError, IndexError, KeyError):
        return
    try:
        walked = schemas.Report()
        schemas._Walk(walked).visit(definitions.typed(kinds.POD.gvk), obj, "", ("", ""))
        clean = walked == schemas.Report()
    except schemas._Undecodable:
        clean = False
    assert schemas.quick(kinds.POD.gvk, obj) is clean
