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

    def validate(self, obj: JSON) -> list[FieldError]:
        faults: list[FieldError] = []
        for i, subset in enumerate(obj.get("subsets") or ()):
            path = f"subsets[{i}]"
            if not subset.get("addresses") and not subset.get("notReadyAddresses"):
                faults.append(field.required(path, "must specify `addresses` or `notReadyAddresses`"))
            for name in ("addresses", "notReadyAddresses"):
                for j, address in enumerate(subset.get(name) or ()):
                    faults += _address(f"{path}.{name}[{j}].ip", address.get("ip") or "")
            ports = subset.get("ports") or ()
            for j, port in enumerate(ports):
                if len(ports) > 1 and not port.get("name"):
                    faults.append(field.required(f"{path}.ports[{j}].name"))
                faults += rulewords.port_number(f"{path}.ports[{j}].port", port.get("port"))
        return faults


class EndpointSliceStrategy(Strategy):
    """discovery.k8s.io/v1 EndpointSlice."""

    def default(self, obj: JSON) -> None:
        for port in obj.get("ports") or ():
            port.setdefault("name", "")
            if not port.get("protocol"):
                port["protocol"] = "TCP"

    def validate(self, obj: JSON) -> list[FieldError]:
        faults: list[FieldError] = []
        family = obj.get("addressType")
        if family not in _FAMILIES:
            faults.append(field.not_supported("addressType", family, _FAMILIES))
        endpoints, ports = obj.get("endpoints") or [], obj.get("ports") or []
        if len(endpoints) > 1000:
            faults.append(field.too_many("endpoints", len(endpoints), 1000))
        if len(ports) > 20000:
            faults.append(field.too_many("ports", len(ports), 20000))
        version = {"IPv4": 4, "IPv6": 6}.get(family or "")
        for i, endpoint in enumerate(endpoints):
            addresses = endpoint.get("addresses") or []
            if not addresses:
                faults.append(field.required(f"endpoints[{i}].addresses", "must contain at least 1 address"))
            if version:
                for j, address in enumerate(addresses):
                    faults += _address(f"endpoints[{i}].addresses[{j}]", address, version)
        seen: set[str] = set()
        for i, port in enumerate(ports):
            if port.get("name", "") in seen:
                faults.append(field.duplicate(f"ports[{i}].name", port.get("name", "")))
            seen.add(port.get("name", ""))
        return faults

    def validate_update(self, obj: JSON, old: JSON) -> list[FieldError]:
        faults = self.validate(obj)
        if obj.get("addressType") != old.get("addressType"):
            faults.append(field.invalid("addressType", obj.get("addressType"), "field is immutable"))
        return faults


class IngressStrategy(Strategy):
    """networking.k8s.io/v1 Ingress."""

    def prepare_create(self, obj: JSON, ctx: Context) -> None:
        obj["status"] = {"loadBalancer": {}}

    def validate(self, obj: JSON) -> list[FieldError]:
        spec = obj.get("spec") or {}
        faults: list[FieldError] = []
        if not spec.get("rules") and not spec.get("defaultBackend"):
            faults.append(field.invalid("spec", None, "either `defaultBackend` or `rules` must be specified"))
        kinds = ("Exact", "ImplementationSpecific", "Prefix")
        if spec.get("defaultBackend") is not None:
            faults += _backend(spec["defaultBackend"], "spec.defaultBackend")
        for i, rule in enumerate(spec.get("rules") or ()):
            if rule.get("host"):
                host = rule["host"].removeprefix("*.")
                faults += rulewords.subdomain(f"spec.rules[{i}].host", host)
                if rulewords.is_address(host):
                    faults.append(field.invalid(f"spec.rules[{i}].host", host, "must be a DNS name, not an IP address"))
            for j, path in enumerate((rule.get("http") or {}).get("paths") or ()):
                where = f"spec.rules[{i}].http.paths[{j}]"
                if not path.get("pathType"):
                    faults.append(field.required(f"{where}.pathType", "pathType must be specified"))
                elif path["pathType"] not in kinds:
                    faults.append(field.not_supported(f"{where}.pathType", path["pathType"], kinds))
                if path.get("pathType") != "ImplementationSpecific" and not (path.get("path") or "").startswith("/"):
                    faults.append(field.invalid(f"{where}.path", path.get("path", ""), "must be an absolute path"))
                faults += _backend(path.get("backend") or {}, f"{where}.backend")
        return faults


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
    protocols = ("TCP", "UDP", "SCTP")
    if port.get("protocol") not in protocols:
        yield field.not_supported(f"{path}.protocol", port.get("protocol"), protocols)
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

    def validate(self, obj: JSON) -> list[FieldError]:
        spec, types = obj.get("spec") or {}, ("Ingress", "Egress")
        faults = list(rulewords.label_selector("spec.podSelector", spec.get("podSelector")))
        for i, type_ in enumerate(spec.get("policyTypes") or ()):
            if type_ not in types:
                faults.append(field.not_supported(f"spec.policyTypes[{i}]", type_, types))
        for direction, peers in (("ingress", "from"), ("egress", "to")):
            for i, rule in enumerate(spec.get(direction) or ()):
                for j, port in enumerate(rule.get("ports") or ()):
                    faults += _policy_port(port, f"spec.{direction}[{i}].ports[{j}]")
                for j, peer in enumerate(rule.get(peers) or ()):
                    path = f"spec.{direction}[{i}].{peers}[{j}]"
                    if not peer:
                        faults.append(field.required(path, "must specify a peer"))
                    if len(peer) > 1 and peer.get("ipBlock") is not None:
                        faults.append(field.forbidden(path, "may not specify both ipBlock and another peer"))
                    for name in ("podSelector", "namespaceSelector"):
                        faults += rulewords.label_selector(f"{path}.{name}", peer.get(name))
                    if peer.get("ipBlock") is not None:
                        cidr = peer["ipBlock"].get("cidr") or ""
                        faults += rulewords.network(f"{path}.ipBlock.cidr", cidr, "not a valid CIDR")
                        for k, cut in enumerate(peer["ipBlock"].get("except") or ()):
                            faults += _exception(f"{path}.ipBlock.except[{k}]", cut, cidr)
        return faults


def _exception(path: str, cut: str, cidr: str) -> list[FieldError]:
    faults = list(rulewords.network(path, cut, "not a valid CIDR"))
    try:
        whole, part = (ipaddress.ip_network(one, strict=False) for one in (cidr, cut))
    except ValueError:
        return faults
    inside = part.version == whole.version and part.network_address in whole and part.prefixlen > whole.prefixlen
    return [] if inside else [field.invalid(path, cut, "must be a strict subset of `cidr`")]
