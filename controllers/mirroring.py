"""EndpointSlices for Endpoints that somebody wrote by hand, for a Service without a selector.

Proxies read slices alone; this makes what such users write reach them. Endpoints labelled to be skipped (their writer
keeps slices as well, as the API server does for `kubernetes`) are left alone.
"""

from typing import Any

from apimachinery import kinds, meta
from controllers import slices
from controllers.context import Context, enqueue_all
from controllers.endpointslice import SliceController

JSON = dict[str, Any]
MANAGER = "endpointslicemirroring-controller.k8s.io"
SKIP = "endpointslice.kubernetes.io/skip-mirror"
_LEADER = "control-plane.alpha.kubernetes.io/leader"
_COPIED = ("nodeName", "hostname", "targetRef")


def is_mirrored(endpoints: JSON, service: JSON | None) -> bool:
    """Whether slices are to be made of these Endpoints."""
    if service is None or service["spec"].get("selector") or meta.is_deleting(endpoints):
        return False
    return meta.labels(endpoints).get(SKIP) != "true" and _LEADER not in meta.annotations(endpoints)


def groups(endpoints: JSON) -> list[slices.Group]:
    """The addresses of all subsets, by family and ports."""
    found: list[slices.Group] = []
    for subset in endpoints.get("subsets") or ():
        ports = [{"name": "", "protocol": "TCP", **port} for port in subset.get("ports") or ()]
        by_family: dict[str, list[JSON]] = {}
        for which in ("addresses", "notReadyAddresses"):
            for address in subset.get(which) or ():
                family = "IPv6" if ":" in address["ip"] else "IPv4"
                by_family.setdefault(family, []).append(_endpoint(address, ready=which == "addresses"))
        found += [slices.Group(family, ports, listed) for family, listed in by_family.items()]
    return found


def _endpoint(address: JSON, *, ready: bool) -> JSON:
    made: JSON = {"addresses": [address["ip"]], "conditions": {"ready": ready}}
    return {**made, **{name: address[name] for name in _COPIED if address.get(name)}}


class EndpointSliceMirroringController(SliceController):
    """Slices for Endpoints."""

    name = "endpoint_slice_mirroring"
    workers = 5
    manager = MANAGER

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._services = context.informers.informer(kinds.SERVICE)
        self._endpoints = context.informers.informer(kinds.ENDPOINTS)
        for informer in (self._services, self._endpoints):
            enqueue_all(informer, self._queue)

    async def _reconcile(self, key: str) -> None:
        endpoints, service, present = self._endpoints.get(key), self._services.get(key), self._present(key)
        if endpoints is None or service is None or not is_mirrored(endpoints, service):
            self._expectations.forget(key)
            await self._apply(key, slices.Plan(delete=present))
            return
        if not self._expectations.satisfied(key):
            return
        wanted, limit = groups(endpoints), self._context.options.max_endpoints_per_slice
        plan = slices.plan(service, wanted, present, limit=limit, owner=endpoints, manager=MANAGER)
        if not wanted:  # Endpoints without addresses have no empty slice
            plan.create.clear()
        await self._apply(key, plan)
