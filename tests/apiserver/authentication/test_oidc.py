"""ID tokens of an identity provider that runs here, over TLS."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jwt
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import rsa

from apiserver.authentication.oidc import OpenID, Provider
from componentbase import pki, tls

NOW = 1_800_000_000


@dataclass
class Issuer:
    """A provider; `keys` are what it publishes."""

    url: str = ""
    ca_file: str = ""
    name: str = ""  # what it calls itself, if not its URL
    fetches: int = 0
    keys: dict[str, Any] = field(default_factory=dict)

    def rotate(self, identifier: str) -> None:
        self.keys = {identifier: rsa.generate_private_key(65537, 2048)}

    def token(self, key: str = "1", **claims: Any) -> str:
        told = {"iss": self.url, "aud": "kubernetes", "sub": "jane", "exp": NOW + 60, **claims}
        return jwt.encode(told, self.keys[key], algorithm="RS256", headers={"kid": key})

    async def handle(self, request: web.BaseRequest) -> web.Response:
        self.fetches += 1
        if request.path.endswith("openid-configuration"):
            return web.json_response({"issuer": self.name or self.url, "jwks_uri": f"{self.url}/keys"})
        algorithm = jwt.algorithms.RSAAlgorithm
        return web.json_response(
            {
                "keys": [
                    {**json.loads(algorithm.to_jwk(key.public_key())), "kid": identifier, "use": "sig", "alg": "RS256"}
                    for identifier, key in self.keys.items()
                ]
            }
        )


@contextlib.asynccontextmanager
async def running(tmp_path: Path) -> AsyncIterator[Issuer]:
    authority = pki.new_ca("provider-ca")
    pki.write_pair(authority, tmp_path / "ca.crt", tmp_path / "ca.key")
    pair = pki.issue(authority, "provider", ips=("127.0.0.1",), server=True)
    pki.write_pair(pair, tmp_path / "tls.crt", tmp_path / "tls.key")
    issuer = Issuer(ca_file=str(tmp_path / "ca.crt"))
    issuer.rotate("1")
    runner = web.ServerRunner(web.Server(issuer.handle))
    await runner.setup()
    site = web.TCPSite(
        runner, "127.0.0.1", 0, ssl_context=tls.server_context(str(tmp_path / "tls.crt"), str(tmp_path / "tls.key"))
    )
    await site.start()
    issuer.url = f"https://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield issuer
    finally:
        await runner.cleanup()


class Clock:
    now = float(NOW)

    def __call__(self) -> float:
        return self.now


def openid(issuer: Issuer, clock: Clock | None = None, **flags: Any) -> OpenID:
    settings = {"required_claims": {}, "groups_claim": "groups", "ca_file": issuer.ca_file} | flags
    return OpenID(Provider(issuer=issuer.url, client_id="kubernetes", **settings), clock=clock or Clock())


async def test_a_token_names_user_and_groups(tmp_path: Path) -> None:
    async with running(tmp_path) as issuer:
        subject = openid(issuer, groups_prefix="oidc:")
        verified = await subject.verify(issuer.token(groups=["a", "b"]))
        assert verified is not None
        assert verified.user.name == f"{issuer.url}#jane"
        assert verified.user.groups == ("oidc:a", "oidc:b", "system:authenticated")
        assert verified.expires == NOW + 60
        await subject.verify(issuer.token(groups="a"))
        assert issuer.fetches == 2  # the document and the keys, once


@pytest.mark.parametrize(
    ("flags", "claims", "name"),
    [
        ({"username_prefix": "-"}, {}, "jane"),
        ({"username_prefix": "corp:"}, {}, "corp:jane"),
        ({"username_claim": "email"}, {"email": "j@x", "email_verified": True}, "j@x"),
        ({"username_claim": "email"}, {"email": "j@x", "email_verified": False}, None),
        ({"username_claim": "name"}, {}, None),
        ({"username_prefix": "-", "required_claims": {"hd": "x"}}, {"hd": "x"}, "jane"),
        ({"username_prefix": "-", "required_claims": {"hd": "x"}}, {"hd": "y"}, None),
        ({"username_prefix": "-"}, {"aud": ["other", "kubernetes"]}, "jane"),
        ({"username_prefix": "-"}, {"aud": "other"}, None),
        ({"username_prefix": "-"}, {"exp": NOW - 1}, None),
        ({"username_prefix": "-"}, {"iss": "https://other"}, None),
        ({"username_prefix": "-", "algorithms": ["ES256"]}, {}, None),
    ],
)
async def test_which_tokens_are_good(
    tmp_path: Path, flags: dict[str, Any], claims: dict[str, Any], name: str | None
) -> None:
    async with running(tmp_path) as issuer:
        verified = await openid(issuer, **flags).verify(issuer.token(**claims))
        assert (verified.user.name if verified is not None else None) == name


async def test_keys_are_followed_but_not_asked_for_all_the_time(tmp_path: Path) -> None:
    async with running(tmp_path) as issuer:
        clock = Clock()
        subject = openid(issuer, clock)
        assert await subject.verify(issuer.token())
        issuer.rotate("2")
        assert await subject.verify(issuer.token("2")) is None  # asked a moment ago
        assert issuer.fetches == 2
        clock.now += 11
        assert await subject.verify(issuer.token("2"))
        assert issuer.fetches == 4


async def test_a_forged_signature_and_another_name_are_refused(tmp_path: Path) -> None:
    async with running(tmp_path) as issuer:
        forged = jwt.encode(
            {"iss": issuer.url, "aud": "kubernetes", "sub": "x", "exp": NOW + 60},
            rsa.generate_private_key(65537, 2048),
            algorithm="RS256",
            headers={"kid": "1"},
        )
        assert await openid(issuer).verify(forged) is None
        issuer.name = "https://somebody.else"
        assert await openid(issuer).verify(issuer.token()) is None


async def test_a_provider_that_is_gone_lets_nobody_in(tmp_path: Path) -> None:
    async with running(tmp_path) as issuer:
        token = issuer.token()
    assert await openid(issuer).verify(token) is None


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        ({"issuer": "http://x", "client_id": "k"}, "https"),
        ({"issuer": "https://x", "client_id": ""}, "client-id"),
        ({"issuer": "https://x", "client_id": "k", "algorithms": ["HS256"]}, "HS256"),
    ],
)
def test_flags_that_cannot_work_are_said_at_start(flags: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        Provider(required_claims={}, **flags).check()
