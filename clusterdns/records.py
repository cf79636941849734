"""What the cluster's names mean: from the Services, EndpointSlices and pods that are known to an answer.

The names are those of the DNS specification for Kubernetes (schema 1.1.0):

  SERVICE.NS.svc.ZONE             A: the cluster address, or for a headless Service every ready endpoint; CNAME
  HOST.SERVICE.NS.svc.ZONE        A: one endpoint of a headless Service, by hostname or dashed address
  _PORT._PROTO.SERVICE.NS.svc...  SRV: the port, of the Service or of each endpoint
  1-2-3-4.NS.pod.ZONE             A: the address that is its name
  4.3.2.1.in-addr.arpa            PTR: back to the Service or endpoint

An answer is a value (`Answer`); nothing here knows of packets. Names come in lower case, without the last dot.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from apimachinery import meta
from apimachinery.meta import JSON

SERVICE_NAME_LABEL = "kubernetes.io/service-name"


@dataclass(frozen=True, slots=True)
class Record:
    """One resource record; `data` is an address, a name, or (priority, weight, port, target)."""

    name: str
    type: str
    data: str | tuple[int, int, int, str]


@dataclass(frozen=True, slots=True)
class Answer:
    """`exists` is False for NXDOMAIN; a name that exists without such a record has no `records`."""

    exists: bool
    records: Sequence[Record] = ()
    additional: Sequence[Record] = field(default=())


class Known(Protocol):
    """What the names are looked up in."""

    def service(self, namespace: str, name: str) -> JSON | None:
        """The Service of that name."""

    def slices(self, namespace: str, name: str) -> Iterable[JSON]:
        """The EndpointSlices of a Service."""

    def has_namespace(self, namespace: str) -> bool:
        """Whether there is such a namespace."""

    def by_address(self, address: str) -> JSON | None:
        """The Service with that cluster address."""

    def slices_with(self, address: str) -> Iterable[JSON]:
        """The EndpointSlices that list that address."""


NOTHING = Answer(exists=False)
EMPTY = Answer(exists=True)


def lookup(known: Known, zone: str, name: str, kind: str) -> Answer | None:
    """The answer to a question of type `kind` (A, AAAA, SRV, CNAME, PTR, ...); None if the name is not ours."""
    if name.endswith((".in-addr.arpa", ".ip6.arpa")):
        return _reverse(known, zone, name, kind)
    if name == zone:
        return EMPTY
    if not name.endswith("." + zone):
        return None
    labels = name[: -len(zone) - 1].split(".")
    kinds = {"svc": _in_services, "pod": _in_pods}
    if labels == ["dns-version"]:
        return EMPTY
    if labels[-1] not in kinds:
        return NOTHING
    if len(labels) == 1:
        return EMPTY
    if len(labels) == 2:
        return EMPTY if known.has_namespace(labels[0]) else NOTHING
    return kinds[labels[-1]](known, labels[-2], labels[:-2], name, kind, zone)


def _in_services(known: Known, namespace: str, labels: list[str], name: str, kind: str, zone: str) -> Answer:
    service = known.service(namespace, labels[-1])
    if service is None:
        return NOTHING
    spec = service.get("spec") or {}
    base = f"{labels[-1]}.{namespace}.svc.{zone}"
    front = labels[:-1]
    if spec.get("type") == "ExternalName":
        if front:
            return NOTHING
        return Answer(True, [Record(name, "CNAME", spec["externalName"])])
    if len(front) == 2 and front[0].startswith("_"):
        return _service_ports(known, service, front, base, name, kind)
    if spec.get("clusterIP") != "None":
        if front:
            return NOTHING
        return _addresses(name, [spec["clusterIP"]] if spec.get("clusterIP") else [], kind)
    listed = list(_endpoints(known, service))
    if not front:
        return _addresses(name, [address for _, address, _ in listed], kind)
    found = [address for host, address, _ in listed if len(front) == 1 and host == front[0]]
    return _addresses(name, found, kind) if found else NOTHING


def _addresses(name: str, addresses: Iterable[str], kind: str) -> Answer:
    wanted = {"A": 4, "AAAA": 6}.get(kind)
    found = [Record(name, kind, one) for one in addresses if ipaddress.ip_address(one).version == wanted]
    return Answer(True, found)


def _service_ports(known: Known, service: JSON, front: list[str], base: str, name: str, kind: str) -> Answer:
    port_name, protocol = front[0][1:], front[1][1:].upper()
    spec = service["spec"]
    targets: list[tuple[str, str, int]] = []
    if spec.get("clusterIP") != "None":
        targets = [
            (base, spec["clusterIP"], port["port"])
            for port in spec.get("ports") or ()
            if (port.get("name") or "") == port_name and (port.get("protocol") or "TCP") == protocol
        ]
    else:
        for host, address, ports in _endpoints(known, service):
            numbers = [p["port"] for p in ports if (p.get("name"), p.get("protocol", "TCP")) == (port_name, protocol)]
            targets += [(f"{host}.{base}", address, number) for number in numbers]
    if not targets:
        return NOTHING
    if kind != "SRV":
        return EMPTY
    weight = max(1, 100 // len(targets))
    return Answer(
        True,
        [Record(name, "SRV", (0, weight, port, target)) for target, _, port in targets],
        [Record(target, "A", address) for target, address in dict.fromkeys((t, a) for t, a, _ in targets)],
    )


def _endpoints(known: Known, service: JSON) -> Iterator[tuple[str, str, list[JSON]]]:
    """(host name, address, ports) of each endpoint of a headless Service that is ready, or may be published unready."""
    unready_too = (service.get("spec") or {}).get("publishNotReadyAddresses")
    seen: set[str] = set()
    for one in known.slices(meta.namespace(service), meta.name(service)):
        for endpoint in one.get("endpoints") or ():
            if (endpoint.get("conditions") or {}).get("ready") is False and not unready_too:
                continue
            for address in endpoint.get("addresses") or ():
                if address not in seen:
                    seen.add(address)
                    yield endpoint.get("hostname") or dashed(address), address, one.get("ports") or []


def dashed(address: str) -> str:
    """An address as a label: 10-1-2-3."""
    return address.replace(".", "-").replace(":", "-")


def _in_pods(known: Known, namespace: str, labels: list[str], name: str, kind: str, zone: str) -> Answer:
    if len(labels) != 1 or not known.has_namespace(namespace):
        return NOTHING
    try:
        address = str(ipaddress.IPv4Address(labels[0].replace("-", ".")))
    except ValueError:
        return NOTHING
    return _addresses(name, [address], kind)


def _reverse(known: Known, zone: str, name: str, kind: str) -> Answer | None:
    """PTR: the Service with that address, else the endpoint of a Service; None if neither is of the cluster."""
    try:
        address = str(ipaddress.IPv4Address(".".join(reversed(name.removesuffix(".in-addr.arpa").split(".")))))
    except ValueError:
        return None
    service = known.by_address(address)
    names = []
    if service is not None:
        names = [f"{meta.name(service)}.{meta.namespace(service)}.svc.{zone}"]
    else:
        for one in known.slices_with(address):
            owner = known.service(meta.namespace(one), meta.labels(one).get(SERVICE_NAME_LABEL, ""))
            if owner is None or (owner.get("spec") or {}).get("clusterIP") != "None":
                continue
            base = f"{meta.name(owner)}.{meta.namespace(owner)}.svc.{zone}"
            names += [f"{host}.{base}" for host, listed, _ in _endpoints(known, owner) if listed == address]
    if not names:
        return None
    return Answer(True, [Record(name, "PTR", one) for one in names] if kind == "PTR" else ())
