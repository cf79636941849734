"""EndpointSlices for Services with a selector: every pod behind a Service, and how it is."""

import asyncio
from typing import Any

from apimachinery import errors, kinds, meta
from controllers import slices
from controllers.context import Context
from controllers.selection import ServicePods
from kubeclient.expectations import Expectations
from kubeclient.workqueue import WorkQueue, work

JSON = dict[str, Any]
WORKERS = 10  # writes of several share a commit


class EndpointSliceController:
    """Slices for Services. A Service without a selector has slices by somebody else."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._client = context.client
        self._queue: WorkQueue[str] = WorkQueue("endpoint_slice")
        self._expectations = Expectations()
        self._pods = ServicePods(context, self._queue.add)
        self._nodes = context.informers.informer(kinds.NODE)
        self._slices = context.informers.informer(kinds.ENDPOINT_SLICE)
        self._slices.add_index("service", _managed_for)
        self._slices.add_handler(
            on_add=self._slice_added, on_update=lambda _, new: self._slice_changed(new), on_delete=self._slice_changed
        )

    async def run(self) -> None:
        """Work until cancelled."""
        await work(self._queue, self._reconcile, workers=self._context.options.workers.get("endpointslice", WORKERS))

    def _slice_added(self, obj: JSON) -> None:
        for key in _managed_for(obj):
            self._expectations.creation_observed(key)
            self._queue.add(key)

    def _slice_changed(self, obj: JSON) -> None:
        for key in _managed_for(obj):
            self._queue.add(key)

    async def _reconcile(self, key: str) -> None:
        service = self._pods.services.get(key)
        if service is None:
            self._expectations.forget(key)  # the slices go with their owner, by the garbage collector
            return
        if not self._expectations.satisfied(key) or not service["spec"].get("selector"):
            return
        if service["spec"].get("type") == "ExternalName" or meta.is_deleting(service):
            return
        wanted = slices.groups(service, self._pods.of(service), zone_of=self._zone)
        present = [each for each in self._slices.by_index("service", key) if not meta.is_deleting(each)]
        limit = self._context.options.max_endpoints_per_slice
        await self._apply(key, service, slices.plan(service, wanted, present, limit=limit))

    async def _apply(self, key: str, service: JSON, plan: slices.Plan) -> None:
        for body in plan.create:
            self._expectations.expect_creations(key, 1)
            try:
                await self._client.create(kinds.ENDPOINT_SLICE, body)
            except BaseException as error:
                self._expectations.creation_observed(key)
                if isinstance(error, errors.Forbidden) and "is being terminated" in error.message:
                    return
                raise
        await asyncio.gather(*(self._client.update(kinds.ENDPOINT_SLICE, body) for body in plan.update))
        for gone in plan.delete:
            try:
                await self._client.delete(
                    kinds.ENDPOINT_SLICE, meta.name(gone), namespace=meta.namespace(gone), uid=meta.uid(gone)
                )
            except errors.NotFound:
                continue

    def _zone(self, node_name: str) -> str:
        node = self._nodes.get(node_name)
        return meta.labels(node).get(slices.ZONE, "") if node else ""


def _managed_for(obj: JSON) -> list[str]:
    """The key of the Service whose slice this is, if it is one of ours."""
    labels = meta.labels(obj)
    if labels.get(slices.MANAGED_BY) != slices.MANAGER or slices.SERVICE_NAME not in labels:
        return []
    return [f"{meta.namespace(obj)}/{labels[slices.SERVICE_NAME]}"]
