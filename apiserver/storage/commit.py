"""Group commit: writes that wait go to etcd together (rules 4 to 7).

Two groups may be under way. A write that finds none leaves at once; those that come meanwhile wait together. A key is
in one unanswered group at a time: a second write of it waits for the first one's outcome. When an answer is lost the
outcome is looked up, never guessed and never tried again; what can't be known by the write's deadline is a 504.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from aetcd import rpc

from apimachinery.errors import InternalError, RequestEntityTooLarge, StatusError, Timeout, TooManyRequests
from apimachinery.resourceversion import encode
from apiserver.storage.cache import Limits
from apiserver.storage.errors import StorageConflict
from apiserver.storage.etcd import CALL_SECONDS, Etcd, EtcdError, NoSpace, Refused, TooLarge
from apiserver.storage.group import ExtraOp, Room, Verdict, Write, build, judge, outcomes
from apiserver.storage.value import Draft, Entry

log = logging.getLogger(__name__)

MAX_GROUPS: Final = 2
WRITE_SECONDS: Final = 10.0  # from the request to the 504, waiting and looking up included
_SWEEP_SECONDS: Final = 0.25
_MAX_HANDED_OVER: Final = 8_192
_LOST: Final = "etcd did not say whether the write was made"
_NO_SPACE: Final = "etcdserver: mvcc: database space exceeded"
_BUSY: Final = "the server has received too many requests and has asked us to try again later"


class Handover:
    """What a write knows of its object, for the feeding: it needn't parse the bytes when the watch brings them."""

    def __init__(self) -> None:
        self._writes: dict[str, Write] = {}

    def offer(self, write: Write) -> None:
        if len(self._writes) >= _MAX_HANDED_OVER:  # the watch has stopped: they would wait in vain
            self._writes.clear()
        self._writes[write.key] = write

    def withdraw(self, write: Write) -> None:
        if self._writes.get(write.key) is write:
            del self._writes[write.key]

    def take(self, key: str, revision: int, value: bytes) -> Entry | None:
        """The entry of exactly these bytes, if it was this server that wrote them."""
        write = self._writes.get(key)
        if write is None or write.source is None or write.sent != value or revision <= write.revision:
            return None  # the same bytes at a revision the write came from are an earlier write's
        del self._writes[key]
        version = encode(revision, write.place)
        if write.entry is None:
            write.entry = Entry(key, version, write.source.body(version), write.labels, write.fields)
        return write.entry if write.entry.version == version else None


class Committer:
    """The writers' queue. All state belongs to the loop; nothing here awaits while it is inconsistent."""

    def __init__(
        self,
        etcd: Etcd,
        *,
        limits: Limits,
        on_no_space: Callable[[], None],
        on_commit: Callable[[int], None],
        full: Callable[[], bool],
    ) -> None:
        self.handover = Handover()
        self._etcd, self._limits, self._full = etcd, limits, full
        self._on_no_space, self._on_commit = on_no_space, on_commit
        self._urgent: deque[Write] = deque()
        self._waiting: deque[Write] = deque()
        self._blocked: dict[str, list[Write]] = {}  # by the busy key each waits for
        self._busy: set[str] = set()  # keys in groups that are unanswered or unknown
        self._queued = self._queued_bytes = self._groups = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._flushing = self._sweeping = self._stopped = False

    @property
    def queued(self) -> int:
        """Writes that wait for a group."""
        return self._queued

    async def commit(
        self,
        key: str,
        *,
        version: int,
        source: Draft | None,
        labels: Mapping[str, str],
        fields: Mapping[str, str],
        extra: Sequence[ExtraOp] = (),
    ) -> Write:
        """Write, and return when it is known to be done. Raises StorageError or an API error."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + WRITE_SECONDS
        write = Write(key, version, source, labels, fields, extra, loop.create_future(), deadline)
        if self._queued >= self._limits.queued_writes or self._queued_bytes + write.size > self._limits.queued_bytes:
            raise TooManyRequests(_BUSY)
        if source is not None and self._full():
            raise InternalError(_NO_SPACE)
        if self._stopped:
            raise Timeout("the server is shutting down")
        self._enqueue(write)
        await write.future
        return write

    async def stop(self) -> None:
        """Let what is under way end; nothing new is taken."""
        self._stopped = True
        for write in self._queue_emptied():
            write.failed(Timeout("the server is shutting down"))
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=CALL_SECONDS)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _enqueue(self, write: Write) -> None:
        (self._urgent if write.urgent else self._waiting).append(write)
        self._queued += 1
        self._queued_bytes += write.size
        loop = asyncio.get_running_loop()
        if not self._flushing and self._groups < MAX_GROUPS:
            self._flushing = True
            loop.call_soon(self._flush)  # with what else this turn of the loop brings
        if not self._sweeping:
            self._sweeping = True
            loop.call_later(_SWEEP_SECONDS, self._sweep)

    def _flush(self) -> None:
        self._flushing = False
        while self._groups < MAX_GROUPS and (group := self._next_group()):
            self._groups += 1
            task = asyncio.create_task(self._send(group))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _next_group(self) -> list[Write]:
        group: list[Write] = []
        room = Room()
        for queue in (self._urgent, self._waiting):
            while queue:
                write = queue[0]
                busy = next((key for key in write.keys if key in self._busy), None)
                if write.future.done():  # cancelled
                    self._dequeued(queue.popleft())
                elif busy is not None:
                    self._blocked.setdefault(busy, []).append(queue.popleft())
                elif room.take(write):
                    self._dequeued(queue.popleft())
                    self._busy.update(write.keys)
                    group.append(write)
                else:
                    return group
        return group

    def _dequeued(self, write: Write) -> None:
        self._queued -= 1
        self._queued_bytes -= write.size

    def _release(self, write: Write) -> None:
        """The write's outcome is known, or given up: its keys are free for those that waited, in their order."""
        self._busy.difference_update(write.keys)
        for key in write.keys:
            for each in reversed(self._blocked.pop(key, ())):
                (self._urgent if each.urgent else self._waiting).appendleft(each)

    def _sweep(self) -> None:
        """End the wait of writes that were never sent and whose time is up."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        late = [write for write in self._queue() if write.deadline <= now]
        if late:
            for write in late:
                write.failed(Timeout("etcd did not take the write in time"))
            for write in self._queue_emptied():
                if not write.future.done():
                    self._enqueue(write)
            self._flush()
        self._sweeping = self._queued > 0
        if self._sweeping:
            loop.call_later(_SWEEP_SECONDS, self._sweep)

    def _queue(self) -> Iterable[Write]:
        return [*self._urgent, *(write for each in self._blocked.values() for write in each), *self._waiting]

    def _queue_emptied(self) -> Iterable[Write]:
        queue = self._queue()
        self._urgent.clear()
        self._waiting.clear()
        self._blocked.clear()
        self._queued = self._queued_bytes = 0
        return queue

    async def _send(self, group: list[Write]) -> None:
        try:
            unknown = await self._attempt(group)
        except asyncio.CancelledError:
            for write in group:
                self._fail(write, Timeout(_LOST))
            raise
        finally:
            self._groups -= 1
            self._flush()
        if unknown:
            await self._look_up(unknown)

    async def _attempt(self, group: list[Write]) -> list[Write]:
        """Send a group; those of its writes come back whose outcome is unknown."""
        for write in group:
            self.handover.offer(write)
        try:
            response = await self._etcd.txn(build(group))
        except Refused as error:
            if len(group) > 1:  # only the culprit shall fail
                return [write for each in group for write in await self._attempt([each])]
            self._fail(group[0], _refused(error))
        except NoSpace:
            self._on_no_space()
            return await self._after_no_space(group)
        except EtcdError as error:
            log.warning("the outcome of %d writes is unknown: %s", len(group), error)
            return group
        else:
            for write, outcome in zip(group, outcomes(group, response), strict=True):
                if isinstance(outcome, int):
                    write.done(outcome)
                    self._release(write)
                else:
                    self._fail(write, outcome)
            self._on_commit(response.header.revision)
        return []

    def _fail(self, write: Write, error: Exception) -> None:
        self.handover.withdraw(write)
        write.failed(error)
        self._release(write)

    async def _after_no_space(self, group: list[Write]) -> list[Write]:
        """etcd answers so too of what it just applied: look, once; later it won't be applied."""
        try:
            found = await self._read(group)
        except EtcdError:
            return group
        for write, current in zip(group, found, strict=True):
            if not self._decided(write, current, settled=True):
                self._fail(write, Timeout(_LOST))
        return []

    async def _look_up(self, group: list[Write]) -> None:
        """Find out what became of writes whose answer was lost, until their deadlines."""
        loop = asyncio.get_running_loop()
        pause = 0.05
        left = group
        while left:
            overdue = [write for write in left if write.deadline <= loop.time()]
            for write in overdue:
                self._fail(write, Timeout(_LOST))
            left = [write for write in left if write not in overdue]
            try:
                found = await self._read(left) if left else []
                left = [
                    write for write, kv in zip(left, found, strict=True) if not self._decided(write, kv, settled=False)
                ]
            except EtcdError as error:
                log.debug("looking up unknown writes: %s", error)
            self._flush()
            if left:
                await asyncio.sleep(min(pause, max(0.0, min(each.deadline for each in left) - loop.time())))
                pause = min(2 * pause, 1.0)

    async def _read(self, group: Sequence[Write]) -> list[Any | None]:
        request = rpc.TxnRequest()
        for write in group:
            request.success.add().request_range.key = write.key.encode()
        soonest = min(write.deadline for write in group) - asyncio.get_running_loop().time()
        timeout = min(CALL_SECONDS, max(soonest, 0.1))
        response = await self._etcd.read(lambda member: member.txn, request, timeout=timeout)
        return [(each.response_range.kvs or [None])[0] for each in response.responses]

    def _decided(self, write: Write, current: Any | None, *, settled: bool) -> bool:
        verdict = judge(write, current, settled=settled)
        if verdict is Verdict.DONE:
            assert current is not None
            write.done(encode(current.mod_revision, write.place))
            self._release(write)
        elif verdict is Verdict.OVERTAKEN:
            self._fail(write, StorageConflict(write.key, None))
        elif verdict is Verdict.NOT_DONE:
            self._fail(write, InternalError(_NO_SPACE))
        return verdict is not Verdict.UNKNOWN


def _refused(error: Refused) -> StatusError:
    if isinstance(error, TooLarge):
        return RequestEntityTooLarge(f"Request entity too large: {error}")
    return InternalError(f"etcd refused the write: {error}")
