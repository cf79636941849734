"""Rules 1 to 3: what a version is, which versions go out, what a watch from one gets."""

import asyncio

import orjson
import pytest
from aetcd import rpc

from apimachinery import kinds
from apimachinery.errors import Expired
from apimachinery.resourceversion import decode, encode
from apiserver.storage import paging
from tests.fixtures.etcd import Cluster
from tests.integration.storage.harness import (
    SMALL,
    bare_etcd,
    collect,
    compact,
    config_map,
    create_all,
    key_of,
    put,
    storage_over,
)

NAMES = [f"c{index}" for index in range(6)]


def inside_a_commit(entries: list) -> list:  # type: ignore[type-arg]
    """The entries of the largest commit among them."""
    revisions = [decode(entry.version)[0] for entry in entries]
    largest = max(set(revisions), key=revisions.count)
    return [entry for entry in entries if decode(entry.version)[0] == largest]


async def test_rule_01_version_is_revision_and_place(etcd: Cluster) -> None:
    async with storage_over(etcd.endpoints) as storage, bare_etcd(etcd.endpoints) as foreign:
        watcher = storage.watch(kinds.CONFIG_MAP, version=storage.applied_version)
        entries = await create_all(storage, NAMES)
        group = inside_a_commit(entries)
        assert len(group) > 1
        assert [decode(entry.version)[1] for entry in group] == list(range(len(group)))

        stored = (await foreign.range(rpc.RangeRequest(key=group[1].key.encode()))).kvs[0].value
        assert stored.startswith(b'{"kind":"ConfigMap","apiVersion":"v1","metadata":{"resourceVersion":"001",')

        # a put, two deletes and a put in one commit: the deletes' places follow from what is before them
        one, two, three = entries[:3]
        deleted = await asyncio.gather(
            storage.update(one.key, one.parsed(), version=one.version),
            storage.delete(two.key, version=two.version),
            storage.delete(three.key, version=three.version),
            storage.create(key_of("new"), config_map("new")),
        )
        assert isinstance(deleted[1], int)
        answered = [deleted[0].version, deleted[1], deleted[2], deleted[3].version]
        events = await collect(watcher, len(NAMES) + 4)
        assert [event.version for event in events] == [entry.version for entry in entries] + answered
        assert answered == sorted(set(answered))
        assert orjson.loads(events[-3].entry.body)["metadata"]["resourceVersion"] == str(answered[1])

        revision = await put(foreign, (key_of("foreign"), orjson.dumps(config_map("foreign"))))
        [event] = await collect(watcher, 1)
        assert event.version == encode(revision, 127)

        before = len(list(storage.cached(kinds.CONFIG_MAP)))
        revision = await put(foreign, ("/elsewhere/key", b"anything"))
        await storage.get(key_of("x"))
        assert storage.applied_version == encode(revision, 127)
        assert len(list(storage.cached(kinds.CONFIG_MAP))) == before


async def test_rule_01_odd_delete_places_agree_with_the_watch(etcd: Cluster) -> None:
    """Deletes and creates mixed at random: what the writer computed is what every watcher sees."""
    async with storage_over(etcd.endpoints) as storage, storage_over(etcd.endpoints) as other:
        start = storage.applied_version
        entries = await create_all(storage, [f"d{index}" for index in range(40)])
        work = [
            storage.delete(entry.key, version=entry.version - (128 if index % 5 == 0 else 0))
            if index % 2
            else storage.create(key_of(f"e{index}"), config_map(f"e{index}"))
            for index, entry in enumerate(entries)
        ]
        done = await asyncio.gather(*work, return_exceptions=True)
        written = [each if isinstance(each, int) else each.version for each in done if not isinstance(each, Exception)]
        for each in (storage, other):
            events = await collect(each.watch(kinds.CONFIG_MAP, version=start), 40 + len(written))
            assert [event.version for event in events[40:]] == sorted(written)


async def test_rule_02_lists_bookmarks_and_tokens_carry_whole_commits(etcd: Cluster) -> None:
    async with storage_over(etcd.endpoints) as storage:
        entries = await create_all(storage, NAMES)
        listed = await storage.list(kinds.CONFIG_MAP, limit=2)
        assert decode(listed.version)[1] == 127
        assert decode(storage.applied_version)[1] == 127
        assert decode(paging.parse(listed.continue_token).version)[1] == 127
        watcher = storage.watch(kinds.CONFIG_MAP, version=entries[0].version)
        await collect(watcher, 5)
        await asyncio.wait([asyncio.ensure_future(anext(watcher))], timeout=0.01)
        bookmark = watcher.bookmark()
        assert bookmark is not None
        assert decode(bookmark.version)[1] == 127


@pytest.mark.parametrize("source", ["ring", "etcd"])
async def test_rule_02_exact_inside_a_commit(etcd: Cluster, source: str) -> None:
    async with storage_over(etcd.endpoints) as storage, bare_etcd(etcd.endpoints) as foreign:
        await create_all(storage, ["before"])
        group = inside_a_commit(await create_all(storage, NAMES))
        gone = await storage.delete(group[0].key, version=group[0].version)
        revision = decode(gone)[0]
        async with storage_over(etcd.endpoints, limits=SMALL if source == "etcd" else None) as reader:
            found = await reader.list(kinds.CONFIG_MAP, resource_version=group[2].version, match="Exact")
            assert found.version == group[2].version
            expected = [entry.key for entry in group[:3]]
            names = {entry.key for entry in found.entries}
            assert names >= {*expected, key_of("before")}
            assert not names & {entry.key for entry in group[3:]}
        await compact(foreign, revision)
        async with storage_over(etcd.endpoints, limits=SMALL) as reader:
            with pytest.raises(Expired):
                await reader.list(kinds.CONFIG_MAP, resource_version=group[2].version, match="Exact")


@pytest.mark.parametrize("source", ["ring", "etcd"])
async def test_rule_03_watch_resumes_inside_a_commit(etcd: Cluster, source: str) -> None:
    async with storage_over(etcd.endpoints) as storage:
        entries = await create_all(storage, NAMES)
        group = inside_a_commit(entries)
        gone = await storage.delete(group[0].key, version=group[0].version)
        await create_all(storage, ["later"])
        async with storage_over(etcd.endpoints, limits=SMALL if source == "etcd" else None) as reader:
            after = group[1].version
            rest = [entry.version for entry in entries if entry.version > after]
            watcher = reader.watch(kinds.CONFIG_MAP, version=after)
            events = await collect(watcher, len(rest) + 2)
            assert [event.version for event in events[:-1]] == [*rest, gone]
            assert events[-2].type == "DELETED"
            live = await storage.create(key_of("live"), config_map("live"))
            assert [event.version for event in await collect(watcher, 1)] == [live.version]


async def test_rule_03_watch_from_the_compacted_revision(etcd: Cluster) -> None:
    async with storage_over(etcd.endpoints) as storage, bare_etcd(etcd.endpoints) as foreign:
        group = inside_a_commit(await create_all(storage, NAMES))
        doomed = group[-1]
        gone = await asyncio.gather(
            *[storage.delete(entry.key, version=entry.version) for entry in group[1:]]
        )  # a commit of deletes: etcd leaves them out of a watch from exactly here
        later = await storage.create(key_of("later"), config_map("later"))
        await storage.create(key_of("last"), config_map("last"))
        revision = decode(gone[-1])[0]
        assert doomed.key.endswith(doomed.key[-2:])
        await compact(foreign, revision)
        async with storage_over(etcd.endpoints, limits=SMALL) as reader:
            for version in (encode(revision, 0), encode(revision - 1, 127), encode(1, 0)):
                with pytest.raises(Expired):
                    await collect(reader.watch(kinds.CONFIG_MAP, version=version), 1)
            events = await collect(reader.watch(kinds.CONFIG_MAP, version=encode(revision, 127)), 2)
            assert events[0].version == later.version
