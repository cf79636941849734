"""Pods reach pods on other nodes through VXLAN: one device, and per other node one route, neighbour and FDB entry.

The scheme is flannel's: each node owns a /24, the VTEP's address is that range's first one, and a packet for another
node's range goes to that node's VTEP address, whose MAC and underlay address are set by hand, so nothing is ever asked
by broadcast. A VTEP's MAC is computed from its node's address, so a Node object says all that is needed.

What is wanted is a value (`wanted`), compared with what the kernel has; only the difference is written.
"""

import ipaddress
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from apimachinery import meta
from apimachinery.meta import JSON
from componentbase import defaults

log = logging.getLogger(__name__)

DEVICE = "mini.1"
VXLAN_OVERHEAD_BYTES = 50
NUD_PERMANENT = 0x80
NTF_SELF = 0x02
RTNH_F_ONLINK = 4
FAMILY_INET, FAMILY_BRIDGE = 2, 7


@dataclass(frozen=True, slots=True, order=True)
class Peer:
    """Another node as the overlay sees it."""

    pod_cidr: str
    vtep_ip: str
    mac: str
    node_ip: str


def vtep_mac(node_ip: str) -> str:
    """A locally administered MAC made of the node's IPv4 address."""
    packed = ipaddress.IPv4Address(node_ip).packed
    return ":".join(f"{byte:02x}" for byte in (0x0E, 0x6D, *packed))


def vtep_ip(pod_cidr: str) -> str:
    """The VTEP's own address: the first of the node's range."""
    return str(ipaddress.ip_network(pod_cidr).network_address)


def internal_ip(node: JSON) -> str:
    """The node's first IPv4 InternalIP, "" if it has none."""
    for address in (node.get("status") or {}).get("addresses") or []:
        if address["type"] == "InternalIP" and ":" not in address["address"]:
            return str(address["address"])
    return ""


def wanted(nodes: Iterable[JSON], own_name: str) -> set[Peer]:
    """The peers: every other node that has an address and a range."""
    peers = set()
    for node in nodes:
        cidr, ip = (node.get("spec") or {}).get("podCIDR"), internal_ip(node)
        if meta.name(node) != own_name and cidr and ip and ":" not in cidr:
            peers.add(Peer(cidr, vtep_ip(cidr), vtep_mac(ip), ip))
    return peers


class Overlay:
    """The VXLAN device and the entries of the peers. Blocking netlink calls of microseconds each."""

    def __init__(self, ipr: Any, *, node_ip: str, pod_cidr: str) -> None:
        self._ipr = ipr
        self._node_ip = node_ip
        self._pod_cidr = pod_cidr
        self._index = 0

    def underlay(self) -> tuple[int, int]:
        """(index, MTU) of the interface that carries the node's address."""
        for address in self._ipr.get_addr(family=FAMILY_INET):
            if address.get_attr("IFA_ADDRESS") == self._node_ip or address.get_attr("IFA_LOCAL") == self._node_ip:
                index = int(address["index"])
                return index, int(self._ipr.get_links(index)[0].get_attr("IFLA_MTU"))
        raise OSError(f"no interface has the node's address {self._node_ip}")

    def set_up(self) -> None:
        """The device, its address, up. One with other parameters is replaced."""
        parent, mtu = self.underlay()
        mac = vtep_mac(self._node_ip)
        found = self._ipr.link_lookup(ifname=DEVICE)
        if found and not self._fits(found[0], mac, parent):
            self._ipr.link("del", index=found[0])
            found = []
        if not found:
            self._ipr.link(
                "add",
                ifname=DEVICE,
                kind="vxlan",
                vxlan_id=defaults.VXLAN_VNI,
                vxlan_link=parent,
                vxlan_local=self._node_ip,
                vxlan_port=defaults.VXLAN_PORT,
                vxlan_learning=False,
                address=mac,
            )
            found = self._ipr.link_lookup(ifname=DEVICE)
        self._index = found[0]
        own = vtep_ip(self._pod_cidr)
        for address in self._ipr.get_addr(index=self._index, family=FAMILY_INET):
            if (stale := address.get_attr("IFA_ADDRESS")) != own:
                self._ipr.addr("del", index=self._index, address=stale, prefixlen=address["prefixlen"])
        self._ipr.addr("replace", index=self._index, address=own, prefixlen=32)
        self._ipr.link("set", index=self._index, mtu=mtu - VXLAN_OVERHEAD_BYTES, state="up")

    def _fits(self, index: int, mac: str, parent: int) -> bool:
        link = self._ipr.get_links(index)[0]
        data = link.get_attr("IFLA_LINKINFO").get_attr("IFLA_INFO_DATA")
        return bool(
            link.get_attr("IFLA_ADDRESS") == mac
            and data.get_attr("IFLA_VXLAN_ID") == defaults.VXLAN_VNI
            and data.get_attr("IFLA_VXLAN_LOCAL") == self._node_ip
            and data.get_attr("IFLA_VXLAN_LINK") == parent
        )

    def sync(self, peers: set[Peer]) -> int:
        """Make the kernel's entries those of `peers`; how many had to be changed."""
        changed = self._sync_neighbours(
            FAMILY_INET, {peer.vtep_ip: peer.mac for peer in peers}, {"state": NUD_PERMANENT}
        )
        changed += self._sync_fdb({peer.mac: peer.node_ip for peer in peers})
        return changed + self._sync_routes({peer.pod_cidr: peer.vtep_ip for peer in peers})

    def _sync_neighbours(self, family: int, entries: dict[str, str], extra: JSON) -> int:
        present = {
            n.get_attr("NDA_DST"): n.get_attr("NDA_LLADDR")
            for n in self._ipr.get_neighbours(family=family, ifindex=self._index)
            if n["state"] & NUD_PERMANENT
        }
        for ip in set(present) - set(entries):
            self._ipr.neigh("del", family=family, dst=ip, lladdr=present[ip], ifindex=self._index)
        missing = {ip: mac for ip, mac in entries.items() if present.get(ip) != mac}
        for ip, mac in missing.items():
            self._ipr.neigh("replace", family=family, dst=ip, lladdr=mac, ifindex=self._index, **extra)
        return len(missing) + len(set(present) - set(entries))

    def _sync_fdb(self, entries: dict[str, str]) -> int:
        present = {
            n.get_attr("NDA_LLADDR"): n.get_attr("NDA_DST")
            for n in self._ipr.get_neighbours(family=FAMILY_BRIDGE, ifindex=self._index)
            if n.get_attr("NDA_DST")
        }
        for mac in set(present) - set(entries):
            self._ipr.fdb("del", ifindex=self._index, lladdr=mac, dst=present[mac])
        missing = {mac: ip for mac, ip in entries.items() if present.get(mac) != ip}
        for mac, ip in missing.items():
            if mac in present:
                self._ipr.fdb("del", ifindex=self._index, lladdr=mac, dst=present[mac])
            self._ipr.fdb("append", ifindex=self._index, lladdr=mac, dst=ip, state=NUD_PERMANENT, flags=NTF_SELF)
        return len(missing) + len(set(present) - set(entries))

    def _sync_routes(self, entries: dict[str, str]) -> int:
        present = {}
        for route in self._ipr.get_routes(family=FAMILY_INET, oif=self._index):
            gateway = route.get_attr("RTA_GATEWAY")
            if gateway:
                present[f"{route.get_attr('RTA_DST')}/{route['dst_len']}"] = gateway
        for cidr in set(present) - set(entries):
            self._ipr.route("del", dst=cidr, gateway=present[cidr], oif=self._index, flags=RTNH_F_ONLINK)
        missing = {cidr: ip for cidr, ip in entries.items() if present.get(cidr) != ip}
        for cidr, ip in missing.items():
            self._ipr.route("replace", dst=cidr, gateway=ip, oif=self._index, flags=RTNH_F_ONLINK)
        return len(missing) + len(set(present) - set(entries))
