"""The overlay against a real kernel, in a network namespace of the test's own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
from pyroute2 import IPRoute
from kubelet.network.overlay import Overlay, Peer, vtep_ip, vtep_mac

def peer(number):
    cidr, ip = f"10.244.{number}.0/24", f"172.31.0.{number}"
    return Peer(cidr, vtep_ip(cidr), vtep_mac(ip), ip)

with IPRoute() as ipr:
    ipr.link("add", ifname="eth0", kind="veth", peer={"ifname": "far"})
    index = ipr.link_lookup(ifname="eth0")[0]
    ipr.addr("add", index=index, address="172.31.0.1", prefixlen=24)
    ipr.link("set", index=index, state="up")
    overlay = Overlay(ipr, node_ip="172.31.0.1", pod_cidr="10.244.1.0/24")
    overlay.set_up()
    device = ipr.link_lookup(ifname="mini.1")[0]
    print("mtu", ipr.get_links(device)[0].get_attr("IFLA_MTU"))
    print("first", overlay.sync({peer(2), peer(3)}))
    overlay.set_up()
    print("device kept", ipr.link_lookup(ifname="mini.1")[0] == device)
    print("again", overlay.sync({peer(2), peer(3)}))
    routes = ipr.get_routes(family=2, oif=device)
    via = [(r.get_attr("RTA_DST"), r.get_attr("RTA_GATEWAY")) for r in routes]
    print("routes", sorted(f"{dst} {gateway}" for dst, gateway in via if gateway))
    ipr.route("del", dst="10.244.2.0/24", oif=device)
    print("put back", overlay.sync({peer(2), peer(3)}))
    print("one left", overlay.sync({peer(3)}))
    print("fdb", [n.get_attr("NDA_DST") for n in ipr.get_neighbours(family=7, ifindex=device) if n.get_attr("NDA_DST")])
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="making a network namespace needs root")
def test_entries_are_made_kept_put_back_and_removed() -> None:
    done = subprocess.run(
        ["unshare", "--net", sys.executable, "-c", SCRIPT],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "mtu 1450",
        "first 6",
        "device kept True",
        "again 0",
        "routes ['10.244.2.0 10.244.2.0', '10.244.3.0 10.244.3.0']",
        "put back 1",
        "one left 3",
        "fdb ['172.31.0.3']",
    ]
