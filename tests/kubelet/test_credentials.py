"""Pull secrets: which credential is tried for which image."""

import base64
import json
from typing import Any

import pytest

from kubelet.credentials import Credential, lookup

AUTH = base64.b64encode(b"ann:s3:cret").decode()


def secret(table: Any, *, legacy: bool = False) -> dict[str, Any]:
    kind, key = ("dockercfg", ".dockercfg") if legacy else ("dockerconfigjson", ".dockerconfigjson")
    content = table if legacy else {"auths": table}
    return {"type": f"kubernetes.io/{kind}", "data": {key: base64.b64encode(json.dumps(content).encode()).decode()}}


def names(image: str, table: dict[str, str], **options: Any) -> list[str]:
    entries = {registry: {"username": user, "password": "p"} for registry, user in table.items()}
    return [credential.username for credential in lookup(image, [secret(entries, **options)])]


@pytest.mark.parametrize(
    ("image", "key", "found"),
    [
        ("reg.test/app", "reg.test", True),
        ("reg.test/app", "https://reg.test/v1/", True),
        ("reg.test/app", "reg.test/v2/", True),
        ("reg.test:5000/app", "reg.test:5000", True),
        ("reg.test:5000/app", "reg.test", False),
        ("reg.test:5000/app", "http://reg.test:5000", True),
        ("a.reg.test/app", "*.reg.test", True),
        ("a.b.reg.test/app", "*.reg.test", False),
        ("a.reg.test/app", "reg.test", False),
        ("reg.test/team/app", "reg.test/team", True),
        ("reg.test/other/app", "reg.test/team", False),
        ("app", "https://index.docker.io/v1/", True),
        ("team/app", "index.docker.io", True),
        ("docker.io/team/app", "index.docker.io", True),
        ("reg.test/app", "index.docker.io", False),
        ("localhost/app", "index.docker.io", False),
    ],
)
def test_a_key_fits_an_image(image: str, key: str, found: bool) -> None:
    assert names(image, {key: "ann"}) == (["ann"] if found else [])


def test_the_longest_key_is_tried_first() -> None:
    assert names("r.test/a/b", {"r.test": "host", "r.test/a/b": "deep", "r.test/a": "path"}) == ["deep", "path", "host"]


@pytest.mark.parametrize("legacy", [False, True])
def test_both_types_of_secret_and_auth_as_one_text(legacy: bool) -> None:
    assert lookup("r.test/a", [secret({"r.test": {"auth": AUTH}}, legacy=legacy)]) == [Credential("ann", "s3:cret")]


@pytest.mark.parametrize(
    "bad",
    [
        {"type": "Opaque", "data": {".dockerconfigjson": "e30="}},
        {"type": "kubernetes.io/dockerconfigjson"},
        {"type": "kubernetes.io/dockerconfigjson", "data": {".dockerconfigjson": "bm90IGpzb24="}},
        {"type": "kubernetes.io/dockerconfigjson", "data": {".dockerconfigjson": "%%%"}},
        secret([]),
        secret({"r.test": "text"}),
        secret({"r.test": {"auth": "bm8gY29sb24="}}),
        secret({"r.test": {}}),
    ],
)
def test_what_cannot_be_read_is_left_out(bad: dict[str, Any]) -> None:
    assert lookup("r.test/a", [bad, secret({"r.test": {"auth": AUTH}})]) == [Credential("ann", "s3:cret")]


def test_a_credential_shows_no_password() -> None:
    assert "s3" not in repr(Credential("ann", "s3:cret"))
    sent = json.loads(base64.urlsafe_b64decode(Credential("ann", "s3:cret").header()))
    assert sent == {"username": "ann", "password": "s3:cret"}
