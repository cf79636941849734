"""Networks of clusters: the first free /24, and no blackhole over what the host itself uses."""

import json
from ipaddress import IPv4Network as Network

import pytest

from minikubeadm.cluster import networks
from minikubeadm.process import StepFailed

HOST = """default via 192.0.2.1 dev eth0
192.0.2.0/24 dev eth0 proto kernel scope link src 192.0.2.2
local 127.0.0.0/8 dev lo table local proto kernel scope host src 127.0.0.1
blackhole 10.244.0.0/16
"""
RANGES = [Network("10.244.0.0/16"), Network("10.96.0.0/16")]


def test_the_first_network_is_taken_when_none_is() -> None:
    assert networks.first_free([]) == Network("172.30.0.0/24")


def test_networks_that_overlap_are_passed_over() -> None:
    taken = [Network("172.30.0.0/23"), Network("172.30.2.128/25"), Network("192.0.2.0/24")]
    assert networks.first_free(taken) == Network("172.30.3.0/24")


def test_no_free_network_is_an_error_with_a_hint() -> None:
    with pytest.raises(StepFailed) as failure:
        networks.first_free([Network("172.16.0.0/12")])
    assert "cluster list" in failure.value.hint


def test_a_host_that_uses_none_of_the_ranges_has_no_conflicts() -> None:
    assert networks.conflicts(RANGES, routes_text=HOST, resolv_conf="nameserver 192.0.2.53\n") == []


@pytest.mark.parametrize(
    ("route", "resolver", "expected"),
    [
        ("10.244.3.0/24 dev eth1 proto kernel scope link", "192.0.2.53", "route: 10.244.3.0/24"),
        ("10.0.0.0/8 via 192.0.2.7 dev eth0", "192.0.2.53", "route: 10.0.0.0/8"),
        ("198.51.100.0/24 via 10.96.0.1 dev eth0", "192.0.2.53", "gateway: 10.96.0.1"),
        ("", "10.96.0.10", "resolver: 10.96.0.10"),
    ],
)
def test_what_the_host_uses_in_a_range_is_named(route: str, resolver: str, expected: str) -> None:
    found = networks.conflicts(RANGES, routes_text=f"{HOST}{route}\n", resolv_conf=f"nameserver {resolver}\n")
    assert len(found) == 1
    assert found[0].startswith(expected)


async def test_a_range_that_another_took_meanwhile_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str] = []

    async def overtaken(cluster: str, ranges: list[str]) -> Network:
        tried.append(cluster)
        if len(tried) == 1:
            raise StepFailed("creating the network", output="Pool overlaps with other one on this address space")
        return Network("172.30.1.0/24")

    monkeypatch.setattr(networks, "_create", overtaken)
    assert await networks.create("c", []) == Network("172.30.1.0/24")
    assert len(tried) == 2


async def test_a_network_that_is_removed_while_they_are_listed_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, ...]] = []
    kept = {"Name": "mini-a", "Labels": {"mini-kubernetes.cluster": "a"}, "IPAM": {"Config": []}}

    async def docker(*argv: str, **_: object) -> str:
        asked.append(argv)
        if "ls" in argv:
            return "1 2" if len(asked) == 1 else "1"
        if "2" in argv:
            raise StepFailed("running docker", output="Error response from daemon: network 2 not found")
        return json.dumps([kept])

    monkeypatch.setattr("minikubeadm.process.run", docker)
    assert [one["name"] for one in await networks.listed()] == ["mini-a"]
