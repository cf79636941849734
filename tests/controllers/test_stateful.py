"""StatefulSets: which pods are made and deleted, in which order, with which template, and who owns their claims."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controllers import stateful, statefulpods

NOW = datetime(2026, 1, 1, 0, 1, tzinfo=UTC)
READY = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:30Z"}


def revision(name):
    spec = {"containers": [{"name": "c", "image": name}], "volumes": [{"name": "data", "emptyDir": {}}]}
    template = {"metadata": {"labels": {"app": "db"}}, "spec": spec}
    return {
        "metadata": {"name": name},
        "revision": 1,
        "data": {"spec": {"template": {**template, "$patch": "replace"}}},
    }


OLD, NEW = revision("db-old"), revision("db-new")


def stateful_set(replicas=3, *, parallel=False, update=None, **spec):
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": "db", "namespace": "ns", "uid": "sts", "generation": 2},
        "spec": {
            "replicas": replicas,
            "serviceName": "peers",
            "selector": {"matchLabels": {"app": "db"}},
            "podManagementPolicy": "Parallel" if parallel else "OrderedReady",
            "updateStrategy": update or {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}},
            **spec,
        },
    }


def pod(text):
    """A pod by its number and marks: `!` not ready, `~` being deleted, `x` failed, `o` of the old template."""
    index, marks = int(text.rstrip("!~xo")), set(text) & set("!~xo")
    metadata = {
        "name": f"db-{index}",
        "namespace": "ns",
        "uid": f"uid-{index}",
        "labels": {"controller-revision-hash": "db-old" if "o" in marks else "db-new"},
        **({"deletionTimestamp": "2026-01-01T00:00:59Z"} if "~" in marks else {}),
    }
    phase = "Failed" if "x" in marks else "Running"
    return {"metadata": metadata, "status": {"phase": phase, "conditions": [] if marks & {"!", "x"} else [READY]}}


ON_DELETE = {"type": "OnDelete"}
PARTITION = {"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}
TWO = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 2}}

# set, pods, ordinals made, pods deleted
CASES = {
    "the first is made alone": (stateful_set(), "", [0], []),
    "the next when the last is ready": (stateful_set(), "0", [1], []),
    "none while it isn't": (stateful_set(), "0!", [], []),
    "none before minReadySeconds are over": (stateful_set(minReadySeconds=60), "0", [], []),
    "a gap is filled first": (stateful_set(), "1 2", [0], []),
    "an ending pod is waited for": (stateful_set(), "0 1~ 2", [], []),
    "a failed pod is deleted, not yet replaced": (stateful_set(), "0 1x 2", [], ["db-1"]),
    "all at once in parallel": (stateful_set(parallel=True), "1!", [0, 2], []),
    "ordinals start where asked": (stateful_set(2, ordinals={"start": 5}), "5", [6], []),
    "scaling down takes the highest": (stateful_set(1), "0 1 2", [], ["db-2"]),
    "and waits until it is gone": (stateful_set(1), "0 1 2~", [], []),
    "and for sick predecessors": (stateful_set(1), "0! 1 2", [], []),
    "and for a sick one below among those that go": (stateful_set(1), "0 1! 2!", [], []),
    "a sick one alone goes": (stateful_set(2), "0 1 2!", [], ["db-2"]),
    "in parallel all go": (stateful_set(1, parallel=True), "0! 1 2", [], ["db-2", "db-1"]),
    "an update starts at the highest": (stateful_set(), "0o 1o 2o", [], ["db-2"]),
    "and goes on when that is ready": (stateful_set(), "0o 1o 2", [], ["db-1"]),
    "and not before": (stateful_set(parallel=True), "0o 1o 2!", [], []),
    "a partition keeps the lower ones": (stateful_set(update=PARTITION), "0o 1o 2", [], []),
    "on delete nothing is replaced": (stateful_set(update=ON_DELETE), "0o 1o 2o", [], []),
    "several may be unavailable": (stateful_set(update=TWO), "0o 1o 2o", [], ["db-2", "db-1"]),
    "the unavailable count": (stateful_set(parallel=True, update=TWO), "0o 1o 2!", [], ["db-1"]),
}


@pytest.mark.parametrize("name", CASES)
def test_plan(name):
    owner, pods, made, deleted = CASES[name]
    planned = stateful.plan(owner, [pod(text) for text in pods.split()], current=OLD, update=NEW, now=NOW)
    assert [index for index, _ in planned.create] == made
    assert [each["metadata"]["name"] for each in planned.delete] == deleted


def test_a_partition_makes_lower_ordinals_of_the_old_template():
    owner = stateful_set(parallel=True, update=PARTITION)
    planned = stateful.plan(owner, [], current=OLD, update=NEW, now=NOW)
    assert [each["metadata"]["name"] for _, each in planned.create] == ["db-old", "db-old", "db-new"]


@pytest.mark.parametrize(
    ("pods", "update", "current", "counts"),
    [
        ("0o 1o 2", None, "db-old", {"currentReplicas": 2, "updatedReplicas": 1}),
        ("0 1 2!", None, "db-old", {"currentReplicas": 0, "updatedReplicas": 3}),
        ("0 1 2", None, "db-new", {"currentReplicas": 3, "updatedReplicas": 3}),
        ("0 1 2", ON_DELETE, "db-old", {"currentReplicas": 0, "updatedReplicas": 3}),
    ],
)
def test_the_update_is_complete_when_all_are_new_and_ready(pods, update, current, counts):
    found, _ = stateful.status(
        stateful_set(update=update), [pod(text) for text in pods.split()], current=OLD, update=NEW, now=NOW
    )
    assert found["currentRevision"] == current
    assert {key: found.get(key, 0) for key in counts} == counts


def test_a_pod_that_waits_to_be_available_is_looked_at_again():
    found, again = stateful.status(stateful_set(minReadySeconds=45), [pod("0")], current=NEW, update=NEW, now=NOW)
    assert (found["readyReplicas"], found["availableReplicas"], again) == (1, 0, 15)


def test_a_pod_has_its_name_everywhere_and_the_claims_in_place_of_volumes():
    claim = {"metadata": {"name": "data", "labels": {"a": "b"}}, "spec": {"accessModes": ["ReadWriteOnce"]}}
    owner = stateful_set(volumeClaimTemplates=[claim])
    made = statefulpods.pod_for(owner, 1, NEW)
    assert made["metadata"]["name"] == made["spec"]["hostname"] == "db-1"
    assert made["spec"]["subdomain"] == "peers"
    assert made["metadata"]["labels"] == {
        "app": "db",
        "statefulset.kubernetes.io/pod-name": "db-1",
        "apps.kubernetes.io/pod-index": "1",
        "controller-revision-hash": "db-new",
    }
    assert made["spec"]["volumes"] == [{"name": "data", "persistentVolumeClaim": {"claimName": "data-db-1"}}]
    (made_claim,) = statefulpods.claims(owner, 1)
    assert made_claim["metadata"] == {"name": "data-db-1", "namespace": "ns", "labels": {"a": "b", "app": "db"}}


@pytest.mark.parametrize(
    ("deleted", "scaled", "condemned", "owner"),
    [
        ("Retain", "Retain", True, None),
        ("Delete", "Retain", False, "db"),
        ("Delete", "Retain", True, "db"),
        ("Retain", "Delete", False, None),
        ("Retain", "Delete", True, "db-1"),
        ("Delete", "Delete", False, "db"),
        ("Delete", "Delete", True, "db-1"),
    ],
)
def test_who_owns_a_claim(deleted, scaled, condemned, owner):
    kept = {"whenDeleted": deleted, "whenScaled": scaled}
    found = statefulpods.claim_owner(
        stateful_set(persistentVolumeClaimRetentionPolicy=kept), pod("1"), condemned=condemned
    )
    assert (found["metadata"]["name"] if found else None) == owner


def test_a_claim_loses_and_gains_only_our_owners():
    other = {"kind": "Backup", "name": "b", "uid": "other"}
    ours = {"kind": "StatefulSet", "name": "db", "uid": "sts"}
    claim = {"metadata": {"name": "data-db-1", "ownerReferences": [other, ours]}}
    assert statefulpods.owned_claim(stateful_set(), claim, pod("1"), condemned=False) == [other]
    kept = {"metadata": {"name": "data-db-1", "ownerReferences": [other]}}
    assert statefulpods.owned_claim(stateful_set(), kept, pod("1"), condemned=False) is None


def test_a_claim_that_goes_with_an_earlier_pod_is_stale():
    assert statefulpods.is_stale({"metadata": {"ownerReferences": [{"kind": "Pod", "name": "db-1"}]}}, "db-1")
    assert statefulpods.is_stale({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}, "db-1")
    assert not statefulpods.is_stale({"metadata": {"ownerReferences": [{"kind": "StatefulSet"}]}}, "db-1")


def play(owner, pods, steps):
    """Reconcile and play kubelet as `steps` say, over pods by name."""
    for step in steps:
        names = sorted(pods)
        if step == "reconcile" or not names:
            planned = stateful.plan(owner, list(pods.values()), current=OLD, update=NEW, now=NOW)
            for index, revision_ in planned.create:
                name = f"db-{index}"
                assert name not in pods, "an identity is never made while its last pod is there"
                pods[name] = pod(f"{index}!{'o' if revision_ is OLD else ''}")
            for each in planned.delete:
                pods[each["metadata"]["name"]]["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:59Z"
        elif "deletionTimestamp" in pods[names[step % len(names)]]["metadata"]:
            del pods[names[step % len(names)]]
        else:
            pods[names[step % len(names)]]["status"]["conditions"] = [READY]
        yield pods


def down(owner, pods):
    up = [each for each in pods.values() if stateful._is_healthy(owner, each, now=NOW)]
    return len(stateful.identities(owner)) - len(up)


@given(
    st.booleans(),
    st.integers(1, 4),
    st.sampled_from([1, 2]),
    st.lists(st.one_of(st.just("reconcile"), st.integers(0, 5)), max_size=60),
)
def test_an_update_keeps_its_bound_and_ends(parallel, replicas, unavailable, steps):
    update = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": unavailable}}
    owner = stateful_set(replicas, parallel=parallel, update=update)
    pods = {f"db-{index}": pod(f"{index}o") for index in range(replicas)}
    for seen in play(owner, pods, steps):
        assert down(owner, seen) <= unavailable
    for _ in play(owner, pods, ["reconcile", 0, "reconcile", 1, "reconcile", 2, "reconcile", 3] * replicas * 4):
        pass
    labels = {each["metadata"]["labels"]["controller-revision-hash"] for each in pods.values()}
    assert (len(pods), labels, down(owner, pods)) == (replicas, {"db-new"}, 0)


@given(st.booleans(), st.lists(st.one_of(st.just("reconcile"), st.integers(0, 5)), max_size=40))
def test_in_order_no_pod_is_made_before_all_lower_ones_are_ready(parallel, steps):
    owner = stateful_set(4, parallel=parallel)
    pods = {}
    for seen in play(owner, pods, steps):
        sick = [each for each in seen.values() if not stateful._is_healthy(owner, each, now=NOW)]
        assert parallel or len(sick) <= 1
    for _ in play(owner, pods, ["reconcile", 0, "reconcile", 1, "reconcile", 2, "reconcile", 3] * 8):
        pass
    assert sorted(pods) == ["db-0", "db-1", "db-2", "db-3"]
    assert down(owner, pods) == 0
