"""Events are kept for an hour: the servers delete each by its version when its time is up (rule 8).

No etcd leases: one expired lease fails a whole group of writes, and revoking one deletes hundreds of keys at once.
Every server does this; of several, one delete wins.
"""

import asyncio
import heapq
import logging
import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, Final

from apimachinery.errors import StatusError
from apiserver.storage.cache import KindStore
from apiserver.storage.errors import StorageError
from apiserver.storage.events import DELETED
from apiserver.storage.value import Entry

log = logging.getLogger(__name__)

TICK_SECONDS: Final = 15.0
AT_A_TIME: Final = 64
_TIMES: Final = ("eventTime", "lastTimestamp", "firstTimestamp")


class Expiry:
    """Deletes the objects of one store `ttl_seconds` after they were last written."""

    def __init__(
        self,
        store: KindStore,
        delete: Callable[[str, int], Awaitable[Any]],
        *,
        ttl_seconds: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store, self._delete, self._ttl, self._clock = store, delete, ttl_seconds, clock
        self._due: list[tuple[float, str, int]] = []  # heap: when, key, version
        self._read: set[tuple[str, int]] = set()  # found at start: their age is in the object
        self.live = False  # what comes from now on was written now

    def on_change(self, type_: str, key: str, entry: Entry) -> None:
        """A handler of entries."""
        if type_ == DELETED:
            return
        if self.live:
            heapq.heappush(self._due, (self._clock() + self._ttl, key, entry.version))
        else:
            self._read.add((key, entry.version))
            heapq.heappush(self._due, (self._clock(), key, entry.version))

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self.expire()
            await asyncio.sleep(TICK_SECONDS)

    async def expire(self) -> None:
        """Delete what is due."""
        while self._due and self._due[0][0] <= self._clock():
            late: list[Entry] = []
            while self._due and self._due[0][0] <= self._clock() and len(late) < AT_A_TIME:
                _, key, version = heapq.heappop(self._due)
                entry = self._store.entries.get(key)
                if entry is not None and entry.version == version and not self._put_off(entry):
                    late.append(entry)
            await asyncio.gather(*[self._remove(entry) for entry in late])

    def _put_off(self, entry: Entry) -> bool:
        """One that was there at start is given what is left of its time."""
        found = (entry.key, entry.version)
        if found not in self._read:
            return False
        self._read.discard(found)
        due = min(last_written(entry.parsed()), self._clock()) + self._ttl
        if due > self._clock():
            heapq.heappush(self._due, (due, *found))
        return due > self._clock()

    async def _remove(self, entry: Entry) -> None:
        try:
            await self._delete(entry.key, entry.version)
        except StorageError:
            log.debug("%s was written or deleted by another", entry.key)
        except StatusError as error:
            log.info("deleting %s, whose time is up: %s", entry.key, error)
            heapq.heappush(self._due, (self._clock() + self._ttl / 10, entry.key, entry.version))


def last_written(event: dict[str, Any]) -> float:
    """The latest of an Event's times, in seconds; 0 if it has none."""
    series = event.get("series") or {}
    texts = [event["metadata"].get("creationTimestamp"), series.get("lastObservedTime")]
    texts += [event.get(name) for name in _TIMES]
    return max((_seconds(text) for text in texts if type(text) is str), default=0.0)


def _seconds(text: str) -> float:
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return 0.0
