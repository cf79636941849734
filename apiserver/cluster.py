"""What the API server itself puts into a cluster: namespaces, priority classes, the `kubernetes` Service's endpoints.

Done at start, and again from time to time, through the same stores as everybody's writes. The endpoints are the
addresses of the servers that are alive (`identity`): a stopping one takes its own out, a crashed one's is taken out by
the others.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
from collections.abc import Callable, Iterable
from typing import Final

from apimachinery import errors, kinds, meta
from apimachinery.kinds import Kind
from apimachinery.meta import JSON
from apiserver.admission.pods import SYSTEM_CLASSES
from apiserver.identity import RENEW_SECONDS, Identity
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


async def ensure_priority_classes(parts: Parts) -> None:
    """The classes of what the cluster itself needs."""
    for name, (value, description) in SYSTEM_CLASSES.items():
        obj = {"metadata": {"name": name}, "value": value, "description": description}
        await _ensure(parts, kinds.PRIORITY_CLASS, obj)


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
    store, metadata = parts.resources.store(kind), obj["metadata"]
    if await parts.storage.get(store.key(metadata.get("namespace", ""), metadata["name"])) is not None:
        return
    try:
        await store.create(obj, context())
    except errors.AlreadyExists:
        log.debug("%s %s is there", kind.kind, metadata["name"])


def publishable(address: str) -> bool:
    """Can others reach this address? Endpoints may not be loopback addresses."""
    return bool(address) and not ipaddress.ip_address(address).is_loopback


class Endpoints:
    """The endpoints of the `kubernetes` Service: this server's address, and those of the others that are alive."""

    def __init__(self, parts: Parts, address: str, port: int) -> None:
        self._parts = parts
        self._identity = Identity(parts, address, port)
        self._address = address
        self._port = port

    async def publish(self) -> None:
        """Say that this server is alive, and write who is."""
        await self._identity.renew(context())
        await self._write({self._address, *await self._identity.others()})

    async def withdraw(self) -> None:
        """Take this server out, so that clients go to the others."""
        await self._identity.withdraw()
        await self._write(await self._identity.others())

    async def _write(self, addresses: Iterable[str]) -> None:
        living = sorted(addresses)
        for kind, make in ((kinds.ENDPOINTS, self._endpoints), (kinds.ENDPOINT_SLICE, self._slice)):

            def change(old: JSON | None, make: Callable[[list[str]], JSON] = make) -> JSON:
                wanted = make(living)
                if old is None:
                    return wanted
                return {**old, **wanted, "metadata": {**old["metadata"], "labels": wanted["metadata"]["labels"]}}

            await self._parts.resources.store(kind).change(_NAMESPACE, _NAME, change, context())

    def _endpoints(self, living: list[str]) -> JSON:
        addresses = [{"ip": each} for each in living]
        ports = [{"name": "https", "port": self._port, "protocol": "TCP"}]
        labels = {"endpointslice.kubernetes.io/skip-mirror": "true"}
        return {
            "apiVersion": "v1",
            "kind": "Endpoints",
            "metadata": {"name": _NAME, "namespace": _NAMESPACE, "labels": labels},
            "subsets": [{"addresses": addresses, "ports": ports}] if addresses else [],
        }

    def _slice(self, living: list[str]) -> JSON:
        labels = {"kubernetes.io/service-name": _NAME}
        return {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"name": _NAME, "namespace": _NAMESPACE, "labels": labels},
            "addressType": "IPv6" if ":" in self._address else "IPv4",
            "endpoints": [{"addresses": [each], "conditions": {"ready": True}} for each in living],
            "ports": [{"name": "https", "port": self._port, "protocol": "TCP"}],
        }


async def keep(parts: Parts, endpoints: Endpoints | None) -> None:
    """Put back what somebody removed, for as long as the server runs."""
    while True:
        await asyncio.sleep(RENEW_SECONDS)
        try:
            await ensure_namespaces(parts)
            await ensure_service(parts)
            if endpoints is not None:
                await endpoints.publish()
        except errors.StatusError as error:
            log.warning("the kubernetes Service could not be looked after: %s", error)
