"""The networks of clusters: a Docker network each, and blackhole routes on the host for pod and Service addresses.

Pod and Service addresses live inside the nodes. A packet to one of them that left a node would go where the host's
routes lead, perhaps to somebody else's machines: so while a cluster runs, the host drops them. That is done only after
a check that nothing of the host lies in those ranges, and undone with the last cluster that uses them.
"""

import ipaddress
import json
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from componentbase import defaults
from minikubeadm import process
from minikubeadm.cluster import nodes
from minikubeadm.process import StepFailed

Network = ipaddress.IPv4Network
_ATTEMPTS = 5  # others may take the same range between a look and the creation
RANGES_LABEL = "mini-kubernetes.ranges"


def name_of(cluster: str) -> str:
    """The Docker network of a cluster."""
    return f"mini-{cluster}"


def load_balancer_pool(node_ip: str) -> str:
    """The part of a node's /24 that Services of type LoadBalancer get; nodes are numbered from 2."""
    first, last = defaults.LOAD_BALANCER_HOSTS
    network = Network(f"{node_ip}/24", strict=False)
    return f"{network[first]}-{network[last]}"


def first_free(taken: Iterable[Network], *, within: str = defaults.NODE_NETWORKS) -> Network:
    """The first /24 that overlaps none of the networks taken."""
    others = list(taken)
    for candidate in ipaddress.IPv4Network(within).subnets(new_prefix=24):
        if not any(candidate.overlaps(other) for other in others):
            return candidate
    raise StepFailed(f"no free /24 is left in {within}", hint="delete clusters: `minikubeadm cluster list`")


def routes(text: str) -> list[tuple[Network, str]]:
    """(destination, line) of every IPv4 route in `ip -o route show table all`, without the default routes."""
    found = []
    kinds = {"unicast", "local", "broadcast", "blackhole", "unreachable", "prohibit", "multicast", "anycast", "throw"}
    for line in text.splitlines():
        words = line.split()
        if words and words[0] in kinds:
            words = words[1:]
        if not words or words[0] == "default":
            continue
        try:
            found.append((Network(words[0], strict=False), line))
        except ValueError:
            continue  # an IPv6 route
    return found


def conflicts(ranges: Sequence[Network], *, routes_text: str, resolv_conf: str) -> list[str]:
    """Why the ranges must not be blackholed on this host: routes, gateways or resolvers of its own in them."""
    found = []
    for destination, line in routes(routes_text):
        if line.startswith("blackhole") and destination in ranges:
            continue  # our own
        if any(destination.overlaps(one) for one in ranges):
            found.append(f"route: {line.strip()}")
    gateways = re.findall(r"\bvia (\d+\.\d+\.\d+\.\d+)", routes_text)
    resolvers = re.findall(r"^nameserver\s+(\d+\.\d+\.\d+\.\d+)", resolv_conf, re.MULTILINE)
    for what, addresses in (("gateway", gateways), ("resolver", resolvers)):
        for address in dict.fromkeys(addresses):
            if any(ipaddress.IPv4Address(address) in one for one in ranges):
                found.append(f"{what}: {address}")
    return found


async def guard(ranges: Sequence[str], image: str) -> None:
    """Put the blackhole routes, after the check; StepFailed says what of the host is in the way."""
    text = await process.run("ip", "-o", "-4", "route", "show", "table", "all", what="reading this host's routes")
    resolv_conf = Path("/etc/resolv.conf")
    problems = conflicts(
        [Network(one) for one in ranges],
        routes_text=text,
        resolv_conf=resolv_conf.read_text() if resolv_conf.exists() else "",
    )
    if problems:
        raise StepFailed(
            f"this host uses addresses of the pod and Service ranges {', '.join(ranges)}",
            output="\n".join(problems),
            hint="choose others with --pod-network-cidr and --service-cidr",
        )
    for one in ranges:
        await _ip(image, "route", "replace", "blackhole", one)


async def unguard(ranges: Sequence[str], image: str) -> None:
    """Remove the blackhole routes of ranges that no cluster uses any more."""
    text = await process.run("ip", "-o", "-4", "route", "show", "table", "all", what="reading this host's routes")
    present = {str(destination) for destination, line in routes(text) if line.startswith("blackhole")}
    still_used = {one for network in await listed() for one in network["ranges"].split()}
    for one in ranges:
        if one in present and one not in still_used:
            await _ip(image, "route", "delete", "blackhole", one)


async def create(cluster: str, ranges: Sequence[str]) -> Network:
    """Make the cluster's network in the first free /24; tried again where Docker says that the range is taken."""
    for attempt in range(_ATTEMPTS):
        try:
            return await _create(cluster, ranges)
        except StepFailed as failure:
            if "overlaps" not in failure.output or attempt + 1 == _ATTEMPTS:
                raise
    raise AssertionError("unreachable")


async def _create(cluster: str, ranges: Sequence[str]) -> Network:
    text = await process.run("ip", "-o", "-4", "route", "show", "table", "all", what="reading this host's routes")
    taken = [destination for destination, _ in routes(text)]
    taken += [Network(one["subnet"]) for one in await _docker_networks() if one["subnet"]]
    subnet = first_free(taken)
    await process.run(
        *("docker", "network", "create", "--driver", "bridge", "--subnet", str(subnet)),
        *("--label", f"{nodes.CLUSTER_LABEL}={cluster}", "--label", f"{RANGES_LABEL}={' '.join(ranges)}"),
        name_of(cluster),
        what=f"creating the network {name_of(cluster)}",
    )
    return subnet


async def remove(cluster: str) -> None:
    """Remove the cluster's network if it is there."""
    if any(one["name"] == name_of(cluster) for one in await listed()):
        await process.run("docker", "network", "rm", name_of(cluster), what=f"removing network {name_of(cluster)}")


async def listed() -> list[dict[str, str]]:
    """The networks of clusters: name, cluster, subnet, ranges."""
    return [one for one in await _docker_networks() if one["cluster"]]


async def _docker_networks() -> list[dict[str, str]]:
    found = []
    for one in await _described():
        configs = [config for config in one["IPAM"].get("Config") or [] if ":" not in config.get("Subnet", ":")]
        labels = one.get("Labels") or {}
        found.append(
            {
                "name": one["Name"],
                "cluster": labels.get(nodes.CLUSTER_LABEL, ""),
                "subnet": configs[0]["Subnet"] if configs else "",
                "ranges": labels.get(RANGES_LABEL, ""),
            }
        )
    return found


async def _described() -> list[dict[str, Any]]:
    """Every network as Docker tells it; listed anew where one was removed between the two questions."""
    for attempt in range(_ATTEMPTS):
        ids = (await process.run("docker", "network", "ls", "--quiet", what="listing networks")).split()
        try:
            text = await process.run("docker", "network", "inspect", *ids) if ids else "[]"
        except StepFailed as failure:
            if "not found" not in failure.output or attempt + 1 == _ATTEMPTS:
                raise
        else:
            described: list[dict[str, Any]] = json.loads(text)
            return described
    raise AssertionError("unreachable")


async def _ip(image: str, *arguments: str) -> None:
    """`ip` in the host's network namespace: directly as root, else through a container that may."""
    argv = ("ip", *arguments)
    if os.geteuid() != 0:
        allowed = ("--network", "host", "--cap-add", "NET_ADMIN", "--entrypoint", "ip")
        argv = ("docker", "run", "--rm", *allowed, image, *arguments)
    await process.run(*argv, what="setting a route on this host", hint="run as root, or as a member of group docker")
