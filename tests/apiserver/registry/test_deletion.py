"""DeleteOptions, and what a propagation policy leaves on an object."""

from typing import Any

import pytest

from apimachinery.errors import StatusError
from apiserver.registry.deletion import DeleteOptions, _set_policy, parse_options


def test_options_are_read_from_their_json() -> None:
    body = {"gracePeriodSeconds": 3, "propagationPolicy": "Orphan", "preconditions": {"uid": "u"}, "dryRun": ["All"]}
    assert parse_options(body) == DeleteOptions(3, "Orphan", "u", "", True)


def test_the_old_way_of_orphaning() -> None:
    assert parse_options({"orphanDependents": True}).propagation_policy == "Orphan"
    assert parse_options({"orphanDependents": False}).propagation_policy == "Background"


@pytest.mark.parametrize(
    "body",
    [
        {"propagationPolicy": "Sideways"},
        {"propagationPolicy": "Orphan", "orphanDependents": True},
        {"gracePeriodSeconds": "soon"},
    ],
)
def test_bad_options_are_refused(body: dict[str, Any]) -> None:
    with pytest.raises(StatusError):
        parse_options(body)


@pytest.mark.parametrize(
    ("before", "policy", "after"),
    [
        ([], "Foreground", ["foregroundDeletion"]),
        (["orphan", "a/b"], "Foreground", ["a/b", "foregroundDeletion"]),
        (["foregroundDeletion"], "Background", None),
        (["foregroundDeletion"], "", ["foregroundDeletion"]),
        (["orphan"], "Orphan", ["orphan"]),
    ],
)
def test_a_policy_is_a_finalizer(before: list[str], policy: str, after: list[str] | None) -> None:
    metadata: dict[str, Any] = {"finalizers": before}
    _set_policy(metadata, policy)
    assert metadata.get("finalizers") == after
