"""Continue tokens."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apimachinery.errors import BadRequest
from apiserver.storage import paging


@given(st.integers(1, 2**63), st.text(st.characters(exclude_categories=["Cs"], exclude_characters="."), min_size=1))
def test_a_token_round_trips(version: int, start: str) -> None:
    token = paging.Continue(version, start)
    assert paging.parse(token.token()) == token


@pytest.mark.parametrize("token", ["", "x", "!!!", "bm90IGpzb24", paging.Continue(5, "../secrets/a").token(),
                                   paging.Continue(0, "a").token(), paging.Continue(-2, "a").token()])  # fmt: skip
def test_what_is_no_token_is_refused(token: str) -> None:
    with pytest.raises(BadRequest):
        paging.parse(token)


def test_an_expired_token_brings_one_that_goes_on() -> None:
    error = paging.expired("a/b\0")
    assert error.code == 410
    assert paging.parse(error.status["metadata"]["continue"]) == paging.Continue(paging.LATEST, "a/b\0")
