"""Service account tokens for pods, from the TokenRequest API, renewed before they expire.

A token is asked for per pod, account, audience and lifetime, kept in memory, and renewed once 80% of its life or a day
has passed, so that what is in a volume is always valid.
"""

from collections.abc import Callable
from dataclasses import dataclass

from apimachinery import kinds, meta
from apimachinery.meta import JSON
from kubeclient.rest import Client

from .payloads import TokenRequest

RENEW_AFTER_SECONDS_MAX = 86_400.0
RENEW_AT_SHARE_OF_LIFE = 0.8


@dataclass(frozen=True, slots=True)
class _Token:
    text: str
    renew_at: float


class Tokens:
    """`clock` gives seconds since the epoch."""

    def __init__(self, client: Client, *, clock: Callable[[], float]) -> None:
        self._client = client
        self._clock = clock
        self._cache: dict[str, dict[TokenRequest, _Token]] = {}

    async def get(self, pod: JSON, request: TokenRequest) -> str:
        """A token with enough life left."""
        cached = self._cache.get(meta.uid(pod), {}).get(request)
        if cached is not None and self._clock() < cached.renew_at:
            return cached.text
        body = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {
                "audiences": [request.audience] if request.audience else [],
                "expirationSeconds": request.expiration_seconds,
                "boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": meta.name(pod), "uid": meta.uid(pod)},
            },
        }
        account = pod["spec"].get("serviceAccountName") or "default"
        answer = await self._client.create(
            kinds.SERVICE_ACCOUNT, body, namespace=meta.namespace(pod), name=account, subresource="token"
        )
        status = answer["status"]
        begin = self._clock()
        life = meta.parse_time(status["expirationTimestamp"]).timestamp() - begin
        renew_at = begin + min(life * RENEW_AT_SHARE_OF_LIFE, RENEW_AFTER_SECONDS_MAX)
        self._cache.setdefault(meta.uid(pod), {})[request] = _Token(status["token"], renew_at)
        return str(status["token"])

    def forget(self, uid: str) -> None:
        """The pod is gone."""
        self._cache.pop(uid, None)
