"""Watch events, and the ring that keeps the recent ones of a kind.

An event is made once, when its commit is applied, and shared by all watchers: so is what it is encoded to (rule 16).
It keeps the entry before it, from which a selector sees what the object was: an object that leaves a selector is
DELETED to that watcher, with the former object under the new version.
"""

from bisect import bisect_right
from collections.abc import Callable, Hashable
from operator import attrgetter
from typing import Final, Literal, Self

from apiserver.storage.value import Entry, restamped

EventType = Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK"]
ADDED: Final = "ADDED"
MODIFIED: Final = "MODIFIED"
DELETED: Final = "DELETED"
BOOKMARK: Final = "BOOKMARK"
Matches = Callable[[Entry], bool]


class WatchEvent:
    """One change: `entry` is what goes out, `previous` what was there before. Shared: never changed."""

    __slots__ = ("_encoded", "_seen", "_variants", "entry", "previous", "type", "version")

    def __init__(self, type_: EventType, entry: Entry, previous: Entry | None) -> None:
        self.type: EventType = type_
        self.entry = entry
        self.previous = previous
        self.version = entry.version
        self._encoded: dict[Hashable, bytes] | None = None
        self._variants: dict[EventType, WatchEvent] | None = None
        self._seen: dict[Matches, WatchEvent | None] = {}

    @classmethod
    def deletion(cls, previous: Entry, version: int) -> Self:
        """DELETED: the former object, under the version of the delete, or of the change that took it from view."""
        body = restamped(previous.body, version)
        return cls(DELETED, Entry(previous.key, version, body, previous.labels, previous.fields), previous)

    def encoded(self, representation: Hashable, encode: Callable[["WatchEvent"], bytes]) -> bytes:
        """What `encode` makes of this event, made at most once for each representation."""
        if self._encoded is None:
            self._encoded = {}
        found = self._encoded.get(representation)
        if found is None:
            found = self._encoded[representation] = encode(self)
        return found

    def seen_by(self, matches: Matches) -> "WatchEvent | None":
        """`seen`, looked at once for all who share the very same function."""
        if matches in self._seen:
            return self._seen[matches]
        found = self._seen[matches] = self.seen(matches)
        return found

    def seen(self, matches: Matches) -> "WatchEvent | None":
        """This event to who sees only the objects that match; None if neither the new nor the former one does."""
        if self.type == DELETED:
            return self if self.previous is not None and matches(self.previous) else None
        before = self.previous is not None and matches(self.previous)
        if matches(self.entry):
            return self._as(MODIFIED if before else ADDED)
        return self._as(DELETED) if before else None

    def _as(self, type_: EventType) -> "WatchEvent":
        if type_ == self.type:
            return self
        if self._variants is None:
            self._variants = {}
        found = self._variants.get(type_)
        if found is None:
            if type_ == DELETED:
                assert self.previous is not None
                found = WatchEvent.deletion(self.previous, self.version)
            else:
                found = WatchEvent(type_, self.entry, self.previous)
            self._variants[type_] = found
        return found


class Ring:
    """The latest events of one kind, in order: all those with a version above `floor`."""

    __slots__ = ("_bytes", "_events", "_first", "_max_bytes", "_max_events", "floor")

    def __init__(self, floor: int, *, max_events: int, max_bytes: int) -> None:
        self.floor = floor
        self._events: list[WatchEvent] = []
        self._first = 0  # those before it are forgotten; they leave the list in bulk
        self._bytes = 0
        self._max_events, self._max_bytes = max_events, max_bytes

    def __len__(self) -> int:
        return len(self._events) - self._first

    def append(self, event: WatchEvent) -> None:
        """Add the newest event, forget what is beyond the bounds."""
        self._events.append(event)
        self._bytes += len(event.entry.body)
        while len(self) > self._max_events or (self._bytes > self._max_bytes and len(self) > 1):
            oldest = self._events[self._first]
            self._events[self._first] = event  # holds nothing that isn't held anyway
            self._bytes -= len(oldest.entry.body)
            self.floor = oldest.version
            self._first += 1
        if self._first > 1024 and self._first * 2 > len(self._events):
            del self._events[: self._first]
            self._first = 0

    def covers(self, version: int) -> bool:
        """Whether every event after this version is still here."""
        return version >= self.floor

    def after(self, version: int) -> list[WatchEvent]:
        """The events above a version that the ring covers."""
        return self._events[bisect_right(self._events, version, lo=self._first, key=attrgetter("version")) :]

    def clear(self, floor: int) -> None:
        """Forget everything up to and including `floor`: who asks for less has to list again."""
        self._events, self._first, self._bytes, self.floor = [], 0, 0, floor
