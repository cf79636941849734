"""Watchers: each has a bounded buffer, and is woken in its turn.

An event reaches only the watchers whose trigger it fits (a namespace, a name, a node's name), or that have none. Those
with something to read stand in one line per server; the fan-out serves a slice of it in each turn of the loop. So a
lone event goes out at once, and while a fan-out to many is under way further events gather in the buffers and go out
together (rule 17). A watcher whose buffer is full is ended: its client watches again from where it was.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Hashable, Iterator, Sequence
from functools import lru_cache
from typing import Final

import orjson

from apimachinery.errors import Expired
from apimachinery.fields import FieldSelector
from apimachinery.kinds import Kind
from apimachinery.labels import Selector
from apimachinery.resourceversion import LAST_PLACE, encode
from apiserver.storage.cache import matcher
from apiserver.storage.events import BOOKMARK, Matches, WatchEvent
from apiserver.storage.value import Entry

SLICE: Final = 64  # watchers that are woken in one turn of the loop
MAX_PAUSE_SECONDS: Final = 0.025
JOINED: Final = 16  # coalesced batches whose bytes are kept for the watchers to come
INITIAL_END: Final = "k8s.io/initial-events-end"
Encode = Callable[[WatchEvent], bytes]
_IMMUTABLE: Final = ("metadata.name", "metadata.namespace")


class FanOut:
    """The line of watchers that have something to read.

    Served in rounds: each watcher once, a slice in each turn of the loop. When a round is over the next one waits for
    as long as that round took (at most MAX_PAUSE_SECONDS), so that half of the time is left for what makes the events,
    and those that come meanwhile cost one wake together. After a quiet time a round begins at once.
    """

    def __init__(self) -> None:
        self._line: deque[Watcher] = deque()
        self._next: deque[Watcher] = deque()  # served in this round already
        self._running = False
        self._joined: dict[tuple[Hashable, tuple[WatchEvent, ...]], bytes] = {}
        self._round = 1
        self._began = self._ended = 0.0

    def add(self, watcher: "Watcher") -> None:
        if self._running and watcher.round == self._round:
            self._next.append(watcher)
            return
        self._line.append(watcher)
        if not self._running:
            self._begin()

    def _begin(self) -> None:
        self._running = True
        self._round += 1
        loop = asyncio.get_running_loop()
        now = loop.time()
        pause = self._ended + min(self._ended - self._began, MAX_PAUSE_SECONDS) - now
        if pause > 0:
            loop.call_later(pause, self._start)
        else:
            self._start()

    def _start(self) -> None:
        loop = asyncio.get_running_loop()
        self._began = loop.time()
        loop.call_soon(self._serve)

    def _serve(self) -> None:
        line = self._line
        for _ in range(min(SLICE, len(line))):
            watcher = line.popleft()
            watcher.round = self._round
            watcher.wake()
        loop = asyncio.get_running_loop()
        if line:
            loop.call_soon(self._serve)
        else:
            loop.call_soon(self._finish)  # those of the last slice have been written then

    def _finish(self) -> None:
        self._ended = asyncio.get_running_loop().time()
        self._running = False
        if self._line:  # they came while the last ones were served
            self._next.extendleft(reversed(self._line))
            self._line.clear()
        if self._next:
            self._line, self._next = self._next, self._line
            self._begin()

    def joined(self, batch: Sequence[WatchEvent], representation: Hashable, encode: Encode) -> bytes:
        """The encoded events of a batch, one after the other: made once for all that read the same ones."""
        if len(batch) == 1:
            return batch[0].encoded(representation, encode)
        key = (representation, tuple(batch))
        found = self._joined.get(key)
        if found is None:
            found = b"".join([event.encoded(representation, encode) for event in batch])
            if len(self._joined) >= JOINED:
                del self._joined[next(iter(self._joined))]
            self._joined[key] = found
        return found


class Audience:
    """The watchers of one kind, by what triggers them."""

    def __init__(self) -> None:
        self._all: dict[Watcher, None] = {}
        self._triggered: dict[str, dict[str, dict[Watcher, None]]] = {}  # field -> value -> watchers

    def __iter__(self) -> "Iterator[Watcher]":
        triggered = (some for values in self._triggered.values() for some in values.values())
        return iter([*self._all, *(watcher for some in triggered for watcher in some)])

    def __len__(self) -> int:
        return len(self._all) + sum(len(some) for values in self._triggered.values() for some in values.values())

    def add(self, watcher: "Watcher") -> None:
        if watcher.trigger is None:
            self._all[watcher] = None
        else:
            field, value = watcher.trigger
            self._triggered.setdefault(field, {}).setdefault(value, {})[watcher] = None

    def remove(self, watcher: "Watcher") -> None:
        if watcher.trigger is None:
            self._all.pop(watcher, None)
            return
        field, value = watcher.trigger
        values = self._triggered.get(field, {})
        some = values.get(value, {})
        some.pop(watcher, None)
        if not some:
            values.pop(value, None)
        if not values:
            self._triggered.pop(field, None)

    def concerned(self, event: WatchEvent) -> "list[Watcher]":
        """Those that may see the event."""
        found = list(self._all)
        for field, values in self._triggered.items():
            now = event.entry.fields.get(field, "")
            found += values.get(now, ())
            if event.previous is not None and (before := event.previous.fields.get(field, "")) != now:
                found += values.get(before, ())
        return found

    def publish(self, event: WatchEvent) -> None:
        for watcher in self.concerned(event):
            watcher.offer(event)

    def expire(self, event: WatchEvent) -> None:
        """End the watches that would see this event, which can't be told in order (rule 13)."""
        for watcher in self.concerned(event):
            if watcher.sees(event) is not None:
                watcher.expire()


class Watcher:
    """One watch, to be iterated for batches of events. Ends by raising Expired, or plainly when it was too slow."""

    def __init__(
        self,
        *,
        kind: Kind,
        trigger: tuple[str, str] | None,
        matches: Matches | None,
        fan_out: FanOut,
        limit: int,
        begin: "Callable[[Watcher], AsyncIterator[list[WatchEvent]]]",
        leave: "Callable[[Watcher], None]",
        applied: Callable[[], int],
        bookmarks: bool,
    ) -> None:
        self.kind = kind
        self.trigger = trigger
        self.round = 0  # of the fan-out, in which it was woken last
        self.after = 0  # events up to this version are not for this watcher
        self.bookmarks = bookmarks
        self.live = False  # the beginning is over: events come by offer
        self._matches, self._fan_out, self._limit = matches, fan_out, limit
        self._leave, self._applied = leave, applied
        self._beginning = begin(self)
        self._buffer: list[WatchEvent] = []
        self._waiter: asyncio.Future[None] | None = None
        self._in_line = self._closed = False
        self._error: Expired | None = None

    def __aiter__(self) -> "Watcher":
        return self

    async def __anext__(self) -> list[WatchEvent]:
        if not self.live and not self._closed:
            async for batch in self._beginning:
                return batch
            self.live = True
        while not self._buffer:
            if self._error is not None:
                raise self._error
            if self._closed:
                raise StopAsyncIteration
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        batch, self._buffer = self._buffer, []
        return batch

    @property
    def closed(self) -> bool:
        return self._closed

    def selects(self, entry: Entry) -> bool:
        """Whether this watcher is for such an object."""
        if self.trigger is not None and entry.fields.get(self.trigger[0], "") != self.trigger[1]:
            return False
        return self._matches is None or self._matches(entry)

    def sees(self, event: WatchEvent) -> WatchEvent | None:
        """What this watcher gets of an event, whichever way it comes."""
        if event.version <= self.after:
            return None
        return event.seen(self.selects)

    def offer(self, event: WatchEvent) -> None:
        """Take in an event, if it is for this watcher."""
        if event.version <= self.after:
            return
        if self._matches is not None and event.type != BOOKMARK:
            seen = event.seen_by(self._matches)
            if seen is None:
                return
            event = seen
        self._buffer.append(event)
        if len(self._buffer) > self._limit:
            self.close()
        elif not self._in_line:
            self._in_line = True
            self._fan_out.add(self)

    def wake(self) -> None:
        """It is this watcher's turn; if it is busy writing, it will look for itself."""
        self._in_line = False
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def encoded(self, batch: Sequence[WatchEvent], representation: Hashable, encode: Encode) -> bytes:
        """The bytes of a batch, shared with the other watchers that get the same one."""
        return self._fan_out.joined(batch, representation, encode)

    def bookmark(self) -> WatchEvent | None:
        """How far this watch is, to be sent before it times out; None while there are events to be sent first."""
        if not self.live or self._buffer or self._closed:
            return None
        return bookmark(self.kind, max(self.after, encode(self._applied(), LAST_PLACE)))

    def remind(self, event: WatchEvent) -> None:
        """Take in a bookmark, if it wants any."""
        if self.bookmarks and self.live:
            self.offer(event)

    def expire(self) -> None:
        """End with 410: the client has to list again."""
        self._error = Expired("The resourceVersion for the provided watch is too old.")
        self._buffer.clear()
        self.close()

    def close(self) -> None:
        """End the watch, whoever calls."""
        if not self._closed:
            self._closed = True
            self._leave(self)
            if self._error is None:
                self._buffer.clear()
            self.wake()


def bookmark(kind: Kind, version: int, *, initial_end: bool = False) -> WatchEvent:
    """A BOOKMARK: an object with nothing but its kind and a version."""
    metadata = {"resourceVersion": str(version), "creationTimestamp": None}
    if initial_end:
        metadata["annotations"] = {INITIAL_END: "true"}  # type: ignore[assignment]
    body = orjson.dumps({"kind": kind.kind, "apiVersion": kind.api_version, "metadata": metadata})
    return WatchEvent(BOOKMARK, Entry("", version, body, {}, {}), None)


@lru_cache(maxsize=1024)
def triggered_by(
    *, namespace: str, name: str, labels: Selector | None, fields: FieldSelector | None
) -> tuple[tuple[str, str] | None, Matches | None]:
    """What wakes such a watcher, and what is left for it to look at: the same for all watchers that ask the same."""
    exact = {each.field: each.value for each in fields.requirements if each.op == "="} if fields is not None else {}
    if namespace:
        exact.setdefault("metadata.namespace", namespace)
    if name:
        exact.setdefault("metadata.name", name)
    order = sorted(exact, key=lambda field: (field != "metadata.name", field == "metadata.namespace"))
    trigger = (order[0], exact[order[0]]) if order else None
    matches = matcher(labels, fields)
    needed = {field: wanted for field, wanted in (("metadata.namespace", namespace), ("metadata.name", name)) if wanted}
    if trigger is not None and needed.get(trigger[0]) == trigger[1]:
        del needed[trigger[0]]
    if not needed:
        return trigger, matches
    return trigger, _all_of(needed, matches)


def _all_of(needed: dict[str, str], matches: Matches | None) -> Matches:
    def both(entry: Entry) -> bool:
        if any(entry.fields.get(field) != value for field, value in needed.items()):
            return False
        return matches is None or matches(entry)

    return both
