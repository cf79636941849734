"""Nodes: conditions to taints, zones, eviction permits, tolerations."""

from datetime import UTC, datetime, timedelta
from unittest.mock import AsyncMock, MagicMock

import pytest

from apimachinery import errors
from controllers import nodehealth, tainteviction
from controllers.context import Context
from controllers.nodehealth import FULL, NORMAL, NOT_READY, PARTIAL, UNREACHABLE, Bucket

NOW = "2026-01-01T12:00:00Z"


def node(ready="True", *, taints=(), unschedulable=False, zone="", **conditions):
    listed = [{"type": type_, "status": status} for type_, status in conditions.items()]
    if ready:
        listed.append({"type": "Ready", "status": ready, "reason": "KubeletReady"})
    return {
        "metadata": {"name": "n", "labels": {nodehealth.ZONE: zone}, "creationTimestamp": NOW},
        "spec": {"taints": list(taints), "unschedulable": unschedulable},
        "status": {"conditions": listed},
    }


def taint(key, effect="NoSchedule", **more):
    return {"key": key, "effect": effect, **more}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (node(), None),
        (node(taints=[taint(NOT_READY)]), []),
        (node(None), [(NOT_READY, "NoSchedule")]),
        (node("False"), [(NOT_READY, "NoSchedule"), (NOT_READY, "NoExecute")]),
        (
            node("Unknown", taints=[taint(NOT_READY), taint(NOT_READY, "NoExecute")]),
            [(UNREACHABLE, "NoSchedule"), (UNREACHABLE, "NoExecute")],
        ),
        (node(MemoryPressure="True"), [("node.kubernetes.io/memory-pressure", "NoSchedule")]),
        (node(unschedulable=True, taints=[taint("mine", "NoExecute")]),
         [("mine", "NoExecute"), (nodehealth.UNSCHEDULABLE, "NoSchedule")]),
    ],
    ids=["fine", "ready again", "never said", "not ready", "silent", "pressure", "cordoned, others stay"],
)  # fmt: skip
def test_taints_follow_conditions(given, expected):
    wanted = nodehealth.taints(given, evict=True, now=NOW)
    assert (wanted and [(each["key"], each["effect"]) for each in wanted]) == (expected or wanted)
    if expected == []:
        assert wanted == []


def test_without_a_permit_nobody_is_driven_out():
    wanted = nodehealth.taints(node("Unknown"), evict=False, now=NOW)
    assert [each["effect"] for each in wanted] == ["NoSchedule"]


def test_a_taint_keeps_the_time_it_was_added():
    present = [taint(UNREACHABLE, timeAdded="before"), taint(UNREACHABLE, "NoExecute", timeAdded="before")]
    assert nodehealth.taints(node("Unknown", taints=present), evict=True, now=NOW) is None


def test_silence_makes_conditions_unknown_and_adds_the_missing():
    found = {each["type"]: each for each in nodehealth.silent_conditions(node("True", DiskPressure="False"), now=NOW)}
    assert {each["status"] for each in found.values()} == {"Unknown"}
    assert found["Ready"]["message"] == "Kubelet stopped posting node status."
    assert found["PIDPressure"]["reason"] == "NodeStatusNeverUpdated"


@pytest.mark.parametrize(
    ("well", "ill", "state"),
    [(3, 0, NORMAL), (2, 1, NORMAL), (1, 2, NORMAL), (2, 3, PARTIAL), (0, 1, FULL), (9, 3, NORMAL)],
)
def test_zones(well, ill, state):
    nodes = [node(zone="a")] * well + [node("Unknown", zone="a")] * ill
    assert nodehealth.zone_states(nodes, unhealthy_threshold=0.55) == {":a": state}


def test_permits_are_one_at_once_then_by_rate():
    bucket = Bucket(rate=0.1, at=100.0)
    assert bucket.wait(100.0) == 0
    assert bucket.wait(101.0) == pytest.approx(9)
    assert bucket.wait(110.0) == 0
    assert Bucket(rate=0.0, tokens=0.0).wait(5.0) == 60


NO_EXECUTE = [taint(UNREACHABLE, "NoExecute", timeAdded="2026-01-01T12:00:00Z")]
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("tolerations", "left"),
    [
        ([], 0),
        ([{"key": UNREACHABLE, "operator": "Exists", "effect": "NoExecute"}], None),
        ([{"key": UNREACHABLE, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}], 290),
        ([{"operator": "Exists"}], None),
        ([{"key": "other", "operator": "Exists"}], 0),
        ([{"key": UNREACHABLE, "effect": "NoSchedule", "operator": "Exists"}], 0),
        ([{"key": UNREACHABLE, "value": "x"}], 0),
        ([{"operator": "Exists", "tolerationSeconds": 300}, {"operator": "Exists", "tolerationSeconds": 5}], -5),
    ],
)
def test_how_long_a_pod_stays(tolerations, left):
    pod = {"metadata": {"creationTimestamp": "2026-01-01T11:00:00Z"}, "spec": {"tolerations": tolerations}}
    now = NOON + timedelta(seconds=10)
    assert tainteviction.seconds_left(pod, NO_EXECUTE, seen=NOON, now=now) == left
    assert tainteviction.seconds_left(pod, [], seen=NOON, now=now) is None


@pytest.mark.parametrize(
    ("added", "created", "seen", "began"),
    [
        ("2026-01-01T12:00:00Z", "2026-01-01T11:00:00Z", 0.4, 0.4),  # seen at once
        ("2026-01-01T12:00:00Z", "2026-01-01T11:00:00Z", 45, 1),  # seen by the next leader: it goes by the stamps
        ("2026-01-01T12:00:00Z", "2026-01-01T12:00:30Z", 45, 31),  # made under the taint
        (None, "2026-01-01T11:00:00Z", 45, 45),  # as kubectl taint writes it
    ],
)
def test_a_toleration_begins_when_pod_and_taint_meet(added, created, seen, began):
    tolerations = [{"operator": "Exists", "tolerationSeconds": 60}]
    pod = {"metadata": {"creationTimestamp": created}, "spec": {"tolerations": tolerations}}
    taints = [taint(UNREACHABLE, "NoExecute", **({"timeAdded": added} if added else {}))]
    now = NOON + timedelta(seconds=50)
    left = tainteviction.seconds_left(pod, taints, seen=NOON + timedelta(seconds=seen), now=now)
    assert left == pytest.approx(60 - (50 - began))


async def test_an_eviction_that_fails_is_tried_again_and_the_toleration_not_begun_anew():
    pod = {"metadata": {"name": "p", "namespace": "d", "uid": "1", "creationTimestamp": "2026-01-01T11:00:00Z"}}
    pod["spec"] = {"nodeName": "n", "tolerations": [{"operator": "Exists", "tolerationSeconds": 60}]}
    tainted = {"metadata": {"name": "n"}, "spec": {"taints": [taint("k", "NoExecute")]}}
    found = {"d/p": pod, "n": tainted}
    now, informer, client = [NOON], MagicMock(), AsyncMock()
    informer.informer.return_value.get = found.get
    client.patch.side_effect = [errors.Timeout("etcd has no leader"), None]
    context = Context(client=client, informers=informer, events=MagicMock(), clock=lambda: now[0])
    evicting = tainteviction.TaintEvictionController(context)
    assert await evicting._reconcile("d/p") == 60
    now[0] += timedelta(seconds=60)
    with pytest.raises(errors.Timeout):
        await evicting._reconcile("d/p")
    assert await evicting._reconcile("d/p") is None
    client.delete.assert_awaited_once()
