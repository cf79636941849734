"""The small HTTP server of every service that isn't the API server: `/metrics`, health, `/version`, `/configz`.

It answers a handful of requests a minute, so it is as plain as can be. Health is for anyone; the other paths pass
through `authorize`, which a service may set (delegated token review, say): without it they are open, and such a
server belongs on loopback.
"""

import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from aiohttp import web

from componentbase import defaults, health, metrics

Authorize = Callable[[web.BaseRequest], Awaitable[bool]]


async def serve_ops(
    host: str,
    port: int,
    *,
    checks: health.Checks,
    metrics: metrics.Metrics = metrics.METRICS,
    ssl_context: ssl.SSLContext | None = None,
    authorize: Authorize | None = None,
    configuration: Mapping[str, Any] | None = None,
) -> "OpsServer":
    """Start serving; port 0 takes a free one (see `.port`). The caller awaits `stop()` of what comes back."""
    server = OpsServer(checks=checks, metrics=metrics, authorize=authorize, configuration=configuration or {})
    await server.start(host, port, ssl_context)
    return server


@dataclass(kw_only=True)
class OpsServer:
    """The running server."""

    checks: health.Checks
    metrics: metrics.Metrics
    authorize: Authorize | None
    configuration: Mapping[str, Any]
    port: int = 0
    _runner: web.ServerRunner | None = None

    async def start(self, host: str, port: int, ssl_context: ssl.SSLContext | None) -> None:
        """Bind and listen."""
        self._runner = web.ServerRunner(web.Server(self._handle, access_log=None), shutdown_timeout=1.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port, ssl_context=ssl_context).start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Close the listener and its connections."""
        if self._runner:
            await self._runner.cleanup()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.method not in ("GET", "HEAD"):
            return _text(405, "Method Not Allowed")
        first, _, rest = request.path.strip("/").partition("/")
        if first in health.ENDPOINTS:
            return await self._health(first, rest, request)
        if self.authorize and not await self.authorize(request):
            return _text(403, "Forbidden")
        if request.path == "/metrics":
            return web.Response(body=self.metrics.render(), headers={"Content-Type": metrics.CONTENT_TYPE})
        if request.path == "/version":
            return _json({"major": defaults.MAJOR, "minor": defaults.MINOR, "gitVersion": defaults.GIT_VERSION})
        if request.path == "/configz":
            return _json(dict(self.configuration))
        return _text(404, "404 page not found")

    async def _health(self, endpoint: str, name: str, request: web.BaseRequest) -> web.Response:
        if name:
            one = await self.checks.report_one(endpoint, name)
            return _text(one.code, one.text) if one else _text(404, "404 page not found")
        exclude = request.query.getall("exclude", [])
        report = await self.checks.report(endpoint, verbose="verbose" in request.query, exclude=exclude)
        return _text(report.code, report.text)


def _text(code: int, text: str) -> web.Response:
    return web.Response(status=code, text=text, headers={"X-Content-Type-Options": "nosniff"})


def _json(value: Any) -> web.Response:
    return web.Response(body=orjson.dumps(value, default=str), content_type="application/json")
