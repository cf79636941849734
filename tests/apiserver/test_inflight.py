"""Limits of requests at a time."""

import pytest

from apimachinery.errors import TooManyRequests
from apiserver.inflight import InFlight
from apiserver.request import User, parse

JANE = User("jane")


def test_reading_and_writing_have_limits_of_their_own() -> None:
    limits = InFlight(1, 1)
    reading, writing = parse("GET", "/api/v1/pods")[0], parse("POST", "/api/v1/namespaces/n/pods")[0]
    taken = limits.enter(reading, JANE)
    assert limits.enter(writing, JANE) is not None
    with pytest.raises(TooManyRequests) as refused:
        limits.enter(reading, JANE)
    assert refused.value.retry_after == 1
    limits.leave(taken)
    assert limits.enter(reading, JANE) is not None


def test_streams_and_masters_are_not_held_back() -> None:
    limits = InFlight(1, 1)
    limits.enter(parse("GET", "/api/v1/pods")[0], JANE)
    assert limits.enter(parse("GET", "/api/v1/pods?watch=1")[0], JANE) is None
    assert limits.enter(parse("GET", "/api/v1/pods")[0], User("root", groups=("system:masters",))) is not None
