"""The one watch of etcd: list once at start, then follow, over reconnects and lost members (rules 11, 12, 14).

The list is pinned to a revision some way back, and the watch starts there, so that the rings fill with what clients of
the former process may still ask for. When compaction overtakes the watch everything is read anew.
"""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from aetcd import rpc

from apimachinery.errors import Expired
from apiserver.storage.cache import KindStore, Limits, Stores
from apiserver.storage.etcd import PROBE_KEY, Compacted, Etcd, EtcdError
from apiserver.storage.events import ADDED, MODIFIED, WatchEvent
from apiserver.storage.feeding import Feeding, read_commit, revisions
from apiserver.storage.progress import Progress
from apiserver.storage.reading import range_end
from apiserver.storage.value import REGISTRY, Entry, entry_at

log = logging.getLogger(__name__)

PAGE: Final = 1_000
_MAX_BACKOFF_SECONDS: Final = 1.0
_LONG: Final = 100  # events of one answer, after which others get a turn
MAX_REPLAYED: Final = 200_000  # events that one replay may read


class Reflector:
    """Keeps the cache fed. `run` never ends by itself; `ready` is set once the first list is in."""

    def __init__(self, etcd: Etcd, stores: Stores, feeding: Feeding, progress: Progress, limits: Limits) -> None:
        self._etcd, self._stores, self._feeding = etcd, stores, feeding
        self._progress, self._limits = progress, limits
        self._broken = asyncio.Event()
        self.connected = False
        progress.stalled = self._stalled

    def _stalled(self) -> None:
        log.warning("the watch of etcd gives nothing while etcd has more: connecting anew")
        self._etcd.advance(self._etcd.member())
        self._broken.set()

    async def load(self) -> None:
        """Fill the cache from a list. Raises EtcdError."""
        now = await self._etcd.revision()
        revision = await self._oldest(max(1, now - self._limits.ring_revisions), now)
        found = await self._list(revision)
        self._feeding.reset(found, revision)
        log.info("read %d objects at revision %d of %d", sum(map(len, found.values())), revision, now)

    async def run(self) -> None:
        """Follow etcd until cancelled."""
        backoff = 0.05
        while True:
            self._broken.clear()
            try:
                async with asyncio.TaskGroup() as group:
                    follow = group.create_task(self._follow())
                    broken = group.create_task(self._broken.wait())
                    await asyncio.wait((follow, broken), return_when=asyncio.FIRST_COMPLETED)
                    follow.cancel()
                    broken.cancel()
            except* Compacted as errors:
                log.warning("%s: reading everything anew", errors.exceptions[0])
                await self._reload()
            except* EtcdError as errors:
                log.warning("the watch of etcd broke: %s", errors.exceptions[0])
            except* Exception as errors:  # a fault of ours: a cache that may be half of a commit is not gone on with
                log.error("applying what etcd sent failed: reading everything anew", exc_info=errors)
                await self._reload()
            backoff = 0.05 if self.connected else min(2 * backoff, _MAX_BACKOFF_SECONDS)
            self.connected = False
            await asyncio.sleep(backoff * random.uniform(0.5, 1))

    async def _follow(self) -> None:
        async for events in self._etcd.watch(self._progress.applied + 1):
            self.connected = True
            if len(events) <= _LONG:
                self._feeding.apply(events)
                continue
            for _, some in revisions(events):
                self._feeding.apply(some)
                await asyncio.sleep(0)

    async def _reload(self) -> None:
        try:
            await self.load()
        except EtcdError as error:
            log.warning("reading everything failed: %s", error)

    async def _oldest(self, wanted: int, now: int) -> int:
        """The revision to list at: the wanted one, or the first that compaction left."""
        if await self._etcd.readable(wanted):
            return wanted
        try:
            async for _ in self._etcd.watch(wanted, key=PROBE_KEY, range_end=b""):
                pass
        except Compacted as error:
            self._progress.compacted = error.revision
            return min(error.revision + 1, now)
        return now

    async def _list(self, revision: int) -> dict[str, list[Entry]]:
        """Everything under /registry/ at one revision, by prefix."""
        found: dict[str, list[Entry]] = {}
        start = REGISTRY.encode()
        while True:
            request = rpc.RangeRequest(key=start, range_end=range_end(REGISTRY), revision=revision, limit=PAGE)
            response = await self._etcd.range(request)
            for kv in response.kvs:
                key = kv.key.decode()
                store = self._stores.find(key)
                entry = entry_at(key, kv.mod_revision, kv.value, store.fields) if store is not None else None
                if store is None or entry is None:
                    log.warning("%s holds no object of this API: it is left out", key)
                    continue
                found.setdefault(store.prefix, []).append(entry)
            if not response.more:
                return found
            start = response.kvs[-1].key + b"\0"
            await asyncio.sleep(0)

    async def replay(self, store: KindStore, first: int, last: int) -> AsyncIterator[WatchEvent]:
        """The events of one kind in revisions `first` to `last`, from etcd. Raises Compacted, Expired.

        etcd takes a watch from exactly the compacted revision and leaves out its deletes, without a word: so after
        the first events it is asked whether the revision before is still there (rule 3).
        """
        former = await self._state(store, first - 1)
        count = 0
        async for events in self._etcd.watch(first):
            count += len(events)
            if count > MAX_REPLAYED:
                raise Expired("The resourceVersion for the provided watch is too old.")
            if not await self._etcd.readable(first - 1):
                raise Compacted(f"revision {first} is compacted")
            for revision, some in revisions(events):
                if revision > last:
                    return
                for event in self._events(store, revision, some, former):
                    yield event
                if revision == last:
                    return

    def _events(
        self, store: KindStore, revision: int, some: Sequence[Any], former: dict[str, Entry]
    ) -> list[WatchEvent]:
        commit = read_commit(revision, some, self._stores)
        found = []
        for change in commit.changes:
            if change.store is not store:
                continue
            if commit.irregular:
                raise Expired("The resourceVersion for the provided watch is too old.")
            entry = commit.entry(change)
            previous = former.pop(change.key, None)
            if entry is not None:
                former[change.key] = entry
                found.append(WatchEvent(ADDED if previous is None else MODIFIED, entry, previous))
            elif previous is not None:
                found.append(WatchEvent.deletion(previous, commit.version(change)))
        return found

    async def _state(self, store: KindStore, revision: int) -> dict[str, Entry]:
        """The objects of a kind at a revision."""
        found: dict[str, Entry] = {}
        start = store.prefix.encode()
        while True:
            request = rpc.RangeRequest(key=start, range_end=range_end(store.prefix), revision=revision, limit=PAGE)
            response = await self._etcd.range(request)
            for kv in response.kvs:
                key = kv.key.decode()
                entry = entry_at(key, kv.mod_revision, kv.value, store.fields)
                if entry is not None:
                    found[key] = entry
            if not response.more:
                return found
            start = response.kvs[-1].key + b"\0"
