"""What a pod's worker does next, as a table of situations."""

import pytest

from kubelet.observed import Container, PodState
from kubelet.plan import Actions, Circumstances, compute
from tests.kubelet.objects import exited, observed, pod, run, sandbox

CALM = Circumstances(unhealthy={}, started=lambda run: True, holdoff=lambda container, run: 0.0)


def starts(actions: Actions) -> list[str]:
    return [container["name"] for container in actions.start]


def test_a_new_pod_gets_a_sandbox_and_its_containers() -> None:
    actions = compute(pod({"name": "a"}, {"name": "b"}), PodState("x"), CALM)
    assert actions.create_sandbox and actions.sandbox_attempt == 0
    assert starts(actions) == ["a", "b"]


def test_a_running_pod_needs_nothing() -> None:
    assert compute(pod(), observed(sandbox(), run("c")), CALM).empty


@pytest.mark.parametrize(
    ("policy", "code", "restarted", "finished"),
    [
        ("Always", 0, True, False),
        ("Always", 1, True, False),
        ("OnFailure", 0, False, True),
        ("OnFailure", 1, True, False),
        ("Never", 0, False, True),
        ("Never", 1, False, True),
    ],
)
def test_restart_policies(policy: str, code: int, restarted: bool, finished: bool) -> None:
    actions = compute(pod(restartPolicy=policy), observed(sandbox(), exited("c", code)), CALM)
    assert (starts(actions) == ["c"], actions.finished) == (restarted, finished)


def test_a_crash_loop_is_held_back_and_the_others_go_on() -> None:
    def holdoff(container: object, run: Container) -> float:
        return 7.0

    circumstances = Circumstances(unhealthy={}, started=lambda run: True, holdoff=holdoff)
    actions = compute(pod({"name": "a"}, {"name": "b"}), observed(sandbox(), exited("a", 1)), circumstances)
    assert actions.held == {"a": 7.0}
    assert starts(actions) == ["b"]


def test_init_containers_run_one_after_another() -> None:
    subject = pod(init=[{"name": "i1"}, {"name": "i2"}])
    assert starts(compute(subject, PodState("x"), CALM)) == ["i1"]
    assert compute(subject, observed(sandbox(), run("i1")), CALM).empty
    assert starts(compute(subject, observed(sandbox(), exited("i1", 0)), CALM)) == ["i2"]
    assert starts(compute(subject, observed(sandbox(), exited("i1", 0), exited("i2", 0)), CALM)) == ["c"]


def test_an_init_container_that_fails_is_tried_again_unless_the_policy_is_never() -> None:
    state = observed(sandbox(), exited("i1", 1))
    assert starts(compute(pod(init=[{"name": "i1"}]), state, CALM)) == ["i1"]
    assert compute(pod(init=[{"name": "i1"}], restartPolicy="Never"), state, CALM).finished


def test_a_sidecar_lets_the_next_start_once_it_has_started_and_is_kept_alive() -> None:
    subject = pod(init=[{"name": "side", "restartPolicy": "Always"}, {"name": "i"}])
    waiting = Circumstances(unhealthy={}, started=lambda run: False, holdoff=lambda container, run: 0.0)
    assert compute(subject, observed(sandbox(), run("side")), waiting).empty
    assert starts(compute(subject, observed(sandbox(), run("side")), CALM)) == ["i"]
    running = observed(sandbox(), exited("side", 0), exited("i", 0), run("c"))
    assert starts(compute(subject, running, CALM)) == ["side"]


def test_sidecars_do_not_keep_a_finished_pod_alive() -> None:
    subject = pod(init=[{"name": "side", "restartPolicy": "Always"}], restartPolicy="Never")
    assert compute(subject, observed(sandbox(), run("side"), exited("c", 0)), CALM).finished


def test_a_lost_sandbox_is_replaced_and_everything_starts_anew() -> None:
    state = observed(sandbox(state="exited"), run("c"))
    actions = compute(pod(), state, CALM)
    assert actions.create_sandbox and actions.sandbox_attempt == 1
    assert [kill.run.name for kill in actions.kill] == ["c"]
    assert starts(actions) == ["c"]


def test_a_sandbox_whose_network_was_not_finished_is_replaced() -> None:
    half = Circumstances(
        unhealthy={}, started=lambda run: True, holdoff=lambda container, run: 0.0, networked=lambda sandbox: False
    )
    actions = compute(pod(), observed(sandbox()), half)
    assert actions.create_sandbox and actions.sandbox_attempt == 1


def test_init_containers_run_again_in_a_new_sandbox() -> None:
    subject = pod(init=[{"name": "i1"}])
    state = observed(sandbox(id="POD-1", attempt=1), sandbox(state="exited"), exited("i1", 0))
    assert starts(compute(subject, state, CALM)) == ["i1"]


def test_an_unhealthy_container_is_killed() -> None:
    circumstances = Circumstances(
        unhealthy={"c-0": "Container c failed liveness probe, will be restarted"},
        started=lambda run: True,
        holdoff=lambda container, run: 0.0,
    )
    actions = compute(pod(), observed(sandbox(), run("c")), circumstances)
    assert [kill.why for kill in actions.kill] == ["Container c failed liveness probe, will be restarted"]


def test_a_changed_image_restarts_the_container() -> None:
    actions = compute(pod({"name": "c", "image": "img:2"}), observed(sandbox(), run("c")), CALM)
    assert "definition changed" in actions.kill[0].why


def test_what_was_created_and_never_started_is_discarded() -> None:
    actions = compute(pod(), observed(sandbox(), run("c", state="created")), CALM)
    assert [left.name for left in actions.discard] == ["c"]
    assert starts(actions) == ["c"]
