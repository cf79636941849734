"""Storage: the objects of the API, in etcd, behind a watch cache. This module puts the parts together.

Writes go through `commit` to etcd; etcd's one watch (`reflector`, `feeding`) brings them, and everyone else's, into the
cache; reads and watches are served from there. A server holds nothing but this cache: run as many as you like.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from typing import Any, Final

from apimachinery import kinds, resourceversion
from apimachinery.errors import Expired, Timeout
from apimachinery.fields import FieldSelector
from apimachinery.kinds import Kind
from apimachinery.labels import Selector
from apimachinery.resourceversion import LAST_PLACE, decode, encode
from apiserver.storage.cache import KindStore, Limits, Stores
from apiserver.storage.commit import Committer
from apiserver.storage.compaction import Compaction
from apiserver.storage.errors import StorageConflict
from apiserver.storage.etcd import Compacted, Etcd, EtcdError, Tls
from apiserver.storage.events import ADDED, WatchEvent
from apiserver.storage.expiry import Expiry
from apiserver.storage.feeding import EntryHandler, Feeding, Handler, parsing
from apiserver.storage.group import ExtraOp, Write
from apiserver.storage.metrics import StorageCollector
from apiserver.storage.progress import Barrier, Progress
from apiserver.storage.reading import Lister, ListResult, read_key
from apiserver.storage.reflector import Reflector
from apiserver.storage.value import Draft, Entry, draft, labels_of
from apiserver.storage.watching import FanOut, Watcher, bookmark, triggered_by
from componentbase.metrics import METRICS

log = logging.getLogger(__name__)

JSON = dict[str, Any]
Batch = list[WatchEvent]
BOOKMARK_SECONDS: Final = 60.0
INITIAL_BATCH: Final = 500  # synthetic events that are given out at a time
_START_RETRY_SECONDS: Final = 0.5
_TOO_OLD: Final = "too old resource version: {} (oldest: {})"


class Storage:
    """The storage of one API server. `register` kinds, `start`, use, `stop`."""

    def __init__(
        self,
        endpoints: Sequence[str],
        *,
        ca_file: str = "",
        cert_file: str = "",
        key_file: str = "",
        event_ttl_seconds: float = 3600.0,
        limits: Limits | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._limits = limits or Limits()
        self._etcd = Etcd(endpoints, Tls(ca_file, cert_file, key_file))
        self._stores = Stores(self._limits)
        self._progress = Progress()
        self._compaction = Compaction(self._etcd, self._progress, limits=self._limits)
        self._committer = Committer(
            self._etcd,
            limits=self._limits,
            on_no_space=self._compaction.out_of_space,
            on_commit=self._progress.expect,
            full=lambda: self._compaction.full,
        )
        self._feeding = Feeding(self._stores, self._progress, self._committer.handover)
        self._reflector = Reflector(self._etcd, self._stores, self._feeding, self._progress, self._limits)
        self._barrier = Barrier(self._etcd, self._progress)
        self._lister = Lister(self._etcd, self._progress, self._barrier, self._reflector.replay)
        self._fan_out = FanOut()
        events = self._stores.of(kinds.CORE_EVENT)
        self._expiry = Expiry(events, self._delete_expired, ttl_seconds=event_ttl_seconds, clock=clock)
        self._feeding.listen(events, self._expiry.on_change)
        self._collector = StorageCollector(self._stores, self._gauges())
        self._tasks: list[asyncio.Task[None]] = []

    # --- life

    def register(self, kind: Kind) -> None:
        """Serve a kind. Its objects may be in etcd already, and in the cache."""
        self._stores.of(kind).serve(kind)

    async def start(self) -> None:
        """Fill the cache; returns when it has what etcd has, and handlers have heard of it all.

        Waits for etcd for as long as it takes.
        """
        self._etcd.open()
        while True:
            try:
                resourceversion.shift(await self._etcd.shift())
                await self._reflector.load()
                break
            except EtcdError as error:
                log.warning("etcd can't be read yet: %s", error)
                await asyncio.sleep(_START_RETRY_SECONDS)
        self._tasks = [asyncio.create_task(self._reflector.run())]
        await self._caught_up()
        self._expiry.live = True
        for work in (self._remind, self._compaction.run, self._expiry.run):
            self._tasks.append(asyncio.create_task(_kept_up(work)))
        METRICS.collect(self._collector)

    async def _caught_up(self) -> None:
        while True:
            try:
                return await self._barrier.passed()
            except Timeout as error:
                log.warning("still catching up with etcd: %s", error)

    async def stop(self) -> None:
        """End watches and writes, then the connections."""
        with contextlib.suppress(KeyError):  # it never started
            METRICS.registry.unregister(self._collector)
        for audience in self._feeding.audiences:
            for watcher in audience:
                watcher.close()
        await self._committer.stop()
        await self._barrier.stop()
        self._progress.ended = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._etcd.close()

    @property
    def checks(self) -> dict[str, Callable[[], Awaitable[None]]]:
        """Named checks for /readyz: each raises when something is wrong."""
        return {"etcd": self._check_etcd, "etcd-space": self._check_space, "watch-cache": self._check_cache}

    def _gauges(self) -> dict[str, tuple[str, Callable[[], float]]]:
        return {
            "apiserver_storage_size_bytes": ("Size of etcd's file.", lambda: self._compaction.size_bytes),
            "apiserver_storage_revision": ("etcd revision of the watch cache.", lambda: self._progress.applied),
            "apiserver_storage_compacted_revision": ("Revision compacted to.", lambda: self._progress.compacted),
            "apiserver_storage_no_space": ("1 while etcd refuses writes for space.", lambda: self._compaction.full),
            "apiserver_storage_queued_writes": ("Writes that wait for etcd.", lambda: self._committer.queued),
            "apiserver_storage_watchers": ("Watches.", lambda: sum(map(len, self._feeding.audiences))),
        }

    async def _check_etcd(self) -> None:
        await self._etcd.revision()

    async def _check_space(self) -> None:
        if self._compaction.full:
            raise Timeout("etcd is out of space")

    async def _check_cache(self) -> None:
        await self._barrier.passed()

    @property
    def applied_version(self) -> int:
        """The version that the cache is at: that of a whole commit."""
        return encode(self._progress.applied, LAST_PLACE)

    # --- reading

    async def get(self, key: str, *, consistent: bool = True) -> Entry | None:
        """One object from the cache, with every write that was acknowledged before if consistent."""
        if consistent:
            await self._barrier.passed()
        store = self._stores.find(key)
        return store.entries.get(key) if store is not None else None

    async def get_live(self, key: str) -> Entry | None:
        """One object from etcd itself (rule 9). Raises Timeout."""
        return await read_key(self._etcd, key, self._stores.find(key))

    async def fresh(self, version: int) -> None:
        """Wait until the cache is no older than a version. Raises Timeout."""
        await self._lister.fresh(version)

    async def list(
        self,
        kind: Kind,
        *,
        namespace: str = "",
        labels: Selector | None = None,
        fields: FieldSelector | None = None,
        resource_version: int | None = None,
        match: str | None = None,
        limit: int = 0,
        continue_token: str | None = None,
    ) -> ListResult:
        """Objects in order of their keys; `reading` says from where. Raises Expired, BadRequest, Timeout."""
        return await self._lister.list(
            self._stores.of(kind),
            namespace=namespace,
            labels=labels,
            fields=fields,
            version=resource_version,
            match=match,
            limit=limit,
            token=continue_token,
        )

    def cached(self, kind: Kind, *, namespace: str | None = None) -> Iterable[Entry]:
        """The objects as the cache has them, in order."""
        store = self._stores.of(kind)
        return store.page(store.scope(namespace or ""))

    def lookup(self, key: str) -> Entry | None:
        """One object as the cache has it."""
        store = self._stores.find(key)
        return store.entries.get(key) if store is not None else None

    # --- writing

    async def create(self, key: str, obj: JSON, *, extra: Sequence[ExtraOp] = ()) -> Entry:
        """Raises StorageExists, also for an extra's key; API errors as all writes do: 413, 429, 504."""
        write = await self._write(key, 0, draft(obj), obj, extra)
        assert write.entry is not None
        return write.entry

    async def update(self, key: str, obj: JSON, *, version: int, extra: Sequence[ExtraOp] = ()) -> Entry:
        """Put a new version in the place of `version`. Raises StorageConflict, with what is there."""
        write = await self._write(key, version, draft(obj), obj, extra)
        assert write.entry is not None
        return write.entry

    async def delete(self, key: str, *, version: int, extra: Sequence[ExtraOp] = ()) -> int:
        """Delete `version`; the delete's own version comes back. Raises StorageConflict."""
        return (await self._write(key, version, None, None, extra)).future.result()

    async def _delete_expired(self, key: str, version: int) -> None:
        await self._committer.commit(key, version=version, source=None, labels={}, fields={})

    async def _write(
        self, key: str, version: int, source: Draft | None, obj: JSON | None, extra: Sequence[ExtraOp]
    ) -> Write:
        store = self._stores.find(key)
        labels = labels_of(obj) if obj is not None else {}
        fields = store.fields(obj) if obj is not None and store is not None else {}
        try:
            return await self._committer.commit(
                key, version=version, source=source, labels=labels, fields=fields, extra=extra
            )
        except StorageConflict as error:
            raise StorageConflict(error.key, await self.get_live(error.key)) from error

    # --- watching

    def listen(self, kind: Kind, handler: Handler) -> None:
        """Call `handler(type, key, obj)` now for every object there is, and from now on for every change."""
        self._feeding.listen(self._stores.of(kind), parsing(handler))

    def listen_entries(self, kind: Kind, handler: EntryHandler) -> None:
        """The same without parsing: `handler(type, key, entry)`; a DELETED entry holds the last object there was."""
        self._feeding.listen(self._stores.of(kind), handler)

    def watch(
        self,
        kind: Kind,
        *,
        namespace: str = "",
        name: str = "",
        labels: Selector | None = None,
        fields: FieldSelector | None = None,
        version: int | None = None,
        initial: bool | None = None,
        bookmarks: bool = False,
    ) -> Watcher:
        """Changes after a version: None is the latest, 0 what the cache has.

        `initial`: True begins with the objects there are, ended by a marked bookmark (WatchList); None does so without
        the mark if the version is None or 0, as ever; False never. Iterating raises Expired where a version is too old.
        """
        store = self._stores.of(kind)
        audience = self._feeding.audience(store)
        trigger, matches = triggered_by(namespace=namespace, name=name, labels=labels, fields=fields)

        async def begin(watcher: Watcher) -> AsyncIterator[Batch]:
            if version is None:
                await self._barrier.passed()
            elif initial and version:
                await self._lister.fresh(version)
            if initial is not False and (initial or not version):
                async for batch in self._initial(store, watcher, namespace, marked=bool(initial) and bookmarks):
                    yield batch
                return
            watcher.after = version or self.applied_version
            async for batch in self._resume(store, watcher):
                yield batch

        return Watcher(
            kind=kind,
            trigger=trigger,
            matches=matches,
            fan_out=self._fan_out,
            limit=self._limits.watcher_events,
            begin=begin,
            leave=audience.remove,
            applied=lambda: self._progress.applied,
            bookmarks=bookmarks,
        )

    async def _initial(
        self, store: KindStore, watcher: Watcher, namespace: str, *, marked: bool
    ) -> AsyncIterator[Batch]:
        """The objects as ADDED events. Changes from then on gather in the watcher's buffer meanwhile."""
        entries = store.page(store.scope(namespace))
        watcher.after = self.applied_version
        self._join(store, watcher)
        events = (watcher.selects(entry) for entry in entries)
        found = [WatchEvent(ADDED, entry, None) for entry, wanted in zip(entries, events, strict=True) if wanted]
        for start in range(0, len(found), INITIAL_BATCH):
            yield found[start : start + INITIAL_BATCH]
        if marked:
            yield [bookmark(watcher.kind, watcher.after, initial_end=True)]

    async def _resume(self, store: KindStore, watcher: Watcher) -> AsyncIterator[Batch]:
        """The events between the watcher's version and now: from the ring; what is older, from etcd (rule 14)."""
        decode(watcher.after)  # Expired, if it is of the time before a restore
        while not store.ring.covers(watcher.after):
            async for batch in self._replayed(store, watcher):
                yield batch
        missed = [seen for event in store.ring.after(watcher.after) if (seen := watcher.sees(event)) is not None]
        watcher.after = max(watcher.after, self.applied_version)
        self._join(store, watcher)
        if missed:
            yield missed

    async def _replayed(self, store: KindStore, watcher: Watcher) -> AsyncIterator[Batch]:
        last = self._progress.applied
        revision, place = decode(watcher.after)
        first = revision + 1 if place == LAST_PLACE else revision
        if first > last:  # nothing is older than the ring then: the ring was emptied at this very revision
            raise Expired(_TOO_OLD.format(watcher.after, store.ring.floor))
        try:
            async for event in self._reflector.replay(store, first, last):
                if (seen := watcher.sees(event)) is not None:
                    yield [seen]
        except Compacted as error:
            raise Expired(_TOO_OLD.format(watcher.after, store.ring.floor)) from error
        except EtcdError as error:
            raise Timeout(f"etcd did not answer: {error}") from error
        watcher.after = encode(last, LAST_PLACE)

    def _join(self, store: KindStore, watcher: Watcher) -> None:
        if not watcher.closed:
            self._feeding.audience(store).add(watcher)

    async def _remind(self) -> None:
        """Send bookmarks from time to time, one per kind for all its watchers."""
        while True:
            await asyncio.sleep(BOOKMARK_SECONDS)
            for audience in self._feeding.audiences:
                made: dict[Kind, WatchEvent] = {}
                for watcher in audience:
                    if watcher.kind not in made:
                        made[watcher.kind] = bookmark(watcher.kind, self.applied_version)
                    watcher.remind(made[watcher.kind])
                await asyncio.sleep(0)


async def _kept_up(work: Callable[[], Awaitable[None]]) -> None:
    """Housekeeping goes on after a fault, which the log has."""
    while True:
        try:
            await work()
        except Exception:
            log.exception("%s failed and is started again", work.__qualname__)
        await asyncio.sleep(_START_RETRY_SECONDS)
