"""Who asks: certificates, tokens, front proxies, and nobody in particular.

The order is upstream's: a front proxy's word, the client certificate, a bearer token; without any of them the request
is anonymous. A token that is given and not good is 401, even where anonymous requests are let in.

A good token is remembered for ten seconds, so that a request costs a dict look-up and not a signature. What could make
it bad sooner is watched: the deletion of an object that it is bound to, or of its Secret, forgets it at once.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode
from binascii import Error as Base64Error
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from apimachinery import errors
from apimachinery.meta import JSON
from apiserver.authentication.certificates import Certificates
from apiserver.authentication.front_proxy import FrontProxy
from apiserver.authentication.service_accounts import ServiceAccountTokens, TokenIssuer, Verified
from apiserver.request import User

ANONYMOUS = User("system:anonymous", "", ("system:unauthenticated",))
_SUBPROTOCOL = "base64url.bearer.authorization.k8s.io."
_REMEMBER_SECONDS = 10.0
_REMEMBERED = 8192


class Verifier(Protocol):
    """One kind of token."""

    async def verify(self, token: str) -> Verified | None: ...


@dataclass(slots=True)
class _Remembered:
    verified: Verified
    until: float
    accepted: bool  # for this server's own audiences


class Authenticator:
    """See the module. `audiences` are those a token must be for, one of them at least."""

    def __init__(
        self,
        *,
        certificates: Certificates,
        static: Mapping[str, User],
        verifiers: Sequence[Verifier],
        audiences: Sequence[str],
        clock: Callable[[], float],
        anonymous: bool = True,
        front_proxy: FrontProxy | None = None,
        issuer: TokenIssuer | None = None,
        accounts: ServiceAccountTokens | None = None,
    ) -> None:
        self.issuer = issuer
        self.audiences = tuple(audiences)
        self._accounts = accounts
        self._certificates = certificates
        self._static = static
        self._verifiers = tuple(verifiers)
        self._clock = clock
        self._anonymous = anonymous
        self._front_proxy = front_proxy
        self._tokens: dict[str, _Remembered] = {}
        self._bound: dict[str, set[str]] = {}  # storage key -> tokens that end with it

    async def authenticate(self, headers: Mapping[str, str], peer_certificate: bytes | None) -> User:
        """The user, perhaps system:anonymous. Raises Unauthorized."""
        if peer_certificate is not None:
            user = self._by_certificate(headers, peer_certificate)
            if user is not None:
                return user
        token = _bearer(headers)
        if token:
            user = self._static.get(token)
            if user is not None:
                return user
            remembered = self._tokens.get(token)
            if remembered is not None and remembered.until > self._clock():
                if remembered.accepted:
                    return remembered.verified.user
                raise errors.Unauthorized()
            return await self._by_token(token)
        if not self._anonymous:
            raise errors.Unauthorized()
        return ANONYMOUS

    def _by_certificate(self, headers: Mapping[str, str], der: bytes) -> User | None:
        identity = self._certificates.identify(der)
        if identity.is_proxy and self._front_proxy is not None:
            user = self._front_proxy.user(identity.user.name, headers)
            if user is not None:
                return user
        return identity.user if identity.is_user and identity.user.name else None

    async def _by_token(self, token: str) -> User:
        verified = await self.verify(token)
        if verified is None or not self._accepts(verified):
            raise errors.Unauthorized()
        return verified.user

    def _accepts(self, verified: Verified) -> bool:
        return not verified.audiences or any(audience in self.audiences for audience in verified.audiences)

    async def verify(self, token: str) -> Verified | None:
        """What a token proves, for whichever audience; TokenReview asks this. Remembered if it is good."""
        user = self._static.get(token)
        if user is not None:
            return Verified(user, (), float("inf"), ())
        remembered = self._tokens.get(token)
        if remembered is not None and remembered.until > self._clock():
            return remembered.verified
        for verifier in self._verifiers:
            verified = await verifier.verify(token)
            if verified is not None:
                self._remember(token, verified, remembered)
                return verified
        self._forget(token)
        return None

    # -- what is remembered -------------------------------------------------------------------------------------

    def _remember(self, token: str, verified: Verified, before: _Remembered | None) -> None:
        if len(self._tokens) >= _REMEMBERED:
            self._tokens.clear()
            self._bound.clear()
        if before is not None and before.verified == verified:
            verified = before.verified
        until = min(self._clock() + _REMEMBER_SECONDS, verified.expires)
        self._tokens[token] = _Remembered(verified, until, self._accepts(verified))
        for key in verified.bound:
            self._bound.setdefault(key, set()).add(token)

    def _forget(self, token: str) -> None:
        remembered = self._tokens.pop(token, None)
        if remembered is None:
            return
        for key in remembered.verified.bound:
            tokens = self._bound.get(key)
            if tokens is not None:
                tokens.discard(token)
                if not tokens:
                    del self._bound[key]

    def on_deletion(self, event: str, key: str, obj: Any) -> None:
        """An object that tokens may be bound to has changed; only its end matters."""
        if event == "DELETED" and key in self._bound:
            self._forget_all(key)

    def on_change(self, event: str, key: str, obj: Any) -> None:
        """A Secret has changed: a bootstrap token may have another content."""
        if key in self._bound:
            self._forget_all(key)

    def _forget_all(self, key: str) -> None:
        for token in list(self._bound.get(key, ())):
            self._forget(token)

    # -- documents ----------------------------------------------------------------------------------------------

    def openid_configuration(self, external: str = "") -> JSON:
        """The document at /.well-known/openid-configuration; `external` is where this server is reached."""
        keys = self._accounts.keys.values() if self._accounts is not None else ()
        issuer = self._accounts.issuer if self._accounts is not None else ""
        return {
            "issuer": issuer,
            "jwks_uri": f"{external or issuer}/openid/v1/jwks",
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": sorted({key.algorithm for key in keys}),
        }

    def jwks(self) -> JSON:
        """The document at /openid/v1/jwks."""
        keys = self._accounts.keys.values() if self._accounts is not None else ()
        return {"keys": [key.jwk() for key in keys]}


def _bearer(headers: Mapping[str, str]) -> str:
    """The bearer token of a request, from its Authorization header or, for browsers, its WebSocket subprotocols."""
    authorization = headers.get("Authorization")
    if authorization is not None:
        if authorization[:7].lower() == "bearer ":
            return authorization[7:].strip()
        return ""
    protocols = headers.get("Sec-WebSocket-Protocol")
    if protocols is not None and _SUBPROTOCOL in protocols:
        for protocol in protocols.split(","):
            if protocol.strip().startswith(_SUBPROTOCOL):
                encoded = protocol.strip()[len(_SUBPROTOCOL) :]
                try:
                    return urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode()
                except (Base64Error, UnicodeDecodeError) as error:
                    raise errors.Unauthorized() from error
    return ""
