"""Metadata, owners, conditions, times, resource versions."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apimachinery import errors, meta, resourceversion

POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "a", "namespace": "ns", "uid": "u", "labels": None, "deletionTimestamp": None},
}


def test_readers_tolerate_absence_and_null() -> None:
    assert meta.key(POD) == "ns/a"
    assert meta.key({"metadata": {"name": "node"}}) == "node"
    assert meta.labels(POD) == meta.annotations({}) == {}
    assert not meta.is_deleting(POD)
    assert meta.controller_of(POD) is None


def test_the_controller_is_the_owner_marked_so() -> None:
    reference = meta.owner_reference(POD)
    assert reference == {
        "apiVersion": "v1",
        "kind": "Pod",
        "name": "a",
        "uid": "u",
        "controller": True,
        "blockOwnerDeletion": True,
    }
    other = meta.owner_reference(POD, controller=False)
    assert meta.controller_of({"metadata": {"ownerReferences": [other, reference]}}) == reference


def test_transition_time_moves_with_the_status_only() -> None:
    conditions: list[meta.JSON] = []
    assert meta.set_condition(conditions, type="Ready", status="False", reason="A", now="t1")
    assert not meta.set_condition(conditions, type="Ready", status="False", reason="A", now="t2")
    assert meta.set_condition(conditions, type="Ready", status="False", reason="B", now="t2")
    assert conditions[0]["lastTransitionTime"] == "t1"
    assert meta.set_condition(conditions, type="Ready", status="True", now="t3")
    assert conditions == [{"type": "Ready", "status": "True", "lastTransitionTime": "t3"}]
    assert meta.is_condition_true({"status": {"conditions": conditions}}, "Ready")


def test_times_go_there_and_back() -> None:
    assert meta.format_time(meta.parse_time("2026-01-02T03:04:05Z")) == "2026-01-02T03:04:05Z"
    assert (
        meta.format_micro_time(meta.parse_time("2026-01-02T03:04:05.123456789+01:00")) == "2026-01-02T02:04:05.123456Z"
    )
    assert meta.parse_time(meta.now()) <= meta.parse_time(meta.now_micro())
    for wrong in ("yesterday", "2026-01-02T03:04:05"):
        with pytest.raises(ValueError, match=r"zone|isoformat"):
            meta.parse_time(wrong)


revisions = st.tuples(st.integers(0, 2**56), st.integers(0, 127))


@given(revisions, revisions)
def test_versions_order_as_commits_and_places_do(one: tuple[int, int], other: tuple[int, int]) -> None:
    assert (resourceversion.encode(*one) < resourceversion.encode(*other)) is (one < other)
    assert resourceversion.decode(resourceversion.encode(*one)) == one


@pytest.fixture
def restored() -> Iterator[int]:
    """After a restore: revisions are shifted."""
    resourceversion.shift(1_000)
    yield 1_000
    resourceversion.shift(0)


def test_after_a_restore_versions_are_beyond_those_of_before(restored: int) -> None:
    version = resourceversion.encode(1, 0)
    assert version > resourceversion.PLACES * restored + resourceversion.LAST_PLACE
    assert resourceversion.decode(version) == (1, 0)
    assert resourceversion.decode(0) == (0, 0)


@pytest.mark.parametrize("version", [1, 127, 128_000, 128_127])
def test_after_a_restore_versions_of_before_are_expired(restored: int, version: int) -> None:
    with pytest.raises(errors.Expired, match="restored"):
        resourceversion.decode(version)


@pytest.mark.parametrize("text", ["-1", "a", "1.0", " 1", "٣", "9" * 30])
def test_a_version_that_is_no_number_is_a_bad_request(text: str) -> None:
    with pytest.raises(errors.BadRequest, match="resourceVersion: Invalid value"):
        resourceversion.parse(text)


def test_versions_parse() -> None:
    assert resourceversion.parse("") == 0
    assert resourceversion.parse("1280") == 1280
