"""mini-scheduler: flags, parts, run."""

from __future__ import annotations

import argparse
import asyncio
import socket
import ssl
import sys
from collections.abc import Sequence

from componentbase import defaults, flags, run, serving, tls
from componentbase.health import Checks
from componentbase.metrics import METRICS
from kubeclient import config as kubeconfig
from kubeclient.delegation import DelegatedAuthorizer
from kubeclient.errors import ConfigError
from kubeclient.events import EventRecorder
from kubeclient.informer import InformerFactory
from kubeclient.leaderelection import LeaderElector, host_identity
from kubeclient.rest import Client
from scheduler import configuration
from scheduler.service import Scheduler


def _parser() -> argparse.ArgumentParser:
    parser = flags.parser("mini-scheduler", "Assigns pods to nodes: filters, scores, bin packing by default.")
    parser.add_argument("--kubeconfig", metavar="FILE", help="how to reach the API server, and as whom")
    parser.add_argument("--scheduler-config", metavar="FILE", help="a KubeSchedulerConfiguration with the profiles")
    parser.add_argument("--bind-address", default="127.0.0.1", help="address to serve /metrics and health on")
    parser.add_argument("--secure-port", type=int, default=defaults.SCHEDULER_PORT, help="port for that; 0 serves none")
    parser.add_argument("--tls-cert-file", metavar="FILE", help="serving certificate (self-signed without)")
    parser.add_argument("--tls-private-key-file", metavar="FILE", help="its key")
    flags.add_boolean(parser, "--leader-elect", default=True, help="schedule only while holding the leader's lease")
    for name, value in (
        ("lease-duration", defaults.LEASE_DURATION),
        ("renew-deadline", defaults.RENEW_DEADLINE),
        ("retry-period", defaults.RETRY_PERIOD),
    ):
        parser.add_argument(f"--leader-elect-{name}", type=flags.duration, default=value.total_seconds())
    return parser


def _serving_context(options: argparse.Namespace) -> ssl.SSLContext:
    if options.tls_cert_file:
        return tls.server_context(options.tls_cert_file, options.tls_private_key_file)
    return tls.self_signed_context(socket.gethostname())


async def _serve(options: argparse.Namespace, stop: asyncio.Event) -> int:
    profiles = configuration.load(options.scheduler_config)
    config = kubeconfig.load_kubeconfig(options.kubeconfig)
    async with Client(config, user_agent="mini-scheduler") as client:
        recorder = EventRecorder(client, "default-scheduler")
        scheduler = Scheduler(client, profiles, recorder)
        checks = Checks()
        METRICS.collect(scheduler)
        server = None
        if options.secure_port:
            server = await serving.serve_ops(
                options.bind_address,
                options.secure_port,
                checks=checks,
                ssl_context=_serving_context(options),
                authorize=DelegatedAuthorizer(client),
            )
        try:
            return await _lead(options, client, scheduler, recorder, stop, checks=checks)
        finally:
            if server:
                await server.stop()


async def _lead(
    options: argparse.Namespace,
    client: Client,
    scheduler: Scheduler,
    recorder: EventRecorder,
    stop: asyncio.Event,
    *,
    checks: Checks,
) -> int:
    async def work() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(recorder.run())
            tasks.create_task(scheduler.run(InformerFactory(client), checks=checks))

    elector = LeaderElector(
        client,
        name="kube-scheduler",
        identity=host_identity(options.secure_port),
        lease_duration=options.leader_elect_lease_duration,
        renew_deadline=options.leader_elect_renew_deadline,
        retry_period=options.leader_elect_retry_period,
    )
    leading = asyncio.create_task(elector.run(work) if options.leader_elect else work())
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({leading, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not leading.done():
        leading.cancel()
    try:
        await leading
    except asyncio.CancelledError:
        return 0
    return 0 if stop.is_set() else 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the scheduler; 2 on bad configuration."""
    options = flags.parse(_parser(), arguments)

    async def serve(stop: asyncio.Event) -> int:
        return await _serve(options, stop)

    try:
        return run.run(serve)
    except (configuration.ConfigurationError, ConfigError) as error:
        print(f"mini-scheduler: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
