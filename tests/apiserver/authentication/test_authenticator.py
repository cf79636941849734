"""Certificates, static and bootstrap tokens, front proxies, nobody."""

from __future__ import annotations

import base64
import time
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from multidict import CIMultiDict

from apimachinery import errors
from apimachinery.meta import JSON
from apiserver.authentication import build_authenticator
from apiserver.authentication.authenticator import Authenticator
from apiserver.options import parse
from componentbase import pki
from tests.apiserver.fake_storage import FakeStorage, obj


class Clock:
    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="module")
def authority() -> pki.Pair:
    return pki.new_ca("ca")


@pytest.fixture(scope="module")
def proxy_authority() -> pki.Pair:
    return pki.new_ca("front-proxy-ca")


def der(pair: pki.Pair) -> bytes:
    return pair.certificate.public_bytes(Encoding.DER)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def storage() -> FakeStorage:
    return FakeStorage()


@pytest.fixture
def authenticator(
    tmp_path: Path, storage: FakeStorage, authority: pki.Pair, proxy_authority: pki.Pair, clock: Clock
) -> Authenticator:
    (tmp_path / "ca.crt").write_bytes(authority.certificate_pem)
    (tmp_path / "proxy.crt").write_bytes(proxy_authority.certificate_pem)
    (tmp_path / "tokens").write_text('secret,jane,7,"devs,ops"\nplain,joe,8\n')
    options = parse(
        [
            f"--client-ca-file={tmp_path / 'ca.crt'}",
            f"--requestheader-client-ca-file={tmp_path / 'proxy.crt'}",
            "--requestheader-allowed-names=proxy",
            f"--token-auth-file={tmp_path / 'tokens'}",
            "--enable-bootstrap-token-auth",
        ]
    )
    return build_authenticator(storage, options, clock=clock)  # type: ignore[arg-type]


def client(authority: pki.Pair, name: str, *groups: str) -> bytes:
    return der(pki.issue(authority, name, organizations=groups, client=True))


NOTHING: CIMultiDict[str] = CIMultiDict()


async def test_a_certificate_gives_name_and_groups(authenticator: Authenticator, authority: pki.Pair) -> None:
    certificate = client(authority, "jane", "devs", "ops")
    user = await authenticator.authenticate(NOTHING, certificate)
    assert (user.name, user.groups) == ("jane", ("devs", "ops", "system:authenticated"))
    assert await authenticator.authenticate(NOTHING, certificate) is user


async def test_a_certificate_ends_with_its_time(
    authenticator: Authenticator, authority: pki.Pair, clock: Clock
) -> None:
    certificate = client(authority, "jane")
    await authenticator.authenticate(NOTHING, certificate)
    clock.now += timedelta(days=3660).total_seconds()
    with pytest.raises(errors.Unauthorized):
        await authenticator.authenticate(NOTHING, certificate)


async def test_a_front_proxy_speaks_for_others(authenticator: Authenticator, proxy_authority: pki.Pair) -> None:
    headers = CIMultiDict(
        [("X-Remote-User", "bob"), ("X-Remote-Group", "a"), ("X-Remote-Group", "b"), ("X-Remote-Extra-Scopes", "x")]
    )
    user = await authenticator.authenticate(headers, client(proxy_authority, "proxy"))
    assert (user.name, user.groups) == ("bob", ("a", "b", "system:authenticated"))
    assert user.extra == {"scopes": ("x",)}


async def test_a_proxys_certificate_is_no_users(authenticator: Authenticator, proxy_authority: pki.Pair) -> None:
    user = await authenticator.authenticate(NOTHING, client(proxy_authority, "root", "system:masters"))
    assert user.name == "system:anonymous"


async def test_only_proxies_speak_for_others(
    authenticator: Authenticator, authority: pki.Pair, proxy_authority: pki.Pair
) -> None:
    headers = CIMultiDict({"X-Remote-User": "root"})
    assert (await authenticator.authenticate(headers, client(authority, "proxy"))).name == "proxy"
    assert (await authenticator.authenticate(headers, client(proxy_authority, "other"))).name == "system:anonymous"
    assert (await authenticator.authenticate(headers, None)).name == "system:anonymous"


async def test_static_tokens(authenticator: Authenticator) -> None:
    user = await authenticator.authenticate(CIMultiDict({"authorization": "bearer secret"}), None)
    assert (user.name, user.uid, user.groups) == ("jane", "7", ("devs", "ops", "system:authenticated"))
    assert (await authenticator.authenticate(CIMultiDict({"Authorization": "Bearer plain"}), None)).name == "joe"


async def test_a_browser_sends_its_token_as_a_subprotocol(authenticator: Authenticator) -> None:
    encoded = base64.urlsafe_b64encode(b"secret").rstrip(b"=").decode()
    protocols = f"v4.channel.k8s.io, base64url.bearer.authorization.k8s.io.{encoded}"
    user = await authenticator.authenticate(CIMultiDict({"Sec-WebSocket-Protocol": protocols}), None)
    assert user.name == "jane"


async def test_no_credentials_are_anonymous_and_wrong_ones_are_not(authenticator: Authenticator) -> None:
    user = await authenticator.authenticate(NOTHING, None)
    assert (user.name, user.groups) == ("system:anonymous", ("system:unauthenticated",))
    with pytest.raises(errors.Unauthorized):
        await authenticator.authenticate(CIMultiDict({"Authorization": "Bearer wrong"}), None)


def bootstrap_secret(**changes: str) -> JSON:
    data = {
        "token-id": "abcdef",
        "token-secret": "0123456789abcdef",
        "usage-bootstrap-authentication": "true",
        "auth-extra-groups": "system:bootstrappers:kubeadm:default-node-token",
    } | changes
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items() if value}
    return obj(
        "v1",
        "Secret",
        "bootstrap-token-abcdef",
        namespace="kube-system",
        data=encoded,
        type="bootstrap.kubernetes.io/token",
    )


BOOTSTRAP = CIMultiDict({"Authorization": "Bearer abcdef.0123456789abcdef"})


async def test_a_bootstrap_token_joins_its_groups(authenticator: Authenticator, storage: FakeStorage) -> None:
    storage.put(bootstrap_secret(expiration="2030-01-01T00:00:00Z"))
    user = await authenticator.authenticate(BOOTSTRAP, None)
    assert user.name == "system:bootstrap:abcdef"
    assert user.groups == (
        "system:bootstrappers",
        "system:bootstrappers:kubeadm:default-node-token",
        "system:authenticated",
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"token-secret": "aaaaaaaaaaaaaaaa"},
        {"token-secret": "0123456789abcdé"},
        {"usage-bootstrap-authentication": ""},
        {"expiration": "2020-01-01T00:00:00Z"},
        {"expiration": "never"},
        {"auth-extra-groups": "system:masters"},
    ],
)
async def test_a_bootstrap_token_that_is_not_good(
    authenticator: Authenticator, storage: FakeStorage, changes: dict[str, str]
) -> None:
    storage.put(bootstrap_secret(**changes))
    with pytest.raises(errors.Unauthorized):
        await authenticator.authenticate(BOOTSTRAP, None)


async def test_a_bootstrap_token_ends_with_a_change_of_its_secret(
    authenticator: Authenticator, storage: FakeStorage
) -> None:
    storage.put(bootstrap_secret())
    await authenticator.authenticate(BOOTSTRAP, None)
    storage.put(bootstrap_secret(**{"token-secret": "ffffffffffffffff"}))
    with pytest.raises(errors.Unauthorized):
        await authenticator.authenticate(BOOTSTRAP, None)
