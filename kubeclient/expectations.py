"""What a controller has just done and its cache doesn't show yet.

A controller that created three pods and reads its cache at once may see none of them, and would create three more.
It notes what it is about to do, the informer's events tick it off, and until all is ticked off (or five minutes are
over: an event may never come) it waits with further creations and deletions for that key.

Invariant: expectations are set before the request is sent, and lowered by the controller itself when it fails.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

TIMEOUT_SECONDS = 300.0


@dataclass(slots=True)
class _Expected:
    since: float
    creations: int = 0
    deletions: set[str] = field(default_factory=set)


class Expectations:
    """Expected creations (a number) and deletions (by UID) per controller key."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._expected: dict[str, _Expected] = {}

    def expect_creations(self, key: str, number: int) -> None:
        """`number` creations are about to be sent."""
        entry = self._entry(key)
        entry.creations += number

    def expect_deletions(self, key: str, uids: Iterable[str]) -> None:
        """These are about to be deleted."""
        entry = self._entry(key)
        entry.deletions.update(uids)

    def creation_observed(self, key: str, number: int = 1) -> None:
        """One was seen, or `number` will never come since sending failed."""
        entry = self._expected.get(key)
        if entry:
            entry.creations = max(0, entry.creations - number)
            self._tidy(key, entry)

    def deletion_observed(self, key: str, uid: str) -> None:
        """Its deletion was seen, or failed."""
        entry = self._expected.get(key)
        if entry:
            entry.deletions.discard(uid)
            self._tidy(key, entry)

    def satisfied(self, key: str) -> bool:
        """Whether the cache can be trusted for that key."""
        entry = self._expected.get(key)
        return entry is None or self._clock() - entry.since > TIMEOUT_SECONDS

    def forget(self, key: str) -> None:
        """The object of that key is gone."""
        self._expected.pop(key, None)

    def _entry(self, key: str) -> _Expected:
        entry = self._expected.setdefault(key, _Expected(self._clock()))
        if self._clock() - entry.since > TIMEOUT_SECONDS:
            entry.creations = 0
            entry.deletions.clear()
        entry.since = self._clock()
        return entry

    def _tidy(self, key: str, entry: _Expected) -> None:
        if not entry.creations and not entry.deletions:
            del self._expected[key]
