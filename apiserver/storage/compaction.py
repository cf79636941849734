"""Keeping etcd small: old revisions are compacted by time, by number and by bytes, by one server at a time (rule 18).

Who compacts is agreed on by comparing one key outside /registry/: the server whose compare holds does it, the others
see that it was done. etcd 3.4 does not hold its quota against nested transactions, that is, against any write of ours:
so the size is looked at here. Near the quota everything old is compacted, the members are defragmented, an alarm is
lifted, with a line in the log for each step; what still doesn't fit is refused by `commit` until something is deleted.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any, Final

from aetcd import rpc

from apiserver.storage.cache import Limits
from apiserver.storage.etcd import CALL_SECONDS, Compacted, Etcd, EtcdError
from apiserver.storage.progress import Progress

log = logging.getLogger(__name__)

KEY: Final = b"/compaction"
TICK_SECONDS: Final = 10.0
EVERY_SECONDS: Final = 300.0
EVERY_REVISIONS: Final = 50_000
EVERY_BYTES: Final = 1 << 30  # of growth of etcd's data
NEAR: Final = 0.9  # of the quota: from there on room is made, or writes are refused
_SLOW_SECONDS: Final = 60.0  # compaction with its clean-up, defragmentation


class Compaction:
    """`run` compacts when it is due. `out_of_space` says that etcd refused a write for want of space."""

    def __init__(
        self, etcd: Etcd, progress: Progress, *, limits: Limits, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._etcd, self._progress, self._clock = etcd, progress, clock
        self._keep, self._quota_bytes = limits.ring_revisions, limits.quota_bytes
        self._modified = 0  # revision of the key as last seen
        self._turn_at = clock()
        self._turn_revision = 0  # what was applied at the last turn: by the next one it is old enough
        self._compacted_bytes = 0
        self._full = asyncio.Event()
        self.size_bytes = 0
        self.full = False

    def out_of_space(self) -> None:
        self.full = True
        self._full.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                async with asyncio.timeout(TICK_SECONDS):
                    await self._full.wait()
            except TimeoutError:
                pass
            try:
                if self._full.is_set():
                    self._full.clear()
                    await self.recover()
                    pause = TICK_SECONDS if self.full else 0.0  # there is too much: deletes have to come first
                    await asyncio.sleep(pause)
                else:
                    await self.tick()
            except EtcdError as error:
                log.warning("compaction: %s", error)

    async def tick(self) -> None:
        """Look at etcd's size, and compact if that is due."""
        self._turn_revision = self._turn_revision or self._progress.applied
        self.size_bytes, used = await self._sizes()
        if used < self._compacted_bytes:
            self._compacted_bytes = used
        target = self.due(used)
        if target and await self._mine(target):
            await self._compact(target, physical=False)
            self._compacted_bytes = used
        if self.size_bytes >= NEAR * self._quota_bytes or await self.alarms():
            self.out_of_space()

    def due(self, used_bytes: int) -> int:
        """The revision to compact to now, 0 for none."""
        applied = self._progress.applied
        if self._clock() - self._turn_at >= EVERY_SECONDS:
            return max(self._turn_revision, applied - EVERY_REVISIONS)
        if used_bytes - self._compacted_bytes >= EVERY_BYTES:
            return max(applied - self._keep // 10, 0)
        if applied - self._progress.compacted >= EVERY_REVISIONS + self._keep:
            return applied - self._keep
        return 0

    async def _mine(self, target: int) -> bool:
        """Whether it is this server's turn: nobody has taken it since this server last looked."""
        request = rpc.TxnRequest()
        compare = request.compare.add()
        compare.target, compare.key, compare.mod_revision = rpc.Compare.MOD, KEY, self._modified
        put = request.success.add().request_put
        put.key, put.value = KEY, str(target).encode()
        request.failure.add().request_range.key = KEY
        response = await self._etcd.txn(request)
        self._turn_at, self._turn_revision = self._clock(), self._progress.applied
        if response.succeeded:
            self._modified = response.header.revision
            return True
        for kv in response.responses[0].response_range.kvs:
            self._modified = kv.mod_revision
            self._progress.compacted = max(self._progress.compacted, int(kv.value))
        return False

    async def _compact(self, revision: int, *, physical: bool) -> None:
        request = rpc.CompactionRequest(revision=revision, physical=physical)
        timeout = _SLOW_SECONDS if physical else CALL_SECONDS
        try:
            await self._etcd.read(lambda member: member.compact, request, timeout=timeout)
        except Compacted:
            log.debug("revision %d was compacted already", revision)
        self._progress.compacted = max(self._progress.compacted, revision)

    async def _sizes(self) -> tuple[int, int]:
        """Bytes of etcd's file, and of what is in it."""
        status = await self._etcd.read(lambda member: member.status, rpc.StatusRequest())
        return int(status.dbSize), int(status.dbSizeInUse)

    async def alarms(self) -> list[Any]:
        """Members that raised NOSPACE."""
        response = await self._etcd.read(lambda member: member.alarm, rpc.AlarmRequest(action=rpc.AlarmRequest.GET))
        return [each for each in response.alarms if each.alarm == rpc.NOSPACE]

    async def recover(self) -> None:
        """Make room after NOSPACE: compact, defragment, disarm."""
        log.error("etcd is out of space: compacting to revision %d", self._progress.applied)
        await self._compact(self._progress.applied, physical=True)
        for member in self._etcd.members:
            log.error("etcd is out of space: defragmenting %s", member.target)
            await self._etcd.on(member, member.defragment, rpc.DefragmentRequest(), timeout=_SLOW_SECONDS)
        for alarm in await self.alarms():
            log.error("etcd is out of space: lifting the alarm of member %x", alarm.memberID)
            request = rpc.AlarmRequest(action=rpc.AlarmRequest.DEACTIVATE, memberID=alarm.memberID, alarm=rpc.NOSPACE)
            await self._etcd.read(lambda member: member.alarm, request)
        self.size_bytes, used = await self._sizes()
        self._compacted_bytes = used
        self.full = used >= NEAR * self._quota_bytes or bool(await self.alarms())
        log.error("etcd has %d bytes, %d of them in use", self.size_bytes, used)
