"""Budgets: how many evictions are allowed."""

from datetime import UTC, datetime

import pytest

from controllers import disruption

NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)


def budget(status=None, **spec):
    return {"metadata": {"name": "b", "generation": 1}, "spec": spec, "status": status or {}}


def pods(ready, unready=0):
    states = ["True"] * ready + ["False"] * unready
    return [
        {"metadata": {"name": f"p{n}"}, "status": {"conditions": [{"type": "Ready", "status": state}]}}
        for n, state in enumerate(states)
    ]


@pytest.mark.parametrize(
    ("spec", "ready", "unready", "wanted", "allowed"),
    [
        ({"minAvailable": 2}, 3, 0, 3, 1),
        ({"minAvailable": 2}, 2, 1, 3, 0),
        ({"minAvailable": "50%"}, 3, 0, 3, 1),
        ({"maxUnavailable": 1}, 3, 0, 3, 1),
        ({"maxUnavailable": 1}, 2, 0, 3, 0),
        ({"maxUnavailable": "34%"}, 3, 0, 3, 2),
        ({"maxUnavailable": "0%"}, 3, 0, 3, 0),
        ({"minAvailable": 0}, 0, 0, 0, 0),
    ],
)
def test_allowed(spec, ready, unready, wanted, allowed):
    made, _ = disruption.status(budget(**spec), pods(ready, unready), wanted=lambda: wanted, now=NOW)
    assert made["disruptionsAllowed"] == allowed
    assert made["conditions"][0]["reason"] == ("SufficientPods" if allowed else "InsufficientPods")


def test_a_pod_being_evicted_counts_as_gone_for_two_minutes():
    evicting = budget({"disruptedPods": {"p0": "2026-01-01T11:59:00Z", "p1": "2026-01-01T11:50:00Z"}}, minAvailable=1)
    made, again = disruption.status(evicting, pods(3), wanted=lambda: 3, now=NOW)
    assert (made["currentHealthy"], made["disruptionsAllowed"]) == (2, 1)
    assert made["disruptedPods"] == {"p0": "2026-01-01T11:59:00Z"}
    assert again == 61
