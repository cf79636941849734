"""A recorder of what clients asked and were told, and a checker of whether that can be true.

The judge is etcd's own history, read when all is over: every change of every key, in order. Against it are held
- writes: what was acknowledged is there, as that version, made from the version it was said to be made from;
- reads: each shows a state no older than anything acknowledged or read before it began, and no newer than its end;
- watches: what came, over all resumes, is the history from where the watch began, whole, in order, once.
"""

import time
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Change:
    """One entry of the history. A delete has no uid."""

    version: int
    key: str
    uid: str  # of the write that made it, "" for a delete


@dataclass(slots=True)
class Write:
    key: str
    uid: str  # "" deletes
    base: int
    start: float
    end: float = 0.0
    version: int = 0  # 0: not acknowledged
    refused: bool = False  # a 409: it was not made


@dataclass(slots=True)
class Read:
    """`seen` is (version, uid) of the object, None where there was none; `floor` is the version of a list."""

    key: str
    start: float
    end: float
    seen: tuple[int, str] | None


@dataclass(slots=True)
class Watch:
    since: int
    events: list[Change] = field(default_factory=list)
    restarts: list[int] = field(default_factory=list)  # versions of lists made after a 410: what is between is unseen


@dataclass(slots=True)
class Recorder:
    writes: list[Write] = field(default_factory=list)
    reads: list[Read] = field(default_factory=list)
    watches: list[Watch] = field(default_factory=list)

    def write(self, key: str, uid: str, base: int) -> Write:
        self.writes.append(Write(key, uid, base, time.monotonic()))
        return self.writes[-1]

    def read(self, key: str, start: float, seen: tuple[int, str] | None) -> None:
        self.reads.append(Read(key, start, time.monotonic(), seen))


def check(recorder: Recorder, history: Sequence[Change]) -> list[str]:
    """What can't be true, in words; empty if all is well."""
    by_key: dict[str, list[Change]] = {}
    for change in history:
        by_key.setdefault(change.key, []).append(change)
    return [
        *_check_writes(recorder, by_key),
        *_check_reads(recorder, by_key),
        *[found for watch in recorder.watches for found in _check_watch(watch, history)],
    ]


def _check_writes(recorder: Recorder, by_key: dict[str, list[Change]]) -> list[str]:
    found = []
    for write in recorder.writes:
        changes = by_key.get(write.key, [])
        if write.refused and write.uid and any(change.uid == write.uid for change in changes):
            found.append(f"refused, but made: {write}")
        if not write.version:
            continue
        index = next((index for index, change in enumerate(changes) if change.version == write.version), None)
        if index is None or changes[index].uid != write.uid:
            found.append(f"lost: {write}")
            continue
        before = changes[index - 1] if index else None
        if write.base and (before is None or before.version != write.base):
            found.append(f"made from another version: {write}, before it {before}")
        if not write.base and before is not None and before.uid:
            found.append(f"created over {before}: {write}")
    return found


def _check_reads(recorder: Recorder, by_key: dict[str, list[Change]]) -> list[str]:
    """Positions in a key's history: 0 is before everything, n after its n-th change."""
    found = []
    known: dict[str, list[tuple[float, int]]] = {}  # key -> (when it was known to someone, position)
    began: dict[tuple[str, str], float] = {(write.key, write.uid): write.start for write in recorder.writes}
    versions = {key: [change.version for change in changes] for key, changes in by_key.items()}
    for write in recorder.writes:
        if write.version in versions.get(write.key, []):
            known.setdefault(write.key, []).append((write.end, versions[write.key].index(write.version) + 1))
    reads = sorted(recorder.reads, key=lambda read: read.end)
    for read in reads:
        changes = by_key.get(read.key, [])
        ends = sorted(known.get(read.key, []))
        floor = max((position for end, position in ends[: bisect_left(ends, (read.start, 0))]), default=0)
        if read.seen is None:
            absent = [0, *[index + 1 for index, change in enumerate(changes) if not change.uid]]
            position = next((each for each in absent if each >= floor), None)
            if position is None:
                found.append(f"stale: {read} saw nothing, {changes[floor - 1]} was known")
                continue
        else:
            version, uid = read.seen
            if version not in versions.get(read.key, []) or changes[versions[read.key].index(version)].uid != uid:
                found.append(f"never was: {read}")
                continue
            position = versions[read.key].index(version) + 1
            if position < floor:
                found.append(f"stale: {read}, {changes[floor - 1]} was known")
            if began.get((read.key, uid), 0.0) > read.end:
                found.append(f"from the future: {read}")
        known.setdefault(read.key, []).append((read.end, position))
    return found


def _check_watch(watch: Watch, history: Sequence[Change]) -> list[str]:
    """A watch that saw nothing unseen by design is the history between its beginning and its last event."""
    versions = [change.version for change in history]
    got = [event.version for event in watch.events]
    if got != sorted(set(got)):
        return [f"out of order or doubled: {got}"]
    if not got:
        return []
    wanted = list(history[bisect_right(versions, watch.since) : bisect_right(versions, got[-1])])
    for restart in watch.restarts:
        last = max((each for each in got if each <= restart), default=watch.since)
        wanted = [change for change in wanted if not last < change.version <= restart]
    missing = [change for change in wanted if change not in watch.events]
    invented = [event for event in watch.events if event not in wanted]
    return [f"missing: {change}" for change in missing] + [f"never was: {event}" for event in invented]
