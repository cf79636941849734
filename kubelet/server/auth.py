"""Who may use the kubelet's API: the cluster decides.

A client shows a certificate of the cluster's authority, or a bearer token that the API server reviews; whether it may
do what it asks is a SubjectAccessReview on the subresources of `nodes` (log, metrics, stats, proxy). Answers are cached
for a short while.
"""

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from apimachinery import errors, kinds
from kubeclient.rest import Client

CACHE_MAX = 1024
ALLOWED_SECONDS, DENIED_SECONDS, TOKEN_SECONDS = 300.0, 30.0, 120.0
VERBS = {"GET": "get", "HEAD": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
SUBRESOURCES = {"stats": "stats", "metrics": "metrics", "logs": "log", "spec": "spec", "checkpoint": "checkpoint"}


@dataclass(frozen=True, slots=True)
class User:
    """Whom a request comes from."""

    name: str
    groups: tuple[str, ...]
    uid: str = ""


class Gate:
    """Authentication and authorisation of requests."""

    def __init__(
        self, client: Client, node_name: str, *, anonymous: bool, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._client = client
        self._node_name = node_name
        self._anonymous = anonymous
        self._clock = clock
        self._tokens: OrderedDict[str, tuple[float, User | None]] = OrderedDict()
        self._decisions: OrderedDict[tuple[User, str, str], tuple[float, str]] = OrderedDict()

    async def check(self, request: web.BaseRequest) -> None:
        """Return if the request may go on; raises Unauthorized or Forbidden."""
        user = certificate_user(request) or await self._token_user(request)
        if user is None:
            if not self._anonymous:
                raise errors.Unauthorized()
            user = User("system:anonymous", ("system:unauthenticated",))
        verb, subresource = VERBS.get(request.method, "get"), subresource_of(request.path)
        if denied := await self._denied(user, verb, subresource):
            raise errors.Forbidden(denied)

    async def _token_user(self, request: web.BaseRequest) -> User | None:
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        if kind.lower() != "bearer" or not token:
            return None
        digest = hashlib.sha256(token.encode()).hexdigest()
        cached = self._tokens.get(digest)
        if cached is not None and cached[0] > self._clock():
            return cached[1]
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}}
        status = (await self._client.create(kinds.TOKEN_REVIEW, body)).get("status") or {}
        user = None
        if status.get("authenticated"):
            found = status.get("user") or {}
            user = User(found.get("username", ""), tuple(found.get("groups") or ()), found.get("uid", ""))
        _keep(self._tokens, digest, (self._clock() + TOKEN_SECONDS, user))
        return user

    async def _denied(self, user: User, verb: str, subresource: str) -> str:
        key = (user, verb, subresource)
        cached = self._decisions.get(key)
        if cached is not None and cached[0] > self._clock():
            return cached[1]
        body = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {
                "user": user.name,
                "groups": list(user.groups),
                "uid": user.uid,
                "resourceAttributes": {
                    "verb": verb,
                    "version": "v1",
                    "resource": "nodes",
                    "subresource": subresource,
                    "name": self._node_name,
                },
            },
        }
        status = (await self._client.create(kinds.SUBJECT_ACCESS_REVIEW, body)).get("status") or {}
        allowed = bool(status.get("allowed"))
        denied = ""
        if not allowed:
            denied = f"Forbidden (user={user.name}, verb={verb}, resource=nodes, subresource(s)=[{subresource}])"
        _keep(self._decisions, key, (self._clock() + (ALLOWED_SECONDS if allowed else DENIED_SECONDS), denied))
        return denied


def certificate_user(request: web.BaseRequest) -> User | None:
    """The subject of the client certificate, which TLS has verified already."""
    transport = request.transport
    certificate = transport.get_extra_info("peercert") if transport else None
    if not certificate:
        return None
    subject = [(key, value) for part in certificate["subject"] for key, value in part]
    names = [value for key, value in subject if key == "commonName"]
    groups = tuple(value for key, value in subject if key == "organizationName")
    return User(names[0], (*groups, "system:authenticated")) if names else None


def subresource_of(path: str) -> str:
    """The subresource of nodes that a path stands for."""
    return SUBRESOURCES.get(path.split("/")[1], "proxy")


def _keep(table: OrderedDict[Any, Any], key: Any, value: Any) -> None:
    table[key] = value
    table.move_to_end(key)
    while len(table) > CACHE_MAX:
        table.popitem(last=False)
