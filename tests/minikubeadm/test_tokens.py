"""Bootstrap tokens: format, Secret, signature."""

from dataclasses import replace
from datetime import timedelta

import pytest

from minikubeadm import tokens


def test_a_new_token_has_the_format_that_is_documented() -> None:
    assert tokens.TOKEN_FORMAT.fullmatch(tokens.new().text)


@pytest.mark.parametrize("text", ["", "abcdef", "abcdef.0123", "ABCDEF.0123456789abcdef", "abcdef.0123456789abcdef "])
def test_what_is_no_token_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        tokens.parse(text)


def test_a_token_survives_its_secret() -> None:
    made = replace(tokens.new(ttl=timedelta(hours=1)), description="for a test", groups=("system:bootstrappers:a",))
    assert tokens.from_secret(tokens.secret_for(made)) == made


def test_a_token_that_is_good_for_nothing_authenticates_nobody() -> None:
    data = tokens.secret_for(replace(tokens.new(), usages=()))["data"]
    assert not [key for key in data if key.startswith("usage-") or key == "auth-extra-groups"]


def test_a_token_without_end_has_no_expiration() -> None:
    assert "expiration" not in tokens.secret_for(tokens.new(ttl=None))["data"]


def test_a_signature_holds_for_its_text_and_token_only() -> None:
    token, other = tokens.new(), tokens.new()
    signature = tokens.sign("text", token)
    assert ".." in signature
    assert tokens.verify("text", signature, token)
    assert not tokens.verify("texT", signature, token)
    assert not tokens.verify("text", signature, other)
    assert not tokens.verify("text", "", token)
    assert not tokens.verify("text", "rubbish..rubbish", token)
