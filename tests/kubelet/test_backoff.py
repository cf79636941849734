"""Crash-loop back-off."""

from kubelet.backoff import Backoff


def test_the_first_retry_is_free_then_delays_double_up_to_the_longest() -> None:
    now = 1000.0
    backoff = Backoff(initial=10, longest=40, clock=lambda: now)
    assert backoff.remaining("c", now) == 0
    seen = []
    for _ in range(4):
        backoff.failed("c", now)
        seen.append(backoff.remaining("c", now))
        now += seen[-1]
    assert seen == [10, 20, 40, 40]


def test_a_long_run_starts_over() -> None:
    now = 0.0
    backoff = Backoff(initial=10, longest=40, clock=lambda: now)
    backoff.failed("c", now)
    backoff.failed("c", now)
    now = 200.0
    assert backoff.remaining("c", now) == 0
    backoff.failed("c", now)
    assert backoff.delay("c") == 10
