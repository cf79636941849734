"""Addresses of type LoadBalancer that this node answers for.

The controllers choose the node (condition `Announced` in a Service's status). The chosen one holds the address on a
link of its own, on which nothing else is: so what is there from before a restart is known to be ours, and the kernel
answers ARP requests for it on every link. A gratuitous ARP (RFC 5227) tells the neighbours that it has moved here.
"""

from __future__ import annotations

import logging
import socket
import struct
from collections.abc import Iterable

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from apimachinery import meta
from apimachinery.meta import JSON

log = logging.getLogger(__name__)
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
    with IPRoute() as kernel:
        try:
            index = _link(kernel, create=bool(wanted))
            held = {entry.get_attr("IFA_LOCAL") for entry in kernel.get_addr(index=index)} if index else set()
            for address in held - wanted:
                kernel.addr("del", index=index, address=address, prefixlen=32)
                log.info("%s is announced from here no longer", address)
            for address in wanted - held:
                uplink = _uplink(kernel, address)  # asked before the address is local
                kernel.addr("add", index=index, address=address, prefixlen=32)
                _tell(address, *uplink)
                log.info("announcing %s on %s", address, uplink[0])
        except NetlinkError as error:
            raise OSError(error.code, f"load-balancer addresses on {LINK}: {error}") from error


def _link(kernel: IPRoute, *, create: bool) -> int:
    found = kernel.link_lookup(ifname=LINK)
    if not found and create:
        kernel.link("add", ifname=LINK, kind="bridge")  # a bridge without ports: `dummy` is not in every kernel
        found = kernel.link_lookup(ifname=LINK)
        kernel.link("set", index=found[0], state="up")
    return int(found[0]) if found else 0


def _uplink(kernel: IPRoute, address: str) -> tuple[str, bytes]:
    """Name and hardware address of the link on which `address` would be looked for."""
    route = kernel.route("get", dst=address)[0]
    link = kernel.get_links(route.get_attr("RTA_OIF"))[0]
    mac = link.get_attr("IFLA_ADDRESS") or "00:00:00:00:00:00"
    return link.get_attr("IFLA_IFNAME"), bytes.fromhex(mac.replace(":", ""))


def _tell(address: str, link: str, mac: bytes) -> None:
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
        raw.bind((link, 0))
        raw.send(announcement(address, mac))
