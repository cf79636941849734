"""Services: defaults, rules, and the keys that are allocated, kept and given back with them."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from apimachinery import errors, kinds
from apiserver.registry.services import ADDRESSES, NODE_PORTS, ServiceStrategy, allocations
from tests.apiserver.registry.objects import changed, context, made, messages, refused

PORTS = [{"port": 80}]
STRATEGY = ServiceStrategy(kinds.SERVICE)


def service(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "s", "namespace": "ns"}, "spec": {"ports": copy.deepcopy(PORTS), **spec}}


async def stored(**spec: Any) -> tuple[dict[str, Any], dict[str, bool]]:
    """The Service after allocation, and its keys: is each claimed (or given back)?"""
    obj = made(kinds.SERVICE, service(**spec))
    return obj, keys(await STRATEGY.allocate(obj, None, context()))


def keys(operations: Any) -> dict[str, bool]:
    return {operation.key: operation.must_be_absent for operation in operations}


DEFAULTS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (
        {},
        {
            "type": "ClusterIP", "sessionAffinity": "None", "internalTrafficPolicy": "Cluster",
            "ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}], "ipFamilies": ["IPv4"],
            "ipFamilyPolicy": "SingleStack", "externalTrafficPolicy": None,
        },
    ),
    ({"type": "NodePort"}, {"externalTrafficPolicy": "Cluster"}),
    ({"externalIPs": ["1.2.3.4"]}, {"externalTrafficPolicy": "Cluster"}),
    ({"type": "LoadBalancer"}, {"externalTrafficPolicy": "Cluster", "allocateLoadBalancerNodePorts": True}),
    ({"sessionAffinity": "ClientIP"}, {"sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 10800}}}),
    ({"type": "ExternalName", "externalName": "a.b"}, {"internalTrafficPolicy": None, "ipFamilies": None}),
]  # fmt: skip


@pytest.mark.parametrize(("spec", "wanted"), DEFAULTS)
def test_defaults(spec: dict[str, Any], wanted: dict[str, Any]) -> None:
    found = made(kinds.SERVICE, service(**spec))
    assert {name: found["spec"].get(name) for name in wanted} == wanted
    assert found["status"] == {"loadBalancer": {}}


NAME_PART = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
    "character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
REFUSED: list[tuple[dict[str, Any], list[str]]] = [
    ({}, []),
    ({"ports": []}, ["spec.ports: Required value"]),
    ({"ports": [], "clusterIP": "None"}, []),
    ({"type": "x"},
     ['spec.type: Unsupported value: "x": supported values: "ClusterIP", "ExternalName", "LoadBalancer", "NodePort"']),
    ({"type": "ExternalName"}, ["spec.externalName: Required value"]),
    ({"ports": [{"port": 1}, {"port": 2, "name": "b"}]}, ["spec.ports[0].name: Required value"]),
    ({"ports": [{"port": 1, "name": "a"}, {"port": 2, "name": "a"}]}, ['spec.ports[1].name: Duplicate value: "a"']),
    ({"ports": [{"port": 0, "targetPort": 1}]},
     ["spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive"]),
    ({"ports": [{"port": 1, "nodePort": 30000}]},
     ["spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'"]),
    ({"clusterIP": "x"},
     ['spec.clusterIPs[0]: Invalid value: "x": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)']),
    ({"type": "NodePort", "clusterIP": "None"},
     ['spec.clusterIPs[0]: Invalid value: "None": may not be set to \'None\' for NodePort services']),
    ({"ports": [{"port": 1, "targetPort": "a--b"}]},
     ['spec.ports[0].targetPort: Invalid value: "a--b": must not contain consecutive hyphens']),
    ({"type": "NodePort", "ports": [{"port": 1, "name": "a", "nodePort": 30001},
                                    {"port": 2, "name": "b", "nodePort": 30001}]},
     ["spec.ports[1].nodePort: Duplicate value: 30001"]),
    ({"selector": {"a b": "c"}}, [f'spec.selector: Invalid value: "a b": {NAME_PART}']),
    ({"sessionAffinity": "x"},
     ['spec.sessionAffinity: Unsupported value: "x": supported values: "ClientIP", "None"']),
]  # fmt: skip


@pytest.mark.parametrize(("spec", "wanted"), REFUSED)
def test_refused(spec: dict[str, Any], wanted: list[str]) -> None:
    assert refused(kinds.SERVICE, service(**spec)) == wanted


async def test_a_cluster_ip_is_claimed_with_the_service() -> None:
    obj, claimed = await stored()
    address = obj["spec"]["clusterIP"]
    assert obj["spec"]["clusterIPs"] == [address]
    assert claimed == {ADDRESSES + address: True}


async def test_a_chosen_address_and_node_port_are_claimed() -> None:
    obj, claimed = await stored(clusterIP="10.96.0.10", type="NodePort", ports=[{"port": 80, "nodePort": 30080}])
    assert claimed == {f"{ADDRESSES}10.96.0.10": True, f"{NODE_PORTS}30080": True}
    assert keys(STRATEGY.release(obj)) == dict.fromkeys(claimed, False)


async def test_one_node_port_serves_a_port_in_both_protocols() -> None:
    ports = [{"name": "a", "port": 53, "protocol": "UDP"}, {"name": "b", "port": 53, "protocol": "TCP"}]
    obj, claimed = await stored(type="NodePort", ports=ports)
    assert len({port["nodePort"] for port in obj["spec"]["ports"]}) == 1
    assert len(claimed) == 2


@pytest.mark.parametrize("spec", [{"clusterIP": "None"}, {"type": "ExternalName", "externalName": "a.b"}])
async def test_headless_and_external_names_claim_nothing(spec: dict[str, Any]) -> None:
    _, claimed = await stored(**spec)
    assert claimed == {}


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"clusterIP": "1.2.3.4"}, "The range of valid IPs is 10.96.0.0/"),
        ({"type": "NodePort", "ports": [{"port": 1, "nodePort": 80}]}, "The range of valid ports is 30000-32767"),
    ],
)
async def test_what_is_out_of_range_is_refused(spec: dict[str, Any], message: str) -> None:
    with pytest.raises(errors.StatusError, match=message):
        await stored(**spec)


CHANGES: list[tuple[dict[str, Any], dict[str, Any], int, int]] = [
    # before, change, keys claimed, keys given back
    ({}, {"selector": {"a": "b"}}, 0, 0),
    ({}, {"type": "NodePort"}, 1, 0),
    ({"type": "NodePort"}, {"type": "ClusterIP"}, 0, 1),
    ({"type": "NodePort"}, {"type": "ExternalName", "externalName": "a.b"}, 0, 2),
    ({"type": "ExternalName", "externalName": "a.b"}, {"type": "ClusterIP", "externalName": None}, 1, 0),
    ({"clusterIP": "None"}, {"selector": {"a": "b"}}, 0, 0),
]


@pytest.mark.parametrize(("before", "change", "claimed", "released"), CHANGES)
async def test_what_an_update_claims_and_gives_back(
    before: dict[str, Any], change: dict[str, Any], claimed: int, released: int
) -> None:
    old, _ = await stored(**before)
    new = copy.deepcopy(old)
    new["spec"] |= change
    new, faults = changed(STRATEGY, old, new)
    assert faults == []
    operations = keys(await STRATEGY.allocate(new, old, context()))
    assert (sum(operations.values()), len(operations) - sum(operations.values())) == (claimed, released)
    assert allocations(new["spec"]) == (allocations(old["spec"]) | {key for key, on in operations.items() if on}) - {
        key for key, on in operations.items() if not on
    }


async def test_an_update_without_them_keeps_address_and_node_port() -> None:
    old, _ = await stored(type="NodePort")
    new, faults = changed(STRATEGY, old, {**service(type="NodePort"), "metadata": old["metadata"]})
    assert faults == []
    assert new["spec"]["clusterIP"] == old["spec"]["clusterIP"]
    assert new["spec"]["ports"] == old["spec"]["ports"]


async def test_the_address_never_changes() -> None:
    old, _ = await stored(clusterIP="10.96.0.10")
    new = copy.deepcopy(old)
    new["spec"]["clusterIP"] = "10.96.0.11"
    assert changed(STRATEGY, old, new)[1] == [
        'spec.clusterIPs[0]: Invalid value: ["10.96.0.11"]: may not change once set'
    ]


def test_a_lost_race_is_the_clients_fault_only_if_it_chose() -> None:
    asked = made(kinds.SERVICE, service(clusterIP="10.96.0.10", ports=[{"port": 80, "nodePort": 30080}]))
    fault = STRATEGY.clash(asked, f"{NODE_PORTS}30080")
    assert fault is not None
    assert messages([fault]) == ["spec.ports[0].nodePort: Invalid value: 30080: provided port is already allocated"]
    assert STRATEGY.clash(asked, f"{ADDRESSES}10.96.0.10") is not None
    assert STRATEGY.clash(asked, f"{ADDRESSES}10.96.0.99") is None
    assert STRATEGY.clash(asked, f"{NODE_PORTS}30099") is None
