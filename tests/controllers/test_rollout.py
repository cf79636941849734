"""Rollouts: sizes from sizes, and the bounds at every step of whole rollouts, under random progress."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controllers import rollout, templates
from controllers.rollout import Strategy


def deployment(replicas=10, surge="25%", unavailable="25%", **spec):
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}}
    return {"metadata": {"name": "d"}, "spec": {"replicas": replicas, "strategy": strategy, **spec}}


def sized(name, replicas, *, available=None, created=0, annotations=None, **status):
    return {
        "metadata": {
            "name": name,
            "creationTimestamp": f"2026-01-01T00:00:{created:02d}Z",
            "annotations": annotations or {},
        },
        "spec": {"replicas": replicas},
        "status": {"availableReplicas": replicas if available is None else available, **status},
    }


@pytest.mark.parametrize(
    ("replicas", "surge", "unavailable", "expected"),
    [
        (10, "25%", "25%", (3, 2)),
        (1, "25%", "25%", (1, 0)),
        (4, 0, 0, (0, 1)),
        (3, "1%", "1%", (1, 0)),
        (10, 2, 20, (2, 10)),
        (0, "25%", "25%", (0, 0)),
    ],
)
def test_bounds(replicas, surge, unavailable, expected):
    strategy = Strategy.of(deployment(replicas, surge, unavailable))
    assert (strategy.max_surge, strategy.max_unavailable) == expected


def test_a_first_rollout_makes_all_at_once():
    assert rollout.new_size(Strategy.of(deployment(10)), None, []) == 10


def test_the_new_one_grows_into_the_surge():
    old = sized("old", 10)
    assert rollout.new_size(Strategy.of(deployment(10)), None, [old]) == 3


def test_unavailable_old_pods_go_first():
    strategy = Strategy.of(deployment(10))
    old = [sized("sick", 4, available=0, created=1), sized("well", 6, created=0)]
    assert rollout.old_sizes(strategy, sized("new", 3, available=0, created=2), old) == {"sick": 2}


def test_recreate_makes_all_when_it_may():
    strategy = Strategy.of({"spec": {"replicas": 5, "strategy": {"type": "Recreate"}}})
    assert strategy.recreate
    assert rollout.new_size(strategy, None, []) == 5


@given(
    replicas=st.integers(1, 12),
    surge=st.integers(0, 4),
    unavailable=st.integers(0, 4),
    progress=st.lists(st.tuples(st.booleans(), st.integers(1, 5)), max_size=40),
)
def test_no_step_leaves_the_bounds_and_the_rollout_ends(replicas, surge, unavailable, progress):
    strategy = Strategy.of(deployment(replicas, surge, unavailable))
    old, new = sized("old", replicas, created=0), sized("new", 0, created=1)
    running = replicas  # old pods that are still available
    for grow, number in [*progress, *[(True, 100)] * 60]:
        size = rollout.new_size(strategy, new, [old, new])
        if size != new["spec"]["replicas"]:
            new["spec"]["replicas"] = size
        else:
            for name, after in rollout.old_sizes(strategy, new, [old]).items():
                assert name == "old"
                old["spec"]["replicas"] = after
                running = min(running, after)
                old["status"]["availableReplicas"] = running
        available = new["status"]["availableReplicas"]
        total = old["spec"]["replicas"] + new["spec"]["replicas"]
        assert total <= replicas + strategy.max_surge
        assert running + available >= replicas - strategy.max_unavailable
        if grow:
            new["status"]["availableReplicas"] = min(new["spec"]["replicas"], available + number)
    assert (old["spec"]["replicas"], new["spec"]["replicas"]) == (0, replicas)


def test_resizing_scales_the_only_active_set():
    assert rollout.scaled(Strategy.of(deployment(7)), sized("new", 3), [sized("old", 0)]) == {"new": 7}


def test_resizing_in_the_middle_of_a_rollout_keeps_the_proportions():
    noted = {templates.DESIRED_REPLICAS: "10", templates.MAX_REPLICAS: "13"}
    old, new = sized("old", 8, annotations=noted), sized("new", 5, created=1, annotations=noted)
    sizes = rollout.scaled(Strategy.of(deployment(20)), new, [old])
    assert sum(sizes.values()) == 25
    assert sizes == {"old": 15, "new": 10}


@given(st.integers(0, 30), st.lists(st.tuples(st.integers(0, 10), st.integers(0, 30)), min_size=2, max_size=5))
def test_proportional_scaling_gives_no_size_below_zero(replicas, sets):
    every = [
        sized(f"s{number}", size, available=0, created=number, annotations={templates.MAX_REPLICAS: str(noted)})
        for number, (size, noted) in enumerate(sets)
    ]
    strategy = Strategy.of(deployment(replicas))
    sizes = rollout.scaled(strategy, every[-1], every[:-1])
    assert all(size >= 0 for size in sizes.values())


def test_resized_deployments_are_noticed_by_annotation():
    noted = {templates.DESIRED_REPLICAS: "3"}
    assert rollout.is_scaling(deployment(5), [sized("new", 3, annotations=noted)])
    assert not rollout.is_scaling(deployment(3), [sized("new", 3, annotations=noted)])
    assert not rollout.is_scaling(deployment(5), [sized("empty", 0, annotations=noted)])


def test_history_beyond_the_limit_goes_oldest_first_and_only_when_empty():
    old = [
        sized("r3", 0, annotations={templates.REVISION: "3"}, observedGeneration=0),
        sized("r1", 0, annotations={templates.REVISION: "1"}, observedGeneration=0),
        sized("r2", 2, annotations={templates.REVISION: "2"}),
    ]
    names = [each["metadata"]["name"] for each in rollout.surplus_history(deployment(revisionHistoryLimit=1), old)]
    assert names == ["r1"]
    assert rollout.surplus_history(deployment(), old) == []
