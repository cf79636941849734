"""The watch cache: per kind, every object as bytes, sorted by key, with an index over labels and a few fields.

Only the feeding puts anything in, commit by commit, from etcd's watch. A kind that nobody has registered yet (its
CustomResourceDefinition comes later) is kept all the same, so that registering needs no reading.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from apimachinery.fields import FieldSelector
from apimachinery.kinds import Kind
from apimachinery.labels import Selector
from apiserver.storage.events import Matches, Ring, WatchEvent
from apiserver.storage.value import REGISTRY, Entry, Extractor, extractor

PAGES: Final = 8  # of one kind, that are remembered until one of its objects changes
INDEXED_FIELDS: Final = ("spec.nodeName", "involvedObject.uid", "involvedObject.name")
_AFTER_SLASH: Final = chr(ord("/") + 1)


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of what a server holds beyond the objects themselves."""

    ring_events: int = 5_000  # of one kind
    ring_bytes: int = 16 << 20
    ring_revisions: int = 5_000  # how far back a starting server fills its rings
    watcher_events: int = 10_000  # that may wait for one slow watcher
    queued_writes: int = 4_096
    queued_bytes: int = 64 << 20
    quota_bytes: int = 8 << 30  # etcd's --quota-backend-bytes


def matcher(labels: Selector | None, fields: FieldSelector | None) -> Matches | None:
    """What an entry has to fulfil; None if everything does."""
    by_labels = labels if labels is not None and not labels.empty else None
    by_fields = fields if fields is not None and not fields.empty else None
    if by_fields is None:
        return None if by_labels is None else lambda entry: by_labels.matches(entry.labels)
    if by_labels is None:
        return lambda entry: by_fields.matches(entry.fields)
    return lambda entry: by_labels.matches(entry.labels) and by_fields.matches(entry.fields)


class Page(list[Entry]):
    """Objects of a list in order, shared by all that ask for the same between two changes of the kind."""

    __slots__ = ("joined", "left", "shared")

    def __init__(self, entries: Iterable[Entry], left: int) -> None:
        super().__init__(entries)
        self.left = left  # objects that come after these
        self.shared = False  # it has been asked for again
        self.joined: list[bytes] | None = None  # its objects for the wire, some at a time, for as long as that is kept

    def forget(self) -> None:
        """Give back what `joined` takes, which is as much as the objects themselves."""
        self.joined = None


class KindStore:
    """The objects under one prefix. `last_version` is that of the latest change to any of them."""

    def __init__(self, prefix: str, *, floor: int, limits: Limits) -> None:
        self.prefix = prefix
        self.kinds: list[Kind] = []
        self.fields: Extractor = extractor(())
        self.entries: dict[str, Entry] = {}
        self.last_version = floor
        self.ring = Ring(floor, max_events=limits.ring_events, max_bytes=limits.ring_bytes)
        self._keys: list[str] = []  # sorted
        self._index: dict[tuple[str, str], set[str]] = {}  # (label, value) and ("\0field", value) -> keys
        self._pages: dict[tuple[str, str, int], Page] = {}  # by scope, start and limit; what is here now

    def serve(self, kind: Kind) -> None:
        """Read the selectable fields of this kind too: of what is here already, and of what comes."""
        if kind in self.kinds:
            return
        self.kinds.append(kind)
        self.fields = extractor(self.kinds)
        for entry in list(self.entries.values()):
            self.put(Entry(entry.key, entry.version, entry.body, entry.labels, self.fields(entry.parsed())))

    def put(self, entry: Entry) -> Entry | None:
        """Take in a new version; the one before it comes back."""
        key = entry.key
        previous = self.entries.get(key)
        if previous is None:
            if self._keys and key < self._keys[-1]:
                insort(self._keys, key)
            else:
                self._keys.append(key)
            for term in _terms(entry):
                self._index.setdefault(term, set()).add(key)
        elif previous.labels != entry.labels or previous.fields != entry.fields:
            self._unindex(previous)
            for term in _terms(entry):
                self._index.setdefault(term, set()).add(key)
        self.entries[key] = entry
        self._pages.clear()
        return previous

    def remove(self, key: str) -> Entry | None:
        """Take out an object; it comes back, None if it wasn't here."""
        previous = self.entries.pop(key, None)
        if previous is not None:
            del self._keys[bisect_left(self._keys, key)]
            self._unindex(previous)
            self._pages.clear()
        return previous

    def record(self, event: WatchEvent) -> None:
        """Remember an event whose change has been applied."""
        self.last_version = event.version
        self.ring.append(event)

    def replace(self, entries: Iterable[Entry], floor: int) -> None:
        """Start anew from what a list read at version `floor`."""
        self.entries, self._keys, self._index, self._pages = {}, [], {}, {}
        for entry in entries:
            self.put(entry)
        self.last_version = floor
        self.ring.clear(floor)

    def _unindex(self, entry: Entry) -> None:
        for term in _terms(entry):
            keys = self._index[term]
            keys.discard(entry.key)
            if not keys:
                del self._index[term]

    def scope(self, namespace: str) -> str:
        """The prefix of the keys in a namespace, or of all keys."""
        return f"{self.prefix}{namespace}/" if namespace else self.prefix

    def range(self, scope: str, start: str = "") -> list[str]:
        """The keys with a prefix, from `start` on, in order."""
        first, end = self._bounds(scope, start)
        return self._keys[first:end]

    def _bounds(self, scope: str, start: str) -> tuple[int, int]:
        return bisect_left(self._keys, max(scope, start)), bisect_left(self._keys, scope[:-1] + _AFTER_SLASH)

    def page(self, scope: str, start: str = "", limit: int = 0) -> Page:
        """The objects with a prefix, from `start` on, in order; at most `limit`, 0 for all."""
        asked = (scope, start, limit)
        page = self._pages.get(asked)
        if page is not None:
            page.shared = True
            return page
        first, end = self._bounds(scope, start)
        last = min(first + limit, end) if limit else end
        page = Page(map(self.entries.__getitem__, self._keys[first:last]), end - last)
        if len(self._pages) >= PAGES:
            del self._pages[next(iter(self._pages))]
        self._pages[asked] = page
        return page

    def candidates(
        self, scope: str, labels: Selector | None, fields: FieldSelector | None, *, start: str = ""
    ) -> list[str]:
        """Keys in scope, in order, among which are all that match: as few as the index can tell."""
        terms = list(labels.equalities.items()) if labels is not None else []
        if fields is not None:
            terms += [("\0" + name, value) for name in INDEXED_FIELDS if (value := fields.exact(name))]
            if (name := fields.exact("metadata.name")) and scope.count("/") > self.prefix.count("/"):
                return [key] if (key := scope + name) in self.entries and key >= start else []
        if not terms:
            return self.range(scope, start)
        smallest = min((self._index.get(term, ()) for term in terms), key=len)
        return sorted(key for key in smallest if key.startswith(scope) and key >= start)

    def at(self, version: int, scope: str, *, start: str = "") -> list[Entry] | None:
        """What was in scope, in order, at a version no newer than this cache; None if the ring doesn't reach back."""
        if version >= self.last_version:
            return self.page(scope, start)
        if not self.ring.covers(version):
            return None
        before: dict[str, Entry | None] = {}
        for event in self.ring.after(version):
            before.setdefault(event.entry.key, event.previous)
        found = {key: self.entries[key] for key in self.range(scope, start)}
        for key, entry in before.items():
            if entry is None:
                found.pop(key, None)
            elif key.startswith(scope) and key >= start:
                found[key] = entry
        return [found[key] for key in sorted(found)]


def _terms(entry: Entry) -> Iterator[tuple[str, str]]:
    yield from entry.labels.items()
    for name in INDEXED_FIELDS:
        if value := entry.fields.get(name):
            yield "\0" + name, value


class Stores:
    """All kinds' stores, found by key."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._by_prefix: dict[str, KindStore] = {}
        self._core: dict[str, KindStore] = {}  # those without a group, by plural
        self.floor = 0

    def __iter__(self) -> Iterator[KindStore]:
        return iter(self._by_prefix.values())

    def of(self, kind: Kind) -> KindStore:
        """The kind's store, made if there is none."""
        return self.under(kind.registry_prefix)

    def find(self, key: str) -> KindStore | None:
        """The store that a key belongs to; None if it is no object's. Kinds without a group have to be known before."""
        if not key.startswith(REGISTRY):
            return None
        first, *rest = key[len(REGISTRY) :].split("/", 2)
        if not rest:
            return None
        store = self._core.get(first)
        if store is not None:
            return store
        return self.under(f"{REGISTRY}{first}/{rest[0]}/") if len(rest) == 2 else None

    def under(self, prefix: str) -> KindStore:
        store = self._by_prefix.get(prefix)
        if store is None:
            store = self._by_prefix[prefix] = KindStore(prefix, floor=self.floor, limits=self._limits)
            if prefix.count("/") == 3:
                self._core[prefix.split("/")[2]] = store
        return store
