"""Endpoints, slices, ingresses and network policies."""

from __future__ import annotations

from typing import Any

import pytest

from apimachinery import kinds
from apimachinery.kinds import Kind
from apiserver.registry.table import strategy_for
from tests.apiserver.registry.objects import changed, made, refused

DEFAULTS: list[tuple[Kind, dict[str, Any], dict[str, Any]]] = [
    (
        kinds.ENDPOINTS,
        {"subsets": [{"addresses": [{"ip": "10.0.0.1"}], "ports": [{"port": 80}]}]},
        {"subsets": [{"addresses": [{"ip": "10.0.0.1"}], "ports": [{"port": 80, "protocol": "TCP"}]}]},
    ),
    (
        kinds.ENDPOINT_SLICE,
        {"addressType": "IPv4", "endpoints": [], "ports": [{"port": 80}]},
        {"ports": [{"name": "", "port": 80, "protocol": "TCP"}]},
    ),
    (
        kinds.NETWORK_POLICY,
        {"spec": {"podSelector": {}, "ingress": [{"ports": [{"port": 80}]}]}},
        {
            "spec": {
                "podSelector": {},
                "policyTypes": ["Ingress"],
                "ingress": [{"ports": [{"port": 80, "protocol": "TCP"}]}],
            }
        },
    ),
    (
        kinds.NETWORK_POLICY,
        {"spec": {"egress": [{}]}},
        {"spec": {"podSelector": {}, "egress": [{}], "policyTypes": ["Ingress", "Egress"]}},
    ),
    (
        kinds.NETWORK_POLICY,
        {"spec": {"egress": []}},
        {"spec": {"podSelector": {}, "egress": [], "policyTypes": ["Ingress"]}},
    ),
]


@pytest.mark.parametrize(("kind", "body", "wanted"), DEFAULTS)
def test_defaults(kind: Kind, body: dict[str, Any], wanted: dict[str, Any]) -> None:
    found = made(kind, body)
    assert {name: found.get(name) for name in wanted} == wanted


def slice_of(*addresses: str, family: str = "IPv4") -> dict[str, Any]:
    return {"addressType": family, "endpoints": [{"addresses": list(addresses)}]}


def path(**more: Any) -> dict[str, Any]:
    return {
        "spec": {
            "rules": [{"http": {"paths": [{"backend": {"service": {"name": "s", "port": {"number": 80}}}, **more}]}}]
        }
    }


PATH = "spec.rules[0].http.paths[0]"
REFUSED: list[tuple[Kind, dict[str, Any], list[str]]] = [
    (kinds.ENDPOINT_SLICE, slice_of("10.0.0.1"), []),
    (kinds.ENDPOINT_SLICE, slice_of(), ["endpoints[0].addresses: Required value: must contain at least 1 address"]),
    (
        kinds.ENDPOINT_SLICE,
        slice_of("127.0.0.1"),
        [
            'endpoints[0].addresses[0]: Invalid value: "127.0.0.1": may not be in the loopback range '
            "(127.0.0.0/8, ::1/128)"
        ],
    ),
    (
        kinds.ENDPOINT_SLICE,
        slice_of("fd00::1"),
        ['endpoints[0].addresses[0]: Invalid value: "fd00::1": must be an IPv4 address'],
    ),
    (
        kinds.ENDPOINT_SLICE,
        slice_of("a.b", family="DNS"),
        ['addressType: Unsupported value: "DNS": supported values: "FQDN", "IPv4", "IPv6"'],
    ),
    (
        kinds.ENDPOINTS,
        {"subsets": [{}]},
        ["subsets[0]: Required value: must specify `addresses` or `notReadyAddresses`"],
    ),
    (kinds.INGRESS, {"spec": {}}, ["spec: Invalid value: null: either `defaultBackend` or `rules` must be specified"]),
    (kinds.INGRESS, path(path="/", pathType="Prefix"), []),
    (kinds.INGRESS, path(path="a", pathType="Exact"), [f'{PATH}.path: Invalid value: "a": must be an absolute path']),
    (
        kinds.INGRESS,
        path(path="/", pathType="Exact", backend={}),
        [f'{PATH}.backend: Invalid value: "": resource or service backend is required'],
    ),
    (
        kinds.INGRESS,
        path(path="/", pathType="Exact", backend={"service": {"name": "s"}}),
        [f"{PATH}.backend: Required value: port name or number is required"],
    ),
    (
        kinds.NETWORK_POLICY,
        {"spec": {"ingress": [{"from": [{"ipBlock": {"cidr": "x"}}]}]}},
        ['spec.ingress[0].from[0].ipBlock.cidr: Invalid value: "x": not a valid CIDR'],
    ),
    (
        kinds.NETWORK_POLICY,
        {
            "spec": {
                "egress": [
                    {
                        "to": [
                            {
                                "ipBlock": {
                                    "cidr": "192.0.2.0/24",
                                    "except": ["192.0.2.0/25", "192.0.2.0/24", "192.0.3.0/25", "x"],
                                }
                            }
                        ]
                    }
                ]
            }
        },
        [
            'spec.egress[0].to[0].ipBlock.except[1]: Invalid value: "192.0.2.0/24": must be a strict subset of `cidr`',
            'spec.egress[0].to[0].ipBlock.except[2]: Invalid value: "192.0.3.0/25": must be a strict subset of `cidr`',
            'spec.egress[0].to[0].ipBlock.except[3]: Invalid value: "x": not a valid CIDR',
        ],
    ),
    (
        kinds.NETWORK_POLICY,
        {"spec": {"ingress": [{"from": [{"ipBlock": {"cidr": "192.0.2.0/24"}, "podSelector": {}}]}]}},
        ["spec.ingress[0].from[0]: Forbidden: may not specify both ipBlock and another peer"],
    ),
    (
        kinds.NETWORK_POLICY,
        {
            "spec": {
                "ingress": [{"ports": [{"port": 80, "endPort": 70}, {"port": "http", "endPort": 90}, {"endPort": 9}]}]
            }
        },
        [
            "spec.ingress[0].ports[0].endPort: Invalid value: 70: must be greater than or equal to `port`",
            "spec.ingress[0].ports[1].endPort: Invalid value: 90: may not be specified when `port` is non-numeric",
            "spec.ingress[0].ports[2].endPort: Invalid value: 9: may not be specified when `port` is not specified",
        ],
    ),
    (
        kinds.INGRESS,
        path(path="/", pathType="Regex"),
        [f'{PATH}.pathType: Unsupported value: "Regex": supported values: "Exact", "ImplementationSpecific", "Prefix"'],
    ),
]


@pytest.mark.parametrize(("kind", "body", "wanted"), REFUSED)
def test_refused(kind: Kind, body: dict[str, Any], wanted: list[str]) -> None:
    assert refused(kind, body) == wanted


def test_a_slices_address_type_never_changes() -> None:
    old = made(kinds.ENDPOINT_SLICE, {"addressType": "IPv4", "endpoints": []})
    new = made(kinds.ENDPOINT_SLICE, {"addressType": "IPv6", "endpoints": []})
    _, faults = changed(strategy_for(kinds.ENDPOINT_SLICE), old, new)
    assert faults == ['addressType: Invalid value: "IPv6": field is immutable']
