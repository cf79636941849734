"""Server-side apply: ownership, conflicts, removal, take-over; then random histories against a model of a few lines."""

import copy
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apimachinery import ssa
from apimachinery.definitions import Type
from apimachinery.errors import BadRequest, Conflict
from apimachinery.kinds import GVK
from apimachinery.managedfields import update_managed
from apimachinery.structured.fieldset import paths
from tests.apimachinery.shapes import deployment, keyed, mapping, scalar, struct

NOW = "2026-01-01T00:00:00Z"
DEPLOYMENT = GVK("apps", "v1", "Deployment")


def applied(
    live: Any,
    config: Any,
    manager: str,
    *,
    force: bool = False,
    type: Type | None = None,
    subresource: str = "",
    now: str = NOW,
) -> Any:
    before = copy.deepcopy((live, config))
    new = ssa.apply(
        live,
        config,
        manager=manager,
        force=force,
        type=type or deployment(),
        gvk=DEPLOYMENT,
        now=now,
        subresource=subresource,
    )
    assert (live, config) == before, "apply changed what it was given"
    return new


def containers(*items: Any, **spec: Any) -> Any:
    return {"metadata": {"name": "web"}, "spec": {**spec, "template": {"spec": {"containers": list(items)}}}}


def listed(obj: Any) -> Any:
    return obj["spec"]["template"]["spec"]["containers"]


def owned(obj: Any, manager: str) -> set[str]:
    entries = [each for each in obj["metadata"].get("managedFields", []) if each["manager"] == manager]
    return {path for entry in entries for path in paths(entry["fieldsV1"])}


def test_the_first_apply_creates_and_owns_leaves_and_items() -> None:
    obj = applied(None, containers({"name": "a", "image": "1"}, replicas=2), "me")
    assert obj["spec"]["replicas"] == 2
    prefix = '.spec.template.spec.containers[name="a"]'
    assert owned(obj, "me") == {".spec.replicas", prefix, f"{prefix}.name", f"{prefix}.image"}
    assert obj["metadata"]["managedFields"][0]["operation"] == "Apply"


def test_what_is_not_applied_any_more_goes() -> None:
    live = applied(None, containers({"name": "a", "image": "1"}, {"name": "b"}, replicas=2), "me")
    live["spec"]["template"]["spec"]["containers"][1]["image"] = "defaulted"
    new = applied(live, containers({"name": "a"}), "me")
    assert listed(new) == [{"name": "a"}]
    assert "replicas" not in new["spec"]


def test_an_applier_who_drops_its_labels_leaves_the_name() -> None:
    config = containers(replicas=1)
    labelled = {**config, "metadata": {"name": "web", "labels": {"a": "b"}}}
    live = applied(None, labelled, "me")
    live["metadata"]["uid"] = "1"
    metadata = applied(live, config, "me")["metadata"]
    assert (metadata["name"], metadata["uid"], metadata.get("labels")) == ("web", "1", None)


def test_a_conflict_names_manager_and_field_as_upstream_does() -> None:
    live = containers(replicas=1)
    live |= {"apiVersion": "apps/v1", "kind": "Deployment"}
    update_managed(None, live, manager="kubectl-client-side-apply", now=NOW, type=deployment())
    with pytest.raises(Conflict) as caught:
        applied(live, containers(replicas=2), "me")
    who = 'conflict with "kubectl-client-side-apply" using apps/v1'
    assert caught.value.message == f"Apply failed with 1 conflict: {who}: .spec.replicas"
    assert caught.value.causes == [{"reason": "FieldManagerConflict", "message": who, "field": ".spec.replicas"}]
    assert caught.value.code == 409


def test_several_conflicts_are_listed_by_manager() -> None:
    live = applied(None, containers({"name": "a", "image": "1"}, replicas=1), "one")
    with pytest.raises(Conflict) as caught:
        applied(live, containers({"name": "a", "image": "2"}, replicas=2), "two")
    assert caught.value.message == (
        'Apply failed with 2 conflicts: conflicts with "one":\n- .spec.replicas\n'
        '- .spec.template.spec.containers[name="a"].image'
    )


def test_force_takes_and_equal_values_are_shared() -> None:
    live = applied(None, containers(replicas=1, paused=True), "one")
    new = applied(live, containers(replicas=2, paused=True), "two", force=True)
    assert owned(new, "one") == {".spec.paused", ".spec.template.spec.containers"}
    assert owned(new, "two") == {".spec.replicas", ".spec.paused", ".spec.template.spec.containers"}


def test_applying_the_same_again_is_no_change_at_all() -> None:
    config = containers({"name": "a", "image": "1"}, replicas=2)
    live = applied(None, config, "me")
    assert applied(live, config, "me", now="2027-01-01T00:00:00Z") == live


def test_atomic_lists_are_replaced_and_have_one_owner() -> None:
    live = applied(None, containers({"name": "a", "command": ["x", "y"]}), "one")
    with pytest.raises(Conflict, match="command"):
        applied(live, containers({"name": "a", "command": ["x"]}), "two")
    assert listed(applied(live, containers({"name": "a", "command": ["z"]}), "one")) == [
        {"name": "a", "command": ["z"]}
    ]


def test_sets_merge() -> None:
    def finalizers(*names: str) -> Any:
        return {"metadata": {"name": "web", "finalizers": list(names)}}

    live = applied(applied(None, finalizers("a", "b"), "one"), finalizers("c"), "two")
    assert set(live["metadata"]["finalizers"]) == {"a", "b", "c"}
    assert set(applied(live, finalizers("b"), "one")["metadata"]["finalizers"]) == {"b", "c"}


def test_a_port_without_protocol_is_the_tcp_port() -> None:
    live = containers({"name": "a", "ports": [{"containerPort": 80, "protocol": "TCP"}]})
    live |= {"apiVersion": "apps/v1", "kind": "Deployment"}
    update_managed(None, live, manager="other", now=NOW, type=deployment())
    new = applied(live, containers({"name": "a", "ports": [{"containerPort": 80, "name": "web"}]}), "me")
    assert listed(new)[0]["ports"] == [{"containerPort": 80, "protocol": "TCP", "name": "web"}]


@pytest.mark.parametrize(
    ("theirs", "ours", "merged"),
    [("abc", "d", "abcd"), ("abc", "ca", "bca"), ("ab", "xb", "axb"), ("xay", "ab", "xayb"), ("", "ab", "ab")],
)
def test_a_merged_list_has_our_items_in_our_order_and_theirs_in_place(theirs: str, ours: str, merged: str) -> None:
    live = applied(None, containers(*({"name": name} for name in theirs)), "one")
    new = applied(live, containers(*({"name": name} for name in ours)), "two")
    assert "".join(each["name"] for each in listed(new)) == merged


def test_items_that_cannot_be_told_apart_are_refused() -> None:
    for items in ([{"name": "a"}, {"name": "a"}], [{"image": "a"}]):
        with pytest.raises(BadRequest, match="containers"):
            applied(None, containers(*items), "me")


def test_an_object_from_before_tracking_belongs_to_nobody_in_particular() -> None:
    live = {"apiVersion": "apps/v1", "kind": "Deployment", **containers(replicas=1)}
    with pytest.raises(Conflict, match="before-first-apply"):
        applied(live, containers(replicas=2), "me")


def test_kubectl_takes_over_what_it_applied_from_the_client_side() -> None:
    last = {"apiVersion": "apps/v1", "kind": "Deployment", **containers(replicas=1)}
    live = copy.deepcopy(last)
    live["metadata"]["annotations"] = {ssa.LAST_APPLIED: orjson.dumps(last).decode()}
    update_managed(None, live, manager="kubectl-client-side-apply", now=NOW, type=deployment())
    new = applied(live, containers(replicas=2), "kubectl")
    assert new["spec"]["replicas"] == 2
    assert orjson.loads(new["metadata"]["annotations"][ssa.LAST_APPLIED])["spec"]["replicas"] == 2
    scaled = copy.deepcopy(live)
    scaled["spec"]["replicas"] = 9
    with pytest.raises(Conflict):
        applied(scaled, containers(replicas=2), "kubectl")


def test_status_is_not_taken_from_an_apply_of_the_object() -> None:
    obj = applied(None, {"metadata": {"name": "web"}, "status": {"replicas": 1}}, "me")
    assert owned(obj, "me") == set()
    obj = applied(obj, {"metadata": {"name": "web"}, "status": {"replicas": 1}}, "me", subresource="status")
    assert owned(obj, "me") == {".status.replicas"}


# Random histories. The model knows an object as {path: value}, an owner as a set of paths; removing an item takes
# along what is in it.

SHAPE = struct(
    apiVersion=scalar(),
    kind=scalar(),
    metadata=struct(name=scalar()),
    data=mapping(),
    items=keyed(struct(name=scalar(), value=scalar(), extra=scalar()), "name"),
)
Path = tuple[str, ...]


def flat(obj: Any) -> dict[Path, str]:
    found: dict[Path, str] = {("data", key): value for key, value in (obj.get("data") or {}).items()}
    for each in obj.get("items") or ():
        found["items", each["name"]] = ""
        found |= {("items", each["name"], key): value for key, value in each.items()}
    return found


def shown(path: Path) -> str:
    if path[0] == "data":
        return f".data.{path[1]}"
    return f'.items[name="{path[1]}"]' + "".join(f".{key}" for key in path[2:])


class Model:
    def __init__(self) -> None:
        self.live: dict[Path, str] = {}
        self.owners: dict[tuple[str, str], set[Path]] = {}

    def _settle(self, own: tuple[str, str], new: dict[Path, str], mine: set[Path]) -> None:
        touched = {path for path in new.keys() | self.live.keys() if new.get(path) != self.live.get(path)}
        self.owners = {who: paths - touched for who, paths in self.owners.items() if who != own}
        self.owners[own] = mine
        self.live = new

    def apply(self, manager: str, config: dict[Path, str], *, force: bool) -> bool:
        own = (manager, "Apply")
        others = set().union(*(paths for who, paths in self.owners.items() if who != own))
        if not force and any(self.live.get(path) != config[path] and path in others for path in config):
            return False
        gone = self.owners.get(own, set()) - config.keys() - others
        kept = {path: value for path, value in self.live.items() if not any(path[: len(each)] == each for each in gone)}
        self._settle(own, kept | config, set(config))
        return True

    def update(self, manager: str, new: dict[Path, str]) -> None:
        own = (manager, "Update")
        changed = {path for path in new if self.live.get(path) != new[path]}
        mine = (self.owners.get(own, set()) & new.keys()) | changed
        self._settle(own, new, mine)


values = st.sampled_from("123")
documents = st.fixed_dictionaries(
    {},
    optional={
        "data": st.dictionaries(st.sampled_from("xyz"), values, min_size=1),
        "items": st.lists(
            st.fixed_dictionaries({"name": st.sampled_from("abc")}, optional={"value": values, "extra": values}),
            unique_by=lambda each: each["name"],
            min_size=1,
        ),
    },
)
operations = st.tuples(st.sampled_from(["apply", "force", "update"]), st.sampled_from(["m", "n", "o"]), documents)


def named(doc: Any) -> Any:
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, **doc}


def anchored(doc: Any) -> Any:
    """With one field that is always there, as an object that nobody owns anything of is not tracked."""
    return {**doc, "data": {"anchor": "0", **doc.get("data", {})}}


@settings(max_examples=300, deadline=None)
@given(st.lists(operations, min_size=1, max_size=8))
def test_random_orders_of_apply_update_and_force(history: list[tuple[str, str, Any]]) -> None:
    model, live = Model(), None
    for number, (operation, manager, some) in enumerate(history):
        doc = anchored(some)
        now = f"2026-01-01T00:00:{number:02}Z"
        if operation == "update":
            new = copy.deepcopy(named(doc))
            update_managed(live, new, manager=manager, now=now, type=SHAPE)
            model.update(manager, flat(doc))
            live = new
        else:
            force = operation == "force"
            if model.apply(manager, flat(doc), force=force):
                live = applied(live, named(doc), manager, force=force, type=SHAPE, now=now)
                assert applied(live, named(doc), manager, type=SHAPE, now="2027") == live, "an apply is idempotent"
            else:
                with pytest.raises(Conflict):
                    applied(live, named(doc), manager, type=SHAPE, now=now)
                continue
        assert flat(live) == model.live
        found = {
            (entry["manager"], entry["operation"]): set(paths(entry["fieldsV1"])) - {".data", ".items"}
            for entry in live["metadata"].get("managedFields", [])
        }
        expected = {who: {shown(path) for path in mine} for who, mine in model.owners.items()}
        assert {who: mine for who, mine in found.items() if mine} == {
            who: mine for who, mine in expected.items() if mine
        }


@given(documents, documents)
def test_appliers_of_different_fields_commute(one: Any, two: Any) -> None:
    two = {key: value for key, value in two.items() if key not in one}
    there = applied(applied(None, named(one), "m", type=SHAPE), named(two), "n", type=SHAPE)
    back = applied(applied(None, named(two), "n", type=SHAPE), named(one), "m", type=SHAPE)
    assert there == back


@given(documents)
def test_a_sole_owner_who_applies_nothing_removes_everything(doc: Any) -> None:
    live = applied(None, named(doc), "m", type=SHAPE)
    assert flat(applied(live, named({}), "m", type=SHAPE)) == {}
