"""Bootstrap tokens: who may sign, with what, and when they expire."""

import base64
from datetime import UTC, datetime

import jwt
import pytest

from controllers import bootstrap

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def secret(**more):
    data = {"token-id": "abcdef", "token-secret": "0123456789abcdef", "usage-bootstrap-signing": "true", **more}
    encoded = {name: base64.b64encode(value.encode()).decode() for name, value in data.items()}
    return {"metadata": {"name": "bootstrap-token-abcdef", "namespace": "kube-system"}, "data": encoded}


def test_a_signature_is_a_jws_whose_payload_was_taken_out():
    header, payload, signature = bootstrap.detached_jws("content", "abcdef", "0123456789abcdef").split(".")
    assert payload == ""
    body = base64.urlsafe_b64encode(b"content").rstrip(b"=").decode()
    token = f"{header}.{body}.{signature}"
    decoded = jwt.api_jws.decode_complete(token, "0123456789abcdef", algorithms=["HS256"])
    assert (decoded["payload"], decoded["header"]["kid"]) == (b"content", "abcdef")


@pytest.mark.parametrize(
    ("given", "signs"),
    [
        (secret(), True),
        (secret(expiration="2026-01-02T00:00:00Z"), True),
        (secret(expiration="2025-12-31T00:00:00Z"), False),
        (secret(expiration="soon"), False),
        (secret(**{"usage-bootstrap-signing": "false"}), False),
        (secret(**{"token-id": "other0"}), False),
    ],
)
def test_who_may_sign(given, signs):
    assert bootstrap.may_sign(given, now=NOW) == signs


def test_signatures_come_and_go_with_their_tokens():
    data = {"kubeconfig": "x", "jws-kubeconfig-stale0": "old", "note": "kept"}
    signed = bootstrap.signed_data(data, [secret()], now=NOW)
    assert signed.keys() == {"kubeconfig", "note", "jws-kubeconfig-abcdef"}
    assert bootstrap.signed_data(signed, [], now=NOW).keys() == {"kubeconfig", "note"}


def test_expiry():
    assert bootstrap.seconds_left(secret(), now=NOW) is None
    assert bootstrap.seconds_left(secret(expiration="2026-01-01T00:01:00Z"), now=NOW) == 60
