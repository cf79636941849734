"""What every request passes before an endpoint sees it, in upstream's order.

Parsed, authenticated, impersonated, let in, authorised, answered; whatever goes wrong on the way becomes a Status. All
of it runs in one coroutine, since a task or a context manager for each step would cost more than the steps.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from time import perf_counter

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from apimachinery.errors import InternalError, StatusError, Unauthorized
from apiserver import request as requests
from apiserver.connection import Connection
from apiserver.endpoints.dispatch import Answer, answer
from apiserver.inflight import InFlight
from apiserver.observing import RequestMetrics
from apiserver.parts import Parts
from apiserver.replies import Reply, error_reply
from apiserver.request import Call, RequestInfo

log = logging.getLogger(__name__)


class Filters:
    """The handler of all requests."""

    def __init__(self, parts: Parts, in_flight: InFlight, metrics: RequestMetrics) -> None:
        self._parts = parts
        self._authenticator = parts.authenticator
        self._authorizer = parts.authorizer
        self._in_flight = in_flight
        self._metrics = metrics

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request, whatever it is. (What comes back only looks like a StreamResponse.)"""
        started = perf_counter()
        info, query, raw_query = requests.parse(request.method, request.raw_path)
        code = 500
        try:
            reply = await self._answer(request, info, query, raw_query)
            code = reply.status
        finally:
            self._metrics.observe(info, code, perf_counter() - started)
        return reply  # type: ignore[return-value]

    async def _answer(
        self, request: web.BaseRequest, info: RequestInfo, query: Mapping[str, str], raw_query: str
    ) -> Answer:
        gate = None
        call: Call | None = None
        try:
            headers = request.headers
            user = await self._authenticator.authenticate(headers, _certificate(request.protocol))
            call = Call(request, info, query, raw_query, self._authorizer.impersonated(user, headers))
            gate = self._in_flight.enter(info, user)
            self._authorizer.check(call.user, info)
            if info.long_running:
                reply = await self._stream(call)
            else:
                reply = await answer(call, self._parts)
        except StatusError as error:
            reply = error_reply(error)
            if isinstance(error, Unauthorized):
                reply.headers = {"WWW-Authenticate": "Bearer"}
        except ConnectionError:
            raise
        except Exception:
            log.exception("%s %s failed", request.method, info.path)
            reply = error_reply(InternalError("the server could not answer; its log says why"))
        finally:
            self._in_flight.leave(gate)
        if call is not None and call.warnings and isinstance(reply, Reply):
            reply.warnings = [_warning(text) for text in dict.fromkeys(call.warnings)]
        return reply

    async def _stream(self, call: Call) -> Answer:
        self._metrics.started(call.info, 1)
        try:
            return await answer(call, self._parts)
        finally:
            self._metrics.started(call.info, -1)


def _certificate(protocol: RequestHandler) -> bytes | None:
    return protocol.peer_certificate if isinstance(protocol, Connection) else None


def _warning(text: str) -> str:
    """RFC 7234 warn-code 299, quoted."""
    clean = "".join(" " if ord(each) < 32 else each for each in text)
    escaped = clean.replace("\\", "\\\\").replace('"', '\\"')
    return f'299 - "{escaped}"'
