"""Endpoints, EndpointSlices, Ingresses and NetworkPolicies."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from apimachinery import field
from apimachinery.field import FieldError
from apimachinery.meta import JSON
from apiserver.registry import rulewords
from apiserver.registry.strategy import Context, Strategy

_FAMILIES = ("FQDN", "IPv4", "IPv6")


def _address(path: str, value: str, version: int | None = None) -> Iterator[FieldError]:
    if version and rulewords.is_address(value) and ipaddress.ip_address(value).version != version:
        yield field.invalid(path, value, f"must be an IPv{version} address")
    yield from rulewords.reachable_address(path, value)


class EndpointsStrategy(Strategy):
    """v1 Endpoints."""

    def default(self, obj: JSON) -> None:
        for subset in obj.get("subsets") or ():
            for port in subset.get("ports") or ():
                if not port.get("protocol"):
                    port["protocol"] = "TCP"

    def validate(self, obj: JSON) -> Iterator[FieldError]:
        for i, subset in enumerate(obj.get("subsets") or ()):
            path = f"subsets[{i}]"
            if not subset.get("addresses") and not subset.get("notReadyAddresses"):
                yield field.required(path, "must specify `addresses` or `notReadyAddresses`")
            for name in ("addresses", "notReadyAddresses"):
                for j, address in enumerate(subset.get(name) or ()):
                    yield from _address(f"{path}.{name}[{j}].ip", address.get("ip") or "")
            ports = subset.get("ports") or ()
            for j, port in enumerate(ports):
                if len(ports) > 1 and not port.get("name"):
                    yield field.required(f"{path}.ports[{j}].name")
                yield from rulewords.port_number(f"{path}.ports[{j}].port", port.get("port"))


class EndpointSliceStrategy(Strategy):
    """discovery.k8s.io/v1 EndpointSlice."""

    fixed = ("addressType",)

    def default(self, obj: JSON) -> None:
        for port in obj.get("ports") or ():
            port.setdefault("name", "")
            if not port.get("protocol"):
                port["protocol"] = "TCP"

    def validate(self, obj: JSON) -> Iterator[FieldError]:
        family = obj.get("addressType")
        yield from rulewords.one_of("addressType", family, _FAMILIES)
        endpoints, ports = obj.get("endpoints") or [], obj.get("ports") or []
        if len(endpoints) > 1000:
            yield field.too_many("endpoints", len(endpoints), 1000)
        if len(ports) > 20000:
            yield field.too_many("ports", len(ports), 20000)
        version = {"IPv4": 4, "IPv6": 6}.get(family or "")
        for i, endpoint in enumerate(endpoints):
            addresses = endpoint.get("addresses") or []
            if not addresses:
                yield field.required(f"endpoints[{i}].addresses", "must contain at least 1 address")
            if version:
                for j, address in enumerate(addresses):
                    yield from _address(f"endpoints[{i}].addresses[{j}]", address, version)
        seen: set[str] = set()
        for i, port in enumerate(ports):
            if port.get("name", "") in seen:
                yield field.duplicate(f"ports[{i}].name", port.get("name", ""))
            seen.add(port.get("name", ""))


class IngressStrategy(Strategy):
    """networking.k8s.io/v1 Ingress."""

    def prepare_create(self, obj: JSON, ctx: Context) -> None:
        obj["status"] = {"loadBalancer": {}}

    def validate(self, obj: JSON) -> Iterator[FieldError]:
        spec = obj.get("spec") or {}
        if not spec.get("rules") and not spec.get("defaultBackend"):
            yield field.invalid("spec", None, "either `defaultBackend` or `rules` must be specified")
        kinds = ("Exact", "ImplementationSpecific", "Prefix")
        if spec.get("defaultBackend") is not None:
            yield from _backend(spec["defaultBackend"], "spec.defaultBackend")
        for i, rule in enumerate(spec.get("rules") or ()):
            if rule.get("host"):
                host = rule["host"].removeprefix("*.")
                yield from rulewords.subdomain(f"spec.rules[{i}].host", host)
                if rulewords.is_address(host):
                    yield field.invalid(f"spec.rules[{i}].host", host, "must be a DNS name, not an IP address")
            for j, path in enumerate((rule.get("http") or {}).get("paths") or ()):
                where = f"spec.rules[{i}].http.paths[{j}]"
                if not path.get("pathType"):
                    yield field.required(f"{where}.pathType", "pathType must be specified")
                else:
                    yield from rulewords.one_of(f"{where}.pathType", path["pathType"], kinds)
                if path.get("pathType") != "ImplementationSpecific" and not (path.get("path") or "").startswith("/"):
                    yield field.invalid(f"{where}.path", path.get("path", ""), "must be an absolute path")
                yield from _backend(path.get("backend") or {}, f"{where}.backend")


def _backend(backend: JSON, path: str) -> Iterator[FieldError]:
    service = backend.get("service")
    if backend.get("resource") is not None:
        if service is not None:
            text = "cannot set both resource and service backends"
            yield field.invalid(path, "", text)
    elif service is None:
        yield field.invalid(path, "", "resource or service backend is required")
    else:
        if not service.get("name"):
            yield field.required(f"{path}.service.name")
        else:
            yield from rulewords.label(f"{path}.service.name", service["name"])
        port = service.get("port") or {}
        if port.get("name") and port.get("number"):
            yield field.invalid(path, "", "cannot set both port name & port number")
        elif not port.get("name") and not port.get("number"):
            yield field.required(path, "port name or number is required")
        else:
            yield from rulewords.port(f"{path}.service.port", port.get("name") or port.get("number"))


def _policy_port(port: JSON, path: str) -> Iterator[FieldError]:
    yield from rulewords.one_of(f"{path}.protocol", port.get("protocol"), ("TCP", "UDP", "SCTP"))
    first, last = port.get("port"), port.get("endPort")
    if first is not None:
        yield from rulewords.port(f"{path}.port", first)
    if last is not None and first is None:
        yield field.invalid(f"{path}.endPort", last, "may not be specified when `port` is not specified")
    elif last is not None and not isinstance(first, int):
        yield field.invalid(f"{path}.endPort", last, "may not be specified when `port` is non-numeric")
    elif last is not None:
        if last < first:
            yield field.invalid(f"{path}.endPort", last, "must be greater than or equal to `port`")
        yield from rulewords.port(f"{path}.endPort", last)


class NetworkPolicyStrategy(Strategy):
    """networking.k8s.io/v1 NetworkPolicy."""

    def default(self, obj: JSON) -> None:
        spec = obj.setdefault("spec", {})
        spec.setdefault("podSelector", {})
        if not spec.get("policyTypes"):
            spec["policyTypes"] = ["Ingress"] + (["Egress"] if spec.get("egress") else [])
        for direction in ("ingress", "egress"):
            for rule in spec.get(direction) or ():
                for port in rule.get("ports") or ():
                    port.setdefault("protocol", "TCP")

    def validate(self, obj: JSON) -> Iterator[FieldError]:
        spec = obj.get("spec") or {}
        yield from rulewords.label_selector("spec.podSelector", spec.get("podSelector"))
        for i, direction in enumerate(spec.get("policyTypes") or ()):
            yield from rulewords.one_of(f"spec.policyTypes[{i}]", direction, ("Ingress", "Egress"))
        for direction, peers in (("ingress", "from"), ("egress", "to")):
            for i, rule in enumerate(spec.get(direction) or ()):
                for j, port in enumerate(rule.get("ports") or ()):
                    yield from _policy_port(port, f"spec.{direction}[{i}].ports[{j}]")
                for j, peer in enumerate(rule.get(peers) or ()):
                    yield from _peer(peer, f"spec.{direction}[{i}].{peers}[{j}]")


def _peer(peer: JSON, path: str) -> Iterator[FieldError]:
    block = peer.get("ipBlock")
    if not peer:
        yield field.required(path, "must specify a peer")
    if len(peer) > 1 and block is not None:
        yield field.forbidden(path, "may not specify both ipBlock and another peer")
    for name in ("podSelector", "namespaceSelector"):
        yield from rulewords.label_selector(f"{path}.{name}", peer.get(name))
    if block is not None:
        cidr = block.get("cidr") or ""
        yield from rulewords.network(f"{path}.ipBlock.cidr", cidr, "not a valid CIDR")
        for i, cut in enumerate(block.get("except") or ()):
            yield from _exception(f"{path}.ipBlock.except[{i}]", cut, cidr)


def _exception(path: str, cut: str, cidr: str) -> Iterator[FieldError]:
    yield from rulewords.network(path, cut, "not a valid CIDR")
    try:
        whole, part = (ipaddress.ip_network(one, strict=False) for one in (cidr, cut))
    except ValueError:
        return
    if part.version != whole.version or part.network_address not in whole or part.prefixlen <= whole.prefixlen:
        yield field.invalid(path, cut, "must be a strict subset of `cidr`")
