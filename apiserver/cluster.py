"""What the API server itself puts into a cluster: its namespaces, and the `kubernetes` Service with its endpoints.

Done at start through the same stores as everybody's writes. The endpoints are those of this server's
`--advertise-address`; with several servers each adds its own address and a stopping one takes it out again.
"""

from __future__ import annotations

import ipaddress
import logging
from typing import Final

from apimachinery import errors, kinds, meta
from apimachinery.kinds import Kind
from apimachinery.meta import JSON
from apiserver.parts import Parts
from apiserver.registry.strategy import Context
from apiserver.request import User
from componentbase import defaults

log = logging.getLogger(__name__)

_NAMESPACE: Final = "default"
_NAME: Final = "kubernetes"
_SELF: Final = User("system:apiserver", groups=("system:masters",))
_LABELS: Final = {"component": "apiserver", "provider": "kubernetes"}


def context() -> Context:
    """The server as a writer."""
    return Context(user=_SELF, now=meta.now(), manager="kube-apiserver")


async def ensure_namespaces(parts: Parts) -> None:
    """The namespaces that every cluster has."""
    for name in defaults.SYSTEM_NAMESPACES:
        await _ensure(parts, kinds.NAMESPACE, {"metadata": {"name": name}})


async def ensure_service(parts: Parts) -> None:
    """The `kubernetes` Service, at the first address of the Service range."""
    network = ipaddress.ip_network(parts.options.service_cluster_ip_range.split(",")[0])
    await _ensure(
        parts,
        kinds.SERVICE,
        {
            "metadata": {"name": _NAME, "namespace": _NAMESPACE, "labels": dict(_LABELS)},
            "spec": {
                "clusterIP": str(network[1]),
                "clusterIPs": [str(network[1])],
                "type": "ClusterIP",
                "sessionAffinity": "None",
                "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": parts.options.secure_port}],
            },
        },
    )


async def _ensure(parts: Parts, kind: Kind, obj: JSON) -> None:
    obj = {"apiVersion": kind.api_version, "kind": kind.kind, **obj}
    try:
        await parts.resources.store(kind).create(obj, context())
    except errors.AlreadyExists:
        log.debug("%s %s is there", kind.kind, obj["metadata"]["name"])


def publishable(address: str) -> bool:
    """Can others reach this address? Endpoints may not be loopback addresses."""
    return bool(address) and not ipaddress.ip_address(address).is_loopback


class Endpoints:
    """This server's address among the endpoints of the `kubernetes` Service."""

    def __init__(self, parts: Parts, address: str, port: int) -> None:
        self._parts = parts
        self._address = address
        self._port = port

    async def publish(self) -> None:
        """Add this server."""
        await self._write(present=True)

    async def withdraw(self) -> None:
        """Take this server out, so that clients go to the others."""
        await self._write(present=False)

    async def _write(self, *, present: bool) -> None:
        addresses = await self._addresses(present=present)
        await self._put(kinds.ENDPOINTS, self._endpoints(addresses))
        await self._put(kinds.ENDPOINT_SLICE, self._slice(addresses))

    async def _addresses(self, *, present: bool) -> list[str]:
        store = self._parts.resources.store(kinds.ENDPOINTS)
        try:
            stored = (await store.get(_NAMESPACE, _NAME)).parsed()
        except errors.NotFound:
            stored = {}
        found = {each["ip"] for subset in stored.get("subsets") or () for each in subset.get("addresses") or ()}
        found = found | {self._address} if present else found - {self._address}
        return sorted(found)

    def _endpoints(self, addresses: list[str]) -> JSON:
        ports = [{"name": "https", "port": self._port, "protocol": "TCP"}]
        subsets = [{"addresses": [{"ip": each} for each in addresses], "ports": ports}] if addresses else []
        labels = {"endpointslice.kubernetes.io/skip-mirror": "true"}
        return {
            "apiVersion": "v1",
            "kind": "Endpoints",
            "metadata": {"name": _NAME, "namespace": _NAMESPACE, "labels": labels},
            "subsets": subsets,
        }

    def _slice(self, addresses: list[str]) -> JSON:
        family = "IPv6" if ":" in self._address else "IPv4"
        return {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": _NAME,
                "namespace": _NAMESPACE,
                "labels": {"kubernetes.io/service-name": _NAME},
            },
            "addressType": family,
            "endpoints": [{"addresses": [each], "conditions": {"ready": True}} for each in addresses],
            "ports": [{"name": "https", "port": self._port, "protocol": "TCP"}],
        }

    async def _put(self, kind: Kind, wanted: JSON) -> None:
        """Create the object, or bring the stored one to it."""
        store = self._parts.resources.store(kind)

        def change(old: JSON | None) -> JSON:
            if old is None:
                return dict(wanted, metadata=dict(wanted["metadata"]))
            return {**old, **wanted, "metadata": {**old["metadata"], "labels": dict(wanted["metadata"]["labels"])}}

        await store.change(_NAMESPACE, _NAME, change, context())
