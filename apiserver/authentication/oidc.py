"""OpenID Connect: ID tokens of an identity provider that the cluster trusts (--oidc-*).

The provider's keys are fetched from its discovery document when the first token comes, and again when a token names a
key that isn't known, at most every ten seconds; so this server needs no secret of the provider, and follows its
rotation. Who the user is stands in two claims, with prefixes so that nobody becomes `system:…` by choosing a name.
https://openid.net/specs/openid-connect-core-1_0.html#IDToken, and upstream's page on authenticating.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp
import jwt
import orjson

from apimachinery.meta import JSON
from apiserver.authentication.certificates import AUTHENTICATED
from apiserver.authentication.service_accounts import Verified
from apiserver.request import User

_FETCH_SECONDS = 10.0
_REFETCH_SECONDS = 10.0
_LIMIT_BYTES = 1 << 20
_ALGORITHMS = frozenset({"RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "PS384", "PS512"})
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """The flags."""

    issuer: str
    client_id: str
    ca_file: str = ""
    username_claim: str = "sub"
    username_prefix: str = ""  # "" is the issuer and a #, except for emails; "-" is none
    groups_claim: str = ""
    groups_prefix: str = ""
    required_claims: Mapping[str, str]
    algorithms: Sequence[str] = ("RS256",)

    def check(self) -> None:
        """Raise ValueError for what can't work."""
        if not self.issuer.startswith("https://"):
            raise ValueError(f"--oidc-issuer-url {self.issuer!r} must be an https URL")
        if not self.client_id:
            raise ValueError("--oidc-client-id is required with --oidc-issuer-url")
        if unknown := set(self.algorithms) - _ALGORITHMS:
            raise ValueError(f"--oidc-signing-algs: {', '.join(sorted(unknown))} is not supported")

    def username(self, claims: JSON) -> str | None:
        """The user's name; None if the claim is missing, or an email that isn't verified."""
        value = claims.get(self.username_claim)
        if not isinstance(value, str) or not value:
            return None
        if self.username_claim == "email":
            if claims.get("email_verified", True) is not True:
                return None
            return value if self.username_prefix in ("", "-") else self.username_prefix + value
        prefix = self.username_prefix or f"{self.issuer}#"
        return value if prefix == "-" else prefix + value

    def groups(self, claims: JSON) -> tuple[str, ...]:
        """The user's groups; one text is one group."""
        value = claims.get(self.groups_claim) if self.groups_claim else None
        names = [value] if isinstance(value, str) else value if isinstance(value, list) else []
        return tuple(self.groups_prefix + name for name in names if isinstance(name, str))


class OpenID:
    """Verifies the ID tokens of one provider."""

    def __init__(self, provider: Provider, *, clock: Callable[[], float]) -> None:
        provider.check()
        self._provider = provider
        self._clock = clock
        self._keys: dict[str, Any] = {}
        self._fetched = float("-inf")
        self._turn = asyncio.Lock()
        self._tls = ssl.create_default_context(cafile=provider.ca_file or None)

    async def verify(self, token: str) -> Verified | None:
        """Who a token says its bearer is; None if it is another issuer's, or not good."""
        provider = self._provider
        try:
            header = jwt.get_unverified_header(token)
            told = jwt.decode(token, options={"verify_signature": False})
        except jwt.InvalidTokenError:
            return None
        if told.get("iss") != provider.issuer or header.get("alg") not in provider.algorithms:
            return None
        key = await self._key(str(header.get("kid", "")))
        if key is None:
            return None
        try:
            claims: JSON = jwt.decode(
                token,
                key,
                algorithms=list(provider.algorithms),
                issuer=provider.issuer,
                audience=provider.client_id,
                options={
                    "require": ["exp", "iss", "aud"],
                    "verify_exp": False,
                    "verify_nbf": False,
                    "verify_iat": False,
                },
            )
        except (jwt.InvalidTokenError, TypeError, ValueError):
            return None
        return self._verified(claims)

    def _verified(self, claims: JSON) -> Verified | None:
        expires, now = claims["exp"], self._clock()
        if not isinstance(expires, int | float) or expires < now:
            return None
        if any(claims.get(name) != value for name, value in self._provider.required_claims.items()):
            return None
        name = self._provider.username(claims)
        if name is None:
            return None
        user = User(name, "", (*self._provider.groups(claims), AUTHENTICATED))
        return Verified(user, (), float(expires), ())

    async def _key(self, identifier: str) -> Any:
        if identifier not in self._keys:
            async with self._turn:
                if identifier not in self._keys and self._clock() - self._fetched >= _REFETCH_SECONDS:
                    self._fetched = self._clock()
                    await self._fetch()
        return self._keys.get(identifier)

    async def _fetch(self) -> None:
        """Take over the provider's keys; if it can't be reached, those known stay."""
        issuer = self._provider.issuer
        try:
            timeout = aiohttp.ClientTimeout(total=_FETCH_SECONDS)
            async with aiohttp.ClientSession(timeout=timeout) as session:
                found = await self._document(session, f"{issuer.rstrip('/')}/.well-known/openid-configuration")
                if found.get("issuer") != issuer:
                    _log.warning("%s says that it is %r: its tokens are not accepted", issuer, found.get("issuer"))
                    return
                keys = await self._document(session, str(found.get("jwks_uri", "")))
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            _log.warning("the keys of %s could not be read: %s", issuer, error)
            return
        self._keys = dict(_public_keys(keys))

    async def _document(self, session: aiohttp.ClientSession, url: str) -> JSON:
        async with session.get(url, ssl=self._tls) as answer:
            answer.raise_for_status()
            raw = await answer.content.read(_LIMIT_BYTES)
        document = orjson.loads(raw)
        if not isinstance(document, dict):
            raise ValueError(f"{url} is no JSON object")
        return document


def _public_keys(document: JSON) -> list[tuple[str, Any]]:
    """(key id, key) of a JWK set; what can't be used is left out."""
    found = []
    for each in document.get("keys") or ():
        if each.get("use", "sig") != "sig":
            continue
        try:
            found.append((str(each.get("kid", "")), jwt.PyJWK(each).key))
        except (jwt.InvalidKeyError, jwt.PyJWKError) as error:
            _log.info("a key of the identity provider is left out: %s", error)
    return found
