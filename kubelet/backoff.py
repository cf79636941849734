"""Exponential back-off per key, as upstream's flowcontrol.Backoff: crash loops and failing image pulls.

An entry is forgotten once nothing failed for twice the longest delay. Entries are bounded: the oldest goes first.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

ENTRIES_MAX = 4096


@dataclass(slots=True)
class _Entry:
    delay: float
    updated: float


class Backoff:
    """Delays that double from `initial` to `longest` seconds; `clock` gives seconds."""

    def __init__(self, *, initial: float, longest: float, clock: Callable[[], float]) -> None:
        self._initial = initial
        self._longest = longest
        self._clock = clock
        self._entries: OrderedDict[str, _Entry] = OrderedDict()

    def remaining(self, key: str, since: float) -> float:
        """Seconds to wait still, after a failure at `since`; 0 when the next try is free."""
        entry = self._entries.get(key)
        if entry is None or since - entry.updated > 2 * self._longest:
            return 0.0
        passed = self._clock() - since
        return (
            max(0.0, entry.delay - passed) if passed >= 0 else 0.0
        )  # the clock was set back: nobody knows how long ago

    def failed(self, key: str, since: float) -> None:
        """Another try follows a failure at `since`: the one after it waits twice as long."""
        entry = self._entries.pop(key, None)
        if entry is None or since - entry.updated > 2 * self._longest:
            delay = self._initial
        else:
            delay = min(self._longest, entry.delay * 2)
        self._entries[key] = _Entry(delay, self._clock())
        while len(self._entries) > ENTRIES_MAX:
            self._entries.popitem(last=False)

    def delay(self, key: str) -> float:
        """The present delay, as "back-off 20s" shows it."""
        entry = self._entries.get(key)
        return entry.delay if entry else self._initial

    def forget(self, key: str) -> None:
        """Start over."""
        self._entries.pop(key, None)


def duration(seconds: float) -> str:
    """As Go prints a duration that was cut to milliseconds: 345ms, 1.5s, 2m3.25s."""
    milli = int(seconds * 1000)
    if milli < 1000:
        return f"{milli}ms" if milli else "0s"
    minutes, rest = divmod(milli, 60_000)
    return (f"{minutes}m" if minutes else "") + f"{rest / 1000:.3f}".rstrip("0").rstrip(".") + "s"
