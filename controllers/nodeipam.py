"""A pod address range for every node, out of the cluster's, never two nodes the same.

What is allocated is what the nodes' specs say; nothing is kept elsewhere. One worker hands ranges out, and remembers
those whose node has not come back through the cache yet, so that no range is given twice.
"""

import ipaddress
import logging
from typing import Any

from apimachinery import errors, kinds, meta
from componentbase import defaults
from controllers.context import Context, QueueController

log = logging.getLogger(__name__)

JSON = dict[str, Any]
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Ranges:
    """The equal parts of a network, as bits of one number: 1 is taken."""

    def __init__(self, cluster: str, mask_size: int) -> None:
        self._cluster: Network = ipaddress.ip_network(cluster)
        if mask_size < self._cluster.prefixlen:
            raise ValueError(f"node mask size /{mask_size} is larger than the cluster's range {cluster}")
        self._mask_size = mask_size
        self._count = 1 << (mask_size - self._cluster.prefixlen)
        self._size = 1 << (self._cluster.max_prefixlen - mask_size)
        self._taken = 0

    def occupy(self, cidr: str) -> bool:
        """Mark the parts that a range covers as taken; False if it lies outside, or some were taken already."""
        network = ipaddress.ip_network(cidr)
        if network.version != self._cluster.version or not network.overlaps(self._cluster):
            return False
        base = int(self._cluster.network_address)
        first = max(0, (int(network.network_address) - base) // self._size)
        last = min(self._count - 1, (int(network.broadcast_address) - base) // self._size)
        bits = ((1 << (last - first + 1)) - 1) << first
        free = not self._taken & bits
        self._taken |= bits
        return free

    def release(self, cidr: str) -> None:
        """Mark a part as free."""
        network = ipaddress.ip_network(cidr)
        if network.version == self._cluster.version and network.overlaps(self._cluster):
            index = (int(network.network_address) - int(self._cluster.network_address)) // self._size
            self._taken &= ~(1 << index)

    def take(self) -> str | None:
        """The first free part, now taken; None when there is none."""
        index = (~self._taken & (self._taken + 1)).bit_length() - 1
        if index >= self._count:
            return None
        self._taken |= 1 << index
        address = self._cluster.network_address + index * self._size
        return f"{address}/{self._mask_size}"


class NodeIpamController(QueueController[str]):
    """`spec.podCIDR` for nodes."""

    name = "cidrallocator"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._events = context.events.named("cidrAllocator")
        options = context.options
        self._active = options.allocate_node_cidrs and bool(options.cluster_cidr)
        cluster = options.cluster_cidr if self._active else defaults.POD_CIDR
        self._ranges = Ranges(cluster, options.node_cidr_mask_size)
        if options.service_cidr:
            self._ranges.occupy(options.service_cidr)
        self._given: dict[str, tuple[str, str]] = {}  # by node name: its UID and range, until it is deleted
        self._nodes = context.informers.informer(kinds.NODE)
        self._nodes.add_handler(on_add=self._added, on_update=lambda _, new: self._added(new), on_delete=self._deleted)

    async def run(self) -> None:
        """Work until cancelled, with a single worker; nodes that were there have been marked by then."""
        if self._active:
            await super().run()

    def _added(self, node: JSON) -> None:
        cidr = node["spec"].get("podCIDR")
        if not cidr:
            self._queue.add(meta.name(node))
        elif self._given.get(meta.name(node)) != (meta.uid(node), cidr):
            if not self._ranges.occupy(cidr):
                log.warning("node %s: its range %s is outside of the cluster's, or taken", meta.name(node), cidr)
            self._given[meta.name(node)] = (meta.uid(node), cidr)

    def _deleted(self, node: JSON) -> None:
        _, cidr = self._given.pop(meta.name(node), ("", ""))
        if cidr and not any(cidr == other for _, other in self._given.values()):
            self._ranges.release(cidr)

    async def _reconcile(self, name: str) -> float | None:
        node = self._nodes.get(name)
        if node is None or node["spec"].get("podCIDR"):
            return None
        uid, cidr = self._given.get(name, ("", ""))
        if uid != meta.uid(node):
            cidr = self._ranges.take() or ""
        if not cidr:
            self._events.event(node, "Normal", "CIDRNotAvailable", f"Node {name} status is now: CIDRNotAvailable")
            return 30.0
        self._given[name] = (meta.uid(node), cidr)
        body = {"metadata": {"uid": meta.uid(node)}, "spec": {"podCIDR": cidr, "podCIDRs": [cidr]}}
        try:
            await self._client.patch(kinds.NODE, name, body)
        except (errors.NotFound, errors.Invalid):  # gone, or someone else was quicker: the cache will tell
            self._deleted(node)
        return None
