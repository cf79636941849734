"""EndpointSlices for Services with a selector: every pod behind a Service, and how it is."""

import asyncio
from typing import Any, ClassVar

from apimachinery import kinds, meta
from controllers import objects, slices
from controllers.context import Context, QueueController
from controllers.selection import ServicePods
from kubeclient.expectations import Expectations

JSON = dict[str, Any]


class SliceController(QueueController[str]):
    """What controllers of slices share: they know theirs by the label of their `manager`, by the Service's key."""

    manager: ClassVar[str]

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._expectations = Expectations()
        self._slices = context.informers.informer(kinds.ENDPOINT_SLICE)
        self._slices.add_index(self.manager, self._services_of)
        self._slices.add_handler(
            on_add=self._slice_added, on_update=lambda _, new: self._slice_changed(new), on_delete=self._slice_changed
        )

    def _services_of(self, obj: JSON) -> list[str]:
        """The key of the Service whose slice this is, if it is one of ours."""
        labels = meta.labels(obj)
        if labels.get(slices.MANAGED_BY) != self.manager or slices.SERVICE_NAME not in labels:
            return []
        return [f"{meta.namespace(obj)}/{labels[slices.SERVICE_NAME]}"]

    def _slice_added(self, obj: JSON) -> None:
        for key in self._services_of(obj):
            self._expectations.creation_observed(key)
            self._queue.add(key)

    def _slice_changed(self, obj: JSON) -> None:
        for key in self._services_of(obj):
            self._queue.add(key)

    def _present(self, key: str) -> list[JSON]:
        return [each for each in self._slices.by_index(self.manager, key) if not meta.is_deleting(each)]

    async def _apply(self, key: str, plan: slices.Plan) -> None:
        """Write what is planned; nothing more can be made in a namespace that is going away."""
        for body in plan.create:
            self._expectations.expect_creations(key, 1)
            try:
                await self._client.create(kinds.ENDPOINT_SLICE, body)
            except BaseException as error:
                self._expectations.creation_observed(key)
                if objects.is_ending_namespace(error):
                    return
                raise
        await asyncio.gather(*(self._client.update(kinds.ENDPOINT_SLICE, body) for body in plan.update))
        for gone in plan.delete:
            await objects.delete(self._client, kinds.ENDPOINT_SLICE, gone)


class EndpointSliceController(SliceController):
    """Slices for Services. A Service without a selector has slices by somebody else."""

    name = "endpoint_slice"
    workers = 10  # writes of several share a commit
    manager = slices.MANAGER

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._pods = ServicePods(context, self._queue.add)
        self._nodes = context.informers.informer(kinds.NODE)

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
        limit = self._context.options.max_endpoints_per_slice
        await self._apply(key, slices.plan(service, wanted, self._present(key), limit=limit))

    def _zone(self, node_name: str) -> str:
        node = self._nodes.get(node_name)
        return meta.labels(node).get(slices.ZONE, "") if node else ""
