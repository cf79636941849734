"""A kind's store: order, index, and winding back."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from apimachinery import fields, kinds, labels
from apiserver.storage.cache import KindStore, Limits, Stores, matcher
from apiserver.storage.events import ADDED, MODIFIED, WatchEvent
from apiserver.storage.value import Entry, draft, entry_of

KEYS = [f"/registry/pods/{namespace}/{name}" for namespace in ("a", "a-b", "b") for name in "xyz"]


def pod(store: KindStore, key: str, version: int, app: str, node: str) -> Entry:
    namespace, name = key.split("/")[3:]
    obj: dict[str, Any] = {
        "kind": "Pod", "apiVersion": "v1", "metadata": {"name": name, "namespace": namespace, "labels": {"app": app}},
        "spec": {"nodeName": node},
    }  # fmt: skip
    return entry_of(key, version, draft(obj), store.fields)


def apply(store: KindStore, key: str, version: int, app: str | None, node: str) -> None:
    if app is None:
        previous = store.remove(key)
        if previous is not None:
            store.record(WatchEvent.deletion(previous, version))
        return
    entry = pod(store, key, version, app, node)
    previous = store.put(entry)
    store.record(WatchEvent(ADDED if previous is None else MODIFIED, entry, previous))


changes = st.lists(
    st.tuples(st.sampled_from(KEYS), st.sampled_from(["red", "blue", None]), st.sampled_from(["n1", "n2", ""])),
    max_size=40,
)


@given(changes, st.integers(0, 40), st.sampled_from(["", "a", "b", "c"]))
def test_a_store_lists_what_was_there_at_any_version(changes: Any, asked: int, namespace: str) -> None:
    store = Stores(Limits()).of(kinds.POD)
    store.serve(kinds.POD)
    model: dict[str, Entry] = {}
    at: dict[int, list[str]] = {0: []}
    for version, (key, app, node) in enumerate(changes, 1):
        apply(store, key, version, app, node)
        if app is None:
            model.pop(key, None)
        else:
            model[key] = store.entries[key]
        at[version] = [f"{key}={model[key].version}" for key in sorted(model)]
    scope = store.scope(namespace)
    found = store.at(min(asked, len(changes)), scope)
    assert found is not None
    wanted = [each for each in at[min(asked, len(changes))] if each.startswith(scope)]
    assert [f"{entry.key}={entry.version}" for entry in found] == wanted

    for by_labels, by_fields in (("app=red", ""), ("", "spec.nodeName=n1"), ("app=blue", "spec.nodeName=n2"), ("", "")):
        selector, field_selector = labels.parse(by_labels), fields.parse(by_fields)
        matches = matcher(selector, field_selector) or (lambda entry: True)
        candidates = [store.entries[key] for key in store.candidates(scope, selector, field_selector)]
        everything = [model[key] for key in sorted(model) if key.startswith(scope)]
        assert [each.key for each in candidates if matches(each)] == [each.key for each in everything if matches(each)]


@given(changes, st.sampled_from(["", "a", "b", "c"]), st.integers(0, 3))
def test_pages_are_what_is_there_now_and_shared_until_it_changes(changes: Any, namespace: str, limit: int) -> None:
    store = Stores(Limits()).of(kinds.POD)
    scope = store.scope(namespace)
    for version, (key, app, node) in enumerate(changes, 1):
        apply(store, key, version, app, node)
        wanted = [store.entries[each] for each in sorted(store.entries) if each.startswith(scope)]
        found: list[Entry] = []
        start = ""
        while True:
            page = store.page(scope, start, limit)
            assert store.page(scope, start, limit) is page
            found += page
            assert page.left == len(wanted) - len(found)
            if not page.left:
                break
            start = page[-1].key + "\0"
        assert found == wanted


def test_a_ring_that_does_not_reach_back_says_so() -> None:
    store = Stores(Limits(ring_events=2)).of(kinds.POD)
    for version in range(1, 6):
        apply(store, KEYS[0], version, "red", "")
    assert store.at(2, store.scope("")) is None
    assert [entry.version for entry in store.at(4, store.scope("")) or ()] == [4]


def test_a_kind_registered_late_finds_its_objects() -> None:
    stores = Stores(Limits())
    store = stores.find("/registry/example.org/widgets/a/w")
    assert store is not None
    assert store is stores.find("/registry/example.org/widgets/b/w")
    assert stores.find("/elsewhere/a/b") is None
    assert stores.find("/registry/unknown/x") is None
    pods = stores.of(kinds.POD)
    assert stores.find("/registry/pods/a/b") is pods
    assert stores.find("/registry/apps/deployments/a/b") is stores.of(kinds.DEPLOYMENT)
    late = stores.of(kinds.POD)
    late.put(pod(late, KEYS[0], 1, "red", "n1"))
    assert "spec.nodeName" not in late.entries[KEYS[0]].fields
    late.serve(kinds.POD)
    assert late.entries[KEYS[0]].fields["spec.nodeName"] == "n1"
