"""Commits become events: what one revision of etcd changes, in order, with a version each (rules 1, 11, 13).

The same reading serves the live watch, which then applies the events to the cache, and a replay from etcd for a watcher
that resumes from before the rings. A commit is applied whole, in one turn of the loop: nobody sees half of it.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from aetcd import rpc

from apimachinery.resourceversion import LAST_PLACE, encode
from apiserver.storage.cache import KindStore, Stores
from apiserver.storage.commit import Handover
from apiserver.storage.events import ADDED, MODIFIED, WatchEvent
from apiserver.storage.progress import Progress
from apiserver.storage.value import REGISTRY, Draft, Entry, entry_of, undraft
from apiserver.storage.watching import Audience

log = logging.getLogger(__name__)

JSON = dict[str, Any]
Handler = Callable[[str, str, JSON | None], None]  # type, key, object; of a DELETED one the last that was
EntryHandler = Callable[[str, str, Entry], None]
_DELETE: Final = rpc.Event.DELETE
_REGISTRY: Final = REGISTRY.encode()


@dataclass(slots=True)
class Change:
    """One event of etcd on an object's key. No `source`: a delete, or a value that is no object."""

    key: str
    store: KindStore
    place: int
    deleted: bool
    source: Draft | None
    ready: Entry | None = None  # this server's own write, known without parsing


@dataclass(slots=True)
class Commit:
    """What one revision changed in objects. Irregular: its places are not all different, or not in order."""

    revision: int
    changes: list[Change]
    irregular: bool = False

    def version(self, change: Change) -> int:
        return encode(self.revision, LAST_PLACE if self.irregular else change.place)

    def entry(self, change: Change) -> Entry | None:
        """The object as the change left it; None for a delete."""
        if change.source is None:
            return None
        if change.ready is not None and not self.irregular:
            return change.ready
        return entry_of(change.key, self.version(change), change.source, change.store.fields)


def revisions(events: Sequence[Any]) -> Iterator[tuple[int, Sequence[Any]]]:
    """Events of whole commits, one commit at a time."""
    start, count = 0, len(events)
    while start < count:
        revision = events[start].kv.mod_revision
        end = start + 1
        while end < count and events[end].kv.mod_revision == revision:
            end += 1
        yield revision, events[start:end] if end - start < count else events
        start = end


def read_commit(revision: int, events: Sequence[Any], stores: Stores, handover: Handover | None = None) -> Commit:
    """Give every event its place: a put has it in its value, a delete comes after the event before it."""
    commit = Commit(revision, [])
    last = -1
    for event in events:
        kv = event.kv
        if not kv.key.startswith(_REGISTRY):
            continue
        key = kv.key.decode()
        store = stores.find(key)
        if event.type == _DELETE:
            place, source, ready = last + 1, None, None
        else:
            value = kv.value
            ready = handover.take(key, revision, value) if handover is not None else None
            found = undraft(value)
            if found is None or store is None:
                log.warning("%s holds no object of this API: it is left out", key)
                continue
            source, place = found
        if place <= last or place > LAST_PLACE:
            commit.irregular = True
        last = min(place, LAST_PLACE)
        if store is not None:
            commit.changes.append(Change(key, store, last, source is None, source, ready))
    return commit


class Feeding:
    """The one way into the cache. `audiences` and `handlers` are told what has been applied."""

    def __init__(self, stores: Stores, progress: Progress, handover: Handover) -> None:
        self._stores, self._progress, self._handover = stores, progress, handover
        self._audiences: dict[str, Audience] = {}
        self._handlers: dict[str, list[EntryHandler]] = {}

    def audience(self, store: KindStore) -> Audience:
        return self._audiences.setdefault(store.prefix, Audience())

    @property
    def audiences(self) -> Iterator[Audience]:
        return iter(list(self._audiences.values()))

    def listen(self, store: KindStore, handler: EntryHandler) -> None:
        """Call the handler for what is here, and from now on for every change."""
        self._handlers.setdefault(store.prefix, []).append(handler)
        for entry in list(store.entries.values()):
            _call(handler, ADDED, entry)

    def apply(self, events: Sequence[Any]) -> None:
        """Take in events of the live watch: whole commits, in order."""
        for revision, some in revisions(events):
            if revision > self._progress.applied:
                self._apply(read_commit(revision, some, self._stores, self._handover))

    def _apply(self, commit: Commit) -> None:
        for change in commit.changes:
            store = change.store
            entry = commit.entry(change)
            if entry is None:
                previous = store.remove(change.key)
                if previous is None:
                    continue
                event = WatchEvent.deletion(previous, commit.version(change))
            else:
                previous = store.put(entry)
                event = WatchEvent(ADDED if previous is None else MODIFIED, entry, previous)
            audience = self._audiences.get(store.prefix)
            if commit.irregular:
                log.warning("revision %d was not written by this API: watches of %s end", commit.revision, store.prefix)
                store.last_version = event.version
                store.ring.clear(event.version)
                if audience is not None:
                    audience.expire(event)
            else:
                store.record(event)
                if audience is not None:
                    audience.publish(event)
            self._tell(store, event)
        self._progress.advance(commit.revision)

    def reset(self, found: dict[str, list[Entry]], revision: int) -> None:
        """Start anew from a list of everything at a revision. Watches end; handlers get the difference."""
        floor = encode(revision, LAST_PLACE)
        self._stores.floor = floor
        for prefix in found:
            self._stores.under(prefix)
        for store in self._stores:
            former = store.entries
            store.replace(found.get(store.prefix, ()), floor)
            for watcher in self._audiences.get(store.prefix, ()):
                watcher.expire()
            if store.prefix in self._handlers:
                for event in _difference(former, store.entries, floor):
                    self._tell(store, event)
        self._progress.advance(revision)

    def _tell(self, store: KindStore, event: WatchEvent) -> None:
        for handler in self._handlers.get(store.prefix, ()):
            _call(handler, event.type, event.entry)


def _difference(former: dict[str, Entry], current: dict[str, Entry], version: int) -> Iterator[WatchEvent]:
    for key, entry in former.items():
        if key not in current:
            yield WatchEvent.deletion(entry, version)
    for key, entry in current.items():
        previous = former.get(key)
        if previous is None or previous.version != entry.version:
            yield WatchEvent(ADDED if previous is None else MODIFIED, entry, previous)


def parsing(handler: Handler) -> EntryHandler:
    """A handler of entries from one of objects."""
    return lambda type_, key, entry: handler(type_, key, entry.parsed())


def _call(handler: EntryHandler, type_: str, entry: Entry) -> None:
    try:
        handler(type_, entry.key, entry)
    except Exception:  # whose handler it is has to see to it; the cache goes on
        log.exception("a handler of %s events failed on %s", type_, entry.key)
