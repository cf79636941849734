"""Rules 18 and 19: compaction by one server, an etcd out of space, members lost."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from apimachinery import kinds
from apimachinery.errors import InternalError, StatusError, Timeout
from apiserver.storage import Limits, commit, compaction
from apiserver.storage.compaction import Compaction
from apiserver.storage.etcd import NoSpace
from tests.fixtures.etcd import Cluster, running_etcd
from tests.integration.storage.harness import (
    bare_etcd,
    collect,
    config_map,
    create_all,
    key_of,
    put,
    storage_over,
    wait_until,
)

DEADLINE_SECONDS = 8.0  # 5 s for a call to etcd, and what a busy machine adds


@pytest.fixture
def three(tmp_path: Path) -> Iterator[Cluster]:
    with running_etcd(tmp_path / "etcd", members=3) as cluster:
        yield cluster


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Cluster]:
    """16 MiB of room, where production has 8 GiB; each write is counted at once, not with the next batch of 100 ms."""
    options = ["--quota-backend-bytes=16777216", "--backend-batch-limit=1"]
    with running_etcd(tmp_path / "etcd", options=options) as cluster:
        yield cluster


def counting(compact: Callable[..., Awaitable[None]], asked: list[int]) -> Callable[..., Awaitable[None]]:
    async def counted(revision: int, *, physical: bool) -> None:
        asked.append(revision)
        await compact(revision, physical=physical)

    return counted


async def test_rule_18_one_server_at_a_time_compacts(etcd: Cluster) -> None:
    now = 0.0

    def clock() -> float:
        return now

    async with (
        storage_over(etcd.endpoints) as one,
        storage_over(etcd.endpoints) as two,
        bare_etcd(etcd.endpoints) as bare,
    ):
        parts = [
            Compaction(each._etcd, each._progress, limits=Limits(ring_revisions=10), clock=clock)
            for each in (one, two)
        ]  # fmt: skip
        await create_all(one, ["a", "b"])
        await two.get(key_of("a"))
        for each in parts:
            await each.tick()
        old = one.applied_version // 128
        for round_ in range(3):
            await one.create(key_of(f"r{round_}"), config_map("r"))
        await two.get(key_of("a"))
        now += compaction.EVERY_SECONDS + 1
        asked: list[int] = []
        for each in parts:
            each._compact = counting(each._compact, asked)  # type: ignore[method-assign]
        turns = [each._modified for each in parts]
        for each in parts:
            await each.tick()
        assert [each._modified != before for each, before in zip(parts, turns, strict=True)] == [True, True]
        assert asked == [old], "one of them compacts"
        assert not await bare.readable(old - 1)
        assert await bare.readable(old), "what was new at the last turn is kept"
        now += 1
        assert [each.due(0) for each in parts] == [0, 0], "both know that it was done"


async def test_rule_18_by_revisions_and_by_bytes(etcd: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compaction, "EVERY_REVISIONS", 20)
    async with storage_over(etcd.endpoints) as storage, bare_etcd(etcd.endpoints) as bare:
        part = Compaction(storage._etcd, storage._progress, limits=Limits(ring_revisions=10))
        for index in range(40):
            await storage.create(key_of(f"c{index}"), config_map("c"))
        await storage.get(key_of("c1"))
        await part.tick()
        applied = storage.applied_version // 128
        assert storage._progress.compacted >= 40 - 10
        assert await bare.readable(applied - 5)
        assert not await bare.readable(2)
        assert part.due(0) == 0
        assert part.due(compaction.EVERY_BYTES + part._compacted_bytes) > 0


async def test_rule_18_an_alarm_is_lifted(small: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compaction, "TICK_SECONDS", 0.1)
    async with bare_etcd(small.endpoints) as foreign:
        with pytest.raises(NoSpace):
            for _ in range(40):
                await put(foreign, ("/elsewhere/big", b"x" * 1_000_000))
        async with storage_over(small.endpoints) as storage:
            await wait_until(lambda: storage._compaction.full)
            with pytest.raises(StatusError):
                await storage.checks["etcd-space"]()
            await wait_until(lambda: not storage._compaction.full)
            await storage.checks["etcd-space"]()
            await put(foreign, ("/elsewhere/big", b"x" * 1_000_000))


async def test_rule_18_the_quota_is_held_although_etcd_does_not(etcd: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """Old versions give way; live objects beyond the quota are refused until some are deleted."""
    monkeypatch.setattr(compaction, "TICK_SECONDS", 0.1)
    async with storage_over(etcd.endpoints, limits=Limits(quota_bytes=16 << 20)) as storage:
        entry = await storage.create(key_of("big"), config_map("big", "x" * 1_000_000))
        for _ in range(40):
            try:
                entry = await storage.update(entry.key, entry.parsed(), version=entry.version)
            except InternalError:
                await wait_until(lambda: not storage._compaction.full)
        made = [entry]
        with pytest.raises(InternalError, match="space"):
            for index in range(60):
                made.append(await storage.create(key_of(f"c{index}"), config_map("c", "x" * 1_000_000)))
                await storage._compaction.tick()
        await wait_until(lambda: storage._compaction.size_bytes >= 14 << 20)
        for each in made:
            await storage.delete(each.key, version=each.version)
        await wait_until(lambda: not storage._compaction.full)
        assert await storage.create(key_of("after"), config_map("after"))


async def test_rule_19_without_quorum_nothing_hangs(three: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commit, "WRITE_SECONDS", 2.0)
    async with storage_over(three.endpoints) as storage:
        entries = await create_all(storage, ["a", "b"])
        await storage.get(key_of("a"))
        for member in three.members[1:]:
            member.kill()
        listed = await storage.list(kinds.CONFIG_MAP, resource_version=0)
        assert len(listed.entries) == 2
        assert await storage.get(key_of("a"), consistent=False) is not None
        start = time.monotonic()
        asked = [
            storage.get(key_of("a")),
            storage.get_live(key_of("a")),
            storage.list(kinds.CONFIG_MAP),
            storage.create(key_of("c"), config_map("c")),
            storage.update(entries[0].key, entries[0].parsed(), version=entries[0].version),
            storage.delete(entries[1].key, version=entries[1].version),
        ]
        done = await asyncio.gather(*asked, return_exceptions=True)
        assert {type(each) for each in done} == {Timeout}
        assert time.monotonic() - start < DEADLINE_SECONDS
        for member in three.members[1:]:
            member.start()
        for member in three.members[1:]:
            member.wait_healthy()
        async with asyncio.timeout(20):
            while True:
                try:
                    await storage.create(key_of("again"), config_map("again"))
                    break
                except StatusError:
                    await asyncio.sleep(0.1)


@pytest.mark.parametrize("how", ["kill", "pause"])
async def test_rule_19_one_member_less_is_survived(three: Cluster, how: str) -> None:
    """The member that this server talks to goes: reads and writes and the watch go on with another."""
    async with storage_over(three.endpoints) as storage:
        entry = await storage.create(key_of("a"), config_map("a"))
        watcher = storage.watch(kinds.CONFIG_MAP, version=entry.version)
        waiting = asyncio.ensure_future(collect(watcher, 1))
        await asyncio.sleep(0)
        lost = three.members[storage._etcd._current]
        lost.kill() if how == "kill" else lost.pause()
        made = None
        start = time.monotonic()
        async with asyncio.timeout(40):
            while made is None:
                try:
                    made = await storage.create(key_of("b"), config_map("b"))
                except Exception:  # 504, or found to be there: an earlier try was made after all
                    made = await storage.get_live(key_of("b"))
            async with asyncio.timeout(20):
                [event] = await waiting
        assert event.entry.key == key_of("b")
        assert (await storage.get(key_of("b"))) is not None
        print(f"{how}: {time.monotonic() - start:.1f} s")
        if how == "pause":
            lost.resume()
