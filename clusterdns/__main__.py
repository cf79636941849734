"""mini-dns: flags, parts, run."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from clusterdns import records
from clusterdns.cache import Cache
from clusterdns.server import Resolver, UDPServer, serve_tcp
from componentbase import defaults, flags, run, serving
from componentbase.health import Checks
from kubeclient import config as kubeconfig
from kubeclient.errors import ConfigError
from kubeclient.informer import InformerFactory
from kubeclient.rest import Client


def _parser() -> argparse.ArgumentParser:
    parser = flags.parser("mini-dns", "Answers the cluster's DNS names; asks the node's servers for all others.")
    parser.add_argument("--kubeconfig", metavar="FILE", help="how to reach the API server (in a pod: its own account)")
    parser.add_argument("--zone", default=defaults.CLUSTER_DOMAIN, help="the cluster's domain")
    parser.add_argument("--bind-address", default="0.0.0.0", help="address to answer on")
    parser.add_argument("--port", type=int, default=53, help="port to answer on, UDP and TCP")
    parser.add_argument("--forward", type=flags.comma_list, default=None, help="servers for other names (ip,ip:port)")
    parser.add_argument("--resolv-conf", default="/etc/resolv.conf", help="where those stand if not given")
    parser.add_argument("--ops-port", type=int, default=9153, help="port of /metrics and /readyz; 0 serves none")
    return parser


def upstreams(given: Sequence[str] | None, resolv_conf: str) -> list[tuple[str, int]]:
    """The servers to forward to, as (address, port): those given, else the file's."""
    if given is None:
        try:
            lines = Path(resolv_conf).read_text().splitlines()
        except OSError:
            lines = []
        given = [line.split()[1] for line in lines if line.startswith("nameserver") and len(line.split()) > 1]
    parsed = []
    for server in given:
        host, _, port = server.partition(":") if server.count(":") == 1 else (server, "", "")
        parsed.append((host, int(port or 53)))
    return parsed


async def _serve(options: argparse.Namespace, stop: asyncio.Event) -> int:
    config = kubeconfig.load_kubeconfig(options.kubeconfig)
    loop = asyncio.get_running_loop()
    async with Client(config, user_agent="mini-dns") as client, asyncio.TaskGroup() as tasks:
        informers = InformerFactory(client)
        cache = Cache(informers)
        reflecting = tasks.create_task(informers.run())
        synced = asyncio.Event()
        ops = await _ops(options, synced)
        await informers.wait_synced()

        def lookup(name: str, kind: str) -> records.Answer | None:
            return records.lookup(cache, options.zone, name, kind)

        resolver = Resolver(lookup, options.zone, upstreams(options.forward, options.resolv_conf))
        address = (options.bind_address, options.port)
        transport, _ = await loop.create_datagram_endpoint(lambda: UDPServer(resolver, tasks), local_addr=address)
        server = await asyncio.start_server(lambda r, w: serve_tcp(resolver, r, w), *address)
        synced.set()
        await stop.wait()
        transport.close()
        server.close()
        if ops:
            await ops.stop()
        reflecting.cancel()
    return 0


async def _ops(options: argparse.Namespace, synced: asyncio.Event) -> serving.OpsServer | None:
    checks = Checks()

    def ready() -> None:
        if not synced.is_set():
            raise RuntimeError("names are not known yet")

    checks.add("informers-synced", ready, endpoints=("readyz",))
    return await serving.serve_ops(options.bind_address, options.ops_port, checks=checks) if options.ops_port else None


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the DNS server; 2 on bad configuration."""
    options = flags.parse(_parser(), arguments)

    async def serve(stop: asyncio.Event) -> int:
        return await _serve(options, stop)

    try:
        return run.run(serve)
    except ConfigError as error:
        print(f"mini-dns: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
