"""A queue of keys that controllers work from, and the workers' loop.

Invariants, which are what make level-triggered controllers safe:
- a key that is added many times before it is taken is worked on once;
- a key is never worked on by two workers at a time; added meanwhile, it comes again after `done`;
- so the queue is never longer than there are objects.

Failures come again after a delay that doubles per failure of that key, with jitter and a cap.
"""

import asyncio
import contextlib
import logging
import random
from collections import deque
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, Protocol, TypeVar

from apimachinery import errors
from componentbase.metrics import METRICS
from kubeclient.errors import Unreachable

log = logging.getLogger(__name__)

K = TypeVar("K", bound=Hashable)
BASE_DELAY_SECONDS = 0.005
MAX_DELAY_SECONDS = 60.0

_LABEL = ("name",)
ADDS = METRICS.counter("workqueue_adds_total", "Total number of adds handled by workqueue", _LABEL)
DEPTH = METRICS.gauge("workqueue_depth", "Current depth of workqueue", _LABEL)
RETRIES = METRICS.counter("workqueue_retries_total", "Total number of retries handled by workqueue", _LABEL)
WAITED = METRICS.histogram("workqueue_queue_duration_seconds", "How long an item stays in workqueue.", _LABEL)
WORKED = METRICS.histogram("workqueue_work_duration_seconds", "How long processing an item takes.", _LABEL)
UNFINISHED = METRICS.gauge("workqueue_unfinished_work_seconds", "Seconds of work that is in progress.", _LABEL)
LONGEST = METRICS.gauge("workqueue_longest_running_processor_seconds", "Seconds of the longest running.", _LABEL)


class Timer(Protocol):
    """A pending call, as event loops give it."""

    def cancel(self) -> None: ...
    def when(self) -> float: ...


class Clock(Protocol):
    """The part of an event loop that a queue needs; tests give one of their own."""

    def time(self) -> float: ...
    def call_later(self, delay: float, callback: Callable[..., object], *args: object) -> Timer: ...


class RateLimiter(Generic[K]):
    """Delays that double with each failure of a key: 5 ms, 10 ms, ... up to the cap, each with jitter."""

    def __init__(self, *, base_seconds: float = BASE_DELAY_SECONDS, max_seconds: float = MAX_DELAY_SECONDS) -> None:
        self._base = base_seconds
        self._max = max_seconds
        self._failures: dict[K, int] = {}

    def delay(self, key: K) -> float:
        """Count a failure and say how long to wait."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        return float(min(self._base * 2 ** min(failures, 30), self._max)) * random.uniform(0.75, 1.0)

    def forget(self, key: K) -> None:
        """The key has succeeded."""
        self._failures.pop(key, None)

    def failures(self, key: K) -> int:
        """How many times in a row the key failed."""
        return self._failures.get(key, 0)


class WorkQueue(Generic[K]):
    """The queue. `name` is its label in the metrics."""

    def __init__(
        self, name: str = "", *, rate_limiter: RateLimiter[K] | None = None, clock: Clock | None = None
    ) -> None:
        self.name = name
        self._limiter: RateLimiter[K] = rate_limiter or RateLimiter()
        self._given_clock = clock
        self._queue: deque[K] = deque()
        self._dirty: dict[K, float] = {}  # to be worked on, with the time of the add
        self._processing: dict[K, float] = {}  # being worked on, with the time it began
        self._later: dict[K, Timer] = {}
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._adds, self._retries = ADDS.labels(name), RETRIES.labels(name)
        self._waited, self._worked = WAITED.labels(name), WORKED.labels(name)
        DEPTH.labels(name).set_function(lambda: len(self._queue))
        UNFINISHED.labels(name).set_function(lambda: sum(self._running()))
        LONGEST.labels(name).set_function(lambda: max(self._running(), default=0.0))

    def __len__(self) -> int:
        return len(self._queue)

    @property
    def idle(self) -> bool:
        """Whether nothing is queued or in progress (delayed keys don't count)."""
        return not self._queue and not self._processing

    def add(self, key: K) -> None:
        """Have the key worked on."""
        if key in self._dirty:
            return
        self._adds.inc()
        self._dirty[key] = self._clock.time()
        if key not in self._processing:
            self._push(key)

    def add_after(self, key: K, seconds: float) -> None:
        """Have the key worked on after a while; the earliest of several wishes counts."""
        if seconds <= 0:
            self.add(key)
            return
        pending = self._later.get(key)
        if pending is not None:
            if pending.when() <= self._clock.time() + seconds:
                return
            pending.cancel()
        self._later[key] = self._clock.call_later(seconds, self._due, key)

    def add_rate_limited(self, key: K) -> None:
        """Have the key worked on again after its failure's delay."""
        self._retries.inc()
        self.add_after(key, self._limiter.delay(key))

    def forget(self, key: K) -> None:
        """The key has succeeded: its next failure starts from the smallest delay."""
        self._limiter.forget(key)

    def num_requeues(self, key: K) -> int:
        """How many times in a row the key failed."""
        return self._limiter.failures(key)

    async def get(self) -> K:
        """Take the next key; `done` must follow."""
        while not self._queue:
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            try:
                await waiter
            except asyncio.CancelledError:
                if waiter.done() and not waiter.cancelled():
                    self._wake()  # the wake-up was ours, and someone else must have it now
                raise
            finally:
                with contextlib.suppress(ValueError):
                    self._waiters.remove(waiter)
        key = self._queue.popleft()
        now = self._clock.time()
        self._waited.observe(now - self._dirty.pop(key))
        self._processing[key] = now
        return key

    def done(self, key: K) -> None:
        """The key is no longer being worked on; if it was added meanwhile it comes again."""
        started = self._processing.pop(key, None)
        if started is not None:
            self._worked.observe(self._clock.time() - started)
        if key in self._dirty:
            self._push(key)

    @property
    def _clock(self) -> Clock:
        return self._given_clock or asyncio.get_running_loop()

    def _due(self, key: K) -> None:
        self._later.pop(key, None)
        self.add(key)

    def _push(self, key: K) -> None:
        self._queue.append(key)
        self._wake()

    def _wake(self) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return

    def _running(self) -> list[float]:
        if not self._processing:
            return []
        now = self._clock.time()
        return [now - started for started in self._processing.values()]


async def work(queue: WorkQueue[K], reconcile: Callable[[K], Awaitable[float | None]], *, workers: int = 1) -> None:
    """Run workers until cancelled.

    `reconcile` brings one key's state about; it may ask for another look by returning seconds. What it raises is
    logged and the key comes again, rate limited. That something is there already, or has another
    version, is not worth a line: the cache was a step behind.
    """

    async def worker() -> None:
        while True:
            key = await queue.get()
            try:
                await _attempt(queue, reconcile, key)
            finally:
                queue.done(key)

    async with asyncio.TaskGroup() as group:
        for number in range(workers):
            group.create_task(worker(), name=f"{queue.name} worker {number}")


async def _attempt(queue: WorkQueue[K], reconcile: Callable[[K], Awaitable[float | None]], key: K) -> None:
    try:
        again = await reconcile(key)
    except (errors.Conflict, errors.AlreadyExists) as error:
        log.debug("%s: %s: %s", queue.name, key, error)
        queue.add_rate_limited(key)
    except (errors.StatusError, Unreachable) as error:
        log.warning("%s: %s: trying again: %s", queue.name, key, error)
        queue.add_rate_limited(key)
    except Exception:  # a defect with one object must not stop the work on the others
        log.exception("%s: %s: trying again", queue.name, key)
        queue.add_rate_limited(key)
    else:
        queue.forget(key)
        if again is not None:
            queue.add_after(key, again)
