"""Bootstrap tokens: Secrets in kube-system by which a machine that holds nothing else joins the cluster.

A token is `<id>.<secret>` (six and sixteen characters of [a-z0-9]). The id is public and names the Secret; the secret
authenticates the joining node, and signs `cluster-info` so that the node knows whom it talks to.
"""

import base64
import hmac
import json
import re
import secrets
import string
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from apimachinery import kinds
from componentbase import defaults
from kubeclient.rest import Client

JSON = dict[str, Any]
TOKEN_FORMAT = re.compile(r"([a-z0-9]{6})\.([a-z0-9]{16})")
SECRET_TYPE = "bootstrap.kubernetes.io/token"
USAGES = ("authentication", "signing")
DEFAULT_TTL = timedelta(hours=24)
_ALPHABET = string.ascii_lowercase + string.digits


@dataclass(frozen=True, slots=True)
class Token:
    """One bootstrap token; `expires` None means never."""

    id: str
    secret: str
    expires: datetime | None = None
    description: str = ""
    usages: tuple[str, ...] = USAGES
    groups: tuple[str, ...] = (defaults.BOOTSTRAPPERS_GROUP,)

    @property
    def text(self) -> str:
        """As it is given to `join`."""
        return f"{self.id}.{self.secret}"


def new(*, ttl: timedelta | None = DEFAULT_TTL) -> Token:
    """A random token; `ttl` None or zero never ends."""
    text = "".join(secrets.choice(_ALPHABET) for _ in range(22))
    return Token(text[:6], text[6:], _expires(ttl))


def parse(text: str, *, ttl: timedelta | None = DEFAULT_TTL) -> Token:
    """A token that was given as text; ValueError if it is none."""
    match = TOKEN_FORMAT.fullmatch(text)
    if not match:
        raise ValueError('a bootstrap token looks like "abcdef.0123456789abcdef"')
    return Token(match[1], match[2], _expires(ttl))


def _expires(ttl: timedelta | None) -> datetime | None:
    return datetime.now(UTC).replace(microsecond=0) + ttl if ttl else None


def secret_for(token: Token) -> JSON:
    """The Secret that makes a token valid for its usages."""
    fields = {
        "token-id": token.id,
        "token-secret": token.secret,
        **{f"usage-bootstrap-{usage}": "true" for usage in token.usages},
        "auth-extra-groups": ",".join(token.groups) if "authentication" in token.usages else "",
        "description": token.description,
        "expiration": token.expires.strftime("%Y-%m-%dT%H:%M:%SZ") if token.expires else "",
    }
    data = {key: base64.b64encode(value.encode()).decode() for key, value in fields.items() if value}
    metadata = {"name": f"bootstrap-token-{token.id}", "namespace": defaults.SYSTEM_NAMESPACE}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": SECRET_TYPE, "data": data}


def from_secret(secret: JSON) -> Token:
    """The token that a Secret holds."""
    data = {key: base64.b64decode(value).decode() for key, value in (secret.get("data") or {}).items()}
    expiration = data.get("expiration")
    expires = datetime.fromisoformat(expiration.replace("Z", "+00:00")) if expiration else None
    return Token(
        data.get("token-id", ""),
        data.get("token-secret", ""),
        expires,
        data.get("description", ""),
        tuple(usage for usage in USAGES if data.get(f"usage-bootstrap-{usage}") == "true"),
        tuple(group for group in data.get("auth-extra-groups", "").split(",") if group),
    )


async def existing(client: Client) -> list[Token]:
    """The tokens of a cluster."""
    selector = f"type={SECRET_TYPE}"
    found = await client.list(kinds.SECRET, namespace=defaults.SYSTEM_NAMESPACE, field_selector=selector)
    return [from_secret(secret) for secret in found["items"]]


async def delete(client: Client, token_id: str) -> None:
    """Make a token invalid; NotFound if there is none."""
    await client.delete(kinds.SECRET, f"bootstrap-token-{token_id}", namespace=defaults.SYSTEM_NAMESPACE)


def sign(kubeconfig: str, token: Token) -> str:
    """The detached JWS (RFC 7515, appendix F; HS256) over cluster-info's kubeconfig by one token."""
    header = _base64url(json.dumps({"alg": "HS256", "kid": token.id}, separators=(",", ":")).encode())
    return f"{header}..{_mac(header, kubeconfig, token)}"


def verify(kubeconfig: str, signature: str, token: Token) -> bool:
    """Whether a detached JWS over the kubeconfig was made with the token."""
    header, _, mac = signature.partition("..")
    try:
        fields = json.loads(base64.urlsafe_b64decode(header + "=" * (-len(header) % 4)))
    except ValueError:
        return False
    if not isinstance(fields, dict) or (fields.get("alg"), fields.get("kid")) != ("HS256", token.id):
        return False
    return hmac.compare_digest(mac, _mac(header, kubeconfig, token))


def _mac(header: str, kubeconfig: str, token: Token) -> str:
    signed = f"{header}.{_base64url(kubeconfig.encode())}"
    return _base64url(hmac.digest(token.secret.encode(), signed.encode(), "sha256"))


def _base64url(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")
