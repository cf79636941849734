"""DaemonSets: which nodes are eligible, what is made and deleted, how updates keep their bounds."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controllers import daemonpods, daemons
from controllers.daemonpods import Fitness
from controllers.daemons import State

NOW = datetime(2026, 1, 1, 0, 1, tzinfo=UTC)
READY = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:30Z"}


def daemon_set(update=None, **spec):
    template = {"metadata": {"labels": {"app": "agent"}}, "spec": {"containers": [{"name": "c", "image": "i"}], **spec}}
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "agent", "namespace": "ns", "uid": "ds"},
        "spec": {"template": template, "updateStrategy": update or {"type": "RollingUpdate"}},
    }


def node(*taints, **labels):
    spec = {"taints": [{"key": key, "effect": effect} for key, effect in taints]}
    return {"metadata": {"name": "n", "labels": labels}, "spec": spec}


def affine(**expression):
    terms = [{"matchExpressions": [expression]}]
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}


EVERYTHING = [{"operator": "Exists"}]
UNREACHABLE = ("node.kubernetes.io/unreachable", "NoExecute")

# template's spec, node: may run, may stay
FITNESS = {
    "any node": ({}, node(), True, True),
    "its selector": ({"nodeSelector": {"disk": "ssd"}}, node(disk="ssd"), True, True),
    "another's": ({"nodeSelector": {"disk": "ssd"}}, node(disk="hdd"), False, False),
    "its affinity": ({"affinity": affine(key="cores", operator="Gt", values=["3"])}, node(cores="4"), True, True),
    "another's affinity": ({"affinity": affine(key="gpu", operator="Exists")}, node(), False, False),
    "a named node": ({"nodeName": "m"}, node(), False, False),
    "a taint": ({}, node(("dedicated", "NoSchedule")), False, True),
    "a taint that evicts": ({}, node(("dedicated", "NoExecute")), False, False),
    "a taint that only prefers": ({}, node(("dedicated", "PreferNoSchedule")), True, True),
    "a tolerated taint": ({"tolerations": EVERYTHING}, node(("dedicated", "NoExecute")), True, True),
    "a node in trouble": ({}, node(UNREACHABLE, ("node.kubernetes.io/unschedulable", "NoSchedule")), True, True),
    "a node without network": ({}, node(("node.kubernetes.io/network-unavailable", "NoSchedule")), False, True),
    "which a host-network pod doesn't need": (
        {"hostNetwork": True}, node(("node.kubernetes.io/network-unavailable", "NoSchedule")), True, True,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FITNESS)
def test_fitness(name):
    spec, place, run, stay = FITNESS[name]
    assert daemonpods.fitness(daemon_set(**spec), place) == Fitness(run=run, stay=stay)


def test_a_pod_is_for_its_node_alone_and_keeps_what_the_template_prefers():
    preferred = [{"weight": 1, "preference": {}}]
    spec = {"affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": preferred}}}
    made = daemonpods.pod_for(daemon_set(**spec), "n", "abc")
    assert daemonpods.node_of(made) == "n"
    found = made["spec"]["affinity"]["nodeAffinity"]
    assert found["preferredDuringSchedulingIgnoredDuringExecution"] == preferred
    assert "nodeName" not in made["spec"]
    assert made["metadata"]["labels"] == {"app": "agent", "controller-revision-hash": "abc"}
    assert made["metadata"]["generateName"] == "agent-"
    assert len(made["spec"]["tolerations"]) == 6


def pods(text):
    """Pods by node and marks: `o` of the old template, `!` not ready, `~` being deleted, `x` failed."""
    made = []
    for number, each in enumerate(text.split()):
        name, marks = each.rstrip("o!~x"), set(each) & set("o!~x")
        metadata = {
            "name": each,
            "uid": each,
            "creationTimestamp": f"2026-01-01T00:00:{number:02d}Z",
            "labels": {"controller-revision-hash": "old" if "o" in marks else "new"},
            **({"deletionTimestamp": "2026-01-01T00:00:59Z"} if "~" in marks else {}),
        }
        status = {"phase": "Failed" if "x" in marks else "Running", "conditions": [] if marks & {"!", "x"} else [READY]}
        made.append({"metadata": metadata, "spec": {"nodeName": name}, "status": status})
    return made


RUN, STAY, NOT = Fitness(run=True, stay=True), Fitness(run=False, stay=True), Fitness(run=False, stay=False)
TWO = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 2}}
HALF = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "34%"}}
SURGE = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}

# update strategy, nodes' fitness, pods: nodes that get one, pods deleted
PLANS = {
    "a pod for every node that is fit": (None, [RUN, RUN, NOT], "b", "a", ""),
    "none beside one that is ending": (None, [RUN], "a~", "", ""),
    "none where it may only stay": (None, [STAY, STAY], "a", "", ""),
    "gone where it may not stay": (None, [NOT], "a", "", "a"),
    "doubles go, the oldest stays": (None, [RUN], "a a!", "", "a!"),
    "a failed one goes": (None, [RUN], "ax", "", "ax"),
    "old ones one by one": (None, [RUN] * 3, "ao bo co", "", "ao"),
    "not while one is down": (None, [RUN] * 3, "ao b! co", "", ""),
    "not while one is ending": (None, [RUN] * 3, "ao bo~ co", "", ""),
    "old ones that are down go first": (None, [RUN] * 3, "ao bo! c", "", "bo!"),
    "two at a time": (TWO, [RUN] * 3, "ao bo co", "", "ao bo"),
    "a share rounds up": (HALF, [RUN] * 3, "ao bo co", "", "ao bo"),
    "never by itself on delete": ({"type": "OnDelete"}, [RUN] * 3, "ao bo co", "", ""),
    "a surge begins beside the old": (SURGE, [RUN] * 3, "ao bo co", "a", ""),
    "and waits for the new one": (SURGE, [RUN] * 3, "ao bo co a!", "", ""),
    "then the old one goes": (SURGE, [RUN] * 3, "ao bo co a", "", "ao"),
    "then the next": (SURGE, [RUN] * 3, "a bo co", "b", ""),
}


def state(update, fitness, found):
    names = dict(zip("abc", fitness, strict=False))
    return State(daemon_set(update), names, pods(found), "new", NOW)


@pytest.mark.parametrize("name", PLANS)
def test_plan(name):
    update, fitness, found, made, deleted = PLANS[name]
    planned = daemons.plan(state(update, fitness, found))
    assert planned.create == made.split()
    assert [each["metadata"]["uid"] for each in planned.delete] == deleted.split()


def test_a_failed_pod_is_left_until_its_time():
    assert not daemons.plan(state(None, [RUN], "ax"), {"ax"})


def test_a_pod_that_waits_for_a_node_that_is_gone_is_deleted():
    lost = pods("z")[0]
    lost["spec"] = daemonpods.pod_for(daemon_set(), "z", "new")["spec"]
    found = State(daemon_set(), {}, [lost], "new", NOW)
    assert daemons.plan(found).delete == [lost]


def test_status():
    found, _ = daemons.status(state(None, [RUN, RUN, STAY], "ao b! c"))
    assert found == {
        "currentNumberScheduled": 2,
        "desiredNumberScheduled": 2,
        "numberMisscheduled": 1,
        "numberReady": 1,
        "observedGeneration": 0,
        "updatedNumberScheduled": 1,
        "numberAvailable": 1,
        "numberUnavailable": 1,
    }


NODES = {name: RUN for name in "abcd"}
KUBELET_OR_CONTROLLER = st.one_of(st.just("reconcile"), st.integers(0, 7))


def play(update, found, steps):
    """Reconcile and play kubelet as `steps` say, over pods by UID."""
    number = 0
    for step in steps:
        names = sorted(found)
        if step == "reconcile" or not names:
            planned = daemons.plan(State(daemon_set(update), NODES, list(found.values()), "new", NOW))
            for node_name in planned.create:
                number += 1
                (made,) = pods(f"{node_name}!")
                made["metadata"] |= {"uid": f"new-{number}", "creationTimestamp": "2026-01-01T00:00:50Z"}
                found[f"new-{number}"] = made
            for each in planned.delete:
                found[each["metadata"]["uid"]]["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:59Z"
        elif "deletionTimestamp" in found[names[step % len(names)]]["metadata"]:
            del found[names[step % len(names)]]
        else:
            found[names[step % len(names)]]["status"]["conditions"] = [READY]
        yield found


@pytest.mark.parametrize(("surge", "unavailable"), [(0, 1), (0, 2), (1, 0), (2, 0)])
@given(st.lists(KUBELET_OR_CONTROLLER, max_size=60))
def test_an_update_keeps_its_bounds_and_ends(surge, unavailable, steps):
    update = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}}
    found = {each["metadata"]["uid"]: each for each in pods("ao bo co do")}

    def up(each):
        return bool(each["status"]["conditions"]) and "deletionTimestamp" not in each["metadata"]

    for seen in play(update, found, steps):
        served = {each["spec"]["nodeName"] for each in seen.values() if up(each)}
        assert len(served) >= len(NODES) - unavailable
        alive = [each["spec"]["nodeName"] for each in seen.values() if "deletionTimestamp" not in each["metadata"]]
        assert len(alive) - len(set(alive)) <= surge
        assert surge or len(seen) <= len(NODES), "never two on a node, ending ones included"
    for _ in play(update, found, ["reconcile", *range(8)] * 12):
        pass
    assert sorted(each["spec"]["nodeName"] for each in found.values()) == sorted(NODES)
    assert {each["metadata"]["labels"]["controller-revision-hash"] for each in found.values()} == {"new"}
