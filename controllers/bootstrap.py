"""Bootstrap tokens: expired ones are deleted, and `cluster-info` is signed with those that may be used to sign.

A machine that is to join knows a token, and nothing else. It reads the public ConfigMap `cluster-info`, which holds the
cluster's CA, over a connection that it can't verify yet, and believes it if the signature under its token's ID (a JWS
with the content detached) was made with its token's secret.
"""

import base64
import binascii
import hashlib
import hmac
import logging
from datetime import datetime
from typing import Any

import orjson

from apimachinery import kinds, meta
from componentbase import defaults
from controllers import objects
from controllers.context import Context, QueueController, on_change
from kubeclient.informer import Informer

log = logging.getLogger(__name__)

JSON = dict[str, Any]
SECRET_TYPE = "bootstrap.kubernetes.io/token"
CLUSTER_INFO = "cluster-info"
KUBECONFIG = "kubeconfig"
SIGNATURE_PREFIX = "jws-kubeconfig-"


def field(secret: JSON, name: str) -> str:
    """A field of a token's Secret, "" if absent or unreadable."""
    try:
        return base64.b64decode((secret.get("data") or {}).get(name) or "", validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""


def seconds_left(secret: JSON, *, now: datetime) -> float | None:
    """Seconds until a token expires, at most 0 when it has; None when it never does. Unreadable is expired."""
    text = field(secret, "expiration")
    if not text:
        return None
    try:
        return (meta.parse_time(text) - now).total_seconds()
    except ValueError:
        return 0.0


def may_sign(secret: JSON, *, now: datetime) -> bool:
    """Whether `cluster-info` is to be signed with a token."""
    left = seconds_left(secret, now=now)
    named = meta.name(secret) == f"bootstrap-token-{field(secret, 'token-id')}" and field(secret, "token-secret")
    usable = field(secret, "usage-bootstrap-signing").lower() == "true"
    return bool(named) and usable and (left is None or left > 0) and not meta.is_deleting(secret)


def detached_jws(content: str, token_id: str, token_secret: str) -> str:
    """`header..signature`: a compact JWS (RFC 7515) by HMAC-SHA256, its payload left out."""

    def encode(data: bytes) -> str:
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

    header = encode(orjson.dumps({"alg": "HS256", "kid": token_id}))
    signed = hmac.new(token_secret.encode(), f"{header}.{encode(content.encode())}".encode(), hashlib.sha256)
    return f"{header}..{encode(signed.digest())}"


def signed_data(data: dict[str, str], secrets: list[JSON], *, now: datetime) -> dict[str, str]:
    """The ConfigMap's data with exactly the signatures that belong there."""
    plain = {key: value for key, value in data.items() if not key.startswith(SIGNATURE_PREFIX)}
    content = plain.get(KUBECONFIG)
    if content is None:
        return plain
    tokens = {field(each, "token-id"): field(each, "token-secret") for each in secrets if may_sign(each, now=now)}
    signatures = {f"{SIGNATURE_PREFIX}{key}": detached_jws(content, key, secret) for key, secret in tokens.items()}
    return {**plain, **signatures}


class TokenCleaner(QueueController[str]):
    """Deletes tokens when they expire."""

    name = "token_cleaner"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._secrets = _token_secrets(context)
        self._secrets.add_handler(
            on_add=lambda obj: self._queue.add(meta.key(obj)), on_update=lambda _, new: self._queue.add(meta.key(new))
        )

    async def _reconcile(self, key: str) -> float | None:
        secret = self._secrets.get(key)
        left = seconds_left(secret, now=self._context.clock()) if secret else None
        if secret is None or left is None:
            return None
        if left > 0:
            return left
        log.info("bootstrap token %s has expired", meta.name(secret))
        await objects.delete(self._client, kinds.SECRET, secret)
        return None


class BootstrapSigner(QueueController[str]):
    """Keeps the signatures of `cluster-info` right."""

    name = "bootstrap_signer_queue"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._secrets = _token_secrets(context)
        self._maps = context.informers.informer(
            kinds.CONFIG_MAP, namespace=defaults.PUBLIC_NAMESPACE, field_selector=f"metadata.name={CLUSTER_INFO}"
        )
        for informer in (self._secrets, self._maps):
            on_change(informer, lambda _: self._queue.add(CLUSTER_INFO))

    async def _reconcile(self, _: str) -> float | None:
        now = self._context.clock()
        found = self._maps.get(f"{defaults.PUBLIC_NAMESPACE}/{CLUSTER_INFO}")
        if found is None:
            return None
        secrets = self._secrets.list()
        data = signed_data(found.get("data") or {}, secrets, now=now)
        if data != (found.get("data") or {}):
            await self._client.update(kinds.CONFIG_MAP, {**found, "data": data})
        expiries = [left for each in secrets if (left := seconds_left(each, now=now)) and left > 0]
        return min(expiries, default=None)


def _token_secrets(context: Context) -> Informer:
    return context.informers.informer(
        kinds.SECRET, namespace=defaults.SYSTEM_NAMESPACE, field_selector=f"type={SECRET_TYPE}"
    )
