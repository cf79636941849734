"""mini-proxy: flags, parts, run."""

from __future__ import annotations

import argparse
import asyncio
import socket
import sys
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack

from aiohttp import web

from componentbase import defaults, flags, run, serving, tls
from componentbase.health import Checks
from kubeclient import config as kubeconfig
from kubeclient.delegation import DelegatedAuthorizer
from kubeclient.errors import ConfigError
from kubeclient.informer import InformerFactory
from kubeclient.rest import Client
from proxy.syncing import Proxy


def _parser() -> argparse.ArgumentParser:
    parser = flags.parser("mini-proxy", "Makes Services work on this node: ClusterIP and NodePort by iptables.")
    parser.add_argument("--kubeconfig", metavar="FILE", help="how to reach the API server, and as whom")
    parser.add_argument("--hostname-override", default=socket.gethostname(), help="this node's name in the cluster")
    parser.add_argument(
        "--cluster-cidr", default="", help="pod addresses; others are masqueraded when they use Services"
    )
    parser.add_argument("--proxy-mode", choices=["iptables"], default="iptables", help="how rules are written")
    parser.add_argument(
        "--iptables-sync-period", type=flags.duration, default=5.0, help="how often rules are checked (30s, 1m)"
    )
    parser.add_argument("--bind-address", default="0.0.0.0", help="address to serve health on")
    parser.add_argument("--healthz-port", type=int, default=defaults.PROXY_HEALTH_PORT, help="its port; 0 serves none")
    parser.add_argument(
        "--metrics-bind-address", default="127.0.0.1", help="address to serve /metrics on: by TLS, to those who may"
    )
    parser.add_argument("--metrics-port", type=int, default=defaults.PROXY_METRICS_PORT, help="its port; 0 serves none")
    return parser


def _checks(proxy: Proxy) -> Checks:
    checks = Checks()

    def synced() -> None:
        if not proxy.last_sync:
            raise RuntimeError(f"no sync yet at {time.time():.0f}")

    checks.add("rules-synced", synced, endpoints=("healthz", "readyz"))
    return checks


async def _nobody(request: web.BaseRequest) -> bool:
    """The port for load balancers is plain, and shows health alone."""
    return False


async def _serve(options: argparse.Namespace, stop: asyncio.Event) -> int:
    config = kubeconfig.load_kubeconfig(options.kubeconfig)
    proxy = Proxy(
        node=options.hostname_override,
        cluster_cidr=options.cluster_cidr,
        verify_seconds=options.iptables_sync_period,
    )
    checks = _checks(proxy)
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(Client(config, user_agent="mini-proxy"))
        if options.healthz_port:
            health = await serving.serve_ops(
                options.bind_address, options.healthz_port, checks=checks, authorize=_nobody
            )
            stack.push_async_callback(health.stop)
        if options.metrics_port:
            metrics = await serving.serve_ops(
                options.metrics_bind_address,
                options.metrics_port,
                checks=checks,
                ssl_context=tls.self_signed_context(options.hostname_override),
                authorize=DelegatedAuthorizer(client),
            )
            stack.push_async_callback(metrics.stop)
        working = asyncio.create_task(proxy.run(InformerFactory(client)))
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        working.cancel()
        try:
            await working
        except asyncio.CancelledError:
            return 0
    return 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the proxy; 2 on bad configuration. Rules stay when it ends: Services work on while it is restarted."""
    options = flags.parse(_parser(), arguments)

    async def serve(stop: asyncio.Event) -> int:
        return await _serve(options, stop)

    try:
        return run.run(serve)
    except ConfigError as error:
        print(f"mini-proxy: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
