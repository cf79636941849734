"""How many requests may be worked on at a time: reading and writing ones apart, streams not counted.

Beyond the limit a request is answered 429 at once rather than queued: the client's own back-off is the queue.
"""

from __future__ import annotations

from apimachinery.errors import TooManyRequests
from apiserver.request import RequestInfo, User

_MUTATING = frozenset({"create", "update", "patch", "delete", "deletecollection", "post", "put"})
_UNLIMITED_GROUP = "system:masters"


class Gate:
    """One limit and how much of it is taken."""

    __slots__ = ("limit", "taken")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.taken = 0


class InFlight:
    """The two gates of `--max-requests-inflight` and `--max-mutating-requests-inflight`."""

    def __init__(self, reading: int, writing: int) -> None:
        self.reading = Gate(reading)
        self.writing = Gate(writing)
        self.refused = 0

    def enter(self, info: RequestInfo, user: User) -> Gate | None:
        """Take a place, to be given back by `leave`; TooManyRequests if there is none. None: not counted."""
        if info.long_running:
            return None
        gate = self.writing if info.verb in _MUTATING else self.reading
        if gate.limit and gate.taken >= gate.limit and _UNLIMITED_GROUP not in user.groups:
            self.refused += 1
            raise TooManyRequests("Too many requests, please try again later.")
        gate.taken += 1
        return gate

    @staticmethod
    def leave(gate: Gate | None) -> None:
        """Give the place back."""
        if gate is not None:
            gate.taken -= 1
