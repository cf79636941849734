"""Bootstrap tokens: `id.secret`, each a Secret in kube-system, by which a new node gets its first certificate.

https://kubernetes.io/docs/reference/access-authn-authz/bootstrap-tokens/ has the Secret's fields.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Callable
from hmac import compare_digest

from apimachinery import kinds, meta
from apimachinery.meta import JSON
from apiserver.authentication.certificates import AUTHENTICATED
from apiserver.authentication.service_accounts import Verified
from apiserver.request import User
from apiserver.storage import Storage

SECRET_TYPE = "bootstrap.kubernetes.io/token"
SECRET_PREFIX = f"{kinds.SECRET.registry_prefix}kube-system/bootstrap-token-"
GROUP = "system:bootstrappers"
_TOKEN = re.compile(r"([a-z0-9]{6})\.([a-z0-9]{16})")
_EXTRA_GROUP = re.compile(r"system:bootstrappers:[a-z0-9:-]{0,255}[a-z0-9]")


class BootstrapTokens:
    """Looks tokens up among the Secrets."""

    def __init__(self, storage: Storage, *, clock: Callable[[], float]) -> None:
        self._storage = storage
        self._clock = clock

    async def verify(self, token: str) -> Verified | None:
        """Whose token it is; None if it has another form, is unknown, expired or not for authentication."""
        match = _TOKEN.fullmatch(token)
        if match is None:
            return None
        identifier, secret = match.groups()
        key = SECRET_PREFIX + identifier
        entry = await self._storage.get(key) or await self._storage.get_live(key)
        if entry is None:
            return None
        return self._judge(entry.parsed(), identifier, secret, key)

    def _judge(self, obj: JSON, identifier: str, secret: str, key: str) -> Verified | None:
        if obj.get("type") != SECRET_TYPE or meta.is_deleting(obj):
            return None
        data = {name: b64decode(value).decode(errors="replace") for name, value in (obj.get("data") or {}).items()}
        kept = data.get("token-secret", "").encode()  # compare_digest refuses text that isn't ASCII
        if data.get("token-id") != identifier or not compare_digest(kept, secret.encode()):
            return None
        if data.get("usage-bootstrap-authentication") != "true":
            return None
        expires = float("inf")
        if "expiration" in data:
            try:
                expires = meta.parse_time(data["expiration"]).timestamp()
            except ValueError:
                return None
        if expires <= self._clock():
            return None
        groups = [group for group in data.get("auth-extra-groups", "").split(",") if group]
        if not all(_EXTRA_GROUP.fullmatch(group) for group in groups):
            return None
        user = User(f"system:bootstrap:{identifier}", "", (*sorted({GROUP, *groups}), AUTHENTICATED))
        return Verified(user, (), expires, (key,))
