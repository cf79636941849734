"""Strategic merge: merge keys, directives, order, and the three-way patch of client-side apply."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apimachinery.errors import BadRequest, Invalid, StatusError
from apimachinery.strategic import strategic_merge_patch
from apimachinery.threeway import three_way
from tests.apimachinery.shapes import deployment, keyed, mapping, scalar, set_list, struct

SHAPE = struct(
    items=keyed(struct(name=scalar(), value=scalar(), inner=mapping()), "name"),
    words=set_list(),
    plain=struct(a=scalar(), b=scalar()),
)


def items(*pairs: str) -> list[dict[str, Any]]:
    return [{"name": pair[0], "value": pair[1:]} for pair in pairs]


@pytest.mark.parametrize(
    ("doc", "patch", "result"),
    [
        # items of a merged list meet by key; a new one leads, as it is not ordered behind anything on the server
        ({"items": items("a1")}, {"items": items("a2")}, {"items": items("a2")}),
        ({"items": items("a1")}, {"items": items("b2")}, {"items": items("b2", "a1")}),
        ({"items": items("a1", "b1")}, {"items": items("b2")}, {"items": items("a1", "b2")}),
        ({"items": items("a1", "b1")}, {"items": [{"name": "a", "$patch": "delete"}]}, {"items": items("b1")}),
        ({"items": items("a1", "b1")}, {"items": [{"$patch": "replace"}, *items("c1")]}, {"items": items("c1")}),
        ({"items": items("a1")}, {"items": [{"name": "a", "value": None}]}, {"items": [{"name": "a"}]}),
        ({"items": items("a1")}, {"items": None}, {}),
        # order
        (
            {"items": items("a1", "b1", "c1")},
            {"$setElementOrder/items": [{"name": "c"}, {"name": "a"}], "items": items("c2")},
            {"items": items("b1", "c2", "a1")},
        ),
        (
            {"items": items("a1", "b1")},
            {"$setElementOrder/items": [{"name": "b"}, {"name": "a"}]},
            {"items": items("b1", "a1")},
        ),
        # lists of primitives
        ({"words": ["a"]}, {"words": ["b", "a"]}, {"words": ["b", "a"]}),
        ({"words": ["a", "b"]}, {"$deleteFromPrimitiveList/words": ["a"]}, {"words": ["b"]}),
        ({"words": ["a"]}, {"$deleteFromPrimitiveList/words": ["a"]}, {}),
        (
            {"words": ["a", "b"]},
            {"$deleteFromPrimitiveList/words": ["a"], "$setElementOrder/words": ["c", "b"], "words": ["c"]},
            {"words": ["c", "b"]},
        ),
        # maps
        ({"plain": {"a": 1, "b": 2}}, {"plain": {"$patch": "replace", "b": 3}}, {"plain": {"b": 3}}),
        ({"plain": {"a": 1}}, {"plain": {"$patch": "delete"}}, {"plain": {}}),
        ({"plain": {"a": 1, "b": 2}}, {"plain": {"$retainKeys": ["b"], "b": 3}}, {"plain": {"b": 3}}),
        ({}, {"plain": {"a": None, "b": 1}}, {"plain": {"b": 1}}),
        ({"unknown": [1, 2]}, {"unknown": [3]}, {"unknown": [3]}),
    ],
)
def test_merge(doc: Any, patch: Any, result: Any) -> None:
    before = copy.deepcopy((doc, patch))
    assert strategic_merge_patch(doc, patch, SHAPE) == result
    assert (doc, patch) == before


@pytest.mark.parametrize(
    ("patch", "error"),
    [
        ([], BadRequest),
        ({"plain": {"$patch": "twist"}}, BadRequest),
        ({"items": [{"value": "x"}]}, BadRequest),
        ({"items": [[1]]}, Invalid),
        ({"plain": {"$retainKeys": "a"}}, BadRequest),
        ({"plain": {"$retainKeys": ["a"], "b": 1}}, BadRequest),
        ({"$setElementOrder/items": [{"name": "b"}], "items": items("a1")}, BadRequest),
        ({"$deleteFromPrimitiveList/words": "a"}, BadRequest),
    ],
)
def test_a_senseless_patch_is_refused(patch: Any, error: type[StatusError]) -> None:
    with pytest.raises(error):
        strategic_merge_patch({"items": items("a1"), "plain": {}, "words": ["a"]}, patch, SHAPE)


def test_what_the_patch_does_not_touch_is_shared() -> None:
    doc = {"metadata": {"labels": {}}, "spec": {"template": {"spec": {}}}}
    patched = strategic_merge_patch(doc, {"metadata": {"labels": {"a": "b"}}}, deployment())
    assert patched["spec"] is doc["spec"]


def test_apply_sends_what_kubectl_would() -> None:
    """A manifest gains a container, changes an image and drops an environment variable; the server scaled meanwhile."""

    def manifest(*containers: Any) -> Any:
        return {"spec": {"template": {"spec": {"containers": list(containers)}}}}

    last = manifest({"name": "a", "image": "1", "env": [{"name": "x", "value": "1"}, {"name": "y", "value": "1"}]})
    now = manifest({"name": "a", "image": "2", "env": [{"name": "y", "value": "1"}]}, {"name": "b", "image": "1"})
    live = copy.deepcopy(last)
    live["spec"]["replicas"] = 7
    patch = three_way(last, now, live, deployment())
    assert patch["spec"]["template"]["spec"] == {
        "$setElementOrder/containers": [{"name": "a"}, {"name": "b"}],
        "containers": [
            {
                "name": "a",
                "image": "2",
                "$setElementOrder/env": [{"name": "y"}],
                "env": [{"name": "x", "$patch": "delete"}],
            },
            {"name": "b", "image": "1"},
        ],
    }
    result = strategic_merge_patch(live, patch, deployment())
    assert result["spec"]["replicas"] == 7
    assert result["spec"]["template"] == now["spec"]["template"]


def test_switching_the_deployment_strategy_drops_the_other_ones_parameters() -> None:
    last = {"spec": {"strategy": {"type": "RollingUpdate"}}}
    live = {"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}}
    patch = three_way(last, {"spec": {"strategy": {"type": "Recreate"}}}, live, deployment())
    assert patch == {"spec": {"strategy": {"type": "Recreate", "$retainKeys": ["type"]}}}
    assert strategic_merge_patch(live, patch, deployment()) == {"spec": {"strategy": {"type": "Recreate"}}}


named = st.lists(
    st.fixed_dictionaries({"name": st.sampled_from("abcd")}, optional={"value": st.sampled_from("xy")}),
    unique_by=lambda each: each["name"],
    max_size=4,
)
documents = st.fixed_dictionaries(
    {},
    optional={
        "items": named,
        "words": st.lists(st.sampled_from("abcd"), unique=True, max_size=4),
        "plain": st.dictionaries(st.sampled_from("ab"), st.sampled_from("12"), max_size=2),
    },
)


def _canonical(doc: Any) -> Any:
    """Without empty containers: a patch that removes the last item leaves an empty list."""
    return {key: value for key, value in doc.items() if value}


@given(documents, documents)
def test_applying_a_three_way_patch_reaches_the_manifest(last: Any, now: Any) -> None:
    patch = three_way(last, now, last, SHAPE)
    result = strategic_merge_patch(last, patch, SHAPE)
    assert _canonical(result) == _canonical(now)
    assert not any(three_way(now, now, result, SHAPE).values())


def test_items_of_both_halves_of_a_three_way_patch_keep_the_manifests_order() -> None:
    last, now = {"items": [{"name": "b", "value": "x"}]}, {"items": [{"name": "a"}, {"name": "b"}]}
    result = strategic_merge_patch({}, three_way(last, now, {}, SHAPE), SHAPE)
    assert [each["name"] for each in result["items"]] == ["a", "b"]


@given(documents, documents, documents)
def test_apply_keeps_what_others_set_and_removes_what_it_set(last: Any, now: Any, live: Any) -> None:
    result = strategic_merge_patch(live, three_way(last, now, live, SHAPE), SHAPE)
    for field in ("plain",):
        for key, value in (now.get(field) or {}).items():
            assert result[field][key] == value
    marks = {each["name"] for each in result.get("items") or ()}
    then, wanted, there = ({each["name"] for each in doc.get("items") or ()} for doc in (last, now, live))
    if "items" in now or "items" not in last:
        assert marks == wanted | (there - then)
