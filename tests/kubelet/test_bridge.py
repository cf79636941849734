"""A removed bridge is put back from what the CNI plugins had answered."""

import json
from pathlib import Path
from typing import Any

from kubelet.network.bridge import ports, repairs


def answer(veth: str, **changes: Any) -> str:
    result = {
        "interfaces": [
            {"name": "cni0", "mac": "fa:c7:0a:df:32:03"},
            {"name": veth, "mac": "aa:71:4a:34:64:9a"},
            {"name": "eth0", "mac": "d6:bf:8b:58:90:47", "sandbox": "/proc/605/ns/net"},
        ],
        "ips": [{"interface": 2, "address": "10.244.1.61/24", "gateway": "10.244.1.1"}],
    }
    return json.dumps({"result": {**result, **changes}})


def test_a_removed_bridge_is_made_once_and_its_ports_attached(tmp_path: Path) -> None:
    results, net = tmp_path / "cni", tmp_path / "net"
    results.mkdir()
    for veth in ("veth1", "veth2", "veth3"):
        (results / f"{veth}.json").write_text(answer(veth))
    for veth in ("veth1", "veth2"):  # the pod of veth3 is going
        (net / veth).mkdir(parents=True)
    links, hairpins = repairs(ports(results), net)
    assert links[0] == "link add cni0 address fa:c7:0a:df:32:03 type bridge"
    assert links[1:3] == ["addr add 10.244.1.1/24 dev cni0", "link set cni0 up"]
    assert sorted(links[3:]) == ["link set veth1 master cni0", "link set veth2 master cni0"]
    assert sorted(hairpins) == ["link set dev veth1 hairpin on", "link set dev veth2 hairpin on"]


def test_what_is_attached_stays_and_others_networks_are_left_alone(tmp_path: Path) -> None:
    net = tmp_path / "net"
    (net / "cni0").mkdir(parents=True)
    (net / "veth1" / "master").mkdir(parents=True)
    (net / "veth2").mkdir(parents=True)
    (tmp_path / "a.json").write_text(answer("veth1"))
    (tmp_path / "b.json").write_text(answer("veth2", interfaces=[{"name": "veth2", "mac": ""}]))
    (tmp_path / "c.json").write_text("{")
    assert repairs(ports(tmp_path), net) == ([], [])
