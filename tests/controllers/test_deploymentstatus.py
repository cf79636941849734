"""A Deployment's conditions through a rollout, a deadline, and a pause."""

from datetime import UTC, datetime, timedelta

from controllers import deploymentstatus

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)


def deployment(status=None, **spec):
    spec = {"replicas": 2, "progressDeadlineSeconds": 60, **spec}
    return {"metadata": {"name": "d", "generation": 1}, "spec": spec, "status": status or {}}


def replica_set(replicas=2, available=0, ready=0):
    status = {"replicas": replicas, "availableReplicas": available, "readyReplicas": ready}
    return {"metadata": {"name": "d-1"}, "spec": {"replicas": 2}, "status": status}


def conditions(status):
    return {each["type"]: (each["status"], each["reason"]) for each in status["conditions"]}


def step(status, new, *, seconds=0, **more):
    return deploymentstatus.compute(deployment(status), [new], new, now=NOW + timedelta(seconds=seconds), **more)


def test_a_rollout_from_creation_to_completion():
    status, again = step({}, replica_set(0), created=True)
    assert conditions(status) == {
        "Available": ("False", "MinimumReplicasUnavailable"),
        "Progressing": ("True", "NewReplicaSetCreated"),
    }
    assert again == 61
    status, _ = step(status, replica_set(2, available=1, ready=1), seconds=5)
    assert conditions(status)["Progressing"] == ("True", "ReplicaSetUpdated")
    assert status["unavailableReplicas"] == 1
    status, again = step(status, replica_set(2, available=2, ready=2), seconds=9)
    assert conditions(status) == {
        "Available": ("True", "MinimumReplicasAvailable"),
        "Progressing": ("True", "NewReplicaSetAvailable"),
    }
    assert again is None
    progressing = next(each for each in status["conditions"] if each["type"] == "Progressing")
    assert progressing["message"] == 'ReplicaSet "d-1" has successfully progressed.'
    assert progressing["lastTransitionTime"] == "2026-01-01T12:00:00Z"
    same, _ = step(status, replica_set(2, available=2, ready=2), seconds=500)
    assert same == status


def test_no_progress_past_the_deadline():
    status, _ = step({}, replica_set(2), created=True)
    status, _ = step(status, replica_set(2), seconds=30)
    before = conditions(status)["Progressing"]
    status, again = step(status, replica_set(2), seconds=61)
    assert before[0] == "True"
    assert conditions(status)["Progressing"] == ("False", "ProgressDeadlineExceeded")
    assert again is None


def test_losing_a_pod_after_completion_is_no_deadline_matter():
    status, _ = step({}, replica_set(2, available=2, ready=2))
    status, _ = step(status, replica_set(2, available=1, ready=1), seconds=600)
    assert conditions(status)["Progressing"] == ("True", "NewReplicaSetAvailable")
    assert conditions(status)["Available"] == ("False", "MinimumReplicasUnavailable")


def test_pausing_and_resuming_are_said_once():
    paused = deployment(paused=True)
    assert deploymentstatus.pause(paused) == ("Unknown", "DeploymentPaused", "Deployment is paused")
    paused["status"]["conditions"] = deploymentstatus.condition(
        paused, "Progressing", *deploymentstatus.pause(paused), now=NOW
    )
    assert deploymentstatus.pause(paused) is None
    resumed = {**paused, "spec": {**paused["spec"], "paused": False}}
    assert deploymentstatus.pause(resumed) == ("Unknown", "DeploymentResumed", "Deployment is resumed")


def test_a_replica_sets_failure_is_the_deployments():
    failing = replica_set(0)
    failing["status"]["conditions"] = [
        {
            "type": "ReplicaFailure",
            "status": "True",
            "reason": "FailedCreate",
            "lastTransitionTime": "2026-01-01T12:00:00Z",
        }
    ]
    status, _ = step({}, failing)
    assert conditions(status)["ReplicaFailure"] == ("True", "FailedCreate")
