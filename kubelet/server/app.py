"""The HTTPS server: TLS, routing, errors as Status objects.

Paths are upstream's: /containerLogs/{namespace}/{pod}/{container}, /exec/…, /attach/…, /portForward/{namespace}/{pod},
/run/…, /pods, /stats/summary, /metrics, /metrics/resource, /healthz. A second, plain listener on loopback answers
/healthz for the node's own watchdogs.
"""

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable

import orjson
from aiohttp import web

from apimachinery import errors
from apimachinery.meta import JSON
from componentbase import metrics as base_metrics
from componentbase import tls
from componentbase.health import Checks
from componentbase.serving import serve_ops
from kubeclient.errors import Unreachable
from kubeclient.rest import Client

from .. import certificates
from ..engine import EngineError
from ..parts import Parts
from ..pod_workers import PodWorkers
from ..settings import Settings
from . import exec as execution
from . import logs, portforward, stats
from .auth import Gate

Handler = Callable[[web.BaseRequest, list[str]], Awaitable[web.StreamResponse]]

log = logging.getLogger(__name__)

PLAIN_PATHS = ("healthz", "livez", "readyz")


class Server:
    """Serves until cancelled."""

    def __init__(self, settings: Settings, client: Client, parts: Parts, workers: PodWorkers, checks: Checks) -> None:
        self._settings = settings
        self._client = client
        self._parts = parts
        self._workers = workers
        self._checks = checks
        self._gate = Gate(client, settings.node_name, anonymous=settings.anonymous_auth)
        self._routes: dict[str, Handler] = {
            "containerLogs": self._logs,
            "exec": self._exec,
            "attach": self._attach,
            "portForward": self._port_forward,
            "pods": self._pods,
            "runningpods": self._pods,
            "stats": self._stats,
            "metrics": self._metrics,
            "configz": self._configz,
        }

    async def run(self) -> None:
        """Listen on both ports until cancelled."""
        plain = await serve_ops("127.0.0.1", self._settings.healthz_port, checks=self._checks)
        runner = web.ServerRunner(web.Server(self._handle, access_log=None), shutdown_timeout=1.0)
        await runner.setup()
        try:
            context = self._context()
            await web.TCPSite(runner, self._settings.address, self._settings.port, ssl_context=context).start()
            await self._certify(context)
            await asyncio.Event().wait()
        finally:
            await runner.cleanup()
            await plain.stop()

    async def _certify(self, context: ssl.SSLContext) -> None:
        """Where asked for, have a certificate of the cluster's; its approval may take long, meanwhile we serve."""
        try:
            if (file := await certificates.ensure_serving(self._client, self._settings)) is not None:
                context.load_cert_chain(file)  # connections from now on show it
        except certificates.Refused as error:
            log.error("serving certificate: %s", error)

    def _context(self) -> ssl.SSLContext:
        settings, authority = self._settings, self._settings.client_ca_file
        if settings.tls_cert_file and settings.tls_private_key_file:
            files = settings.tls_cert_file, settings.tls_private_key_file
            return tls.server_context(*files, client_ca_file=authority)
        return tls.self_signed_context(settings.node_name, client_ca_file=authority)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        segments = request.path.strip("/").split("/")
        try:
            if segments[0] in PLAIN_PATHS:
                report = await self._checks.report(segments[0], verbose="verbose" in request.query)
                return web.Response(status=report.code, text=report.text)
            await self._gate.check(request)
            handler = self._routes.get(segments[0])
            if handler is None:
                raise errors.NotFound("404 page not found")
            return await handler(request, segments[1:])
        except errors.StatusError as error:
            return web.Response(status=error.code, text=error.message)
        except (EngineError, Unreachable) as error:
            return web.Response(status=500, text=str(error))

    def _pod(self, segments: list[str], *, parts: int) -> JSON:
        """The pod that a path names; a uid may stand between pod and container."""
        if len(segments) < parts:
            raise errors.NotFound("404 page not found")
        pod = self._workers.get(segments[0], segments[1])
        if pod is None:
            raise errors.NotFound(f'pods "{segments[1]}" not found')
        return self._parts.statuses.latest(pod)

    async def _logs(self, request: web.BaseRequest, segments: list[str]) -> web.StreamResponse:
        return await logs.serve(request, self._parts, self._pod(segments, parts=3), segments[-1])

    async def _exec(self, request: web.BaseRequest, segments: list[str]) -> web.StreamResponse:
        return await execution.serve_exec(request, self._parts, self._pod(segments, parts=3), segments[-1])

    async def _attach(self, request: web.BaseRequest, segments: list[str]) -> web.StreamResponse:
        return await execution.serve_attach(request, self._parts, self._pod(segments, parts=3), segments[-1])

    async def _port_forward(self, request: web.BaseRequest, segments: list[str]) -> web.StreamResponse:
        return await portforward.serve(request, self._parts, self._pod(segments, parts=2))

    async def _pods(self, request: web.BaseRequest, segments: list[str]) -> web.StreamResponse:
        items = [self._parts.statuses.latest(pod) for pod in self._workers.pods()]
        return _json({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items})

    async def _stats(self, request: web.BaseRequest, segments: list[str]) -> web.StreamResponse:
        if segments[:1] != ["summary"]:
            raise errors.NotFound("404 page not found")
        return _json(await stats.summary(self._parts, self._workers.pods()))

    async def _metrics(self, request: web.BaseRequest, segments: list[str]) -> web.StreamResponse:
        if segments == ["resource"] or segments == ["cadvisor"]:
            text = stats.exposition(await stats.summary(self._parts, self._workers.pods()))
            return web.Response(text=text, headers={"Content-Type": base_metrics.CONTENT_TYPE})
        if segments:
            raise errors.NotFound("404 page not found")
        body = base_metrics.METRICS.render()
        return web.Response(body=body, headers={"Content-Type": base_metrics.CONTENT_TYPE})

    async def _configz(self, request: web.BaseRequest, segments: list[str]) -> web.StreamResponse:
        settings = self._settings
        config = {"clusterDomain": settings.cluster_domain, "clusterDNS": list(settings.cluster_dns)}
        return _json({"kubeletconfig": {**config, "maxPods": settings.max_pods, "port": settings.port}})


def _json(value: JSON) -> web.Response:
    return web.Response(body=orjson.dumps(value), content_type="application/json")
