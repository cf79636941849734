"""Service-account tokens: JWTs that this cluster signs, bound to objects and an audience.

A token says who (the account, by name and uid), for whom (audiences), until when, and through which object it was
given out (a pod, a secret, a node). It is good as long as all of these exist with the same uid: a deleted pod's token
is worth nothing at once. KEP-1205 has the claims. Verifying a signature costs ~50 µs, so outcomes are remembered by the
caller; `Verified.bound` names the storage keys whose deletion ends it.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from apimachinery import kinds, meta
from apimachinery.kinds import Kind
from apimachinery.meta import JSON
from apiserver.authentication.certificates import AUTHENTICATED, CREDENTIAL_ID
from apiserver.request import User
from apiserver.storage import Storage

PRIVATE_CLAIM = "kubernetes.io"
PREFIX = "system:serviceaccount:"
GROUP = "system:serviceaccounts"
_EXTRA = "authentication.kubernetes.io/"
_CURVES = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}
_LEEWAY_SECONDS = 10

PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey
PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@dataclass(frozen=True, slots=True)
class Key:
    """A public key, its id and its algorithm."""

    id: str
    algorithm: str
    public: PublicKey

    def jwk(self) -> JSON:
        """The key as a JSON Web Key (RFC 7517)."""
        algorithm = jwt.get_algorithm_by_name(self.algorithm)
        described: JSON = json.loads(algorithm.to_jwk(self.public))
        described.pop("key_ops", None)
        return {"use": "sig", "kid": self.id, "alg": self.algorithm} | described


def _key(public: Any, path: str) -> Key:
    der = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    identifier = urlsafe_b64encode(hashlib.sha256(der).digest()).rstrip(b"=").decode()
    if isinstance(public, rsa.RSAPublicKey):
        return Key(identifier, "RS256", public)
    if isinstance(public, ec.EllipticCurvePublicKey) and public.curve.name in _CURVES:
        return Key(identifier, _CURVES[public.curve.name], public)
    raise ValueError(f"{path}: expect an RSA or an EC key (P-256, P-384, P-521)")


def load_public(path: str) -> Key:
    """The key of a PEM file that holds a public key, a private one or a certificate's."""
    data = Path(path).read_bytes()
    if b"PRIVATE KEY" in data:
        return _key(serialization.load_pem_private_key(data, None).public_key(), path)
    return _key(serialization.load_pem_public_key(data), path)


@dataclass(frozen=True, slots=True)
class Bound:
    """An object that a token is bound to."""

    kind: str
    name: str
    uid: str


class TokenIssuer:
    """Signs tokens for service accounts."""

    def __init__(self, issuer: str, key_file: str, *, audiences: Sequence[str], clock: Callable[[], float]) -> None:
        data = Path(key_file).read_bytes()
        loaded = serialization.load_pem_private_key(data, None)
        self.issuer = issuer
        self.audiences = list(audiences)
        self.key = _key(loaded.public_key(), key_file)
        self._private: Any = loaded
        self._clock = clock

    def issue(
        self, *, namespace: str, account: JSON, audiences: Sequence[str], seconds: int, bound: Sequence[Bound] = ()
    ) -> tuple[str, float]:
        """(token, when it expires in Unix seconds). `account` is the ServiceAccount."""
        now = int(self._clock())
        private: JSON = {
            "namespace": namespace,
            "serviceaccount": {"name": meta.name(account), "uid": meta.uid(account)},
        }
        for each in bound:
            private[each.kind.lower()] = {"name": each.name, "uid": each.uid}
        claims = {
            "aud": list(audiences) or self.audiences,
            "exp": now + seconds,
            "iat": now,
            "iss": self.issuer,
            "jti": str(uuid.uuid4()),
            PRIVATE_CLAIM: private,
            "nbf": now,
            "sub": f"{PREFIX}{namespace}:{meta.name(account)}",
        }
        token = jwt.encode(claims, self._private, algorithm=self.key.algorithm, headers={"kid": self.key.id})
        return token, float(now + seconds)


@dataclass(frozen=True, slots=True)
class Verified:
    """A good token: who, for which audiences, until when, and what must go on existing (storage keys)."""

    user: User
    audiences: tuple[str, ...]
    expires: float
    bound: tuple[str, ...]


class ServiceAccountTokens:
    """Verifies tokens against the keys and the objects of the cluster."""

    def __init__(self, storage: Storage, keys: Iterable[Key], *, issuer: str, clock: Callable[[], float]) -> None:
        self.issuer = issuer
        self.keys: Mapping[str, Key] = {key.id: key for key in keys}
        self._storage = storage
        self._clock = clock

    async def verify(self, token: str) -> Verified | None:
        """What a token proves; None if it is not one of ours, is stale, or what it is bound to is gone."""
        claims = self._claims(token)
        if claims is None:
            return None
        private = claims.get(PRIVATE_CLAIM)
        if not isinstance(private, dict) or not isinstance(private.get("serviceaccount"), dict):
            return None
        namespace, account = str(private.get("namespace", "")), private["serviceaccount"]
        name = str(account.get("name", ""))
        if not namespace or not name or claims.get("sub") != f"{PREFIX}{namespace}:{name}":
            return None
        required: list[tuple[Kind, str, JSON]] = [(kinds.SERVICE_ACCOUNT, namespace, account)]
        extra: dict[str, tuple[str, ...]] = {}
        if isinstance(claims.get("jti"), str):
            extra[CREDENTIAL_ID] = (f"JTI={claims['jti']}",)
        for kind, claim, scope in (
            (kinds.POD, "pod", namespace),
            (kinds.SECRET, "secret", namespace),
            (kinds.NODE, "node", ""),
        ):
            reference = private.get(claim)
            if not isinstance(reference, dict):
                continue
            if claim != "node" or "pod" not in private:  # beside a pod, the node only says where the pod was
                required.append((kind, scope, reference))
            if claim != "secret":
                extra[f"{_EXTRA}{claim}-name"] = (str(reference.get("name", "")),)
                extra[f"{_EXTRA}{claim}-uid"] = (str(reference.get("uid", "")),)
        bound = []
        for kind, scope, reference in required:
            key = await self._existing(kind, scope, reference)
            if key is None:
                return None
            bound.append(key)
        user = User(
            f"{PREFIX}{namespace}:{name}",
            str(account.get("uid", "")),
            (GROUP, f"{GROUP}:{namespace}", AUTHENTICATED),
            extra,
        )
        audience = claims["aud"]
        audiences = (audience,) if isinstance(audience, str) else tuple(audience)
        return Verified(user, audiences, float(claims["exp"]), tuple(bound))

    def _claims(self, token: str) -> JSON | None:
        try:
            header = jwt.get_unverified_header(token)
            key = self.keys.get(header.get("kid", ""))
            candidates = [key] if key is not None else list(self.keys.values())
            for candidate in candidates:
                if header.get("alg") != candidate.algorithm:
                    continue
                try:
                    return self._decode(token, candidate)
                except jwt.InvalidSignatureError:
                    continue
        except jwt.InvalidTokenError:
            return None
        return None

    def _decode(self, token: str, key: Key) -> JSON:
        """Signature and issuer by PyJWT, the times by our own clock."""
        required = {
            "require": ["exp", "iss", "sub", "aud"],
            "verify_aud": False,
            "verify_exp": False,
            "verify_nbf": False,
            "verify_iat": False,
        }
        claims: JSON = jwt.decode(token, key.public, algorithms=[key.algorithm], issuer=self.issuer, options=required)  # type: ignore[arg-type]
        now = self._clock()
        expires, begins = claims["exp"], claims.get("nbf", 0)
        if not isinstance(expires, int | float) or not isinstance(begins, int | float):
            raise jwt.DecodeError("times must be numbers")
        if expires < now or begins > now + _LEEWAY_SECONDS:
            raise jwt.ExpiredSignatureError("outside its time")
        return claims

    async def _existing(self, kind: Kind, namespace: str, reference: JSON) -> str | None:
        """The key of the object, if it exists with the uid of the token; a no is asked of etcd itself."""
        name = str(reference.get("name", ""))
        key = kind.registry_prefix + (f"{namespace}/{name}" if namespace else name)
        wanted = str(reference.get("uid", ""))
        entry = await self._storage.get(key, consistent=False)
        if entry is None or meta.uid(entry.parsed()) != wanted:
            entry = await self._storage.get_live(key)
            if entry is None or meta.uid(entry.parsed()) != wanted:
                return None
        return key
