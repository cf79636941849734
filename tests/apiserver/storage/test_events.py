"""Events and the ring (rules 3, 16)."""

import orjson
from hypothesis import given
from hypothesis import strategies as st

from apimachinery import fields, labels
from apimachinery.resourceversion import LAST_PLACE
from apiserver.storage.cache import matcher
from apiserver.storage.events import ADDED, MODIFIED, Ring, WatchEvent
from apiserver.storage.value import Entry, draft, entry_of, extractor, restamped, undraft


def entry(version: int, *, app: str = "a", key: str = "/registry/pods/d/p") -> Entry:
    obj = {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "p", "labels": {"app": app}}}
    return entry_of(key, version, draft(obj), extractor(()))


def test_rule_16_an_event_is_encoded_once_for_each_representation() -> None:
    event = WatchEvent(ADDED, entry(1), None)
    calls: list[str] = []

    def encode(which: str) -> bytes:
        return event.encoded(which, lambda each: calls.append(which) or each.entry.body)  # type: ignore[func-returns-value]

    assert encode("json") is encode("json")
    encode("table")
    assert calls == ["json", "table"]


def test_rule_16_what_leaves_a_selector_is_deleted_as_it_was() -> None:
    matches = matcher(labels.parse("app=a"), None)
    assert matches is not None
    before, after = entry(1, app="a"), entry(2, app="b")
    seen = WatchEvent(MODIFIED, after, before).seen(matches)
    assert seen is not None
    assert (seen.type, seen.version) == ("DELETED", 2)
    assert orjson.loads(seen.entry.body)["metadata"] == {"resourceVersion": "2", "name": "p", "labels": {"app": "a"}}
    entering = WatchEvent(MODIFIED, before, after).seen(matches)
    assert entering is not None
    assert entering.type == "ADDED"
    assert WatchEvent(MODIFIED, after, after).seen(matches) is None
    event = WatchEvent(MODIFIED, before, before)
    assert event.seen(matches) is event
    assert WatchEvent.deletion(after, 3).seen(matches) is None
    by_name = matcher(None, fields.parse("metadata.name=p"))
    assert by_name is not None
    assert event.seen(by_name) is event


@given(st.lists(st.integers(1, 5), max_size=80), st.integers(1, 20), st.integers(0, 200))
def test_the_ring_gives_every_event_after_a_version_it_covers(steps: list[int], size: int, asked: int) -> None:
    ring = Ring(0, max_events=size, max_bytes=10**9)
    versions, version = [], 0
    for step in steps:
        version += step
        versions.append(version)
        ring.append(WatchEvent(ADDED, entry(version), None))
    assert len(ring) == min(size, len(steps))
    if ring.covers(asked):
        assert [event.version for event in ring.after(asked)] == [each for each in versions if each > asked]
    else:
        assert len(steps) > size
    assert ring.covers(versions[-size - 1] if len(steps) > size else 0)


def test_the_ring_is_bounded_in_bytes() -> None:
    size = len(entry(1).body)
    ring = Ring(0, max_events=1000, max_bytes=3 * size)
    for version in range(1, 10):
        ring.append(WatchEvent(ADDED, entry(version), None))
    assert len(ring) == 3


names = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
values = st.recursive(names | st.integers(-(2**40), 2**40) | st.none() | st.booleans(), lambda inner: (
    st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3)), max_leaves=10)  # fmt: skip


@given(st.dictionaries(names, values, max_size=4), st.dictionaries(names, values, max_size=4), st.integers(0, 126))
def test_rule_01_the_place_is_spliced_in_and_out(metadata: dict, rest: dict, place: int) -> None:  # type: ignore[type-arg]
    obj = {**rest, "kind": "Pod", "apiVersion": "v1", "metadata": {**metadata, "resourceVersion": "88"}}
    made = draft(obj)
    found = undraft(made.stored(place))
    assert found == (made, place)
    body = made.body(12345)
    assert orjson.loads(body) == {**obj, "metadata": {**metadata, "resourceVersion": "12345"}}
    assert restamped(body, 9) == made.body(9)
    assert next(iter(orjson.loads(body)["metadata"])) == "resourceVersion"


def test_rule_01_other_programs_values() -> None:
    for value in (
        b'{"metadata":{"name":"p"},"kind":"Pod","apiVersion":"v1"}',
        b'{"kind":"Pod","apiVersion":"v1","metadata":{"name":"p","resourceVersion":"007"}}',
        b'{"kind":"Pod","apiVersion":"v1","spec":{"template":{"metadata":{"resourceVersion":"007"}}},"metadata":{"name":"p"}}',
    ):
        found = undraft(value)
        assert found is not None
        assert found[1] == LAST_PLACE
        assert orjson.loads(found[0].body(5))["metadata"] == {"resourceVersion": "5", "name": "p"}
    assert undraft(b"k8s\0\n\x0f") is None
    assert undraft(b"[]") is None
    assert undraft(b'{"kind":"Pod"}') is None
