"""Jobs: who counts, when a Job is over, what is made and deleted, and the steps of its status."""

from datetime import UTC, datetime

import pytest

from controllers import jobpods, jobs, jobstatus, ttlafterfinished

NOW = datetime(2026, 1, 1, 1, 0, tzinfo=UTC)
LONG_AGO = "2026-01-01T00:00:00Z"


def job(status=None, *, restart="Never", **spec):
    template = {"metadata": {}, "spec": {"restartPolicy": restart, "containers": [{"name": "c", "image": "i"}]}}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "j", "namespace": "ns", "uid": "job"},
        "spec": {"parallelism": 1, "completions": 1, "backoffLimit": 6, "template": template, **spec},
        "status": status or {},
    }


def pod(
    name, phase="Running", *, ended=LONG_AGO, deleting=False, tracked=True, index=None, code=1, restarts=0, failures=0
):
    ended_state = {"terminated": {"finishedAt": ended, "exitCode": code if phase == "Failed" else 0}}
    container = {
        "name": "c",
        "restartCount": restarts,
        "state": ended_state if phase in ("Failed", "Succeeded") else {},
    }
    metadata = {
        "name": name,
        "namespace": "ns",
        "uid": name,
        "creationTimestamp": LONG_AGO,
        "finalizers": [jobpods.FINALIZER] if tracked else [],
        "annotations": {} if index is None else {jobpods.INDEX: str(index), jobpods.FAILURES: str(failures)},
        **({"deletionTimestamp": LONG_AGO} if deleting else {}),
    }
    return {
        "metadata": metadata,
        "spec": {"nodeName": "n"},
        "status": {"phase": phase, "containerStatuses": [container]},
    }


def names(pods):
    return [each["metadata"]["name"] for each in pods]


# pods, what the status says already, what we released, Job's spec: succeeded, failed to be counted now
COUNTED = {
    "ended pods": ([pod("a", "Succeeded"), pod("b", "Failed"), pod("c")], {}, (), {}, ["a"], ["b"]),
    "not those without a finalizer": ([pod("a", "Succeeded", tracked=False)], {}, (), {}, [], []),
    "not those that are noted": (
        [pod("a", "Failed")], {"uncountedTerminatedPods": {"failed": ["a"]}}, (), {}, [], [],
    ),
    "not those whose finalizer the cache still shows": ([pod("a", "Succeeded")], {}, ("a",), {}, [], []),
    "a deleted pod failed": ([pod("a", deleting=True)], {}, (), {}, [], ["a"]),
    "but not yet when only failed ones are replaced": (
        [pod("a", deleting=True)], {}, (), {"podReplacementPolicy": "Failed"}, [], [],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", COUNTED)
def test_tally(name):
    pods, status, released, spec, succeeded, failed = COUNTED[name]
    found = jobs.tally(job(status, **spec), pods, released)
    assert (names(found.succeeded), names(found.failed)) == (succeeded, failed)


STARTED = {"startTime": LONG_AGO}
# Job's spec, status, pods: reason
VERDICTS = {
    "enough have succeeded": ({}, {}, [pod("a", "Succeeded")], "CompletionsReached"),
    "but one still runs": ({}, {}, [pod("a", "Succeeded"), pod("b")], None),
    "not enough": ({"completions": 2}, {}, [pod("a", "Succeeded")], None),
    "with those counted before": ({"completions": 2}, {"succeeded": 1}, [pod("a", "Succeeded")], "CompletionsReached"),
    "with those noted before": (
        {"completions": 2}, {"uncountedTerminatedPods": {"succeeded": ["x", "y"]}}, [], "CompletionsReached",
    ),
    "a work queue's first success": ({"completions": None}, {}, [pod("a", "Succeeded")], "CompletionsReached"),
    "an index counts once": (
        {"completions": 2, "completionMode": "Indexed"}, {},
        [pod("a", "Succeeded", index=0), pod("b", "Succeeded", index=0)], None,
    ),
    "every index": (
        {"completions": 2, "completionMode": "Indexed"}, {"completedIndexes": "1"},
        [pod("a", "Succeeded", index=0)], "CompletionsReached",
    ),
    "enough by its policy": (
        {"completions": 3, "completionMode": "Indexed", "successPolicy": {"rules": [{"succeededIndexes": "1-2"}]}},
        {"completedIndexes": "1,2"}, [pod("a", index=0)], "SuccessPolicy",
    ),
    "enough in number": (
        {"completions": 3, "completionMode": "Indexed", "successPolicy": {"rules": [{"succeededCount": 2}]}},
        {"completedIndexes": "1"}, [], None,
    ),
    "an index that failed for good": (
        {"completions": 2, "completionMode": "Indexed", "backoffLimitPerIndex": 0}, {"completedIndexes": "1"},
        [pod("a", "Failed", index=0)], "FailedIndexes",
    ),
    "while others go on": (
        {"completions": 2, "completionMode": "Indexed", "backoffLimitPerIndex": 0}, {},
        [pod("a", "Failed", index=0)], None,
    ),
    "too many of them": (
        {"completions": 3, "completionMode": "Indexed", "backoffLimitPerIndex": 0, "maxFailedIndexes": 1},
        {"failedIndexes": "1"}, [pod("a", "Failed", index=0)], "MaxFailedIndexesExceeded",
    ),
    "no completions wanted": ({"completions": 0}, {}, [], "CompletionsReached"),
    "failures up to the limit": ({"backoffLimit": 1}, {}, [pod("a", "Failed")], None),
    "failures past the limit": ({"backoffLimit": 1}, {"failed": 1}, [pod("a", "Failed")], "BackoffLimitExceeded"),
    "restarts in place": (
        {"backoffLimit": 2, "restart": "OnFailure"}, {}, [pod("a", restarts=2)], "BackoffLimitExceeded",
    ),
    "restarts don't count otherwise": ({"backoffLimit": 2}, {}, [pod("a", restarts=2)], None),
    "past its deadline": ({"activeDeadlineSeconds": 60}, STARTED, [pod("a")], "DeadlineExceeded"),
    "a suspended one has no deadline": ({"activeDeadlineSeconds": 60, "suspend": True}, STARTED, [], None),
    "what was said stays": (
        {}, {"conditions": [{"type": "FailureTarget", "status": "True", "reason": "DeadlineExceeded"}]},
        [pod("a", "Succeeded")], "DeadlineExceeded",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", VERDICTS)
def test_verdict(name):
    spec, status, pods, reason = VERDICTS[name]
    owner = job(status, **spec)
    found = jobs.verdict(owner, pods, jobs.tally(owner, pods, ()), now=NOW)
    assert (found.reason if found else None) == reason


EXITS = {"onExitCodes": {"operator": "In", "values": [42]}}
NODE_LOST = {"onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}


@pytest.mark.parametrize(
    ("rule", "code", "failed", "ignored", "reason"),
    [
        ({"action": "FailJob", **EXITS}, 42, ["a"], [], "PodFailurePolicy"),
        ({"action": "FailJob", **EXITS}, 1, ["a"], [], None),
        ({"action": "Ignore", **EXITS}, 42, [], ["a"], None),
        ({"action": "Ignore", **NODE_LOST}, 1, ["a"], [], None),
    ],
)
def test_failure_policy(rule, code, failed, ignored, reason):
    owner, pods = job(podFailurePolicy={"rules": [rule]}), [pod("a", "Failed", code=code)]
    counted = jobs.tally(owner, pods, ())
    assert (names(counted.failed), names(counted.ignored)) == (failed, ignored)
    found = jobs.verdict(owner, pods, counted, now=NOW)
    assert (found.reason if found else None) == reason
    if found:
        assert found.message == "Container c for pod ns/a failed with exit code 42 matching FailJob rule at index 0"


# Job's spec, status, pods: number made, names deleted, again
PLANS = {
    "as many as may run at once": ({"completions": 5, "parallelism": 3}, {}, [pod("a")], 2, [], None),
    "no more than are missing": ({"completions": 5, "parallelism": 3}, {"succeeded": 4}, [], 1, [], None),
    "a work queue starts none after a success": (
        {"completions": None, "parallelism": 3}, {}, [pod("a", "Succeeded"), pod("b")], 0, [], None,
    ),
    "fewer when parallelism is less": ({"completions": 5, "parallelism": 1}, {}, [pod("a"), pod("b")], 0, ["a"], None),
    "none while suspended": ({"suspend": True}, {}, [pod("a")], 0, ["a"], None),
    "a failure is waited after": ({}, {}, [pod("a", "Failed", ended="2026-01-01T00:59:57Z")], 0, [], 7),
    "twice as long after the second": (
        {}, {}, [pod("a", "Failed"), pod("b", "Failed", ended="2026-01-01T00:59:57Z")], 0, [], 17,
    ),
    "a success forgives": (
        {"completions": 3}, {},
        [pod("a", "Failed", ended="2026-01-01T00:59:57Z"), pod("b", "Succeeded", ended="2026-01-01T00:59:58Z")],
        1, [], None,
    ),
    "a pod that ends is replaced at once": ({}, {}, [pod("a", deleting=True)], 1, [], None),
    "or when it has ended, if asked": ({"podReplacementPolicy": "Failed"}, {}, [pod("a", deleting=True)], 0, [], None),
}  # fmt: skip


@pytest.mark.parametrize("name", PLANS)
def test_plan(name):
    spec, status, pods, made, deleted, again = PLANS[name]
    owner = job(status, **spec)
    planned = jobs.plan(owner, pods, jobs.tally(owner, pods, ()), now=NOW)
    assert (len(planned.create), names(planned.delete), planned.again) == (made, deleted, again)


def test_free_indexes_are_filled_and_doubles_go():
    owner = job(completions=4, parallelism=4, completionMode="Indexed", status={"completedIndexes": "1"})
    planned = jobs.plan(owner, [], jobs.tally(owner, [pod("a", index=2)], ()), now=NOW)
    assert [jobpods.index_of(body) for body in planned.create] == [0, 3]
    doubles = [pod("a", index=2), pod("b", index=2)]
    assert names(jobs.plan(owner, doubles, jobs.tally(owner, doubles, ()), now=NOW).delete) == ["a"]


def test_an_index_has_failures_of_its_own():
    spec = {"completions": 4, "parallelism": 4, "completionMode": "Indexed", "backoffLimitPerIndex": 1}
    pods = [
        pod("a", "Failed", index=0),
        pod("b", "Failed", index=1, failures=1),
        pod("c", "Failed", index=2, ended="2026-01-01T00:59:57Z"),
    ]
    owner = job(status={"failedIndexes": "1"}, **spec)
    planned = jobs.plan(owner, pods, jobs.tally(owner, pods, ()), now=NOW)
    made = [(jobpods.index_of(body), jobpods.failures(body)) for body in planned.create]
    assert made == [(0, 1), (3, 0)]
    assert planned.again == 7
    first, _ = step(job(**spec), pods)
    assert first["failedIndexes"] == "1"


def test_a_pod_knows_its_index():
    body = jobpods.pod_for(job(), 3)
    assert body["metadata"]["generateName"] == "j-3-"
    assert body["spec"]["hostname"] == "j-3"
    assert body["metadata"]["labels"][jobpods.INDEX] == body["metadata"]["annotations"][jobpods.INDEX] == "3"
    assert body["spec"]["containers"][0]["env"][0]["name"] == "JOB_COMPLETION_INDEX"
    assert body["metadata"]["finalizers"] == [jobpods.FINALIZER]


@pytest.mark.parametrize(("numbers", "text"), [([], ""), ([3], "3"), ([1, 2], "1,2"), ([0, 1, 2, 5, 7], "0-2,5,7")])
def test_indexes_as_text(numbers, text):
    assert jobpods.indexes_text(numbers) == text
    assert jobpods.indexes(text) == set(numbers)


def step(owner, pods, held=()):
    """The two writes of one look at a Job."""
    counted = jobs.tally(owner, pods, ())
    over = jobs.verdict(owner, pods, counted, now=NOW)
    first = jobstatus.noted(owner, counted, over, now=NOW)
    return first, jobstatus.settled(first, lambda uid: uid in held, over, now=NOW)


def test_a_pod_is_noted_then_counted_then_the_job_is_complete():
    first, second = step(job(), [pod("a", "Succeeded")])
    assert first["uncountedTerminatedPods"] == {"succeeded": ["a"]}
    assert "succeeded" not in first
    assert [each["type"] for each in first["conditions"]] == ["SuccessCriteriaMet"]
    assert second["uncountedTerminatedPods"] == {}
    assert second["succeeded"] == 1
    assert [each["type"] for each in second["conditions"]] == ["SuccessCriteriaMet", "Complete"]
    assert second["completionTime"] == "2026-01-01T01:00:00Z"


def test_what_a_finalizer_holds_isnt_counted_yet():
    _, second = step(job(), [pod("a", "Succeeded")], held=("a",))
    assert second["uncountedTerminatedPods"] == {"succeeded": ["a"]}
    assert [each["type"] for each in second["conditions"]] == ["SuccessCriteriaMet"]


def test_a_crash_between_the_steps_counts_nothing_twice():
    first, _ = step(job(completions=2), [pod("a", "Succeeded")])
    _, second = step(job(first, completions=2), [pod("a", "Succeeded", tracked=False)])
    _, third = step(job(second, completions=2), [pod("a", "Succeeded", tracked=False)])
    assert second["succeeded"] == third["succeeded"] == 1


def test_a_failed_job_is_failed_when_its_last_pod_has_ended():
    owner = job(backoffLimit=0, parallelism=2)
    _, running = step(owner, [pod("a", "Failed"), pod("b")])
    assert [each["type"] for each in running["conditions"]] == ["FailureTarget"]
    _, ending = step({**owner, "status": running}, [pod("b", deleting=True)])
    assert [each["type"] for each in ending["conditions"]] == ["FailureTarget"]
    _, ended = step({**owner, "status": ending}, [])
    assert [(each["type"], each["reason"]) for each in ended["conditions"]] == [
        ("FailureTarget", "BackoffLimitExceeded"),
        ("Failed", "BackoffLimitExceeded"),
    ]
    assert ended["failed"] == 2


def test_a_resumed_job_starts_anew():
    suspended, _ = step(job(suspend=True), [])
    assert "startTime" not in suspended
    resumed, _ = step(job({**suspended, "startTime": LONG_AGO}), [])
    assert resumed["startTime"] == "2026-01-01T01:00:00Z"
    assert [(each["status"], each["reason"]) for each in resumed["conditions"]] == [("False", "JobResumed")]


@pytest.mark.parametrize(
    ("ttl", "condition", "left"),
    [(7200, "Complete", 3600), (60, "Failed", -3540), (None, "Complete", None), (1, "X", None)],
)
def test_time_to_live(ttl, condition, left):
    status = {"conditions": [{"type": condition, "status": "True", "lastTransitionTime": LONG_AGO}]}
    assert ttlafterfinished.seconds_left(job(status, ttlSecondsAfterFinished=ttl), now=NOW) == left
