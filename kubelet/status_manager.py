"""The only writer of pod status: one task per pod that has something to write, always the latest, never two at once.

What is to be written is compared with what the API server last said, so a repeated status costs nothing, and a status
that someone else overwrote is put right.
"""

import asyncio
import logging
from collections.abc import Callable

from apimachinery import errors, kinds, meta
from apimachinery.meta import JSON
from kubeclient.errors import Unreachable
from kubeclient.rest import STRATEGIC_MERGE_PATCH, Client

from . import status

log = logging.getLogger(__name__)

RETRY_SECONDS_FIRST = 0.2
RETRY_SECONDS_MAX = 10.0


class StatusManager:
    """Statuses on their way to the API server. Use inside a task group that outlives it."""

    def __init__(self, client: Client, group: asyncio.TaskGroup, *, current: Callable[[JSON], JSON | None]) -> None:
        self._client = client
        self._group = group
        self._current = current  # the informer's view of a pod, None when it is gone or another of that name
        self._pending: dict[str, tuple[JSON, JSON]] = {}
        self._writing: dict[str, asyncio.Task[None]] = {}
        self._written: dict[str, JSON] = {}  # uid -> the pod as the last write returned it

    def set(self, pod: JSON, wanted: JSON) -> None:
        """Have this status written; replaces one that has not been sent yet."""
        uid = meta.uid(pod)
        self._pending[uid] = (pod, wanted)
        if uid not in self._writing:
            task = self._group.create_task(self._drain(uid), name=f"status {meta.key(pod)}")
            self._writing[uid] = task

    async def flush(self, uid: str) -> None:
        """Return once everything set for this pod has been written (or the pod is gone)."""
        while (task := self._writing.get(uid)) is not None:
            await asyncio.wait({task})

    def latest(self, pod: JSON) -> JSON:
        """The pod with the newest status that is known."""
        known = self._written.get(meta.uid(pod))
        seen = self._current(pod) or pod
        return known if known is not None and _version(known) > _version(seen) else seen

    def wrote(self, pod: JSON) -> bool:
        """Whether this state of the pod is what the last write here made it."""
        known = self._written.get(meta.uid(pod))
        return known is not None and _version(known) == _version(pod)

    def forget(self, uid: str) -> None:
        """The pod is gone."""
        self._pending.pop(uid, None)
        self._written.pop(uid, None)

    async def _drain(self, uid: str) -> None:
        delay = RETRY_SECONDS_FIRST
        try:
            while (entry := self._pending.pop(uid, None)) is not None:
                try:
                    await self._write(*entry)
                    delay = RETRY_SECONDS_FIRST
                except errors.NotFound:
                    self._written.pop(uid, None)
                except errors.Conflict:
                    continue  # another pod of that name has taken its place
                except (errors.StatusError, Unreachable) as error:
                    level = logging.INFO if isinstance(error, Unreachable) else logging.WARNING
                    log.log(level, "status of pod %s: %s", meta.key(entry[0]), error)
                    self._pending.setdefault(uid, entry)
                    await asyncio.sleep(delay)
                    delay = min(RETRY_SECONDS_MAX, delay * 2)
        finally:
            self._writing.pop(uid, None)

    async def _write(self, pod: JSON, wanted: JSON) -> None:
        latest = self.latest(pod)
        body = status.patch(latest.get("status") or {}, wanted, meta.uid(pod))
        if body is None:
            return
        self._written[meta.uid(pod)] = await self._client.patch(
            kinds.POD,
            meta.name(pod),
            body,
            namespace=meta.namespace(pod),
            content_type=STRATEGIC_MERGE_PATCH,
            subresource="status",
        )


def _version(obj: JSON) -> int:
    return int(meta.metadata(obj).get("resourceVersion") or 0)
