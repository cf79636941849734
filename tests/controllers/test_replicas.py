"""What a ReplicaSet needs: how many pods to make, which to give up, and what its status says."""

from datetime import UTC, datetime

import pytest

from controllers import replicas

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)


def replica_set(count=3, **more):
    spec = {"replicas": count, "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": []}}, **more}
    metadata = {"name": "web", "namespace": "default", "uid": "rs", "generation": 2}
    return {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": metadata, "spec": spec}


def pod(name, *, node="n1", phase="Running", ready="11:00:00", restarts=0, created="10:00:00", cost=None, labels=None):
    made = {
        "metadata": {
            "name": name,
            "uid": name,
            "labels": {"app": "web"} if labels is None else labels,
            "creationTimestamp": f"2026-01-01T{created}Z",
            "annotations": {replicas.POD_DELETION_COST: cost} if cost else {},
        },
        "spec": {"nodeName": node} if node else {},
        "status": {"phase": phase, "containerStatuses": [{"restartCount": restarts}], "conditions": []},
    }
    if ready:
        made["status"]["conditions"].append(
            {"type": "Ready", "status": "True", "lastTransitionTime": f"2026-01-01T{ready}Z"}
        )
    return made


@pytest.mark.parametrize(
    ("wanted", "present", "create", "delete"),
    [(3, 0, 3, 0), (3, 3, 0, 0), (3, 5, 0, 2), (0, 2, 0, 2), (900, 0, 500, 0)],
)
def test_numbers(wanted, present, create, delete):
    planned = replicas.plan(replica_set(wanted), [pod(f"p{number}") for number in range(present)])
    assert (planned.create, len(planned.delete)) == (create, delete)


@pytest.mark.parametrize(
    ("cheap", "dear"),
    [
        (pod("a", node=""), pod("b")),
        (pod("a", phase="Pending", ready=None), pod("b", ready=None)),
        (pod("a", ready=None), pod("b")),
        (pod("a", cost="-5"), pod("b")),
        (pod("a", cost="not a number"), pod("b", cost="7")),
        (pod("a", ready="11:30:00"), pod("b", ready="11:00:00")),
        (pod("a", restarts=4), pod("b")),
        (pod("a", created="11:00:00"), pod("b", created="10:00:00")),
    ],
    ids=["unassigned", "pending", "not ready", "deletion cost", "bad cost is 0", "ready later", "restarts", "younger"],
)
def test_which_goes_first(cheap, dear):
    for order in ([cheap, dear], [dear, cheap]):
        assert [each["metadata"]["name"] for each in replicas.plan(replica_set(1), order).delete] == ["a"]


def test_crowded_nodes_give_up_first():
    pods = [pod("a", node="n1"), pod("b", node="n2"), pod("c", node="n2")]
    assert replicas.plan(replica_set(2), pods).delete[0]["spec"]["nodeName"] == "n2"


def test_status_counts_and_says_when_a_pod_becomes_available():
    pods = [pod("a"), pod("b", ready="11:59:50"), pod("c", ready=None, labels={})]
    status, again = replicas.status(replica_set(3, minReadySeconds=30), pods, terminating=1, failure=None, now=NOW)
    assert status == {
        "replicas": 3,
        "fullyLabeledReplicas": 2,
        "readyReplicas": 2,
        "availableReplicas": 1,
        "terminatingReplicas": 1,
        "observedGeneration": 2,
    }
    assert again == 20


def test_a_failure_is_a_condition_until_it_is_over():
    failure = {
        "type": "ReplicaFailure",
        "status": "True",
        "reason": "FailedCreate",
        "message": "no",
        "lastTransitionTime": "1",
    }
    failing = replica_set()
    failing["status"], _ = replicas.status(failing, [], terminating=0, failure=failure, now=NOW)
    assert failing["status"]["conditions"] == [failure]
    again, _ = replicas.status(failing, [], terminating=0, failure={**failure, "lastTransitionTime": "2"}, now=NOW)
    assert again == failing["status"], "the same failure again is no news"
    fine, _ = replicas.status(failing, [], terminating=0, failure=None, now=NOW)
    assert "conditions" not in fine


def test_pods_are_owned_and_named_after_their_set():
    made = replicas.pod_for(replica_set())
    assert made["metadata"]["generateName"] == "web-"
    assert made["metadata"]["ownerReferences"][0] == {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "name": "web",
        "uid": "rs",
        "controller": True,
        "blockOwnerDeletion": True,
    }
