"""Expectations hold a controller back until its own writes are seen, and no longer than five minutes."""

from kubeclient.expectations import TIMEOUT_SECONDS, Expectations


def test_satisfied_once_everything_is_observed():
    expectations = Expectations()
    assert expectations.satisfied("k")
    expectations.expect_creations("k", 2)
    expectations.expect_deletions("k", ["u"])
    expectations.creation_observed("k", 2)
    assert not expectations.satisfied("k")
    expectations.deletion_observed("k", "other")
    assert not expectations.satisfied("k")
    expectations.deletion_observed("k", "u")
    assert expectations.satisfied("k")


def test_an_event_that_never_comes_times_out():
    moment = [0.0]
    expectations = Expectations(clock=lambda: moment[0])
    expectations.expect_creations("k", 1)
    moment[0] = TIMEOUT_SECONDS + 1
    assert expectations.satisfied("k")
    expectations.expect_creations("k", 1)
    expectations.creation_observed("k")
    assert expectations.satisfied("k")


def test_surplus_observations_do_no_harm():
    expectations = Expectations()
    expectations.creation_observed("k")
    expectations.expect_creations("k", 1)
    expectations.creation_observed("k", 5)
    assert expectations.satisfied("k")
