"""Holding load-balancer addresses on a link of the node's own, by netlink.

Apart from `announcing`, which imports it only on a node that holds an address, or held one before.
"""

from __future__ import annotations

import logging
import socket

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from proxy.announcing import LINK, announcement

log = logging.getLogger(__name__)


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
