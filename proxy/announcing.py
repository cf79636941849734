"""Addresses of type LoadBalancer that this node answers for.

The controllers choose the node (condition `Announced` in a Service's status). The chosen one holds the address on a
link of its own, on which nothing else is: so what is there from before a restart is known to be ours, and the kernel
answers ARP requests for it on every link. A gratuitous ARP (RFC 5227) tells the neighbours that it has moved here.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable

from apimachinery import meta
from apimachinery.meta import JSON

ANNOUNCED = "Announced"
LINK = "kube-lb"
_ARP, _IPV4, _ETHERNET = 0x0806, 0x0800, 1
_BROADCAST = b"\xff" * 6


def addresses_of(services: Iterable[JSON], *, node: str) -> set[str]:
    """The addresses that the Services' status has this node announce."""
    return {
        entry["ip"]
        for service in services
        if (chosen := meta.condition(service, ANNOUNCED)) and chosen["status"] == "True" and chosen["message"] == node
        for entry in ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
        if entry.get("ip")
    }


def announcement(address: str, mac: bytes) -> bytes:
    """The Ethernet frame of a gratuitous ARP: `address` is at `mac` (RFC 5227, section 3)."""
    packed = socket.inet_aton(address)
    header = struct.pack("!6s6sHHHBBH", _BROADCAST, mac, _ARP, _ETHERNET, _IPV4, 6, 4, 1)
    return header + mac + packed + b"\0" * 6 + packed


def hold(wanted: set[str]) -> None:
    """Make `wanted` the addresses on our link, and tell the neighbours of the new ones. Raises OSError."""
    if not wanted and all(name != LINK for _, name in socket.if_nameindex()):
        return
    from proxy import holding  # netlink takes 10 MB, and most nodes never announce anything

    holding.hold(wanted)
