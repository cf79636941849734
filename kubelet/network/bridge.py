"""The bridge that the CNI plugins made, put back when somebody removed it.

The plugins make it when a pod is attached, and never look again: without it every pod of the node is cut off. What ADD
answered is kept, and says all there is to know: bridge, its hardware address, the pod's host side, the gateway.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import orjson

from apimachinery.meta import JSON

NET = Path("/sys/class/net")


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """The host side of a pod's link, and the bridge it belongs to."""

    name: str
    bridge: str
    bridge_mac: str
    gateway: str  # with the prefix length


def ports(results_dir: Path) -> Iterator[Port]:
    """What the kept answers of ADD say; answers of other plugins than `bridge` say nothing."""
    for path in results_dir.glob("*.json"):
        try:
            result: JSON = orjson.loads(path.read_bytes())["result"]
        except (OSError, orjson.JSONDecodeError, KeyError):
            continue  # being written, or removed with its pod
        host = [one for one in result.get("interfaces") or [] if not one.get("sandbox")]
        ips = [one for one in result.get("ips") or [] if one.get("gateway")]
        if len(host) == 2 and ips:
            length = ips[0]["address"].partition("/")[2]
            gateway = f"{ips[0]['gateway']}/{length}"
            yield Port(name=host[1]["name"], bridge=host[0]["name"], bridge_mac=host[0]["mac"], gateway=gateway)


def repairs(kept: Iterable[Port], net: Path = NET) -> tuple[list[str], list[str]]:
    """Commands for `ip -batch` and for `bridge -batch`: missing bridges made, loose ports attached; mostly none."""
    made: set[str] = set()
    links, hairpins = [], []
    for port in kept:
        if not (net / port.name).exists() or (net / port.name / "master").exists():
            continue
        if port.bridge not in made and not (net / port.bridge).exists():
            made.add(port.bridge)
            links += [
                f"link add {port.bridge} address {port.bridge_mac} type bridge",
                f"addr add {port.gateway} dev {port.bridge}",
                f"link set {port.bridge} up",
            ]
        links.append(f"link set {port.name} master {port.bridge}")
        hairpins.append(f"link set dev {port.name} hairpin on")
    return links, hairpins
