"""Watchers and the fan-out, without etcd (rules 16, 17)."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from apimachinery import fields, kinds, labels
from apimachinery.errors import Expired
from apiserver.storage.events import ADDED, MODIFIED, WatchEvent
from apiserver.storage.value import Entry, draft, entry_of, extractor
from apiserver.storage.watching import SLICE, Audience, FanOut, Watcher, bookmark, triggered_by

FIELDS = extractor([kinds.POD])


def pod(version: int, *, name: str = "p", namespace: str = "a", app: str = "red", node: str = "n1") -> Entry:
    obj: dict[str, Any] = {
        "kind": "Pod", "apiVersion": "v1", "metadata": {"name": name, "namespace": namespace, "labels": {"app": app}},
        "spec": {"nodeName": node},
    }  # fmt: skip
    return entry_of(f"/registry/pods/{namespace}/{name}", version, draft(obj), FIELDS)


async def nothing(_: Watcher) -> AsyncIterator[list[WatchEvent]]:
    return
    yield []


class World:
    """An audience and its fan-out."""

    def __init__(self) -> None:
        self.audience, self.fan_out = Audience(), FanOut()

    def watch(self, *, namespace: str = "", name: str = "", by: str = "", where: str = "", limit: int = 100) -> Watcher:
        trigger, matches = triggered_by(
            namespace=namespace, name=name, labels=labels.parse(by), fields=fields.parse(where)
        )
        watcher = Watcher(
            kind=kinds.POD, trigger=trigger, matches=matches, fan_out=self.fan_out, limit=limit, begin=nothing,
            leave=self.audience.remove, applied=lambda: 7, bookmarks=True,
        )  # fmt: skip
        self.audience.add(watcher)
        return watcher


CHANGES = [
    WatchEvent(ADDED, pod(1, node=""), None),
    WatchEvent(MODIFIED, pod(2, node="n1"), pod(1, node="")),
    WatchEvent(MODIFIED, pod(3, app="blue"), pod(2)),
    WatchEvent(ADDED, pod(4, name="q", namespace="b"), None),
    WatchEvent.deletion(pod(3, app="blue"), 5),
]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, ["ADDED 1", "MODIFIED 2", "MODIFIED 3", "ADDED 4", "DELETED 5"]),
        ({"namespace": "a"}, ["ADDED 1", "MODIFIED 2", "MODIFIED 3", "DELETED 5"]),
        ({"namespace": "b"}, ["ADDED 4"]),
        ({"namespace": "b", "name": "p"}, []),
        ({"namespace": "a", "name": "p"}, ["ADDED 1", "MODIFIED 2", "MODIFIED 3", "DELETED 5"]),
        ({"where": "metadata.name=q"}, ["ADDED 4"]),
        ({"where": "metadata.name=q,metadata.namespace=a"}, []),
        ({"where": "spec.nodeName=n1"}, ["ADDED 2", "MODIFIED 3", "ADDED 4", "DELETED 5"]),
        ({"where": "spec.nodeName="}, ["ADDED 1", "DELETED 2"]),
        ({"where": "spec.nodeName=n1", "namespace": "b"}, ["ADDED 4"]),
        ({"by": "app=red"}, ["ADDED 1", "MODIFIED 2", "DELETED 3", "ADDED 4"]),
        ({"by": "app=blue", "where": "spec.nodeName=n1"}, ["ADDED 3", "DELETED 5"]),
    ],
)
async def test_rule_16_each_watcher_sees_what_its_selectors_show(asked: dict[str, str], expected: list[str]) -> None:
    world = World()
    watcher = world.watch(**asked)  # type: ignore[arg-type]
    assert [f"{seen.type} {seen.version}" for event in CHANGES if (seen := watcher.sees(event))] == expected
    for event in CHANGES:
        world.audience.publish(event)
    batch = await anext(watcher) if expected else []
    assert [f"{event.type} {event.version}" for event in batch] == expected


async def test_rule_17_a_lone_event_goes_out_at_once_and_events_gather_while_a_fan_out_is_under_way() -> None:
    world = World()
    wakes: list[list[int]] = [[] for _ in range(10 * SLICE)]

    async def follow(watcher: Watcher, seen: list[int]) -> None:
        async for batch in watcher:
            seen.append(len(batch))

    watchers = [world.watch() for _ in wakes]
    tasks = [asyncio.create_task(follow(*each)) for each in zip(watchers, wakes, strict=True)]
    for _ in range(3):
        await asyncio.sleep(0)
    world.audience.publish(WatchEvent(ADDED, pod(1), None))
    for _ in range(3):
        await asyncio.sleep(0)
    assert wakes[0] == [1], "the first in line has it two turns later"
    assert wakes[-1] == []
    for version in range(2, 6):
        world.audience.publish(WatchEvent(ADDED, pod(version), None))
    async with asyncio.timeout(5):
        while not all(sum(each) == 5 for each in wakes):  # noqa: ASYNC110
            await asyncio.sleep(0)
    assert wakes[-1] == [5], "the last in line gets all at once"
    assert wakes[0] == [1, 4], "the first what came since"
    for watcher in watchers:
        watcher.close()
    await asyncio.gather(*tasks)
    assert len(world.audience) == 0


async def test_rule_17_coalesced_bytes_are_shared() -> None:
    world = World()
    one, two = world.watch(), world.watch()
    for event in CHANGES:
        world.audience.publish(event)
    calls: list[WatchEvent] = []

    def encode(event: WatchEvent) -> bytes:
        calls.append(event)
        return b"%d " % event.version

    first = one.encoded(await anext(one), "json", encode)
    assert first == b"1 2 3 4 5 "
    assert two.encoded(await anext(two), "json", encode) is first
    assert len(calls) == 5


async def test_a_watcher_that_is_too_slow_is_ended() -> None:
    world = World()
    watcher = world.watch(limit=3)
    for version in range(1, 10):
        world.audience.publish(WatchEvent(ADDED, pod(version), None))
    assert watcher.closed
    assert len(world.audience) == 0
    with pytest.raises(StopAsyncIteration):
        await anext(watcher)


async def test_rule_13_only_watches_that_would_see_the_event_expire() -> None:
    world = World()
    touched, other = world.watch(namespace="a"), world.watch(namespace="b")
    world.audience.expire(CHANGES[0])
    with pytest.raises(Expired):
        await anext(touched)
    assert not other.closed


async def test_bookmarks_come_after_what_was_sent() -> None:
    world = World()
    watcher = world.watch(namespace="a")
    task = asyncio.ensure_future(anext(watcher))
    await asyncio.sleep(0)
    watcher.remind(bookmark(kinds.POD, 7 * 128 + 127))
    assert [event.type for event in await task] == ["BOOKMARK"]
    last = watcher.bookmark()
    assert last is not None
    assert last.version == 7 * 128 + 127
    world.audience.publish(CHANGES[0])
    assert watcher.bookmark() is None
