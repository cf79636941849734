"""A group of writes as one etcd transaction of nested ones, and what its answer means for each (rules 1, 4, 5, 10).

Pure: built from values, judged from values. Sending is `commit`.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, Final, Self

from aetcd import rpc

from apimachinery.resourceversion import decode, encode
from apiserver.storage.errors import StorageConflict, StorageError, StorageExists
from apiserver.storage.value import REGISTRY, Draft, Entry, draft, undraft

MAX_WRITES: Final = 64
MAX_OPERATIONS: Final = 127  # puts and deletes in all: a place each, below the one of foreign writes
MAX_NESTED: Final = 128  # etcd: operations of a nested transaction and of the one around it
MAX_BYTES: Final = 1 << 20
_OVERHEAD_BYTES: Final = 64  # of an operation, beside its keys and value
_MOD: Final = rpc.Compare.MOD
_LEASES: Final = "/registry/coordination.k8s.io/leases/"


@dataclass(frozen=True, slots=True)
class ExtraOp:
    """One more key that is put, or with no value deleted, if and only if the object is written (rule 10)."""

    key: str
    value: bytes | None = None
    must_be_absent: bool = False
    source: Draft | None = None

    @classmethod
    def of(cls, key: str, obj: dict[str, Any], *, must_be_absent: bool = False) -> Self:
        """One that puts an API object."""
        return cls(key, None, must_be_absent, draft(obj))

    def sourced(self) -> "ExtraOp":
        """An object under /registry/ has its place spliced in, however it was given."""
        if self.value is None or self.source is not None or not self.key.startswith(REGISTRY):
            return self
        found = undraft(self.value)
        if found is None:
            raise ValueError(f"{self.key}: not an API object")
        return ExtraOp(self.key, None, self.must_be_absent, found[0])

    @property
    def deletes(self) -> bool:
        return self.value is None and self.source is None


@dataclass(slots=True, eq=False)
class Write:
    """One write on its way. `version` 0 creates; no `source` deletes. The future gets what the caller waits for."""

    key: str
    version: int
    source: Draft | None
    labels: Mapping[str, str]
    fields: Mapping[str, str]
    extra: Sequence[ExtraOp]
    future: "asyncio.Future[int]"
    deadline: float
    keys: tuple[str, ...] = ()
    size: int = 0
    sent: bytes = b""
    place: int = 0
    extra_places: list[int] = field(default_factory=list)
    entry: Entry | None = None  # made by whoever sees the write done first: the answer, or the watch

    def __post_init__(self) -> None:
        self.extra = [each.sourced() for each in self.extra] if self.extra else ()
        self.keys = (self.key, *(each.key for each in self.extra))
        self.size = 2 * len(self.key) + _OVERHEAD_BYTES
        if self.source is not None:
            self.size += len(self.source.head) + len(self.source.tail)
        for each in self.extra:
            body = each.source.tail if each.source is not None else each.value or b""
            self.size += 2 * len(each.key) + len(body) + 2 * _OVERHEAD_BYTES

    @property
    def revision(self) -> int:
        """What the key's mod_revision has to be."""
        return decode(self.version)[0]

    @property
    def urgent(self) -> bool:
        """Leases of nodes and leaders: late, they cost more than anything else that waits (rule 7)."""
        return self.key.startswith(_LEASES)

    def done(self, version: int) -> None:
        """It was made, as this version."""
        if self.source is not None and (self.entry is None or self.entry.version != version):
            self.entry = Entry(self.key, version, self.source.body(version), self.labels, self.fields)
        if not self.future.done():
            self.future.set_result(version)

    def failed(self, error: Exception) -> None:
        if not self.future.done():
            self.future.set_exception(error)


class Room:
    """What still fits into a group."""

    def __init__(self) -> None:
        self._writes = self._operations = self._bytes = self._widest = 0

    def take(self, write: Write) -> bool:
        """Whether it fits; then it counts. The first always does: too large, it goes alone."""
        width = len(write.keys)
        writes, widest = self._writes + 1, max(self._widest, width)
        fits = (
            writes <= MAX_WRITES
            and self._operations + width <= MAX_OPERATIONS
            and writes + widest <= MAX_NESTED
            and self._bytes + write.size <= MAX_BYTES
        )
        if fits or not self._writes:
            self._writes, self._widest = writes, widest
            self._operations += width
            self._bytes += write.size
            return True
        return False


def build(group: Sequence[Write]) -> Any:
    """The transaction. Each write learns its places, and the bytes that it is known by."""
    request = rpc.TxnRequest()
    place = 0
    for write in group:
        nested = request.success.add().request_txn
        key = write.key.encode()
        compare = nested.compare.add()
        compare.target = _MOD
        compare.key = key
        compare.mod_revision = write.revision
        operation = nested.success.add()
        if write.source is None:
            operation.request_delete_range.key = key
        else:
            write.place, write.sent = place, write.source.stored(place)
            put = operation.request_put
            put.key = key
            put.value = write.sent
        reading = nested.failure.add().request_range
        reading.key = key
        reading.keys_only = True
        place += 1
        if write.extra:
            write.extra_places = list(range(place, place + len(write.extra)))
            place += len(write.extra)
            _add_extra(nested, write)
    return request


def _add_extra(nested: Any, write: Write) -> None:
    for extra, place in zip(write.extra, write.extra_places, strict=True):
        key = extra.key.encode()
        operation = nested.success.add()
        if extra.deletes:
            operation.request_delete_range.key = key
        else:
            operation.request_put.key = key
            operation.request_put.value = extra.source.stored(place) if extra.source is not None else extra.value
        if extra.must_be_absent:
            compare = nested.compare.add()
            compare.target = _MOD
            compare.key = key
            compare.mod_revision = 0
            reading = nested.failure.add().request_range
            reading.key = key
            reading.keys_only = True


def outcomes(group: Sequence[Write], response: Any) -> list[int | StorageError]:
    """Per write, the version it was made as, or why it was not."""
    revision = response.header.revision
    last = -1  # the place of the event before, as every watcher counts
    found: list[int | StorageError] = []
    for write, answer in zip(group, response.responses, strict=True):
        nested = answer.response_txn
        if not nested.succeeded:
            found.append(_refusal(write, nested.responses))
            continue
        if write.key.startswith(REGISTRY):
            last = write.place if write.source is not None else last + 1
        found.append(encode(revision, max(last, 0)))
        for index, extra in enumerate(write.extra):
            if not extra.key.startswith(REGISTRY):
                continue
            if not extra.deletes:
                last = write.extra_places[index]
            elif nested.responses[index + 1].response_delete_range.deleted:
                last += 1
    return found


def _refusal(write: Write, readings: Sequence[Any]) -> StorageError:
    kvs = readings[0].response_range.kvs
    if (kvs[0].mod_revision if kvs else 0) != write.revision:
        return StorageConflict(write.key, None) if write.version else StorageExists(write.key)
    absent = (each for each in write.extra if each.must_be_absent)
    for extra, reading in zip(absent, readings[1:], strict=True):
        if reading.response_range.kvs:
            return StorageExists(extra.key)
    return StorageConflict(write.key, None)


class Verdict(Enum):
    """What a later read of a key proves about a write whose answer was lost (rule 6)."""

    DONE = auto()
    NOT_DONE = auto()
    OVERTAKEN = auto()  # not done, and can't be any more
    UNKNOWN = auto()


def judge(write: Write, current: Any | None, *, settled: bool = False) -> Verdict:
    """`current` is the key's pair as read linearisably; `settled`: the request can't be applied any more."""
    revision = current.mod_revision if current is not None else 0
    if settled and revision == write.revision:
        return Verdict.NOT_DONE
    if current is None or revision <= write.revision:
        return Verdict.UNKNOWN
    if write.source is not None:
        return Verdict.DONE if current.value == write.sent else Verdict.UNKNOWN
    return Verdict.OVERTAKEN if current.create_revision <= write.revision else Verdict.UNKNOWN
