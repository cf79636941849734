"""What the proxy makes of Services and EndpointSlices: a value that any back end can write as rules.

A `Port` is one port of one Service with everything a back end needs; `ports` computes them all. Nothing here knows of
iptables.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from apimachinery import meta
from apimachinery.meta import JSON

SERVICE_NAME_LABEL = "kubernetes.io/service-name"
PROXY_NAME_LABEL = "service.kubernetes.io/service-proxy-name"
HEADLESS_LABEL = "service.kubernetes.io/headless"


@dataclass(frozen=True, slots=True, order=True)
class Endpoint:
    """One address behind a port; `local` if it is on this node."""

    address: str
    port: int
    local: bool


@dataclass(frozen=True, slots=True)
class Port:
    """One port of a Service: where it is reached, and the endpoints that take its traffic."""

    namespace: str
    service: str
    name: str
    protocol: str
    cluster_ip: str
    port: int
    node_port: int
    external_ips: tuple[str, ...]
    balancer_ips: tuple[str, ...]
    source_ranges: tuple[str, ...]
    affinity_seconds: int
    internal_local: bool
    external_local: bool
    endpoints: tuple[Endpoint, ...]
    local_endpoints: tuple[Endpoint, ...]

    @property
    def full_name(self) -> str:
        """`namespace/service:port` as it stands in comments and hashes."""
        return f"{self.namespace}/{self.service}" + (f":{self.name}" if self.name else "")

    @property
    def outside_ips(self) -> tuple[str, ...]:
        """All addresses besides the cluster's own."""
        return tuple(dict.fromkeys((*self.external_ips, *self.balancer_ips)))

    @property
    def internal_endpoints(self) -> tuple[Endpoint, ...]:
        """Who serves traffic to the cluster address."""
        return self.local_endpoints if self.internal_local else self.endpoints


def proxied(service: JSON) -> bool:
    """Whether the Service has an address that the proxy answers for."""
    spec, labels = service.get("spec") or {}, meta.labels(service)
    if PROXY_NAME_LABEL in labels or spec.get("type") == "ExternalName":
        return False
    return bool(spec.get("clusterIP")) and spec["clusterIP"] != "None"


def service_of(endpoint_slice: JSON) -> str:
    """The key of the Service that a slice belongs to; "" if it belongs to none, or only lists a headless one."""
    labels = meta.labels(endpoint_slice)
    name = labels.get(SERVICE_NAME_LABEL)
    return f"{meta.namespace(endpoint_slice)}/{name}" if name and HEADLESS_LABEL not in labels else ""


def ports(service: JSON, slices: Iterable[JSON], *, node: str) -> list[Port]:
    """The ports of one Service with their endpoints, as seen from `node`."""
    if not proxied(service):
        return []
    spec = service["spec"]
    slices = [one for one in slices if one.get("addressType", "IPv4") == "IPv4"]
    ingress = ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
    balancers = [entry["ip"] for entry in ingress if entry.get("ip") and entry.get("ipMode") != "Proxy"]
    sources = [one.strip() for one in spec.get("loadBalancerSourceRanges") or () if ":" not in one]
    affinity = 0
    if spec.get("sessionAffinity") == "ClientIP":
        config = (spec.get("sessionAffinityConfig") or {}).get("clientIP") or {}
        affinity = config.get("timeoutSeconds") or 10800
    made = []
    for port in spec.get("ports") or ():
        found = list(_endpoints(slices, port, node))
        made.append(
            Port(
                namespace=meta.namespace(service),
                service=meta.name(service),
                name=port.get("name") or "",
                protocol=(port.get("protocol") or "TCP").lower(),
                cluster_ip=spec["clusterIP"],
                port=port["port"],
                node_port=port.get("nodePort") or 0,
                external_ips=tuple(dict.fromkeys(spec.get("externalIPs") or ())),
                balancer_ips=tuple(dict.fromkeys(balancers)),
                source_ranges=() if "0.0.0.0/0" in sources else tuple(sources),
                affinity_seconds=affinity,
                internal_local=spec.get("internalTrafficPolicy") == "Local",
                external_local=spec.get("externalTrafficPolicy") == "Local",
                endpoints=_usable(found),
                local_endpoints=_usable([entry for entry in found if entry[0].local]),
            )
        )
    return made


def _endpoints(slices: Iterable[JSON], port: JSON, node: str) -> Iterator[tuple[Endpoint, Mapping[str, bool | None]]]:
    """Every endpoint of a Service port with its conditions."""
    for one in slices:
        for offered in one.get("ports") or ():
            same = (offered.get("name") or "") == (port.get("name") or "")
            if not same or (offered.get("protocol") or "TCP") != (port.get("protocol") or "TCP"):
                continue
            if not offered.get("port"):
                continue
            for endpoint in one.get("endpoints") or ():
                found = Endpoint(endpoint["addresses"][0], offered["port"], endpoint.get("nodeName") == node)
                yield found, endpoint.get("conditions") or {}


def _usable(found: list[tuple[Endpoint, Mapping[str, bool | None]]]) -> tuple[Endpoint, ...]:
    """The ready ones; if there are none, those that end but serve on (KEP-1669)."""
    ready = {endpoint for endpoint, conditions in found if conditions.get("ready") is not False}
    if not ready:
        ready = {
            endpoint for endpoint, conditions in found if conditions.get("serving") and conditions.get("terminating")
        }
    return tuple(sorted(ready))
