"""Services, EndpointSlices and namespaces as names are looked up in them: informers with the indexes that takes."""

from __future__ import annotations

from collections.abc import Iterable

from apimachinery import kinds, meta
from apimachinery.meta import JSON
from clusterdns.records import SERVICE_NAME_LABEL
from kubeclient.informer import InformerFactory


def _service_key(one: JSON) -> list[str]:
    name = meta.labels(one).get(SERVICE_NAME_LABEL)
    return [f"{meta.namespace(one)}/{name}"] if name else []


def _addresses(one: JSON) -> list[str]:
    return [address for endpoint in one.get("endpoints") or () for address in endpoint.get("addresses") or ()]


class Cache:
    """What `clusterdns.records` reads (its protocol `Known`)."""

    def __init__(self, informers: InformerFactory) -> None:
        self._services = informers.informer(kinds.SERVICE)
        self._slices = informers.informer(kinds.ENDPOINT_SLICE)
        self._namespaces = informers.informer(kinds.NAMESPACE)
        self._services.add_index("address", lambda one: [(one.get("spec") or {}).get("clusterIP") or ""])
        self._slices.add_index("service", _service_key)
        self._slices.add_index("address", _addresses)

    def service(self, namespace: str, name: str) -> JSON | None:
        """The Service of that name."""
        return self._services.get(f"{namespace}/{name}")

    def slices(self, namespace: str, name: str) -> Iterable[JSON]:
        """The EndpointSlices of a Service."""
        return self._slices.by_index("service", f"{namespace}/{name}")

    def has_namespace(self, namespace: str) -> bool:
        """Whether there is such a namespace."""
        return self._namespaces.get(namespace) is not None

    def by_address(self, address: str) -> JSON | None:
        """The Service with that cluster address."""
        return next(iter(self._services.by_index("address", address)), None)

    def slices_with(self, address: str) -> Iterable[JSON]:
        """The EndpointSlices that list that address."""
        return self._slices.by_index("address", address)
