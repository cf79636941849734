"""Many clients of three API servers over three etcd members, all of them killed and paused, then the checker.

Real processes, spoken to over HTTP: creates, updates from a version, patches from any, deletes, gets, lists, and
watches that go on at another server. `HISTORY_SEED` repeats the dice of a run. `make soak` goes on for
`HISTORY_MINUTES`, in rounds that are checked one by one, each on keys of its own, in servers that live on.
"""

import asyncio
import contextlib
import itertools
import os
import random
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest

from apimachinery.resourceversion import LAST_PLACE
from tests.fixtures.apiserver import APIServerProcess, start_server, stop_server
from tests.fixtures.etcd import Member, running_etcd
from tests.fixtures.history import ANY, Change, Recorder, Watch, Write, check
from tests.integration.storage.harness import full_history

MINUTES = float(os.environ.get("HISTORY_MINUTES", "0"))
SECONDS = 45.0 if MINUTES else 15.0  # of a round
SEED = int(os.environ.get("HISTORY_SEED", str(random.randrange(10**6))))
pytestmark = [pytest.mark.integration, pytest.mark.timeout(60 * MINUTES + 180)]
PATH = "/api/v1/namespaces/default/configmaps"
PREFIX = "/registry/configmaps/default/"
CLIENTS, WATCHES, KEYS = 10, 4, 6
REQUEST_SECONDS = 5.0
MERGE_PATCH = {"Content-Type": "application/merge-patch+json"}
# What clients see of a server that is killed, paused, or has lost its etcd; a write may have been made all the same.
LOST = (aiohttp.ClientError, OSError, TimeoutError)


@dataclass
class Servers:
    """The processes, and the one session of all clients."""

    servers: list[APIServerProcess]
    members: list[Member]
    session: aiohttp.ClientSession = field(init=False)

    def pick(self, dice: random.Random) -> str:
        return dice.choice(self.servers).url + PATH

    async def call(self, method: str, url: str, **options: Any) -> tuple[int, Any]:
        async with self.session.request(method, url, **options) as answer:
            return answer.status, orjson.loads(await answer.read())


def text_of(body: bytes) -> str:
    """What a write is told from others by: uids are the server's, and an update keeps them."""
    return str(orjson.loads(body)["data"]["text"])


def version_of(obj: Any) -> int:
    return int(obj["metadata"]["resourceVersion"])


def seen(obj: Any) -> tuple[int, str]:
    return version_of(obj), str(obj["data"]["text"])


async def client(servers: Servers, recorder: Recorder, dice: random.Random, names: list[str], end: float) -> None:
    count = 0
    who = f"{dice.randrange(16**8):08x}"
    while time.monotonic() < end:
        count += 1
        name, start = dice.choice(names), time.monotonic()
        try:
            if dice.random() < 0.1:
                await read_all(servers, recorder, dice, names)
                continue
            code, found = await servers.call("GET", f"{servers.pick(dice)}/{name}")
        except LOST:
            continue
        if code not in (200, 404):
            continue
        present = seen(found) if code == 200 else None
        recorder.read(PREFIX + name, start, present)
        await change(servers, recorder, dice, name, present[0] if present else 0, f"{who}-{count}")


async def read_all(servers: Servers, recorder: Recorder, dice: random.Random, names: list[str]) -> None:
    """A list is a read of every key."""
    start = time.monotonic()
    code, listed = await servers.call("GET", servers.pick(dice))
    if code == 200:
        found = {item["metadata"]["name"]: seen(item) for item in listed["items"]}
        for name in names:
            recorder.read(PREFIX + name, start, found.get(name))


async def change(servers: Servers, recorder: Recorder, dice: random.Random, name: str, version: int, text: str) -> None:
    """One write: a create where nothing was seen, else an update, a patch or a delete."""
    key, url = PREFIX + name, servers.pick(dice)
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"text": text}}
    if not version:
        write = recorder.write(key, text, 0)
        request = servers.call("POST", url, json=body)
    elif (kind := dice.random()) < 0.5:
        write = recorder.write(key, text, version)
        body["metadata"]["resourceVersion"] = str(version)  # type: ignore[index]
        request = servers.call("PUT", f"{url}/{name}", json=body)
    elif kind < 0.8:
        write = recorder.write(key, text, ANY)
        request = servers.call(
            "PATCH", f"{url}/{name}", data=orjson.dumps({"data": {"text": text}}), headers=MERGE_PATCH
        )
    else:
        write = recorder.write(key, "", version)
        options = {"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": {"resourceVersion": str(version)}}
        request = servers.call("DELETE", f"{url}/{name}", json=options)
    try:
        code, answer = await request
    except LOST:
        return
    if code in (200, 201):
        write.end = time.monotonic()
        write.version = version_of(answer) if write.uid else ANY  # a delete's version isn't told: see `settled`
    elif code in (404, 409, 429):
        write.refused = True


def settled(writes: list[Write], history: list[Change]) -> None:
    """Give acknowledged deletes their version: that of the change after the one they were made from."""
    following = {}
    last: dict[str, int] = {}
    for each in history:
        following[each.key, last.get(each.key, 0)] = each
        last[each.key] = each.version
    for write in writes:
        if write.version == ANY and (found := following.get((write.key, write.base))) and not found.uid:
            write.version = found.version


async def follow(servers: Servers, recorder: Recorder, dice: random.Random, since: int) -> None:
    """Watch, and now and then go on at another server from the last version seen."""
    watch = Watch(since)
    recorder.watches.append(watch)
    while True:
        with contextlib.suppress(*LOST):
            async with asyncio.timeout(dice.uniform(0.3, 4)):
                query = f"?watch=1&allowWatchBookmarks=true&resourceVersion={since}"
                async for event in stream(servers, servers.pick(dice) + query):
                    obj = event["object"]
                    if event["type"] == "ERROR":
                        code, listed = await servers.call("GET", servers.pick(dice))
                        if obj.get("code") == 410 and code == 200:
                            since = version_of(listed)
                            watch.restarts.append(since)
                        break
                    since = version_of(obj)
                    if event["type"] != "BOOKMARK":
                        text = "" if event["type"] == "DELETED" else obj["data"]["text"]
                        watch.events.append(Change(since, PREFIX + obj["metadata"]["name"], text))
        await asyncio.sleep(0.01)


async def stream(servers: Servers, url: str) -> AsyncIterator[Any]:
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=1)
    async with servers.session.get(url, timeout=timeout) as answer:
        if answer.status == 410:
            yield {"type": "ERROR", "object": {"code": 410}}
        elif answer.status == 200:
            async for line in answer.content:
                yield orjson.loads(line)


async def break_things(servers: Servers, dice: random.Random, end: float, told: Callable[[str], None]) -> None:
    """Kill and pause servers and members, one thing at a time, mostly; nothing is left broken."""
    begun = time.monotonic()
    while time.monotonic() < end - 4:
        await asyncio.sleep(dice.uniform(0.1, 1.0))
        victims: list[APIServerProcess | Member] = [
            dice.choice(servers.servers if dice.random() < 0.5 else servers.members)
        ]
        if dice.random() < 0.2:
            victims.append(dice.choice(servers.members))  # perhaps the quorum is lost
        kill, pause = dice.random() < 0.6, dice.uniform(0.1, 2.0)
        names = " ".join(sorted({str(getattr(each, "port", getattr(each, "name", ""))) for each in victims}))
        told(f"{time.monotonic() - begun:7.2f} s {'kill -9' if kill else f'SIGSTOP {pause:.1f} s'} {names}")
        for victim in victims:
            if kill:
                victim.kill()
            else:
                process_of(victim).send_signal(signal.SIGSTOP)
        await asyncio.sleep(pause)
        for victim in victims:
            if not kill:
                process_of(victim).send_signal(signal.SIGCONT)
            elif process_of(victim).poll() is not None:
                victim.launch() if isinstance(victim, APIServerProcess) else victim.start()


def process_of(victim: APIServerProcess | Member) -> Any:
    return victim.process


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Servers]:
    """Three API servers over three etcd members; fsync stays on, since members are killed."""
    with running_etcd(tmp_path / "etcd", members=3) as etcd, contextlib.ExitStack() as stack:
        flags = ["--disable-admission-plugins=ServiceAccount"]
        made = []
        for number in range(3):
            made.append(start_server(tmp_path / f"apiserver{number}", ",".join(etcd.endpoints), flags))
            stack.callback(stop_server, made[-1])
        yield Servers(made, etcd.members)


async def one_round(servers: Servers, number: int) -> str:
    """Break things for a while, check, and say in a line what was seen."""
    recorder, dice = Recorder(), random.Random(f"{SEED}-{number}")
    names = [f"r{number}-{index}" for index in range(KEYS)]
    _, listed = await servers.call("GET", servers.servers[0].url + PATH)
    since, end = version_of(listed), time.monotonic() + SECONDS
    watching = [
        asyncio.create_task(follow(servers, recorder, random.Random(f"{SEED}-{number}-w{index}"), since))
        for index in range(WATCHES)
    ]
    async with asyncio.TaskGroup() as group:
        for index in range(CLIENTS):
            group.create_task(client(servers, recorder, random.Random(f"{SEED}-{number}-{index}"), names, end))
        faults: list[str] = []
        group.create_task(break_things(servers, dice, end, faults.append))
    for server in servers.servers:
        await asyncio.to_thread(server.wait_ready)
    await asyncio.sleep(1)
    for task in watching:
        task.cancel()
    await asyncio.gather(*watching, return_exceptions=True)
    first = since // (LAST_PLACE + 1) + 1
    history = await full_history([member.client for member in servers.members], text_of, first=first)
    settled(recorder.writes, history)
    found = check(recorder, history)
    acknowledged = sum(bool(write.version) for write in recorder.writes)
    events = sum(len(watch.events) for watch in recorder.watches)
    assert found == [], "\n".join([*faults, *found[:20]])
    assert acknowledged > 50, faults
    assert events > 50, faults
    unknown = sum(not write.version and not write.refused for write in recorder.writes)
    return (
        f"round {number}: {len(faults)} faults, {len(history)} changes, {acknowledged} writes acknowledged,"
        f" {unknown} unknown, {len(recorder.reads)} reads, {events} events watched: all true"
    )


async def test_history_of_three_servers_and_members_that_are_killed_and_paused(servers: Servers) -> None:
    print(f"HISTORY_SEED={SEED}")
    timeout = aiohttp.ClientTimeout(total=REQUEST_SECONDS, sock_connect=1)
    headers = {"Authorization": "Bearer admin-token"}
    connector = aiohttp.TCPConnector(ssl=False, limit=0)
    async with aiohttp.ClientSession(timeout=timeout, headers=headers, connector=connector) as servers.session:
        end = time.monotonic() + 60 * MINUTES
        for number in itertools.count():
            print(await one_round(servers, number), flush=True)
            if time.monotonic() >= end:
                break
