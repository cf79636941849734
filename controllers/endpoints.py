"""Endpoints, the older form of EndpointSlices, for clients that still read them: one object for each Service."""

from collections.abc import Iterable
from typing import Any

import orjson

from apimachinery import errors, kinds, meta
from controllers import objects, slices
from controllers.context import Context, QueueController
from controllers.selection import ServicePods

JSON = dict[str, Any]
CAPACITY = 1000
MANAGED_BY = "endpoints.kubernetes.io/managed-by"
MANAGER = "endpoint-controller"
OVER_CAPACITY = "endpoints.kubernetes.io/over-capacity"


def subsets(service: JSON, pods: Iterable[JSON]) -> tuple[list[JSON], bool]:
    """A Service's subsets: addresses by ports, ready and not; and whether some were left out, over capacity."""
    publish = bool(service["spec"].get("publishNotReadyAddresses"))
    found: dict[bytes, JSON] = {}
    taken, truncated = 0, False
    for pod in sorted(pods, key=lambda pod: (pod.get("status") or {}).get("podIP") or ""):
        ip = (pod.get("status") or {}).get("podIP")
        if not ip or objects.is_finished(pod) or (meta.is_deleting(pod) and not publish):
            continue
        if taken == CAPACITY:
            truncated = True
            break
        ports = [_port(port) for port in slices.slice_ports(service, pod)]
        subset = found.setdefault(orjson.dumps(ports), {"ports": ports})
        which = "addresses" if publish or objects.is_ready(pod) else "notReadyAddresses"
        subset.setdefault(which, []).append(_address(service, pod, ip))
        taken += 1
    made = [{key: value for key, value in subset.items() if value} for subset in found.values()]
    return sorted(made, key=lambda subset: orjson.dumps(subset.get("ports"))), truncated


def _port(port: JSON) -> JSON:
    return {key: value for key, value in port.items() if key != "name" or value}


def _address(service: JSON, pod: JSON, ip: str) -> JSON:
    one = slices.endpoint(service, pod, ip)
    made = {"ip": ip, "targetRef": one["targetRef"]}
    for key in ("nodeName", "hostname"):
        if key in one:
            made[key] = one[key]
    return made


class EndpointsController(QueueController[str]):
    """Endpoints for Services with a selector."""

    name = "endpoint"
    workers = 10  # writes of several share a commit

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._pods = ServicePods(context, self._queue.add)
        self._endpoints = context.informers.informer(kinds.ENDPOINTS)
        self._endpoints.add_handler(on_delete=lambda obj: self._queue.add(meta.key(obj)))

    async def _reconcile(self, key: str) -> None:
        service = self._pods.services.get(key)
        present = self._endpoints.get(key)
        if service is None:
            if present and meta.labels(present).get(MANAGED_BY) == MANAGER:
                await objects.delete(self._client, kinds.ENDPOINTS, present)
            return
        if not service["spec"].get("selector") or service["spec"].get("type") == "ExternalName":
            return
        wanted, truncated = subsets(service, self._pods.of(service))
        own = {name: value for name, value in meta.labels(service).items() if name != MANAGED_BY}
        headless = {slices.HEADLESS: ""} if service["spec"].get("clusterIP") == "None" else {}
        labels = {**own, **headless, MANAGED_BY: MANAGER}
        annotations = {OVER_CAPACITY: "truncated"} if truncated else {}
        if present is None:
            await self._create(service, labels, annotations, wanted)
            return
        if (present.get("subsets") or []) == wanted and meta.labels(present) == labels:
            return
        kept = {name: value for name, value in meta.annotations(present).items() if name != OVER_CAPACITY}
        metadata = {**present["metadata"], "labels": labels, "annotations": {**kept, **annotations}}
        await self._client.update(kinds.ENDPOINTS, {**present, "metadata": metadata, "subsets": wanted})

    async def _create(self, service: JSON, labels: JSON, annotations: JSON, wanted: list[JSON]) -> None:
        metadata = {
            "name": meta.name(service),
            "namespace": meta.namespace(service),
            "labels": labels,
            **({"annotations": annotations} if annotations else {}),
        }
        body = {"apiVersion": "v1", "kind": "Endpoints", "metadata": metadata, "subsets": wanted}
        try:
            await self._client.create(kinds.ENDPOINTS, body)
        except errors.Forbidden as error:
            if not objects.is_ending_namespace(error):
                raise
