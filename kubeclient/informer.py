"""A local copy of a kind's objects, kept current, and the changes told to handlers in order.

An informer lists once, then watches from that version on; a reflector task per informer does it for ever. After a
break it watches on from where it was; when that version is gone (410) it lists again and tells the difference: what
vanished meanwhile is told as a deletion, so no change is ever lost, though several may be told as one.

Handlers are plain functions, called on the event loop right after the store has changed; they put a key into a queue
and return. `metadata.managedFields` is left out of what is kept (half of many an object, and no controller reads it);
the server keeps it on an update that comes without.
"""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from apimachinery import errors, labels, meta
from apimachinery.kinds import Kind
from componentbase.metrics import METRICS
from kubeclient import store
from kubeclient.errors import Unreachable
from kubeclient.rest import Client
from kubeclient.watching import WatchEvent

log = logging.getLogger(__name__)

JSON = dict[str, Any]
Transform = Callable[[JSON], JSON]
Objects = list[JSON]
OnObject = Callable[[JSON], None]
OnUpdate = Callable[[JSON, JSON], None]

WATCH_SECONDS = (300, 600)  # each watch lasts a random time between, so that they don't all end together
BACKOFF_SECONDS = (0.2, 5.0)  # first, cap
SHORT_WATCH_SECONDS = 1.0
HANDLER_ERRORS = METRICS.counter("informer_handler_errors_total", "Handlers that raised.", ("kind",))


@dataclass(frozen=True, slots=True)
class Handler:
    """What one user of an informer wants to be told."""

    on_add: OnObject | None
    on_update: OnUpdate | None
    on_delete: OnObject | None


Handlers = list[Handler]


@dataclass(frozen=True, slots=True)
class Selection:
    """What an informer watches; the factory shares one informer among equal selections."""

    kind: Kind
    namespace: str | None = None
    label_selector: str = ""
    field_selector: str = ""
    metadata_only: bool = False


class Informer:
    """The copy of one selection. Made by an `InformerFactory`, which runs its reflector."""

    def __init__(self, client: Client, selection: Selection, *, transform: Transform | None = None) -> None:
        self.kind = selection.kind
        self.last_sync = float("-inf")  # monotonic time of the last event, bookmark or list
        self.last_failure = float("-inf")  # monotonic time of the last break
        self.resource_version = ""
        self._client = client
        self._selection = selection
        self._transform = transform
        self._store = store.Store()
        self._handlers: Handlers = []
        self._synced = asyncio.Event()

    @property
    def synced(self) -> bool:
        """Whether the first list is complete."""
        return self._synced.is_set()

    async def wait_synced(self) -> None:
        """Wait until the first list is complete."""
        await self._synced.wait()

    def add_handler(
        self,
        *,
        on_add: OnObject | None = None,
        on_update: OnUpdate | None = None,
        on_delete: OnObject | None = None,
    ) -> None:
        """Tell these functions of changes from now on; what is there already is told as added."""
        handler = Handler(on_add, on_update, on_delete)
        self._handlers.append(handler)
        if on_add:
            for obj in self._store.values():
                self._call(on_add, obj)

    def get(self, key: str) -> JSON | None:
        """The object "namespace/name" (or name), shared: copy before changing."""
        return self._store.get(key)

    def list(self, namespace: str | None = None, selector: labels.Selector | None = None) -> Objects:
        """The objects, of one namespace or all, that match; shared: copy before changing."""
        found = self._store.values() if namespace is None else self.by_index(store.NAMESPACE_INDEX, namespace)
        return found if selector is None else [obj for obj in found if selector.matches(meta.labels(obj))]

    def add_index(self, name: str, function: store.IndexFunction) -> None:
        """Keep an index: `function` gives an object's values."""
        self._store.add_index(name, function)

    def by_index(self, name: str, value: str) -> Objects:
        """The objects that have `value` in the index `name`."""
        return self._store.by_index(name, value)

    def __len__(self) -> int:
        return len(self._store)

    async def reflect(self) -> None:
        """List and watch until cancelled. Only the factory calls it."""
        backoff = _backoff()
        version: str | None = "0"  # any state will do to begin with; after a 410 only the newest will
        while True:
            try:
                if version is not None:
                    await self._list(version)
                    version = None
                started = time.monotonic()
                await self._watch()
                if time.monotonic() - started > SHORT_WATCH_SECONDS:
                    backoff = _backoff()
                    continue
            except (errors.Expired, errors.Gone, errors.Timeout) as error:
                log.info("%s: listing again: %s", self.kind.resource, error)
                version = ""
            except Unreachable as error:
                level = logging.DEBUG if self.last_failure > self.last_sync else logging.INFO
                log.log(level, "%s: cut off, trying again: %s", self.kind.resource, error)
            except errors.StatusError as error:
                log.warning("%s: refused, trying again: %s", self.kind.resource, error)
            except Exception:  # a document that can't be read: whatever it was, the loop must live on
                log.exception("%s: reflector failed, listing again", self.kind.resource)
                version = ""
            self.last_failure = time.monotonic()
            await asyncio.sleep(next(backoff))

    async def _list(self, version: str) -> None:
        chosen = self._selection
        whole = await self._client.list(
            chosen.kind,
            namespace=chosen.namespace,
            label_selector=chosen.label_selector,
            field_selector=chosen.field_selector,
            resource_version=version,
            metadata_only=chosen.metadata_only,
        )
        self._replace(whole.pop("items"))
        self._progress(whole["metadata"]["resourceVersion"])
        self._synced.set()

    async def _watch(self) -> None:
        chosen = self._selection
        batches = self._client.watch_batches(
            chosen.kind,
            resource_version=self.resource_version,
            namespace=chosen.namespace,
            label_selector=chosen.label_selector,
            field_selector=chosen.field_selector,
            timeout_seconds=random.randint(*WATCH_SECONDS),
            metadata_only=chosen.metadata_only,
        )
        async with aclosing(batches):
            async for batch in batches:
                for event in batch:
                    self._apply(event)

    def _apply(self, event: WatchEvent) -> None:
        if event.type == "DELETED":
            self._drop(self._kept(event.object))
        elif event.type != "BOOKMARK":
            self._put(event.object)
        self._progress(event.object["metadata"]["resourceVersion"])

    def _replace(self, items: Iterable[JSON]) -> None:
        """Take a new list over: what is not in it is gone."""
        gone = set(self._store.keys())
        for item in items:
            gone.discard(meta.key(item))
            self._put(item)
        for key in gone:
            last = self._store.get(key)
            if last is not None:
                self._drop(last)

    def _put(self, obj: JSON) -> None:
        kept = self._kept(obj)
        old = self._store.get(meta.key(kept))
        if old is None:
            self._store.put(kept)
            self._tell_all("on_add", kept)
            return
        if old["metadata"].get("resourceVersion") == kept["metadata"].get("resourceVersion"):
            return
        if meta.uid(old) != meta.uid(kept):  # deleted and made again behind our back: two objects, not an update
            self._drop(old)
            self._put(obj)
            return
        self._store.put(kept)
        self._tell_all("on_update", old, kept)

    def _drop(self, kept: JSON) -> None:
        if self._store.remove(meta.key(kept)) is not None:
            self._tell_all("on_delete", kept)

    def _kept(self, obj: JSON) -> JSON:
        """What is stored of an object; items of a list may lack their kind."""
        obj.setdefault("apiVersion", self.kind.api_version)
        obj.setdefault("kind", self.kind.kind)
        obj["metadata"].pop("managedFields", None)
        return self._transform(obj) if self._transform else obj

    def _progress(self, version: str) -> None:
        self.resource_version = version
        self.last_sync = time.monotonic()

    def _tell_all(self, which: str, *objects: JSON) -> None:
        for handler in self._handlers:
            function = getattr(handler, which)
            if function:
                self._call(function, *objects)

    def _call(self, function: Callable[..., None], *objects: JSON) -> None:
        try:
            function(*objects)
        except Exception:  # one user's mistake must not end the cache of all
            HANDLER_ERRORS.labels(self.kind.kind).inc()
            log.exception("%s: handler failed for %s", self.kind.resource, meta.key(objects[-1]))


class InformerFactory:
    """Informers over one client, shared by what asks for the same selection, and their reflectors' owner."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._informers: dict[tuple[Selection, Transform | None], Informer] = {}
        self._group: asyncio.TaskGroup | None = None
        self._tasks: dict[Informer, asyncio.Task[None]] = {}

    def informer(
        self,
        kind: Kind,
        *,
        namespace: str | None = None,
        label_selector: str = "",
        field_selector: str = "",
        transform: Transform | None = None,
        metadata_only: bool = False,
    ) -> Informer:
        """The informer of a selection; it starts with `run`, or at once while that is running."""
        selection = Selection(kind, namespace, label_selector, field_selector, metadata_only)
        key = (selection, transform)
        if key not in self._informers:
            made = self._informers[key] = Informer(self._client, selection, transform=transform)
            self._start(made)
        return self._informers[key]

    async def run(self, stop: asyncio.Event | None = None) -> None:
        """Run every reflector until cancelled, or until `stop` is set."""
        async with asyncio.TaskGroup() as self._group:
            for informer in list(self._informers.values()):
                self._start(informer)
            await (stop or asyncio.Event()).wait()
            for task in self._tasks.values():
                task.cancel()

    async def wait_synced(self) -> None:
        """Wait until every informer made so far has its first list."""
        for informer in list(self._informers.values()):
            await informer.wait_synced()

    def has(self, kind: Kind) -> bool:
        """Whether somebody has asked for all of that kind, whole."""
        return (Selection(kind), None) in self._informers

    def drop(self, informer: Informer) -> None:
        """Stop an informer whose kind is no longer served, and forget it."""
        self._informers = {key: each for key, each in self._informers.items() if each is not informer}
        task = self._tasks.pop(informer, None)
        if task:
            task.cancel()

    def _start(self, informer: Informer) -> None:
        if self._group:
            task = self._group.create_task(informer.reflect(), name=f"reflect {informer.kind.resource}")
            self._tasks[informer] = task


def _backoff() -> Iterator[float]:
    delay, cap = BACKOFF_SECONDS
    while True:
        yield delay * random.uniform(0.5, 1.0)
        delay = min(delay * 2, cap)
