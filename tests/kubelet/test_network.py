"""CNI plugins as processes, and the overlay's entries as values."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from componentbase import host
from kubelet.network import kernel, overlay
from kubelet.network.cni import CNI, Attachment, CNIError, addresses, bridge_conflist, plugin_request

PLUGIN = """#!/bin/sh
cat > {log}/$CNI_COMMAND-{name}.json
echo "$CNI_COMMAND {name} $CNI_CONTAINERID $CNI_NETNS $CNI_IFNAME" >> {log}/calls
{body}
"""
ADDED = 'test $CNI_COMMAND = ADD && echo \'{"cniVersion":"1.0.0","ips":[{"address":"10.244.1.7/24"}]}\'; true'
FAILS = 'test $CNI_COMMAND = DEL || { echo \'{"code":11,"msg":"no room"}\'; exit 1; }'
SANDBOX = Attachment(sandbox="sb1", netns="/proc/999999/ns/net", namespace="shop", name="web", uid="u")


def make(tmp_path: Path, **bodies: str) -> CNI:
    conf, binaries = tmp_path / "conf", tmp_path / "bin"
    conf.mkdir()
    binaries.mkdir()
    for name, body in bodies.items():
        path = binaries / name
        path.write_text(PLUGIN.format(log=tmp_path, name=name, body=body))
        path.chmod(0o755)
    config = {"cniVersion": "1.0.0", "name": "testnet", "plugins": [{"type": name} for name in bodies]}
    (conf / "10-x.conflist").write_text(json.dumps(config))
    return CNI(conf, [str(binaries)], results_dir=tmp_path / "results")


def calls(tmp_path: Path) -> list[str]:
    return (tmp_path / "calls").read_text().splitlines()


async def test_add_runs_the_plugins_in_order_and_keeps_the_result(tmp_path: Path) -> None:
    cni = make(tmp_path, first=ADDED, second=ADDED)
    assert await cni.add(SANDBOX) == ["10.244.1.7"]
    assert calls(tmp_path) == [f"ADD {name} sb1 /proc/999999/ns/net eth0" for name in ("first", "second")]
    passed = json.loads((tmp_path / "ADD-second.json").read_text())
    assert passed["name"] == "testnet" and passed["prevResult"]["ips"] == [{"address": "10.244.1.7/24"}]
    assert cni.addresses("sb1") == ["10.244.1.7"], "known without asking again"


async def test_delete_runs_them_backwards_with_the_result(tmp_path: Path) -> None:
    cni = make(tmp_path, first=ADDED, second=ADDED)
    await cni.add(SANDBOX)
    await cni.delete(SANDBOX)
    assert [line.split()[:2] for line in calls(tmp_path)[2:]] == [["DEL", "second"], ["DEL", "first"]]
    assert "prevResult" in json.loads((tmp_path / "DEL-first.json").read_text())
    assert cni.addresses("sb1") == []


async def test_a_failed_add_is_undone_and_says_why(tmp_path: Path) -> None:
    cni = make(tmp_path, first=ADDED, second=FAILS)
    with pytest.raises(CNIError, match=r'plugin type="second" failed \(add\): no room'):
        await cni.add(SANDBOX)
    assert [line.split()[:2] for line in calls(tmp_path)][-2:] == [["DEL", "second"], ["DEL", "first"]]


async def test_a_missing_plugin_and_a_missing_network_are_said(tmp_path: Path) -> None:
    cni = make(tmp_path, first=ADDED)
    (tmp_path / "bin/first").unlink()
    with pytest.raises(CNIError, match='failed to find plugin "first"'):
        await cni.add(SANDBOX)
    (tmp_path / "conf/10-x.conflist").unlink()
    with pytest.raises(CNIError, match="no networks found"):
        await cni.add(SANDBOX)


async def test_the_nodes_own_namespace_is_never_detached(tmp_path: Path) -> None:
    cni = make(tmp_path, first=ADDED)
    own = Attachment(sandbox="sb1", netns=f"/proc/{os.getpid()}/ns/net", namespace="", name="", uid="")
    with pytest.raises(CNIError, match="own network namespace"):
        await cni.delete(own)
    assert not (tmp_path / "calls").exists()


async def test_collect_releases_what_no_longer_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cni = make(tmp_path, first=ADDED)
    monkeypatch.setattr("kubelet.network.cni.HOST_LOCAL_DATA", tmp_path / "networks")
    held = tmp_path / "networks/testnet"
    held.mkdir(parents=True)
    (held / "10.244.1.2").write_text("running\r\neth0")
    (held / "10.244.1.3").write_text("gone\r\neth0")
    (held / "last_reserved_ip.0").write_text("10.244.1.3")
    assert await cni.collect({"running"}) == ["gone"]
    assert calls(tmp_path) == ["DEL first gone  eth0"]


def test_port_mappings_go_to_plugins_that_can() -> None:
    config = bridge_conflist(name="mini", pod_cidr="10.244.1.0/24", mtu=1450, bridge="cni0")
    wanted = Attachment(sandbox="s", netns="n", namespace="", name="", uid="", port_mappings=({"hostPort": 80},))
    bridge, portmap = (plugin_request(config, plugin, wanted, {}) for plugin in config["plugins"])
    assert "runtimeConfig" not in bridge
    assert portmap["runtimeConfig"] == {"portMappings": [{"hostPort": 80}]}
    assert bridge["ipMasq"] is False and bridge["ipam"]["ranges"] == [[{"subnet": "10.244.1.0/24"}]]
    assert addresses({}) == []


def node(name: str, ip: str, cidr: str) -> dict[str, Any]:
    addresses = [{"type": "InternalIP", "address": ip}] if ip else []
    return {"metadata": {"name": name}, "spec": {"podCIDR": cidr}, "status": {"addresses": addresses}}


def test_peers_are_the_other_nodes_with_address_and_range() -> None:
    nodes = [
        node("n1", "172.30.0.2", "10.244.0.0/24"),
        node("n2", "172.30.0.3", "10.244.1.0/24"),
        node("n3", "", "10.244.2.0/24"),
        node("n4", "172.30.0.5", ""),
    ]
    (peer,) = overlay.wanted(nodes, "n1")
    assert (peer.pod_cidr, peer.vtep_ip, peer.node_ip) == ("10.244.1.0/24", "10.244.1.0", "172.30.0.3")
    assert peer.mac == overlay.vtep_mac("172.30.0.3") == "0e:6d:ac:1e:00:03"


def test_only_what_leaves_the_cluster_is_masqueraded() -> None:
    lines = kernel.masquerade_rules(pod_cidr="10.244.1.0/24", cluster_cidr="10.244.0.0/16").splitlines()
    rules = [line for line in lines if line.startswith("-A MINI-MASQ")]
    assert "-d 10.244.0.0/16" in rules[0] and rules[0].endswith("RETURN")
    assert "-s 10.244.1.0/24" in rules[-1] and rules[-1].endswith("MASQUERADE")


def test_sysctls_that_are_absent_are_reported(tmp_path: Path) -> None:
    path = tmp_path / "net/ipv4/ip_forward"
    path.parent.mkdir(parents=True)
    path.write_text("0\n")
    failed = host.set_sysctls(kernel.SYSCTLS, tmp_path)
    assert path.read_text() == "1"
    assert "net/bridge/bridge-nf-call-iptables" in failed
