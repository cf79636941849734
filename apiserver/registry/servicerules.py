"""The rules of a Service's spec: its type, addresses and ports."""

from __future__ import annotations

from collections.abc import Iterator

from apimachinery import field
from apimachinery.field import FieldError
from apimachinery.meta import JSON
from apiserver.registry import rulewords

TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
WITH_NODE_PORTS = ("NodePort", "LoadBalancer")
_POLICIES = ("Cluster", "Local")


def faults(spec: JSON) -> Iterator[FieldError]:
    """Every fault of a Service's spec, already defaulted."""
    kind = spec["type"]
    headless = spec.get("clusterIP") == "None"
    if not spec.get("ports") and not headless and kind != "ExternalName":
        yield field.required("spec.ports")
    if kind == "ExternalName":
        if not spec.get("externalName"):
            yield field.required("spec.externalName")
        else:
            yield from rulewords.subdomain("spec.externalName", spec["externalName"].removesuffix("."))
        if spec.get("clusterIP"):
            yield field.forbidden("spec.clusterIPs", "may not be set for ExternalName services")
    if headless and kind in WITH_NODE_PORTS:
        yield field.invalid("spec.clusterIPs[0]", "None", f"may not be set to 'None' for {kind} services")
    yield from rulewords.one_of("spec.sessionAffinity", spec.get("sessionAffinity"), ("ClientIP", "None"))
    for name in ("externalTrafficPolicy", "internalTrafficPolicy"):
        if spec.get(name):
            yield from rulewords.one_of(f"spec.{name}", spec[name], _POLICIES)
    if spec.get("externalTrafficPolicy") and kind not in WITH_NODE_PORTS and not spec.get("externalIPs"):
        text = "may only be set for externally-accessible services"
        yield field.invalid("spec.externalTrafficPolicy", spec["externalTrafficPolicy"], text)
    yield from rulewords.label_map("spec.selector", spec.get("selector"))
    timeout = ((spec.get("sessionAffinityConfig") or {}).get("clientIP") or {}).get("timeoutSeconds")
    if timeout is not None and not 0 < timeout <= 86400:
        path = "spec.sessionAffinityConfig.clientIP.timeoutSeconds"
        yield field.invalid(path, timeout, "must be greater than 0 and less than 86400")
    yield from _address_faults(spec)
    yield from _port_faults(spec)
    yield from rulewords.one_of("spec.type", kind, TYPES)


def _address_faults(spec: JSON) -> Iterator[FieldError]:
    address, listed = spec.get("clusterIP"), spec.get("clusterIPs") or []
    if address and address != "None":
        yield from rulewords.address("spec.clusterIPs[0]", address)
    if listed and address and listed[0] != address:
        yield field.invalid("spec.clusterIPs", listed, "first value must match `clusterIP`")
    for i, external in enumerate(spec.get("externalIPs") or ()):
        yield from rulewords.reachable_address(f"spec.externalIPs[{i}]", external)
    ranges = spec.get("loadBalancerSourceRanges") or ()
    if ranges and spec["type"] != "LoadBalancer":
        text = "may only be used when `type` is 'LoadBalancer'"
        yield field.forbidden("spec.loadBalancerSourceRanges", text)
    for i, wanted in enumerate(ranges):
        yield from rulewords.network(f"spec.loadBalancerSourceRanges[{i}]", wanted.strip())


def _port_faults(spec: JSON) -> Iterator[FieldError]:
    ports = spec.get("ports") or []
    seen: set[str] = set()
    taken: set[tuple[str, int]] = set()
    node_ports: set[tuple[str | None, int | None]] = set()
    for i, port in enumerate(ports):
        path, name = f"spec.ports[{i}]", port.get("name") or ""
        if not name and len(ports) > 1:
            yield field.required(f"{path}.name")
        elif name:
            yield from rulewords.label(f"{path}.name", name)
            if name in seen:
                yield field.duplicate(f"{path}.name", name)
            seen.add(name)
        number = port.get("port") or 0
        yield from rulewords.port_number(f"{path}.port", number)
        yield from rulewords.one_of(f"{path}.protocol", port.get("protocol"), rulewords.PROTOCOLS)
        if (port.get("protocol"), number) in taken:
            yield field.duplicate(path, port)
        taken.add((port.get("protocol") or "TCP", number))
        yield from rulewords.port(f"{path}.targetPort", port.get("targetPort"))
        pair = (port.get("protocol"), port.get("nodePort"))
        if pair[1] and pair in node_ports:
            yield field.duplicate(f"{path}.nodePort", pair[1])
        node_ports.add(pair)
        if port.get("nodePort") and spec["type"] not in WITH_NODE_PORTS:
            text = "may not be used when `type` is 'ClusterIP'"
            yield field.forbidden(f"{path}.nodePort", text)
