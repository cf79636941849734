"""What control planes share is sealed before it leaves the first of them."""

import base64

import pytest

from minikubeadm import sharedcertificates
from minikubeadm.process import StepFailed

FILES = {name: f"content of {name}".encode() for name in sharedcertificates.FILES}


def test_what_was_sealed_opens_with_its_key() -> None:
    key = sharedcertificates.new_key()
    data = sharedcertificates.sealed(FILES, key)
    assert {"ca.crt", "ca.key", "etcd-ca.key", "front-proxy-ca.key", "sa.key", "sa.pub"} <= set(data)
    assert sharedcertificates.unsealed(data, key) == FILES


def test_no_content_can_be_read_without_the_key() -> None:
    data = sharedcertificates.sealed(FILES, sharedcertificates.new_key())
    assert not any(b"content" in base64.b64decode(value) for value in data.values())
    with pytest.raises(StepFailed, match="is not the key"):
        sharedcertificates.unsealed(data, sharedcertificates.new_key())


def test_a_missing_file_is_named() -> None:
    key = sharedcertificates.new_key()
    data = sharedcertificates.sealed(FILES, key)
    del data["sa.key"]
    with pytest.raises(StepFailed, match=r"lacks sa\.key"):
        sharedcertificates.unsealed(data, key)


@pytest.mark.parametrize("text", ["", "abc", "zz" * 32, "ab" * 31])
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="64 hexadecimal digits"):
        sharedcertificates.checked(text)
