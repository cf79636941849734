"""EndpointSlices for Endpoints that somebody wrote by hand, for a Service without a selector.

Proxies read slices alone; this makes what such users write reach them. Endpoints labelled to be skipped (their writer
keeps slices as well, as the API server does for `kubernetes`) are left alone.
"""

from typing import Any

from apimachinery import errors, kinds, meta
from controllers import slices
from controllers.context import Context
from kubeclient.expectations import Expectations
from kubeclient.workqueue import WorkQueue, work

JSON = dict[str, Any]
WORKERS = 5
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


class EndpointSliceMirroringController:
    """Slices for Endpoints."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._client = context.client
        self._queue: WorkQueue[str] = WorkQueue("endpoint_slice_mirroring")
        self._expectations = Expectations()
        self._services = context.informers.informer(kinds.SERVICE)
        self._endpoints = context.informers.informer(kinds.ENDPOINTS)
        self._slices = context.informers.informer(kinds.ENDPOINT_SLICE)
        self._slices.add_index("mirrored", _mirrored_for)
        for informer in (self._services, self._endpoints):
            informer.add_handler(on_add=self._add, on_update=lambda _, new: self._add(new), on_delete=self._add)
        self._slices.add_handler(
            on_add=self._slice_added, on_update=lambda _, new: self._slice(new), on_delete=self._slice
        )

    async def run(self) -> None:
        """Work until cancelled."""
        await work(self._queue, self._reconcile, workers=WORKERS)

    def _add(self, obj: JSON) -> None:
        self._queue.add(meta.key(obj))

    def _slice_added(self, obj: JSON) -> None:
        for key in _mirrored_for(obj):
            self._expectations.creation_observed(key)
        self._slice(obj)

    def _slice(self, obj: JSON) -> None:
        for key in _mirrored_for(obj):
            self._queue.add(key)

    async def _reconcile(self, key: str) -> None:
        endpoints, service = self._endpoints.get(key), self._services.get(key)
        present = [each for each in self._slices.by_index("mirrored", key) if not meta.is_deleting(each)]
        if endpoints is None or service is None or not is_mirrored(endpoints, service):
            self._expectations.forget(key)
            for each in present:
                await self._delete(each)
            return
        if not self._expectations.satisfied(key):
            return
        wanted, limit = groups(endpoints), self._context.options.max_endpoints_per_slice
        plan = slices.plan(service, wanted, present, limit=limit, owner=endpoints, manager=MANAGER)
        for body in plan.create if wanted else ():
            self._expectations.expect_creations(key, 1)
            try:
                await self._client.create(kinds.ENDPOINT_SLICE, body)
            except BaseException:
                self._expectations.creation_observed(key)
                raise
        for body in plan.update:
            await self._client.update(kinds.ENDPOINT_SLICE, body)
        for each in plan.delete:
            await self._delete(each)

    async def _delete(self, obj: JSON) -> None:
        try:
            await self._client.delete(
                kinds.ENDPOINT_SLICE, meta.name(obj), namespace=meta.namespace(obj), uid=meta.uid(obj)
            )
        except errors.NotFound:
            return


def _mirrored_for(obj: JSON) -> list[str]:
    labels = meta.labels(obj)
    if labels.get(slices.MANAGED_BY) != MANAGER or slices.SERVICE_NAME not in labels:
        return []
    return [f"{meta.namespace(obj)}/{labels[slices.SERVICE_NAME]}"]
