"""The server, put together: storage, who may, admission, registry, and the HTTP server in front of them.

The order matters once: whatever listens to the storage (tokens, RBAC, admission) is made before the storage starts, so
that it has seen everything before the first request is let in.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import ssl
from pathlib import Path

from apimachinery import kinds
from apimachinery.errors import StatusError
from apiserver import cluster
from apiserver.admission import build_chain
from apiserver.authentication import build_authenticator
from apiserver.authorization import build_authorizer, ensure_default_policy
from apiserver.connection import Server
from apiserver.endpoints.streaming import Streaming
from apiserver.filters import Filters
from apiserver.inflight import InFlight
from apiserver.observing import RequestMetrics
from apiserver.options import Options
from apiserver.outbound.etcdmetrics import EtcdMetrics
from apiserver.outbound.kubelet import KubeletClient
from apiserver.outbound.usage import Usage
from apiserver.parts import Parts
from apiserver.resources import Resources
from apiserver.storage import Storage
from componentbase import metrics, pki, tls
from componentbase.health import Checks

log = logging.getLogger(__name__)

BACKLOG = 1024
STOP_SECONDS = 5.0


def build(options: Options) -> Parts:
    """All parts, connected, nothing started."""
    storage = Storage(
        options.etcd_servers,
        ca_file=options.etcd_cafile,
        cert_file=options.etcd_certfile,
        key_file=options.etcd_keyfile,
        event_ttl_seconds=options.event_ttl,
    )
    authenticator = build_authenticator(storage, options)
    authorizer = build_authorizer(storage, modes=options.authorization_mode)
    admission = build_chain(
        storage, authorizer, disabled=options.disable_admission_plugins, enabled=options.enable_admission_plugins
    )
    resources = Resources(storage, admission, options)
    resources.add((*(kind for kind in kinds.KINDS if kind.served), *kinds.COMPUTED))
    kubelets = KubeletClient(
        options.kubelet_client_certificate,
        options.kubelet_client_key,
        options.kubelet_certificate_authority,
        options.kubelet_preferred_address_types,
    )
    streaming = Streaming(storage, kubelets)
    checks = Checks()
    for name, check in storage.checks.items():
        checks.add(name, check, endpoints=("healthz", "readyz"))
    return Parts(
        options=options,
        storage=storage,
        authenticator=authenticator,
        authorizer=authorizer,
        admission=admission,
        resources=resources,
        streaming=streaming,
        usage=Usage(kubelets, streaming.session),
        etcd_metrics=EtcdMetrics(options, streaming.session),
        checks=checks,
    )


class APIServer:
    """A running server. `start` returns when requests are served; `port` is then the one in use."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.parts = build(options)
        self.port = options.secure_port
        self._in_flight = InFlight(options.max_requests_inflight, options.max_mutating_requests_inflight)
        self._metrics = RequestMetrics(self._in_flight)
        self._server: Server | None = None
        self._listener: asyncio.Server | None = None
        self._endpoints: cluster.Endpoints | None = None
        self._keeper: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start the storage, make what every cluster has, then listen."""
        metrics.METRICS.collect(self._metrics)
        parts = self.parts
        await parts.storage.start()
        await cluster.ensure_namespaces(parts)
        await ensure_default_policy(parts.storage)
        await cluster.ensure_priority_classes(parts)
        filters = Filters(parts, self._in_flight, self._metrics)
        self._server = Server(filters.handle)
        self._listener = await asyncio.get_running_loop().create_server(
            self._server,
            self.options.bind_address,
            self.options.secure_port,
            ssl=tls_context(self.options),
            backlog=BACKLOG,
            reuse_address=True,
        )
        self.port = self._listener.sockets[0].getsockname()[1]
        await cluster.ensure_service(parts)
        if self.options.endpoint_reconciler and cluster.publishable(self.options.advertise_address):
            self._endpoints = cluster.Endpoints(parts, self.options.advertise_address, self.port)
            await self._endpoints.publish()
        self._keeper = asyncio.create_task(cluster.keep(parts, self._endpoints))
        # what is there now stays: collections need not look at it again
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 50)
        log.info("serving on %s:%d", self.options.bind_address, self.port)

    async def stop(self) -> None:
        """Tell balancers, stop listening, end watches in order, let requests finish, then stop the storage."""
        self.parts.checks.add("shutdown", _stopping, endpoints=("readyz",))
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait([self._keeper])
        if self._endpoints is not None:
            await self._withdraw(self._endpoints)
        if self._listener is not None:
            self._listener.close()
        for watcher in list(self.parts.watchers):
            watcher.close()
        if self._server is not None:
            self._server.pre_shutdown()
            await self._server.shutdown(timeout=STOP_SECONDS)
        await self.parts.streaming.close()
        await self.parts.storage.stop()
        metrics.METRICS.registry.unregister(self._metrics)

    async def _withdraw(self, endpoints: cluster.Endpoints) -> None:
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await endpoints.withdraw()
        except (TimeoutError, StatusError) as error:
            log.warning("this server stays among the endpoints of the kubernetes Service: %s", error)


def _stopping() -> None:
    raise RuntimeError("the server is stopping")


def tls_context(options: Options) -> ssl.SSLContext:
    """TLS with the certificate given, or with one of the server's own making that is kept in `--cert-dir`."""
    certificate, key = options.tls_cert_file, options.tls_private_key_file
    if not certificate:
        certificate, key = _self_signed(options)
    context = tls.server_context(certificate, key)
    context.set_alpn_protocols(["http/1.1"])
    authorities = [each for each in (options.client_ca_file, options.requestheader_client_ca_file) if each]
    for file in authorities:
        context.load_verify_locations(cafile=file)
    if authorities:
        context.verify_mode = ssl.CERT_OPTIONAL
    return context


def _self_signed(options: Options) -> tuple[str, str]:
    directory = Path(options.cert_dir)
    certificate, key = directory / "apiserver.crt", directory / "apiserver.key"
    if not certificate.exists() or not key.exists():
        directory.mkdir(parents=True, exist_ok=True)
        addresses = {"127.0.0.1", options.advertise_address or "127.0.0.1"}
        names = ("localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc")
        pair = pki.issue(pki.new_ca("apiserver-ca"), "apiserver", dns=names, ips=tuple(addresses), server=True)
        pki.write_pair(pair, certificate, key)
    return str(certificate), str(key)
