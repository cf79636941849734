"""Service-account tokens: what they prove, and what ends them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from multidict import CIMultiDict

from apimachinery import errors
from apiserver.authentication import Bound, build_authenticator
from apiserver.authentication.authenticator import Authenticator
from apiserver.options import Options, parse
from componentbase import pki
from tests.apiserver.fake_storage import FakeStorage, obj

ACCOUNT = obj("v1", "ServiceAccount", "bot", namespace="team")
POD = obj("v1", "Pod", "web", namespace="team", spec={"serviceAccountName": "bot"})
ISSUER = "https://kubernetes.default.svc.cluster.local"


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["ec", "rsa"])
def options(tmp_path: Path, request: pytest.FixtureRequest) -> Options:
    key: Any = pki.new_key() if request.param == "ec" else rsa.generate_private_key(65537, 2048)
    (tmp_path / "sa.key").write_bytes(pki.key_pem(key))
    return parse([f"--service-account-signing-key-file={tmp_path / 'sa.key'}"])


@pytest.fixture
def storage() -> FakeStorage:
    return FakeStorage(ACCOUNT, POD)


@pytest.fixture
def authenticator(storage: FakeStorage, options: Options, clock: Clock) -> Authenticator:
    return build_authenticator(storage, options, clock=clock)  # type: ignore[arg-type]


def issue(authenticator: Authenticator, *bound: Bound, audiences: tuple[str, ...] = ()) -> str:
    assert authenticator.issuer is not None
    return authenticator.issuer.issue(namespace="team", account=ACCOUNT, audiences=audiences, seconds=600, bound=bound)[
        0
    ]


def bearer(token: str) -> CIMultiDict[str]:
    return CIMultiDict({"Authorization": f"Bearer {token}"})


async def test_a_token_names_its_account(authenticator: Authenticator) -> None:
    user = await authenticator.authenticate(bearer(issue(authenticator, Bound("Pod", "web", "uid-web"))), None)
    assert user.name == "system:serviceaccount:team:bot"
    assert user.uid == "uid-bot"
    assert user.groups == ("system:serviceaccounts", "system:serviceaccounts:team", "system:authenticated")
    assert user.extra["authentication.kubernetes.io/pod-name"] == ("web",)
    assert user.extra["authentication.kubernetes.io/credential-id"][0].startswith("JTI=")


async def test_a_remembered_token_gives_the_same_user(authenticator: Authenticator, clock: Clock) -> None:
    token = issue(authenticator)
    first = await authenticator.authenticate(bearer(token), None)
    assert await authenticator.authenticate(bearer(token), None) is first
    clock.now += 60
    assert await authenticator.authenticate(bearer(token), None) == first


async def test_it_ends_with_its_time(authenticator: Authenticator, clock: Clock) -> None:
    token = issue(authenticator)
    await authenticator.authenticate(bearer(token), None)
    clock.now += 601
    with pytest.raises(errors.Unauthorized):
        await authenticator.authenticate(bearer(token), None)


@pytest.mark.parametrize("gone", ["/registry/pods/team/web", "/registry/serviceaccounts/team/bot"])
async def test_it_ends_with_what_it_is_bound_to(authenticator: Authenticator, storage: FakeStorage, gone: str) -> None:
    token = issue(authenticator, Bound("Pod", "web", "uid-web"))
    await authenticator.authenticate(bearer(token), None)
    storage.remove(gone)
    with pytest.raises(errors.Unauthorized):
        await authenticator.authenticate(bearer(token), None)


async def test_another_object_of_the_same_name_is_not_the_one(
    authenticator: Authenticator, storage: FakeStorage
) -> None:
    token = issue(authenticator, Bound("Pod", "web", "uid-web"))
    storage.put(obj("v1", "Pod", "web", namespace="team", metadata={"uid": "other"}))
    with pytest.raises(errors.Unauthorized):
        await authenticator.authenticate(bearer(token), None)


async def test_a_no_from_the_cache_is_asked_of_etcd(authenticator: Authenticator, storage: FakeStorage) -> None:
    storage.stale.add("/registry/serviceaccounts/team/bot")
    user = await authenticator.authenticate(bearer(issue(authenticator)), None)
    assert user.name == "system:serviceaccount:team:bot"


async def test_a_token_for_others_is_good_for_them_only(authenticator: Authenticator) -> None:
    token = issue(authenticator, audiences=("vault",))
    for _ in range(2):
        with pytest.raises(errors.Unauthorized):
            await authenticator.authenticate(bearer(token), None)
        verified = await authenticator.verify(token)
        assert verified is not None
        assert verified.audiences == ("vault",)


def _forged(authenticator: Authenticator, **claims: Any) -> str:
    issuer = authenticator.issuer
    assert issuer is not None
    told = jwt.decode(issue(authenticator), options={"verify_signature": False})
    return jwt.encode(told | claims, issuer._private, algorithm=issuer.key.algorithm, headers={"kid": issuer.key.id})


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://other"},
        {"sub": "system:serviceaccount:team:admin"},
        {"nbf": 1_800_000_100},
        {"exp": "soon"},
        {"kubernetes.io": {"namespace": "team"}},
    ],
)
async def test_wrong_claims_are_refused(authenticator: Authenticator, claims: dict[str, Any]) -> None:
    with pytest.raises(errors.Unauthorized):
        await authenticator.authenticate(bearer(_forged(authenticator, **claims)), None)


async def test_another_key_or_none_is_refused(authenticator: Authenticator) -> None:
    told = jwt.decode(issue(authenticator), options={"verify_signature": False})
    issuer = authenticator.issuer
    assert issuer is not None
    other = jwt.encode(told, pki.new_key(), algorithm="ES256", headers={"kid": issuer.key.id})
    unsigned = jwt.encode(told, None, algorithm="none")
    for token in (other, unsigned, "", "a.b.c", "nonsense"):
        with pytest.raises(errors.Unauthorized):
            await authenticator.authenticate(bearer(token or "x"), None)


def test_the_public_documents_have_the_key(authenticator: Authenticator) -> None:
    assert authenticator.openid_configuration()["issuer"] == ISSUER
    [key] = authenticator.jwks()["keys"]
    assert key["use"] == "sig"
    assert "d" not in key
    assert jwt.PyJWK(key).key is not None
