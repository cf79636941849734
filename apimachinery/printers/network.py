"""Columns of Services and what is around them."""

from collections.abc import Iterable
from typing import Any, Final

from apimachinery.printers.cells import (
    AGE,
    NAME,
    NONE,
    UNSET,
    Column,
    at,
    joined,
    label_list,
    look,
    selector,
    simply,
    wide,
)

JSON = dict[str, Any]
_MOST: Final = 3


def _cluster_ip(service: JSON) -> str:
    addresses = look(service, "spec.clusterIPs") or [look(service, "spec.clusterIP")]
    return addresses[0] or NONE


def _external_ip(service: JSON) -> str:
    spec = service.get("spec") or {}
    own = spec.get("externalIPs") or []
    match spec.get("type"):
        case "ExternalName":
            return str(spec.get("externalName") or "")
        case "LoadBalancer":
            return joined([*_balanced(service), *own], default="<pending>")
    return joined(own)


def _balanced(obj: JSON) -> list[str]:
    """The load balancer's addresses."""
    ingress: Iterable[JSON] = look(obj, "status.loadBalancer.ingress") or ()
    return sorted({each.get("ip") or each.get("hostname") or "" for each in ingress})


def _ports(service: JSON) -> str:
    shown = []
    for port in look(service, "spec.ports") or ():
        node_port = f":{port['nodePort']}" if port.get("nodePort") else ""
        shown.append(f"{port['port']}{node_port}/{port.get('protocol') or 'TCP'}")
    return joined(shown)


def _endpoints(obj: JSON) -> str:
    shown = []
    for subset in obj.get("subsets") or ():
        for port in subset.get("ports") or (None,):
            suffix = f":{port['port']}" if port else ""
            shown += [_host(each["ip"], bool(port)) + suffix for each in subset.get("addresses") or ()]
    return joined(shown, default="" if obj.get("subsets") else NONE, most=_MOST)


def _host(address: str, with_port: bool) -> str:
    return f"[{address}]" if with_port and ":" in address else address


def _slice_ports(obj: JSON) -> str:
    shown = (each.get("port") or each.get("name") or "*" for each in obj.get("ports") or ())
    return joined(shown, default=UNSET, most=_MOST)


def _slice_addresses(obj: JSON) -> str:
    shown = (address for each in obj.get("endpoints") or () for address in each.get("addresses") or ())
    return joined(shown, default=UNSET, most=_MOST)


def _hosts(ingress: JSON) -> str:
    hosts = [each["host"] for each in look(ingress, "spec.rules") or () if each.get("host")]
    return joined(hosts, default="*", most=_MOST)


def _class_parameters(obj: JSON) -> str:
    parameters = look(obj, "spec.parameters")
    if not parameters:
        return NONE
    group = parameters.get("apiGroup")
    return f"{parameters['kind']}{f'.{group}' if group else ''}/{parameters['name']}"


def _parent(obj: JSON) -> str:
    parent = look(obj, "spec.parentRef") or {}
    group = parent.get("group")
    parts = (f"{parent.get('resource', '')}{f'.{group}' if group else ''}", parent.get("namespace"), parent.get("name"))
    return "/".join(part for part in parts if part)


TABLES: Final[dict[str, tuple[Column, ...]]] = {
    "services": (
        NAME,
        Column("Type", at("spec.type")),
        Column("Cluster-IP", simply(_cluster_ip)),
        Column("External-IP", simply(_external_ip)),
        Column("Port(s)", simply(_ports)),
        AGE,
        wide("Selector", simply(lambda obj: label_list(look(obj, "spec.selector")))),
    ),
    "endpoints": (NAME, Column("Endpoints", simply(_endpoints)), AGE),
    "endpointslices.discovery.k8s.io": (
        NAME,
        Column("AddressType", at("addressType")),
        Column("Ports", simply(_slice_ports)),
        Column("Endpoints", simply(_slice_addresses)),
        AGE,
    ),
    "ingresses.networking.k8s.io": (
        NAME,
        Column("Class", at("spec.ingressClassName", NONE)),
        Column("Hosts", simply(_hosts)),
        Column("Address", simply(lambda obj: joined(_balanced(obj), default=""))),
        Column("Ports", simply(lambda obj: "80, 443" if look(obj, "spec.tls") else "80")),
        AGE,
    ),
    "ingressclasses.networking.k8s.io": (
        NAME,
        Column("Controller", at("spec.controller")),
        Column("Parameters", simply(_class_parameters)),
        AGE,
    ),
    "networkpolicies.networking.k8s.io": (NAME, Column("Pod-Selector", selector("spec.podSelector")), AGE),
    "ipaddresses.networking.k8s.io": (NAME, Column("ParentRef", simply(_parent))),
    "servicecidrs.networking.k8s.io": (
        NAME,
        Column("CIDRs", simply(lambda obj: joined(look(obj, "spec.cidrs") or (), default=""))),
        AGE,
    ),
}
