"""A pod's status from what is observed."""

from typing import Any

import pytest

from apimachinery import meta
from kubelet import status
from kubelet.observed import NEVER, PodState
from kubelet.status import Facts, generate
from tests.kubelet.objects import UID, exited, observed, pod, run, sandbox

NOW = "2026-01-01T00:01:00Z"
UP = Facts(pod_ips=("10.244.1.5",), host_ips=("172.30.0.3",), network_ready=True, now=NOW)


def condition(made: dict[str, Any], type_: str) -> dict[str, Any]:
    return next(c for c in made["conditions"] if c["type"] == type_)


def test_a_running_pod_is_ready() -> None:
    made = generate(pod(), observed(sandbox(), run("c")), UP)
    assert made["phase"] == "Running"
    assert made["podIP"] == "10.244.1.5" and made["podIPs"] == [{"ip": "10.244.1.5"}] and made["hostIP"] == "172.30.0.3"
    assert {c["type"] for c in made["conditions"]} == set(status.OWNED_CONDITIONS) - {"DisruptionTarget"}
    assert all(c["status"] == "True" for c in made["conditions"])
    (container,) = made["containerStatuses"]
    assert container["state"] == {"running": {"startedAt": "2026-01-01T00:00:01Z"}}
    assert container["ready"] and container["started"] and container["restartCount"] == 0
    assert container["containerID"] == "docker://c-0"


def test_a_pod_without_containers_yet_is_pending() -> None:
    made = generate(pod(), PodState(UID), Facts(now=NOW))
    assert made["phase"] == "Pending"
    assert made["containerStatuses"][0]["state"] == {"waiting": {"reason": "ContainerCreating"}}
    assert condition(made, "Ready")["message"] == "containers with unready status: [c]"


def test_init_containers_show_in_conditions_and_states() -> None:
    made = generate(pod(init=[{"name": "i1"}, {"name": "i2"}]), observed(sandbox(), run("i1")), UP)
    assert made["phase"] == "Pending"
    assert made["containerStatuses"][0]["state"] == {"waiting": {"reason": "PodInitializing"}}
    assert condition(made, "Initialized")["message"] == "containers with incomplete status: [i1 i2]"


def test_a_crash_loop_is_waiting_with_its_last_state() -> None:
    facts = Facts(waiting={"c": ("CrashLoopBackOff", "back-off 10s")}, now=NOW)
    made = generate(pod(), observed(sandbox(), exited("c", 3, attempt=2)), facts)
    (container,) = made["containerStatuses"]
    assert container["state"] == {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}}
    assert container["lastState"]["terminated"]["exitCode"] == 3
    assert container["restartCount"] == 2
    assert made["phase"] == "Running"


def test_a_restarted_container_remembers_its_run_before() -> None:
    state = observed(sandbox(), exited("c", 137, oom_killed=True), run("c", attempt=1))
    (container,) = generate(pod(), state, UP)["containerStatuses"]
    assert container["lastState"]["terminated"]["reason"] == "OOMKilled"


def test_what_docker_could_not_start_is_a_start_error() -> None:
    failed = exited("c", 128, started_at=NEVER, error="no such file")
    (container,) = generate(pod(restartPolicy="Never"), observed(sandbox(), failed), UP)["containerStatuses"]
    assert container["state"]["terminated"]["reason"] == "StartError"
    assert container["state"]["terminated"]["message"] == "no such file"


@pytest.mark.parametrize(
    ("policy", "codes", "phase"),
    [
        ("Never", (0, 0), "Succeeded"),
        ("Never", (0, 1), "Failed"),
        ("OnFailure", (0, 0), "Succeeded"),
        ("OnFailure", (0, 1), "Running"),
        ("Always", (0, 0), "Running"),
    ],
)
def test_phases(policy: str, codes: tuple[int, int], phase: str) -> None:
    state = observed(sandbox(), exited("a", codes[0]), exited("b", codes[1]))
    assert generate(pod({"name": "a"}, {"name": "b"}, restartPolicy=policy), state, UP)["phase"] == phase


def test_a_phase_is_final_only_when_the_sidecars_have_ended_too() -> None:
    subject = pod(init=[{"name": "side", "restartPolicy": "Always"}], restartPolicy="Never")
    assert generate(subject, observed(sandbox(), run("side"), exited("c", 0)), UP)["phase"] == "Running"
    assert generate(subject, observed(sandbox(), exited("side", 137), exited("c", 0)), UP)["phase"] == "Succeeded"


@pytest.mark.parametrize(("code", "phase"), [(0, "Succeeded"), (137, "Failed")])
def test_a_deleted_pod_ends_by_its_exit_codes(code: int, phase: str) -> None:
    facts = Facts(ended=True, terminating=True, now=NOW)
    made = generate(pod(), observed(sandbox(), exited("c", code)), facts)
    assert made["phase"] == phase
    assert condition(made, "Ready")["status"] == "False"


def test_a_refused_pod_fails_with_the_reason() -> None:
    made = generate(pod(), PodState(UID), Facts(rejected=("OutOfcpu", "too little"), now=NOW))
    assert (made["phase"], made["reason"], made["message"]) == ("Failed", "OutOfcpu", "Pod was rejected: too little")


def test_readiness_gates_and_foreign_conditions() -> None:
    foreign = {"type": "example.com/gate", "status": "False", "lastTransitionTime": NOW}
    subject = pod(readinessGates=[{"conditionType": "example.com/gate"}], status={"conditions": [foreign]})
    made = generate(subject, observed(sandbox(), run("c")), UP)
    assert condition(made, "Ready")["reason"] == "ReadinessGatesNotReady"
    assert condition(made, "ContainersReady")["status"] == "True"
    assert foreign in made["conditions"]


def test_transition_times_stay_while_nothing_flips() -> None:
    first = generate(pod(), observed(sandbox(), run("c")), UP)
    later = Facts(pod_ips=UP.pod_ips, host_ips=UP.host_ips, network_ready=True, now="2026-01-01T00:09:00Z")
    assert generate(pod(status=first), observed(sandbox(), run("c")), later) == first


def test_the_patch_is_none_when_nothing_changed_and_small_otherwise() -> None:
    first = generate(pod(), observed(sandbox(), run("c")), UP)
    assert status.patch(first, first, UID) is None
    moved = generate(pod(status=first), observed(sandbox(), run("c")), Facts(now=NOW, ready=lambda run: False))
    made = status.patch(first, moved, UID)
    assert made is not None
    assert made["metadata"] == {"uid": UID}
    assert {c["type"] for c in made["status"]["conditions"]} == {
        "PodReadyToStartContainers",
        "Ready",
        "ContainersReady",
    }
    assert made["status"]["podIPs"] == [{"ip": "10.244.1.5", "$patch": "delete"}]
    assert "phase" not in made["status"]


def test_a_pod_past_its_deadline_has_failed_once_it_has_stopped() -> None:
    late = pod(activeDeadlineSeconds=5, status={"startTime": "2026-01-01T00:00:01Z"})
    deadline = status.deadline_of(late)
    assert deadline is not None and meta.parse_time("2026-01-01T00:00:06Z").timestamp() == deadline
    assert status.deadline_of(pod(activeDeadlineSeconds=5)) is None
    made = generate(late, observed(sandbox(), run("c")), Facts(failed=status.DEADLINE_EXCEEDED, now=NOW))
    assert made["phase"] == "Running" and "reason" not in made
    made = generate(
        late, observed(sandbox(), exited("c", 0)), Facts(failed=status.DEADLINE_EXCEEDED, ended=True, now=NOW)
    )
    assert made["phase"] == "Failed" and made["reason"] == "DeadlineExceeded"
    assert condition(made, "Ready")["reason"] == "PodFailed"


def test_a_crash_loop_that_the_kubelet_ended_waits_for_nothing() -> None:
    facts = Facts(failed=status.DEADLINE_EXCEEDED, ended=True, waiting={"c": ("CrashLoopBackOff", "back-off")}, now=NOW)
    made = generate(pod(activeDeadlineSeconds=5), observed(sandbox(), exited("c", 3)), facts)
    assert made["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 3


def test_an_evicted_pod_says_so_once_nothing_of_it_runs() -> None:
    why = (status.EVICTED, "The node was low on resource: memory. ")
    made = generate(pod(), observed(sandbox(), run("c")), Facts(failed=why, now=NOW))
    assert made["phase"] == "Running" and "reason" not in made
    ready = next(c for c in made["conditions"] if c["type"] == "Ready")
    assert ready["status"] == "False"  # no Service sends it anything any more
    made = generate(pod(), observed(exited("c", 137)), Facts(failed=why, ended=True, now=NOW))
    assert (made["phase"], made["reason"], made["message"]) == ("Failed", *why)
    found = next(c for c in made["conditions"] if c["type"] == "DisruptionTarget")
    assert (found["status"], found["reason"], found["message"]) == ("True", "TerminationByKubelet", why[1])
