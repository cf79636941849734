"""JSON patch and merge patch: the RFCs' own cases, errors, and what is shared with the input."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apimachinery.errors import BadRequest, Invalid
from apimachinery.patch import json_patch, merge_patch

scalars = st.one_of(st.none(), st.booleans(), st.integers(-3, 3), st.text("ab", max_size=2))
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text("abc", max_size=1), inner, max_size=3)
    ),
    max_leaves=8,
)
objects = st.dictionaries(st.text("abc", max_size=1), values, max_size=3)


@pytest.mark.parametrize(
    ("doc", "patch", "result"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merge_patch_does_what_the_rfc_says(doc: Any, patch: Any, result: Any) -> None:
    assert merge_patch(doc, patch) == result


def test_merge_patch_of_an_annotation_shares_the_spec() -> None:
    pod = {"metadata": {"annotations": {"a": "1"}, "labels": {}}, "spec": {"containers": [{"name": "a"}]}}
    patched = merge_patch(pod, {"metadata": {"annotations": {"b": "2"}}})
    assert patched["spec"] is pod["spec"]
    assert patched["metadata"] is not pod["metadata"]
    assert pod["metadata"]["annotations"] == {"a": "1"}


@given(objects, objects)
def test_merge_patch_changes_neither_argument_and_is_idempotent(doc: Any, patch: Any) -> None:
    before = copy.deepcopy((doc, patch))
    once = merge_patch(doc, patch)
    assert (doc, patch) == before
    assert merge_patch(once, patch) == once


@pytest.mark.parametrize(
    ("doc", "ops", "result"),
    [
        ({"foo": "bar"}, [{"op": "add", "path": "/baz", "value": "qux"}], {"foo": "bar", "baz": "qux"}),
        ({"f": ["a", "c"]}, [{"op": "add", "path": "/f/1", "value": "b"}], {"f": ["a", "b", "c"]}),
        ({"f": ["a"]}, [{"op": "add", "path": "/f/-", "value": "b"}], {"f": ["a", "b"]}),
        ({"f": ["a", "b"]}, [{"op": "remove", "path": "/f/0"}], {"f": ["b"]}),
        ({"a": 1}, [{"op": "replace", "path": "/a", "value": 2}], {"a": 2}),
        ({"a": {"b": 1}, "c": {}}, [{"op": "move", "from": "/a/b", "path": "/c/d"}], {"a": {}, "c": {"d": 1}}),
        (
            {"f": ["a", "b", "c"]},
            [{"op": "move", "from": "/f/0", "path": "/f/2"}],
            {"f": ["b", "c", "a"]},
        ),
        (
            {"a": {"x": 1}},
            [{"op": "copy", "from": "/a", "path": "/b"}, {"op": "add", "path": "/b/x", "value": 2}],
            {"a": {"x": 1}, "b": {"x": 2}},
        ),
        (
            {"a/b": 1, "m~n": 2},
            [{"op": "test", "path": "/a~1b", "value": 1}, {"op": "remove", "path": "/m~0n"}],
            {"a/b": 1},
        ),
        ({"a": 1}, [{"op": "add", "path": "", "value": {"b": 1}}], {"b": 1}),
        ({"a": 1}, [{"op": "move", "from": "/a", "path": "/a"}], {"a": 1}),
    ],
)
def test_json_patch_does_what_the_rfc_says(doc: Any, ops: Any, result: Any) -> None:
    before = copy.deepcopy((doc, ops))
    assert json_patch(doc, ops) == result
    assert (doc, ops) == before


@pytest.mark.parametrize("ops", [{"op": "add"}, ["x"], "add", None])
def test_a_malformed_patch_is_a_bad_request(ops: Any) -> None:
    with pytest.raises(BadRequest):
        json_patch({"a": 1}, ops)


@pytest.mark.parametrize(
    "op",
    [
        {"op": "spin", "path": "/a"},
        {"op": "remove"},
        {"op": "add", "path": "a", "value": 1},
        {"op": "move", "path": "/a"},
        {"op": "test", "path": "/a", "value": 2},
        {"op": "test", "path": "/a", "value": True},
        {"op": "remove", "path": "/b"},
        {"op": "replace", "path": "/b", "value": 1},
        {"op": "add", "path": "/b/c", "value": 1},
        {"op": "add", "path": "/l/5", "value": 1},
        {"op": "add", "path": "/l/01", "value": 1},
        {"op": "add", "path": "/a/x", "value": 1},
        {"op": "move", "from": "/o", "path": "/o/x"},
        {"op": "remove", "path": ""},
        {"op": "replace", "path": "", "value": []},
    ],
)
def test_a_patch_that_does_not_fit_is_unprocessable(op: Any) -> None:
    doc = {"a": 1, "l": [1], "o": {}}
    with pytest.raises(Invalid) as caught:
        json_patch(doc, [{"op": "add", "path": "/z", "value": 1}, op])
    assert caught.value.code == 422
    assert doc == {"a": 1, "l": [1], "o": {}}


def test_a_value_that_is_not_given_is_null() -> None:
    assert json_patch({}, [{"op": "add", "path": "/a"}]) == {"a": None}


@given(objects, st.text("abc", min_size=1, max_size=1), values)
def test_add_then_remove_gives_the_document_back(doc: Any, key: str, value: Any) -> None:
    doc = {name: each for name, each in doc.items() if name != key}
    ops = [{"op": "add", "path": f"/{key}", "value": value}, {"op": "remove", "path": f"/{key}"}]
    assert json_patch(doc, ops) == doc
