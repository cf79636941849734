"""The decisions of the EndpointSlice controller, as values: which endpoints a Service has, and how slices hold them.

Endpoints that share ports share slices, of at most `limit` each. A change touches as few slices as it can: what is
there stays in its slice, what is new fills the first slices with room, and only then another one is made.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from apimachinery import meta
from controllers import objects

JSON = dict[str, Any]
SERVICE_NAME = "kubernetes.io/service-name"
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
MANAGER = "endpointslice-controller.k8s.io"
HEADLESS = "service.kubernetes.io/headless"
ZONE = "topology.kubernetes.io/zone"
_RESERVED = (SERVICE_NAME, MANAGED_BY, HEADLESS)


@dataclass(slots=True)
class Plan:
    """Slices to write; a slice to update carries its name and version."""

    create: list[JSON] = field(default_factory=list)
    update: list[JSON] = field(default_factory=list)
    delete: list[JSON] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Group:
    """Endpoints that may share a slice."""

    address_type: str
    ports: list[JSON]
    endpoints: list[JSON]


@dataclass(frozen=True, slots=True)
class Frame:
    """What all slices of a Service have alike."""

    owner: JSON
    labels: dict[str, str]
    limit: int


def port_number(pod: JSON, port: JSON) -> int | None:
    """The number of a Service port's target on a pod; a name is looked up in its containers."""
    target = port.get("targetPort") or port["port"]
    if isinstance(target, int):
        return target
    protocol = port.get("protocol") or "TCP"
    spec = pod["spec"]
    for container in [*spec["containers"], *(spec.get("initContainers") or ())]:
        for each in container.get("ports") or ():
            if each.get("name") == target and (each.get("protocol") or "TCP") == protocol:
                return int(each["containerPort"])
    return None


def slice_ports(service: JSON, pod: JSON) -> list[JSON]:
    """The ports of a pod's slices. Ports whose name the pod doesn't know are left out."""
    ports = []
    for port in service["spec"].get("ports") or ():
        number = port_number(pod, port)
        if number is not None:
            made = {"name": port.get("name") or "", "port": number, "protocol": port.get("protocol") or "TCP"}
            if port.get("appProtocol"):
                made["appProtocol"] = port["appProtocol"]
            ports.append(made)
    return ports


def endpoint(service: JSON, pod: JSON, address: str, *, zone: str = "") -> JSON:
    """One pod's endpoint; `ready` is false while it terminates, unless the Service publishes unready addresses."""
    serving, terminating = objects.is_ready(pod), meta.is_deleting(pod)
    publish = bool(service["spec"].get("publishNotReadyAddresses"))
    made: JSON = {
        "addresses": [address],
        "conditions": {
            "ready": publish or (serving and not terminating),
            "serving": serving,
            "terminating": terminating,
        },
        "targetRef": {
            "kind": "Pod",
            "namespace": meta.namespace(pod),
            "name": meta.name(pod),
            "uid": meta.uid(pod),
        },
    }
    node = pod["spec"].get("nodeName")
    if node:
        made["nodeName"] = node
    if zone:
        made["zone"] = zone
    hostname = pod["spec"].get("hostname")
    if hostname and pod["spec"].get("subdomain") == meta.name(service):
        made["hostname"] = hostname
    return made


def groups(service: JSON, pods: Iterable[JSON], *, zone_of: Callable[[str], str]) -> list[Group]:
    """A Service's endpoints by address type and ports."""
    families = service["spec"].get("ipFamilies") or ["IPv4"]
    found: dict[bytes, Group] = {}
    for pod in pods:
        if objects.is_finished(pod):
            continue
        ports = slice_ports(service, pod)
        status = pod.get("status") or {}
        listed = status.get("podIPs") or [{"ip": status.get("podIP") or ""}]
        for ip in (each.get("ip") or "" for each in listed):
            family = "IPv6" if ":" in ip else "IPv4"
            if not ip or family not in families:
                continue
            group = found.setdefault(_group_key(family, ports), Group(family, ports, []))
            group.endpoints.append(endpoint(service, pod, ip, zone=zone_of(pod["spec"].get("nodeName") or "")))
    return list(found.values())


def plan(
    service: JSON,
    wanted: Sequence[Group],
    present: Sequence[JSON],
    *,
    limit: int = 100,
    owner: JSON | None = None,
    manager: str = MANAGER,
) -> Plan:
    """What makes the slices `present` hold what is `wanted`. A Service with no endpoint keeps one empty slice.

    Slices are owned by the Service, unless another owner is given, and labelled with the manager.
    """
    frame = Frame(owner or service, _labels(service, manager), limit)
    made = Plan()
    by_group: dict[bytes, list[JSON]] = {}
    for each in present:
        key = _group_key(each["addressType"], each.get("ports") or [])
        by_group.setdefault(key, []).append(each)
    if not wanted:
        families = service["spec"].get("ipFamilies") or ["IPv4"]
        wanted = [Group(family, [], []) for family in families]
    for group in wanted:
        there = by_group.pop(_group_key(group.address_type, group.ports), [])
        _plan_group(group, there, made, frame)
    made.delete += [each for rest in by_group.values() for each in rest]
    return made


def _plan_group(group: Group, present: list[JSON], made: Plan, frame: Frame) -> None:
    labels, limit = frame.labels, frame.limit
    left = {_endpoint_key(each): each for each in group.endpoints}
    held: list[tuple[JSON, list[JSON]]] = []
    for each in present:
        kept = [left.pop(key) for key in map(_endpoint_key, each.get("endpoints") or ()) if key in left]
        held.append((each, kept[:limit]))
        left.update({_endpoint_key(extra): extra for extra in kept[limit:]})
    rest = list(left.values())
    for _, endpoints in held:
        room = limit - len(endpoints)
        endpoints += rest[:room]
        rest = rest[room:]
    while rest or not (held or made.create):
        made.create.append(_new_slice(group, rest[:limit], frame))
        rest = rest[limit:]
        if not rest:
            break
    keep_empty = not group.endpoints
    for each, endpoints in held:
        if not endpoints and not keep_empty:
            made.delete.append(each)
        elif endpoints != (each.get("endpoints") or []) or labels != meta.labels(each):
            made.update.append({**each, "metadata": {**each["metadata"], "labels": labels}, "endpoints": endpoints})
        keep_empty = keep_empty and bool(endpoints)


def _new_slice(group: Group, endpoints: list[JSON], frame: Frame) -> JSON:
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "generateName": f"{meta.name(frame.owner)}-",
            "namespace": meta.namespace(frame.owner),
            "labels": frame.labels,
            "ownerReferences": [meta.owner_reference(frame.owner)],
        },
        "addressType": group.address_type,
        "ports": group.ports,
        "endpoints": endpoints,
    }


def _labels(service: JSON, manager: str) -> dict[str, str]:
    own = {key: value for key, value in meta.labels(service).items() if key not in _RESERVED}
    if service["spec"].get("clusterIP") == "None":
        own[HEADLESS] = ""
    return {**own, SERVICE_NAME: meta.name(service), MANAGED_BY: manager}


def _group_key(address_type: str, ports: Sequence[JSON]) -> bytes:
    """Ports in any order, with absent names and empty ones alike."""
    numbers = sorted(
        (each.get("name") or "", each.get("port") or 0, each.get("protocol") or "TCP", each.get("appProtocol") or "")
        for each in ports
    )
    return orjson.dumps([address_type, numbers])


def _endpoint_key(endpoint: JSON) -> str:
    return f"{(endpoint.get('targetRef') or {}).get('uid')} {endpoint['addresses'][0]}"
