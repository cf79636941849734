"""How far the cache is, and waiting for it: consistent reads share one read of etcd's revision (rule 15).

A read that arrives joins the revision read that has not been sent yet: one that is under way may have been answered
before a write that this reader's client knows to be acknowledged. Then it waits until the cache has applied that
revision.
"""

import asyncio
import heapq
import logging
from collections.abc import Callable
from typing import Final

from apimachinery.errors import Timeout
from apiserver.storage.etcd import CALL_SECONDS, Etcd, EtcdError

log = logging.getLogger(__name__)

STALLED_SECONDS: Final = 2.0
Waiters = list["asyncio.Future[None]"]


class Progress:
    """`applied`: the revision of the last commit that is whole in the cache. `compacted`: what is known of etcd's."""

    def __init__(self) -> None:
        self.applied = 0
        self.compacted = 0
        self.stalled: Callable[[], None] = lambda: None  # someone has waited for long
        self._waiting: list[tuple[int, int, Waiters]] = []  # heap by revision
        self._count = 0
        self._expecting = self.ended = False

    def advance(self, revision: int) -> None:
        """The cache holds everything up to this revision: whoever waited for that goes on."""
        self.applied = revision
        while self._waiting and self._waiting[0][0] <= revision:
            release(heapq.heappop(self._waiting)[2])

    def when(self, revision: int, waiters: Waiters, timeout: float = CALL_SECONDS) -> None:
        """Release the waiters when the revision is applied, fail them with a 504 if that takes too long."""
        if revision <= self.applied:
            release(waiters)
            return
        self._count += 1
        heapq.heappush(self._waiting, (revision, self._count, waiters))
        loop = asyncio.get_running_loop()
        late = Timeout("the watch cache is behind etcd")
        loop.call_later(timeout, fail, waiters, late)
        if timeout > STALLED_SECONDS:
            loop.call_later(STALLED_SECONDS, self._check, revision, self.applied)

    async def reach(self, revision: int, *, timeout: float = CALL_SECONDS) -> bool:
        """Wait for a revision; False if it was not reached in time."""
        if revision <= self.applied:
            return True
        waiter = asyncio.get_running_loop().create_future()
        self.when(revision, [waiter], timeout)
        try:
            await waiter
        except Timeout:
            return False
        return True

    def expect(self, revision: int) -> None:
        """A write was made at this revision: if the cache doesn't get there soon, the watch is stuck."""
        if not self._expecting and not self.ended:
            self._expecting = True
            asyncio.get_running_loop().call_later(STALLED_SECONDS, self._check, revision, self.applied)

    def _check(self, revision: int, before: int) -> None:
        self._expecting = False
        if self.applied >= revision or self.ended:
            return
        if self.applied == before:  # not just slow in catching up
            self.stalled()
        self.expect(revision)


def release(waiters: Waiters) -> None:
    for waiter in waiters:
        if not waiter.done():
            waiter.set_result(None)


def fail(waiters: Waiters, error: Exception) -> None:
    for waiter in waiters:
        if not waiter.done():
            waiter.set_exception(error)


class Barrier:
    """Await `passed` and the cache shows every write that was acknowledged before."""

    def __init__(self, etcd: Etcd, progress: Progress) -> None:
        self._etcd, self._progress = etcd, progress
        self._next: Waiters = []
        self._reading: asyncio.Task[None] | None = None

    async def passed(self) -> None:
        """Raises Timeout (504) when etcd or the watch does not answer."""
        waiter = asyncio.get_running_loop().create_future()
        self._next.append(waiter)
        if self._reading is None:
            self._reading = asyncio.create_task(self._read())
        await waiter

    async def stop(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)

    async def _read(self) -> None:
        waiters: Waiters = []
        try:
            while self._next:
                waiters, self._next = self._next, []
                revision = await self._etcd.revision()
                self._progress.when(revision, waiters)
        except EtcdError as error:
            late = Timeout(f"etcd did not answer: {error}")
            fail(waiters, late)
            fail(self._next, late)  # they have waited behind the one that failed
            self._next = []
        except asyncio.CancelledError:
            fail([*waiters, *self._next], Timeout("the server is shutting down"))
            raise
        finally:
            self._reading = None
