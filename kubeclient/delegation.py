"""Who may see a service's `/metrics` and the like: the API server is asked, as upstream's services do.

A bearer token is reviewed (who is it?), then an access review says whether that user may `get` the path. Answers are
kept for a few seconds, so that a scraper costs two requests now and then; what can't be asked is refused.
"""

import asyncio
import hashlib
import logging
from collections import OrderedDict
from collections.abc import Collection
from typing import Any

from aiohttp import web

from apimachinery import errors, kinds
from kubeclient.errors import Unreachable
from kubeclient.rest import Client

log = logging.getLogger(__name__)

JSON = dict[str, Any]
ALLOWED_SECONDS = 10.0
REMEMBERED = 256


class DelegatedAuthorizer:
    """Asks for each token and path; an instance is what `serving.serve_ops` takes as `authorize`."""

    def __init__(self, client: Client, *, always_allow: Collection[str] = ()) -> None:
        self._client = client
        self._always_allow = always_allow
        self._answers: OrderedDict[tuple[str, str], tuple[float, bool]] = OrderedDict()  # until when, and what

    async def __call__(self, request: web.BaseRequest) -> bool:
        """Whether the request's bearer may get its path."""
        if request.path in self._always_allow:
            return True
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            return False
        key = hashlib.sha256(token.encode()).hexdigest(), request.path
        now = asyncio.get_running_loop().time()
        until, allowed = self._answers.get(key, (0.0, False))
        if now < until:
            return allowed
        try:
            allowed = await self._ask(token.strip(), request.path)
        except (errors.StatusError, Unreachable) as error:
            log.warning("cannot authorize %s: %s", request.path, error)
            return False
        self._answers[key] = now + ALLOWED_SECONDS, allowed
        self._answers.move_to_end(key)
        if len(self._answers) > REMEMBERED:
            self._answers.popitem(last=False)
        return allowed

    async def _ask(self, token: str, path: str) -> bool:
        review = await self._client.create(kinds.TOKEN_REVIEW, _review(kinds.TOKEN_REVIEW, {"token": token}))
        status = review.get("status") or {}
        if not status.get("authenticated"):
            return False
        user = status.get("user") or {}
        spec: JSON = {name: user[name] for name in ("uid", "groups", "extra") if user.get(name)}
        spec |= {"user": user.get("username"), "nonResourceAttributes": {"path": path, "verb": "get"}}
        body = _review(kinds.SUBJECT_ACCESS_REVIEW, spec)
        access = await self._client.create(kinds.SUBJECT_ACCESS_REVIEW, body)
        return bool((access.get("status") or {}).get("allowed"))


def _review(kind: kinds.Kind, spec: JSON) -> JSON:
    return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": {}, "spec": spec}
