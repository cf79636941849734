"""Rule 15, and what each kind of list answers."""

import asyncio

import pytest

from apimachinery import fields, kinds, labels
from apimachinery.errors import Expired, Timeout
from apimachinery.resourceversion import LAST_PLACE, decode, encode
from apiserver.storage import Storage, reading
from tests.fixtures.etcd import Cluster
from tests.integration.storage.harness import (
    SMALL,
    bare_etcd,
    collect,
    compact,
    config_map,
    create_all,
    key_of,
    storage_over,
)

NAMES = [f"c{index:02}" for index in range(20)]


async def test_rule_15_what_was_acknowledged_is_read_on_every_server(etcd: Cluster) -> None:
    async with storage_over(etcd.endpoints) as one, storage_over(etcd.endpoints) as two:

        async def write_and_read(name: str) -> None:
            entry = await one.create(key_of(name), config_map(name))
            for _ in range(5):
                found = await two.get(entry.key)
                assert found is not None
                assert found.version == entry.version
                entry = await one.update(entry.key, found.parsed(), version=entry.version)
            listed = await two.list(kinds.CONFIG_MAP)
            assert entry.version in [each.version for each in listed.entries]

        await asyncio.gather(*[write_and_read(name) for name in NAMES])


async def pages(storage: Storage, **asked: object) -> list[str]:
    """Follow the tokens; the names in order."""
    names: list[str] = []
    token = None
    while token != "":
        page = await storage.list(kinds.CONFIG_MAP, continue_token=token, **asked)  # type: ignore[arg-type]
        names += [entry.key.rpartition("/")[2] for entry in page.entries]
        token = page.continue_token
    return names


@pytest.mark.parametrize("limits", [None, SMALL], ids=["ring", "etcd"])
async def test_pages_are_of_one_version_whatever_happens_meanwhile(etcd: Cluster, limits: object) -> None:
    async with storage_over(etcd.endpoints, limits=limits) as storage:
        entries = await create_all(storage, NAMES)
        first = await storage.list(kinds.CONFIG_MAP, limit=7)
        assert first.remaining == 13
        await storage.delete(entries[10].key, version=entries[10].version)
        await storage.create(key_of("c99"), config_map("c99"))
        await storage.update(entries[12].key, config_map("c12", "new"), version=entries[12].version)
        second = await storage.list(kinds.CONFIG_MAP, limit=7, continue_token=first.continue_token)
        assert (second.version, second.remaining) == (first.version, 6)
    async with storage_over(etcd.endpoints, limits=limits) as storage:  # another server, later
        third = await storage.list(kinds.CONFIG_MAP, limit=7, continue_token=second.continue_token)
        assert (third.version, third.continue_token) == (first.version, "")
        found = [*first.entries, *second.entries, *third.entries]
        assert [(entry.key, entry.version) for entry in found] == [(entry.key, entry.version) for entry in entries]
        assert len(await pages(storage, limit=3)) == len(NAMES)


async def test_an_expired_token_brings_a_fresh_one(etcd: Cluster) -> None:
    async with storage_over(etcd.endpoints, limits=SMALL) as storage, bare_etcd(etcd.endpoints) as bare:
        entries = await create_all(storage, NAMES)
        first = await storage.list(kinds.CONFIG_MAP, limit=7)
        await storage.delete(entries[10].key, version=entries[10].version)
        await storage.create(key_of("c99"), config_map("c99"))
        await compact(bare, await bare.revision())
        with pytest.raises(Expired) as raised:
            await storage.list(kinds.CONFIG_MAP, limit=7, continue_token=first.continue_token)
        token = raised.value.status["metadata"]["continue"]
        rest = await storage.list(kinds.CONFIG_MAP, continue_token=token)
        assert [entry.key for entry in rest.entries] == [
            key_of(name) for name in [*NAMES[7:10], *NAMES[11:], "c99"]
        ]  # fmt: skip


@pytest.mark.parametrize("limits", [None, SMALL], ids=["ring", "etcd"])
async def test_pages_with_selectors(etcd: Cluster, limits: object) -> None:
    async with storage_over(etcd.endpoints, limits=limits) as storage:
        for index, name in enumerate(NAMES):
            labelled = config_map(name, labels={"parity": str(index % 2)})
            await storage.create(key_of(name), labelled)
        odd = labels.parse("parity=1")
        assert await pages(storage, labels=odd, limit=3) == NAMES[1::2]
        assert await pages(storage, labels=labels.parse("parity=7"), limit=3) == []
        first = await storage.list(kinds.CONFIG_MAP, labels=odd, limit=3)
        assert first.remaining is None
        await storage.create(key_of("c001"), config_map("c001", labels={"parity": "1"}))
        second = await storage.list(kinds.CONFIG_MAP, labels=odd, limit=30, continue_token=first.continue_token)
        assert [entry.key for entry in second.entries] == [key_of(name) for name in NAMES[7::2]]
        by_name = await storage.list(kinds.CONFIG_MAP, namespace="default", fields=fields.parse("metadata.name=c03"))
        assert [entry.key for entry in by_name.entries] == [key_of("c03")]


async def test_versions_that_are_asked_for(etcd: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "FRESH_SECONDS", 0.2)
    async with storage_over(etcd.endpoints) as storage:
        before = storage.applied_version
        entries = await create_all(storage, NAMES)
        newest = entries[-1].version
        assert (await storage.list(kinds.CONFIG_MAP, resource_version=newest)).version >= newest
        assert len((await storage.list(kinds.CONFIG_MAP, resource_version=0, limit=5)).entries) == len(NAMES)
        exact = await storage.list(kinds.CONFIG_MAP, resource_version=before, match="Exact")
        assert (exact.version, exact.entries) == (before, [])
        legacy = await storage.list(kinds.CONFIG_MAP, resource_version=before, limit=5)
        assert legacy.entries == [], "a version with a limit and no match is exact"
        future = encode(decode(newest)[0] + 100, LAST_PLACE)
        for asked in ({}, {"match": "NotOlderThan"}, {"match": "Exact"}):
            with pytest.raises(Timeout, match="Too large resource version") as raised:
                await storage.list(kinds.CONFIG_MAP, resource_version=future, **asked)  # type: ignore[arg-type]
            assert raised.value.causes[0]["reason"] == "ResourceVersionTooLarge"


async def test_watches_begin_as_asked(etcd: Cluster) -> None:
    async with storage_over(etcd.endpoints) as storage:
        entries = await create_all(storage, ["a", "b"])
        await storage.get(key_of("a"))
        for version, initial in ((None, None), (0, None), (None, True), (0, True), (entries[-1].version, True)):
            watcher = storage.watch(kinds.CONFIG_MAP, version=version, initial=initial, bookmarks=True)
            events = await collect(watcher, 2)
            assert [(event.type, event.entry.key) for event in events] == [("ADDED", key_of(name)) for name in "ab"]
            if initial:
                [mark] = await anext(watcher)
                assert b'"k8s.io/initial-events-end":"true"' in mark.entry.body
                assert decode(mark.version)[1] == 127
            watcher.close()
        watcher = storage.watch(kinds.CONFIG_MAP, version=None, initial=False)
        waiting = asyncio.ensure_future(collect(watcher, 1))
        await storage.get(key_of("a"))
        await storage.get(key_of("a"))
        entry = await storage.create(key_of("c"), config_map("c"))
        assert [event.version for event in await waiting] == [entry.version]
        selected = storage.watch(kinds.CONFIG_MAP, version=0, fields=fields.parse("metadata.name=b"))
        assert [event.entry.key for event in await collect(selected, 1)] == [key_of("b")]


async def test_a_watch_ahead_of_this_server_waits_for_its_turn(etcd: Cluster) -> None:
    async with storage_over(etcd.endpoints) as storage:
        entry = await storage.create(key_of("a"), config_map("a"))
        ahead = encode(decode(entry.version)[0] + 1, LAST_PLACE)
        watcher = storage.watch(kinds.CONFIG_MAP, version=ahead)
        waiting = asyncio.ensure_future(collect(watcher, 1))
        await storage.get(key_of("a"))
        await storage.create(key_of("b"), config_map("b"))
        third = await storage.create(key_of("c"), config_map("c"))
        assert [event.version for event in await waiting] == [third.version]
