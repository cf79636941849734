"""`mini-controller-manager`: flags, one client, one leader, all control loops."""

import argparse
import asyncio
import logging
import ssl
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace

from apimachinery.addresspool import Pool
from componentbase import defaults, flags, run, tls
from componentbase.health import Checks
from componentbase.serving import serve_ops
from controllers import manager
from controllers.context import Context, Options
from kubeclient.config import load_kubeconfig
from kubeclient.delegation import DelegatedAuthorizer
from kubeclient.errors import ConfigError
from kubeclient.events import EventRecorder
from kubeclient.informer import InformerFactory
from kubeclient.leaderelection import LeaderElector, host_identity
from kubeclient.rest import Client

log = logging.getLogger(__name__)

NAME = "kube-controller-manager"
_SYNCS = (
    "deployment",
    "replicaset",
    "statefulset",
    "daemonset",
    "job",
    "cronjob",
    "endpoint",
    "endpoint_slice",
    "namespace",
    "gc",
)
_SYNC_FLAGS = {"endpoint_slice": "service-endpoint", "cronjob": "cron-job"}


def parser() -> argparse.ArgumentParser:
    """The flags, by upstream's names."""
    made = flags.parser(NAME, "Runs the control loops of a cluster.")
    unset = Options()
    add = made.add_argument
    add("--kubeconfig", default="", help="how to reach the API server; by default $KUBECONFIG or the pod's account")
    add("--master", default="", help="the API server's URL, over what the kubeconfig says")
    add("--controllers", type=flags.comma_list, default=["*"], help="controllers to run: *, name, -name")
    add("--bind-address", default="127.0.0.1", help="address to serve metrics and health on")
    add("--secure-port", type=int, default=defaults.CONTROLLER_MANAGER_PORT, help="port for it; 0 for none")
    add("--tls-cert-file", default="", help="serving certificate; self-signed without")
    add("--tls-private-key-file", default="", help="its key")
    flags.add_boolean(made, "--leader-elect", default=True, help="work only while holding the lease")
    add("--leader-elect-lease-duration", type=flags.duration, default=defaults.LEASE_DURATION.total_seconds())
    add("--leader-elect-renew-deadline", type=flags.duration, default=defaults.RENEW_DEADLINE.total_seconds())
    add("--leader-elect-retry-period", type=flags.duration, default=defaults.RETRY_PERIOD.total_seconds())
    add("--leader-elect-resource-name", default=NAME)
    add("--leader-elect-resource-namespace", default=defaults.SYSTEM_NAMESPACE)
    flags.add_boolean(made, "--allocate-node-cidrs", default=unset.allocate_node_cidrs, help="give nodes pod ranges")
    add("--cluster-name", default=defaults.CLUSTER_NAME, help="instance prefix, for show")
    add("--cluster-cidr", default=unset.cluster_cidr, help="range for pods")
    add("--service-cluster-ip-range", dest="service_cidr", default="", help="range for Services, kept out of it")
    add("--node-cidr-mask-size", type=int, default=unset.node_cidr_mask_size, help="a node's part of it")
    add("--cluster-signing-cert-file", default="", help="the CA that signs certificate requests")
    add("--cluster-signing-key-file", default="", help="its key")
    add("--cluster-signing-duration", type=flags.duration, default=unset.cluster_signing_duration)
    add("--root-ca-file", default="", help="the CA bundle that pods are given")
    flags.add_boolean(made, "--use-service-account-credentials", default=False, help="accepted: all run as one user")
    add("--service-account-private-key-file", default="", help="accepted: tokens come from the API server")
    add("--requestheader-client-ca-file", "--client-ca-file", "--authentication-kubeconfig", default="")
    add("--authorization-kubeconfig", default="", help="accepted: who may see metrics is asked as --kubeconfig's user")
    add("--authorization-always-allow-paths", type=flags.comma_list, default=["/version"], help="paths for anyone")
    add("--node-monitor-period", type=flags.duration, default=unset.node_monitor_period)
    add("--node-monitor-grace-period", type=flags.duration, default=unset.node_monitor_grace_period)
    add("--node-startup-grace-period", type=flags.duration, default=unset.node_startup_grace_period)
    add("--node-eviction-rate", type=float, default=unset.node_eviction_rate)
    add("--secondary-node-eviction-rate", type=float, default=unset.secondary_node_eviction_rate)
    add("--unhealthy-zone-threshold", type=float, default=unset.unhealthy_zone_threshold)
    add("--large-cluster-size-threshold", type=int, default=unset.large_cluster_size_threshold)
    add("--terminated-pod-gc-threshold", type=int, default=unset.terminated_pod_gc_threshold)
    add(
        "--load-balancer-pool",
        type=_pool,
        default="",
        help="addresses for type LoadBalancer: 10.0.0.0/28, first-last",
    )
    add("--max-endpoints-per-slice", type=int, default=unset.max_endpoints_per_slice)
    for name in _SYNCS:
        add(f"--concurrent-{_SYNC_FLAGS.get(name, name)}-syncs", dest=f"syncs_{name}", type=int, default=0)
    return made


def options(parsed: argparse.Namespace) -> Options:
    """The flags that controllers read."""
    own = {name: getattr(parsed, name) for name in Options.__dataclass_fields__ if hasattr(parsed, name)}
    workers = {name: count for name in _SYNCS if (count := getattr(parsed, f"syncs_{name}"))}
    return Options(**own, workers=workers)


def _pool(text: str) -> str:
    try:
        Pool(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return text


async def serve(parsed: argparse.Namespace, names: Sequence[str], stop: asyncio.Event) -> int:
    """Run everything until `stop` (0), or until the lease is lost or a controller has failed (1)."""
    config = load_kubeconfig(parsed.kubeconfig or None)
    if parsed.master:
        config = replace(config, server=parsed.master)
    checks = Checks()
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(Client(config, user_agent=NAME))
        if parsed.secure_port:
            shown = {name: value for name, value in vars(parsed).items() if "key" not in name}
            ops = await serve_ops(
                parsed.bind_address,
                parsed.secure_port,
                checks=checks,
                ssl_context=_tls(parsed),
                configuration=shown,
                authorize=DelegatedAuthorizer(client, always_allow=parsed.authorization_always_allow_paths),
            )
            stack.push_async_callback(ops.stop)

        async def lead() -> None:
            context = Context(client, InformerFactory(client), EventRecorder(client, NAME), options(parsed))
            await manager.run(context, names, checks=checks)

        working = asyncio.ensure_future(_elected(parsed, client, lead))
        stopping = asyncio.ensure_future(stop.wait())
        await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
        failure = working.exception() if working.done() else None
        for task in (working, stopping):
            task.cancel()
        await asyncio.gather(working, stopping, return_exceptions=True)
        if failure:
            log.critical("ending: %s", failure, exc_info=failure)
        return 1 if failure else 0


async def _elected(parsed: argparse.Namespace, client: Client, lead: Callable[[], Awaitable[None]]) -> None:
    """Run `lead`, as the leader if there is to be one."""
    if not parsed.leader_elect:
        await lead()
        return
    elector = LeaderElector(
        client,
        name=parsed.leader_elect_resource_name,
        namespace=parsed.leader_elect_resource_namespace,
        identity=host_identity(parsed.secure_port),
        lease_duration=parsed.leader_elect_lease_duration,
        renew_deadline=parsed.leader_elect_renew_deadline,
        retry_period=parsed.leader_elect_retry_period,
    )
    await elector.run(lead)


def _tls(parsed: argparse.Namespace) -> ssl.SSLContext:
    if parsed.tls_cert_file and parsed.tls_private_key_file:
        return tls.server_context(parsed.tls_cert_file, parsed.tls_private_key_file)
    return tls.self_signed_context(NAME)


def main() -> None:
    """The console script."""
    flag_parser = parser()
    parsed = flags.parse(flag_parser)
    try:
        names = manager.chosen(parsed.controllers)
    except ValueError as error:
        flag_parser.error(str(error))
    try:
        code = run.run(lambda stop: serve(parsed, names, stop))
    except (ConfigError, OSError) as error:
        flag_parser.exit(1, f"{NAME}: {error}\n")
    sys.exit(code)


if __name__ == "__main__":
    main()
