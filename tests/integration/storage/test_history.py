"""Many clients on two servers while connections, answers and etcd itself are lost, then the checker."""

import asyncio
import contextlib
import os
import random
import time
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest

from apimachinery import kinds
from apimachinery.errors import Expired, StatusError
from apimachinery.resourceversion import LAST_PLACE
from apiserver.storage import Limits, Storage, StorageConflict, StorageExists, commit
from tests.fixtures.etcd import Cluster, running_etcd
from tests.fixtures.history import Change, Read, Recorder, Watch, Write, check
from tests.integration.storage.harness import Proxy, config_map, full_history, key_of, storage_over

KEYS = [key_of(f"k{index}") for index in range(6)]
SECONDS = float(os.environ.get("HISTORY_SECONDS", "8"))


def uid_of(body: bytes) -> str:
    return str(orjson.loads(body)["metadata"]["uid"])


async def client(storage: Storage, recorder: Recorder, dice: random.Random, end: float, name: str) -> None:
    count = 0
    while time.monotonic() < end:
        count += 1
        key = dice.choice(KEYS)
        start = time.monotonic()
        try:
            entry = await (storage.get_live(key) if dice.random() < 0.1 else storage.get(key))
        except StatusError:
            continue
        recorder.read(key, start, None if entry is None else (entry.version, uid_of(entry.body)))
        uid = f"{name}-{count}"
        obj = config_map(key.rpartition("/")[2], uid=uid)
        delete = entry is not None and dice.random() < 0.2
        write = recorder.write(key, "" if delete else uid, entry.version if entry is not None else 0)
        try:
            if entry is None:
                write.version = (await storage.create(key, obj)).version
            elif delete:
                write.version = await storage.delete(key, version=entry.version)
            else:
                write.version = (await storage.update(key, obj, version=entry.version)).version
            write.end = time.monotonic()
        except (StorageExists, StorageConflict):
            write.refused = True
        except StatusError:
            pass  # 504: it may have been made


async def follow(servers: list[Storage], recorder: Recorder, dice: random.Random, since: int) -> None:
    """Watch, and now and then go on at another server from the last version seen."""
    watch = Watch(since)
    recorder.watches.append(watch)
    while True:
        watcher = dice.choice(servers).watch(kinds.CONFIG_MAP, version=since, bookmarks=True)
        with contextlib.suppress(StatusError):
            try:
                async with asyncio.timeout(dice.uniform(0.1, 1.5)):
                    async for batch in watcher:
                        for event in batch:
                            since = event.version
                            if event.type != "BOOKMARK":
                                uid = "" if event.type == "DELETED" else uid_of(event.entry.body)
                                watch.events.append(Change(event.version, event.entry.key, uid))
            except TimeoutError:
                pass
            except Expired:
                since = (await dice.choice(servers).list(kinds.CONFIG_MAP)).version
                watch.restarts.append(since)
            finally:
                watcher.close()


async def run(cluster: Cluster, seed: int, faults: Callable[[random.Random, list[Proxy]], None]) -> Recorder:
    recorder = Recorder()
    end = time.monotonic() + SECONDS
    async with contextlib.AsyncExitStack() as stack:
        proxies = [
            await stack.enter_async_context(Proxy(cluster.endpoints[index % len(cluster.endpoints)]))
            for index in (0, 1)
        ]
        servers = [
            await stack.enter_async_context(storage_over([proxy.endpoint, *cluster.endpoints[2:]], limits=limits))
            for proxy, limits in zip(proxies, (Limits(), Limits(ring_events=5)), strict=True)
        ]
        watching = [
            asyncio.create_task(follow(servers, recorder, random.Random(seed + index), LAST_PLACE))
            for index in range(4)
        ]

        async def break_things() -> None:
            dice = random.Random(seed)
            while time.monotonic() < end - 2:
                await asyncio.sleep(dice.uniform(0.2, 0.8))
                faults(dice, proxies)
            for proxy in proxies:
                proxy.muted = False
                proxy.cut()

        async with asyncio.TaskGroup() as group:
            for index in range(8):
                dice = random.Random(seed * 100 + index)
                group.create_task(client(servers[index % 2], recorder, dice, end, f"c{index}"))
            group.create_task(break_things())
        await asyncio.sleep(1)
        for task in watching:
            task.cancel()
        await asyncio.gather(*watching, return_exceptions=True)
    return recorder


def lose_connections(dice: random.Random, proxies: list[Proxy]) -> None:
    proxy = dice.choice(proxies)
    if proxy.muted or dice.random() < 0.5:
        proxy.cut()
        proxy.muted = False
    else:
        proxy.muted = True


@pytest.mark.parametrize("members", [1, 3])
async def test_rule_06_history_with_lost_connections_and_members(
    tmp_path: Path, members: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commit, "WRITE_SECONDS", 2.0)
    seed = int(os.environ.get("HISTORY_SEED", str(random.randrange(10**6))))
    print(f"HISTORY_SEED={seed}")
    with running_etcd(tmp_path / "etcd", members=members) as cluster:
        down: list[int] = []

        def faults(dice: random.Random, proxies: list[Proxy]) -> None:
            if dice.random() < 0.7:
                lose_connections(dice, proxies)
            elif down:
                cluster.members[down.pop()].start()
            else:
                down.append(dice.randrange(members))
                cluster.members[down[0]].kill()
                if members == 1:
                    cluster.members[down.pop()].start()

        recorder = await run(cluster, seed, faults)
        for index in down:
            cluster.members[index].start()
            cluster.members[index].wait_healthy()
        history = await full_history(cluster.endpoints, uid_of)
    acknowledged = sum(write.version > 0 for write in recorder.writes)
    seen = sum(len(watch.events) for watch in recorder.watches)
    print(f"{len(history)} changes, {acknowledged} acknowledged, {len(recorder.reads)} reads, {seen} events watched")
    assert acknowledged > 50
    assert seen > 50
    assert check(recorder, history) == []


def true_story() -> tuple[Recorder, list[Change]]:
    history = [Change(10, "k", "a"), Change(11, "k", "b"), Change(12, "k", ""), Change(13, "k", "c")]
    recorder = Recorder(
        writes=[
            Write("k", "a", 0, 1.0, 2.0, 10), Write("k", "b", 10, 3.0, 4.0, 11),
            Write("k", "", 11, 5.0, 6.0, 12), Write("k", "c", 0, 7.0, 8.0, 13),
        ],
        reads=[Read("k", 0.1, 0.2, None), Read("k", 2.1, 3.5, (10, "a")), Read("k", 6.5, 7.5, None)],
        watches=[Watch(10, history[1:])],
    )  # fmt: skip
    return recorder, history


def test_the_checker_believes_a_true_story() -> None:
    assert check(*true_story()) == []


@pytest.mark.parametrize(
    ("plant", "complaint"),
    [
        (lambda recorder, history: history.pop(1), "lost"),
        (lambda recorder, history: recorder.reads.append(Read("k", 4.5, 4.9, (10, "a"))), "stale"),
        (lambda recorder, history: recorder.reads.append(Read("k", 9.0, 9.5, None)), "stale"),
        (lambda recorder, history: recorder.reads.append(Read("k", 0.5, 0.9, (10, "a"))), "from the future"),
        (lambda recorder, history: recorder.reads.append(Read("k", 2.5, 2.9, (99, "z"))), "never was"),
        (lambda recorder, history: recorder.watches[0].events.pop(1), "missing"),
        (lambda recorder, history: recorder.watches[0].events.insert(1, history[1]), "doubled"),
        (lambda recorder, history: recorder.writes.append(Write("k", "b", 10, 3.0, refused=True)), "refused, but made"),
        (lambda recorder, history: setattr(recorder.writes[1], "base", 9), "another version"),
    ],
)
def test_the_checker_finds_what_is_planted(plant: Callable[[Recorder, list[Change]], object], complaint: str) -> None:
    recorder, history = true_story()
    recorder.watches[0].events = list(recorder.watches[0].events)
    plant(recorder, history)
    assert any(complaint in found for found in check(recorder, history))
