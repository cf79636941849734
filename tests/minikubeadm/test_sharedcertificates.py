"""What control planes share is sealed before it leaves the first of them."""

import base64
from pathlib import Path
from typing import Any

import pytest

from apimachinery import errors, meta
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


class ForgetfulClient:
    """Loses its answer to the first creation of every object."""

    def __init__(self) -> None:
        self.kept: dict[str, Any] = {}

    async def create(self, kind: Any, body: Any) -> Any:
        if meta.name(body) in self.kept:
            raise errors.AlreadyExists("there")
        self.kept[meta.name(body)] = {**body, "metadata": {**body["metadata"], "uid": f"uid of {meta.name(body)}"}}
        raise errors.Timeout("etcd did not say whether the write was made")

    async def patch(self, kind: Any, name: str, body: Any, *, namespace: str | None) -> Any:
        return self.kept[name]


async def test_an_answer_that_was_lost_keeps_nothing_from_being_uploaded(tmp_path: Path) -> None:
    for name, content in FILES.items():
        (tmp_path / "pki" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "pki" / name).write_bytes(content)
    client: Any = ForgetfulClient()
    await sharedcertificates.upload(client, sharedcertificates.new_key(), tmp_path)
    token, certificates = client.kept.values()
    (owner,) = certificates["metadata"]["ownerReferences"]
    assert (owner["name"], owner["uid"]) == (meta.name(token), meta.uid(token))
