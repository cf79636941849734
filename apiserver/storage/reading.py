"""Lists: from the cache wherever it knows the version asked for, from etcd where it doesn't.

| asked for | answered |
|---|---|
| nothing | what etcd has now: the barrier, then the cache |
| `0` | the cache as it is, whole |
| a version, NotOlderThan (also without a match, without a limit) | the cache, once it has that version |
| a version, Exact (also without a match, with a limit); a token | the cache, wound back by its ring; else etcd |

The version of an answer is that of a whole commit, `r × 128 + 127` (rule 2); only an Exact list at a version inside a
commit carries that version, and is answered whole, so that no token has to.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from aetcd import rpc

from apimachinery.errors import Expired, Timeout
from apimachinery.fields import FieldSelector
from apimachinery.labels import Selector
from apimachinery.resourceversion import LAST_PLACE, decode, encode
from apiserver.storage import paging
from apiserver.storage.cache import KindStore, matcher
from apiserver.storage.etcd import Compacted, Etcd, EtcdError, FutureRevision
from apiserver.storage.events import Matches, WatchEvent
from apiserver.storage.progress import Barrier, Progress
from apiserver.storage.value import Entry, entry_at

FRESH_SECONDS: Final = 3.0  # to wait for a version that this server does not have yet
PAGE: Final = 500  # keys of one read from etcd
_EXACT: Final = "Exact"
Replay = Callable[[KindStore, int, int], Any]


@dataclass(frozen=True, slots=True)
class ListResult:
    """`continue_token` is "" on the last page; `remaining` is None where it isn't known."""

    version: int
    entries: Sequence[Entry]
    continue_token: str = ""
    remaining: int | None = None


@dataclass(frozen=True, slots=True)
class Query:
    """What is listed: the objects below `scope` from key `start` on that match."""

    store: KindStore
    scope: str
    labels: Selector | None
    fields: FieldSelector | None
    matches: Matches | None
    limit: int
    start: str = ""

    def whole(self, version: int, entries: Sequence[Entry]) -> ListResult:
        """A list without a next page."""
        return ListResult(version, [entry for entry in entries if self.matches is None or self.matches(entry)])

    def page(self, version: int, entries: Sequence[Entry]) -> ListResult:
        """The first page of what is left, in order."""
        if not self.limit:
            return self.whole(version, entries)
        found: list[Entry] = []
        for index, entry in enumerate(entries):
            if self.matches is None or self.matches(entry):
                if len(found) == self.limit:
                    left = len(entries) - index if self.matches is None else None
                    return self.first(version, found, remaining=left)
                found.append(entry)
        return ListResult(version, found)

    def first(self, version: int, page: Sequence[Entry], *, remaining: int | None) -> ListResult:
        """A page that is followed by others."""
        token = paging.Continue(version, page[-1].key[len(self.scope) :] + "\0").token()
        return ListResult(version, page, token, remaining)


def too_large(version: int, current: int) -> Timeout:
    """504: the version asked for is not there yet."""
    return Timeout(
        f"Too large resource version: {version}, current: {current}",
        causes=[{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
    )


class Lister:
    """Answers lists of one server. `replay` gives the events of a store in a span of revisions, from etcd."""

    def __init__(self, etcd: Etcd, progress: Progress, barrier: Barrier, replay: Replay) -> None:
        self._etcd, self._progress, self._barrier, self._replay = etcd, progress, barrier, replay

    async def list(
        self,
        store: KindStore,
        *,
        namespace: str,
        labels: Selector | None,
        fields: FieldSelector | None,
        version: int | None,
        match: str | None,
        limit: int,
        token: str | None,
    ) -> ListResult:
        """Raises Expired, BadRequest (token), Timeout (504)."""
        query = Query(store, store.scope(namespace), labels, fields, matcher(labels, fields), limit)
        if token:
            return await self._continued(query, token)
        if version is None:
            await self._barrier.passed()
        elif match == _EXACT or (version and limit and not match):
            return await self._exact(query, version)
        elif version == 0:
            return self._current(query, limited=False)
        else:
            await self.fresh(version)
        return self._current(query, limited=True)

    async def fresh(self, version: int) -> None:
        """Wait until the cache is no older than a version."""
        revision, _ = decode(version)
        if not await self._progress.reach(revision, timeout=FRESH_SECONDS):
            raise too_large(version, encode(self._progress.applied, LAST_PLACE))

    def _current(self, query: Query, *, limited: bool) -> ListResult:
        return self._cached(query, encode(self._progress.applied, LAST_PLACE), limited=limited)

    def _cached(self, query: Query, version: int, *, limited: bool) -> ListResult:
        """What is in the cache, which is what was at that version too."""
        store = query.store
        if query.matches is None:
            page = store.page(query.scope, query.start, query.limit if limited else 0)
            return query.first(version, page, remaining=page.left) if page.left else ListResult(version, page)
        keys = store.candidates(query.scope, query.labels, query.fields, start=query.start)
        entries = [store.entries[key] for key in keys]
        return query.page(version, entries) if limited else query.whole(version, entries)

    async def _continued(self, query: Query, token: str) -> ListResult:
        found = paging.parse(token)
        onward = Query(
            query.store, query.scope, query.labels, query.fields, query.matches, query.limit, query.scope + found.start
        )
        if found.version == paging.LATEST:
            await self._barrier.passed()
            return self._current(onward, limited=True)
        try:
            return await self._exact(onward, found.version)
        except Expired as error:
            raise paging.expired(found.start) from error

    async def _exact(self, query: Query, version: int) -> ListResult:
        revision, place = decode(version)
        if revision <= self._progress.applied:
            if version >= query.store.last_version:
                return self._cached(query, version, limited=place == LAST_PLACE)
            entries = query.store.at(version, query.scope, start=query.start)
            if entries is not None:
                return query.page(version, entries) if place == LAST_PLACE else query.whole(version, entries)
        try:
            if place == LAST_PLACE:
                return await self._read_page(query, revision)
            return await self._inside(query, revision, version)
        except Compacted as error:
            raise Expired(f"The provided resource version is too old: {version}") from error
        except FutureRevision as error:
            raise too_large(version, encode(self._progress.applied, LAST_PLACE)) from error
        except EtcdError as error:
            raise Timeout(f"etcd did not answer: {error}") from error

    async def _inside(self, query: Query, revision: int, version: int) -> ListResult:
        """At a place inside a commit: what was before it, and of the commit what is up to that place."""
        whole = Query(query.store, query.scope, None, None, None, 0, query.start)
        before = await self._read_page(whole, revision - 1)
        entries = {entry.key: entry for entry in before.entries}
        event: WatchEvent
        async for event in self._replay(query.store, revision, revision):
            if event.version > version or not event.entry.key.startswith(query.scope):
                continue
            if event.type == "DELETED":
                entries.pop(event.entry.key, None)
            else:
                entries[event.entry.key] = event.entry
        return query.whole(version, [entries[key] for key in sorted(entries) if key >= query.start])

    async def _read_page(self, query: Query, revision: int) -> ListResult:
        """A page as it was at a revision, from etcd. Raises Compacted, FutureRevision."""
        version = encode(revision, LAST_PLACE)
        start = max(query.scope, query.start)
        found: list[Entry] = []
        while True:
            size = min(query.limit or PAGE, PAGE) if query.matches is None else PAGE
            response = await self._etcd.range(
                rpc.RangeRequest(key=start.encode(), range_end=range_end(query.scope), revision=revision, limit=size)
            )
            left = response.count
            for kv in response.kvs:
                left -= 1
                start = kv.key.decode() + "\0"
                entry = entry_at(kv.key.decode(), kv.mod_revision, kv.value, query.store.fields)
                if entry is not None and (query.matches is None or query.matches(entry)):
                    found.append(entry)
                    if len(found) == query.limit and left:
                        return query.first(version, found, remaining=left if query.matches is None else None)
            if not left:
                return ListResult(version, found)


def range_end(scope: str) -> bytes:
    """The end of the range of keys with a prefix that ends in a slash."""
    return scope[:-1].encode() + b"0"


async def read_key(etcd: Etcd, key: str, store: KindStore | None) -> Entry | None:
    """One object as etcd has it now (rule 9). Raises Timeout (504)."""
    try:
        response = await etcd.range(rpc.RangeRequest(key=key.encode()))
    except EtcdError as error:
        raise Timeout(f"etcd did not answer: {error}") from error
    if not response.kvs or store is None:
        return None
    return entry_at(key, response.kvs[0].mod_revision, response.kvs[0].value, store.fields)
