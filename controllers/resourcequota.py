"""ResourceQuotas: what is used is counted again, so that admission knows what is left.

Admission adds to `status.used` when something is created; nothing but this controller takes away. Pods and Services are
counted from the shared caches, and their end is noticed at once; other kinds are listed (metadata would do, but claims
have sizes) when a quota names them, at least every half minute while there are quotas.
"""

import asyncio
from fractions import Fraction
from typing import Any

from apimachinery import errors, kinds, meta, usage
from apimachinery.kinds import Kind
from controllers.context import Context
from kubeclient.errors import Unreachable
from kubeclient.workqueue import WorkQueue, work

JSON = dict[str, Any]
PERIOD_SECONDS = 30.0


class ResourceQuotaController:
    """Keeps every quota's status."""

    def __init__(self, context: Context) -> None:
        self._client = context.client
        self._queue: WorkQueue[str] = WorkQueue("resource_quota_controller")
        self._quotas = context.informers.informer(kinds.RESOURCE_QUOTA)
        self._cached = {
            kinds.POD.resource: context.informers.informer(kinds.POD),
            kinds.SERVICE.resource: context.informers.informer(kinds.SERVICE),
        }
        self._quotas.add_handler(on_add=self._enqueue, on_update=lambda old, new: self._enqueue(new))
        for informer in self._cached.values():
            informer.add_handler(on_delete=self._released, on_update=self._changed)

    def _enqueue(self, quota: JSON) -> None:
        self._queue.add(meta.key(quota))

    def _released(self, obj: JSON) -> None:
        for quota in self._quotas.list(meta.namespace(obj)):
            self._enqueue(quota)

    def _changed(self, old: JSON, new: JSON) -> None:
        """A pod that has ended gives back what it used."""
        if usage.is_finished(new) and not usage.is_finished(old):
            self._released(new)

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(work(self._queue, self.reconcile, workers=2))
            group.create_task(self._recount())

    async def _recount(self) -> None:
        while True:
            await asyncio.sleep(PERIOD_SECONDS)
            for quota in self._quotas.list():
                self._enqueue(quota)

    async def reconcile(self, key: str) -> None:
        """Bring one quota's status to what is counted."""
        quota = self._quotas.get(key)
        if quota is None or meta.is_deleting(quota):
            return
        hard = (quota.get("spec") or {}).get("hard") or {}
        used = await self._count(quota, list(hard))
        status = {"hard": hard, "used": used}
        if (quota.get("status") or {}) == status:
            return
        try:
            await self._client.update(kinds.RESOURCE_QUOTA, {**quota, "status": status}, subresource="status")
        except errors.NotFound:
            return
        except (errors.Conflict, Unreachable):
            self._queue.add_rate_limited(key)

    async def _count(self, quota: JSON, names: list[str]) -> dict[str, str]:
        total = {name: Fraction(0) for name in names}
        for kind in kinds.KINDS:
            mine = usage.names_of(kind, names) if kind.namespaced and kind.stored else []
            if not mine:
                continue
            for obj in await self._objects(kind, meta.namespace(quota)):
                if usage.in_scope(quota, kind, obj):
                    found = usage.usage(kind, obj)
                    for name in mine:
                        total[name] += found.get(name, 0)
        return {name: usage.text(name, amount) for name, amount in total.items()}

    async def _objects(self, kind: Kind, namespace: str) -> list[JSON]:
        informer = self._cached.get(kind.resource)
        if informer is not None:
            return informer.list(namespace)
        listed = await self._client.list(kind, namespace=namespace)
        return list(listed["items"])
