"""The queue's invariants, also against a model under random operations; time is the test's own."""

import asyncio
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apimachinery import errors
from kubeclient.workqueue import RateLimiter, WorkQueue, work


@dataclass
class Timer:
    at: float
    callback: object
    arguments: tuple
    cancelled: bool = False

    def cancel(self):
        self.cancelled = True

    def when(self):
        return self.at


@dataclass
class FakeClock:
    now: float = 0.0
    timers: list[Timer] = field(default_factory=list)

    def time(self):
        return self.now

    def call_later(self, delay, callback, *arguments):
        timer = Timer(self.now + delay, callback, arguments)
        self.timers.append(timer)
        return timer

    def advance(self, seconds):
        self.now += seconds
        due = [timer for timer in self.timers if timer.at <= self.now and not timer.cancelled]
        self.timers = [timer for timer in self.timers if timer.at > self.now]
        for timer in sorted(due, key=Timer.when):
            timer.callback(*timer.arguments)


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def queue(clock):
    return WorkQueue("test", clock=clock)


async def test_many_adds_are_one_key(queue):
    for _ in range(3):
        queue.add("a")
    assert await queue.get() == "a"
    assert len(queue) == 0


async def test_a_key_added_while_worked_on_comes_after_done(queue):
    queue.add("a")
    await queue.get()
    queue.add("a")
    assert len(queue) == 0
    queue.done("a")
    assert await queue.get() == "a"


async def test_the_earliest_delay_counts(queue, clock):
    queue.add_after("a", 10)
    queue.add_after("a", 5)
    queue.add_after("a", 20)
    clock.advance(4.9)
    assert len(queue) == 0
    clock.advance(0.1)
    assert len(queue) == 1
    clock.advance(100)
    assert len(queue) == 1


async def test_failures_double_the_delay_up_to_the_cap(clock):
    limiter = RateLimiter(base_seconds=1, max_seconds=8)
    delays = [limiter.delay("a") for _ in range(6)]
    for delay, most in zip(delays, (1, 2, 4, 8, 8, 8), strict=True):
        assert most * 0.75 <= delay <= most
    limiter.forget("a")
    assert limiter.failures("a") == 0


async def test_waiting_getters_are_woken_once_each_and_none_is_lost(queue):
    first, second = asyncio.ensure_future(queue.get()), asyncio.ensure_future(queue.get())
    await asyncio.sleep(0)
    queue.add("a")
    first.cancel()  # woken and cancelled at once: the second must have the key
    assert await asyncio.wait_for(second, 1) == "a"


@given(st.lists(st.tuples(st.sampled_from("agd"), st.integers(0, 3))))
def test_against_a_model(operations):
    async def run():
        queue = WorkQueue("model", clock=FakeClock())
        dirty, processing = set(), set()
        for operation, key in operations:
            if operation == "a":
                queue.add(key)
                dirty.add(key)
            elif operation == "g" and len(queue):
                taken = await queue.get()
                assert taken in dirty and taken not in processing
                dirty.discard(taken)
                processing.add(taken)
            elif operation == "d" and key in processing:
                queue.done(key)
                processing.discard(key)
            assert len(queue) == len(dirty - processing)

    asyncio.run(run())


async def test_workers_try_again_what_failed_and_obey_what_is_asked_for(clock):
    queue = WorkQueue("work", clock=clock)
    seen = []

    async def reconcile(key):
        seen.append(key)
        if len(seen) == 1:
            raise errors.Conflict("later")
        return 30 if len(seen) == 2 else None

    task = asyncio.create_task(work(queue, reconcile, workers=2))
    queue.add("a")
    for expected, pause in ((1, 1), (2, 30), (3, 0)):
        async with asyncio.timeout(5):
            while len(seen) < expected or not queue.idle:  # noqa: ASYNC110
                await asyncio.sleep(0)
        clock.advance(pause)
    assert queue.num_requeues("a") == 0
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
