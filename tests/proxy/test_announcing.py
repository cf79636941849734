"""Which load-balancer addresses a node holds, and how it tells its neighbours."""

import subprocess
import sys

from proxy import announcing


def service(ip, node, status="True"):
    condition = {"type": "Announced", "status": status, "message": node}
    return {"status": {"loadBalancer": {"ingress": [{"ip": ip}]}, "conditions": [condition]}}


def test_a_node_holds_what_names_it():
    given = [service("10.0.0.1", "a"), service("10.0.0.2", "b"), service("10.0.0.3", "a", "False"), {"status": {}}, {}]
    assert announcing.addresses_of(given, node="a") == {"10.0.0.1"}


def test_a_gratuitous_arp_names_the_address_as_sender_and_target():
    frame = announcing.announcement("10.0.0.1", bytes.fromhex("0242ac1e0002"))
    assert frame.hex() == (
        "ffffffffffff" + "0242ac1e0002" + "0806"  # to all, from us, ARP
        "0001" + "0800" + "06" + "04" + "0001"  # Ethernet, IPv4, sizes, request
        "0242ac1e0002" + "0a000001" + "000000000000" + "0a000001"
    )  # fmt: skip


def test_a_node_that_never_announced_anything_loads_no_netlink():
    program = "import sys; from proxy import announcing; announcing.hold(set()); print('pyroute2' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
