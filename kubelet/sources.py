"""The ConfigMaps and Secrets that this node's pods refer to, each watched as long as a pod does.

The Node authoriser lets a kubelet see single objects, not collections, so there is a watch per object, no informer. The
first use of an object is a read (a pod that starts sees what was written before it); the watch then keeps it
up to date and wakes the pods that use it.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable

from apimachinery import errors, kinds, meta
from apimachinery.meta import JSON
from kubeclient.errors import Unreachable
from kubeclient.rest import Client

Ref = tuple[str, str, str]  # kind, namespace, name

log = logging.getLogger(__name__)

KINDS = {"ConfigMap": kinds.CONFIG_MAP, "Secret": kinds.SECRET}
RETRY_SECONDS = 10.0
WATCH_SECONDS = 600


class _Watched:
    """One object: its latest state (None: it does not exist), who uses it, and the task that watches."""

    def __init__(self) -> None:
        self.value: JSON | None = None
        self.known = asyncio.Event()
        self.users: set[str] = set()
        self.task: asyncio.Task[None] | None = None


class ObjectSources:
    """Objects by reference, for as long as pods use them."""

    def __init__(self, client: Client, *, on_change: Callable[[str], None]) -> None:
        self._client = client
        self._on_change = on_change  # called with the UID of each pod that uses what changed
        self._objects: dict[Ref, _Watched] = {}

    async def use(self, uid: str, refs: Iterable[Ref]) -> None:
        """A pod uses exactly these from now on; returns when all have been read. Raises StatusError, Unreachable."""
        wanted = set(refs)
        for ref, watched in list(self._objects.items()):
            if uid in watched.users and ref not in wanted:
                self._drop(ref, uid)
        fresh = []
        for ref in wanted:
            watched = self._objects.setdefault(ref, _Watched())
            watched.users.add(uid)
            if not watched.known.is_set() or watched.value is None:
                fresh.append(ref)
        await asyncio.gather(*(self._read(ref) for ref in fresh))

    def get(self, kind: str, namespace: str, name: str) -> JSON | None:
        """The object, or None when it does not exist (or nobody uses it)."""
        watched = self._objects.get((kind, namespace, name))
        return watched.value if watched else None

    def release(self, uid: str) -> None:
        """The pod is gone."""
        for ref, watched in list(self._objects.items()):
            if uid in watched.users:
                self._drop(ref, uid)

    async def close(self) -> None:
        """Stop all watches."""
        tasks = [watched.task for watched in self._objects.values() if watched.task]
        self._objects.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _drop(self, ref: Ref, uid: str) -> None:
        watched = self._objects[ref]
        watched.users.discard(uid)
        if not watched.users:
            del self._objects[ref]
            if watched.task:
                watched.task.cancel()

    async def _read(self, ref: Ref) -> None:
        watched = self._objects.get(ref)
        if watched is None:
            return
        kind, namespace, name = ref
        try:
            watched.value = await self._client.get(KINDS[kind], name, namespace=namespace)
        except errors.NotFound:
            watched.value = None
        watched.known.set()
        if watched.task is None:
            watched.task = asyncio.create_task(self._watch(ref, watched), name=f"watch {kind} {namespace}/{name}")

    async def _watch(self, ref: Ref, watched: _Watched) -> None:
        kind, namespace, name = ref
        selector = f"metadata.name={name}"
        version = meta.metadata(watched.value).get("resourceVersion", "") if watched.value else ""
        while True:
            try:
                if not version:
                    listed = await self._client.list(KINDS[kind], namespace=namespace, field_selector=selector)
                    version = listed["metadata"]["resourceVersion"]
                    self._set(watched, listed["items"][0] if listed["items"] else None)
                async for event in self._client.watch(
                    KINDS[kind],
                    namespace=namespace,
                    field_selector=selector,
                    resource_version=version,
                    timeout_seconds=WATCH_SECONDS,
                ):
                    version = event.object["metadata"]["resourceVersion"]
                    if event.type != "BOOKMARK":
                        self._set(watched, None if event.type == "DELETED" else event.object)
            except errors.StatusError as error:
                version = ""
                log.debug("watch %s %s/%s: %s", kind, namespace, name, error)
                await asyncio.sleep(RETRY_SECONDS)
            except Unreachable:
                await asyncio.sleep(RETRY_SECONDS)

    def _set(self, watched: _Watched, value: JSON | None) -> None:
        before, watched.value = watched.value, value
        if (before or {}).get("data") == (value or {}).get("data") and (before is None) == (value is None):
            return
        for uid in watched.users:
            self._on_change(uid)
