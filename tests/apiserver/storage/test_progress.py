"""Consistent reads share a read of the revision (rule 15), and versions are waited for."""

import asyncio

import pytest

from apimachinery.errors import Timeout
from apiserver.storage.etcd import Unknown
from apiserver.storage.progress import Barrier, Progress
from tests.apiserver.storage.fakes import FakeEtcd, turns


async def test_rule_15_a_read_joins_only_a_revision_read_that_was_not_sent() -> None:
    etcd, progress = FakeEtcd(), Progress()
    barrier = Barrier(etcd, progress)  # type: ignore[arg-type]
    first = asyncio.ensure_future(barrier.passed())
    await turns()
    later = [asyncio.ensure_future(barrier.passed()) for _ in range(10)]
    await turns()
    assert len(etcd.revisions) == 1
    progress.advance(5)
    etcd.revisions[0].set_result(5)
    await turns()
    assert first.done()
    assert not any(task.done() for task in later), "what is under way may miss what was acknowledged since"
    assert len(etcd.revisions) == 2, "and the ten share one"
    etcd.revisions[1].set_result(7)
    await turns()
    assert not any(task.done() for task in later), "the cache has not got there"
    progress.advance(6)
    await turns()
    assert not any(task.done() for task in later)
    progress.advance(7)
    await asyncio.gather(*later)


async def test_rule_15_who_gives_up_takes_nobody_along() -> None:
    etcd, progress = FakeEtcd(), Progress()
    barrier = Barrier(etcd, progress)  # type: ignore[arg-type]
    tasks = [asyncio.ensure_future(barrier.passed()) for _ in range(3)]
    await turns()
    tasks[0].cancel()
    etcd.revisions[0].set_result(0)
    await asyncio.gather(*tasks[1:])


async def test_rule_19_a_failing_read_fails_all_who_wait() -> None:
    etcd = FakeEtcd()
    barrier = Barrier(etcd, Progress())  # type: ignore[arg-type]
    tasks = [asyncio.ensure_future(barrier.passed())]
    await turns()
    tasks.append(asyncio.ensure_future(barrier.passed()))
    await turns()
    etcd.revisions[0].set_exception(Unknown("no leader"))
    for task in tasks:
        with pytest.raises(Timeout):
            await task
    again = asyncio.ensure_future(barrier.passed())
    await turns()
    etcd.revisions[1].set_result(0)
    await again


async def test_a_revision_that_does_not_come_is_not_waited_for_long() -> None:
    progress = Progress()
    assert not await progress.reach(5, timeout=0.01)
    assert await progress.reach(0)
