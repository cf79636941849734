"""Rules 11 to 14: the one watch of etcd, over fragments, reconnects, foreign writes, restarts and compaction."""

import asyncio

import orjson
import pytest
from aetcd import rpc

from apimachinery import kinds
from apimachinery.errors import Expired
from apimachinery.resourceversion import decode
from apiserver.storage import Limits
from apiserver.storage.feeding import revisions
from tests.fixtures.etcd import Cluster
from tests.integration.storage.harness import (
    SMALL,
    WAIT_SECONDS,
    Proxy,
    bare_etcd,
    collect,
    compact,
    config_map,
    create_all,
    delete_range,
    key_of,
    put,
    storage_over,
    wait_until,
)


async def test_rule_11_fragments_are_collected_to_whole_commits(etcd: Cluster) -> None:
    """Catching up over 60 commits of almost a megabyte each: etcd cuts what it sends at 1.5 MiB or so."""
    async with bare_etcd(etcd.endpoints) as bare:
        value = b"x" * 14_000
        for round_ in range(60):
            await put(bare, *[(f"/registry/big/{round_}-{index}", value) for index in range(64)])
        now = await bare.revision()
        found: dict[int, int] = {}
        responses = 0
        async with asyncio.timeout(WAIT_SECONDS):
            async for events in bare.watch(2):
                responses += 1
                for revision, some in revisions(events):
                    assert revision not in found, "a commit came in two pieces"
                    found[revision] = len(some)
                if max(found) == now:
                    break
        assert set(found.values()) == {64}


async def test_rule_11_applied_is_the_revision_of_the_last_whole_commit(etcd: Cluster) -> None:
    async with storage_over(etcd.endpoints, limits=Limits(ring_revisions=400)) as storage:
        await asyncio.gather(*[create_all(storage, [f"a{part}-{index}" for index in range(50)]) for part in range(8)])
    async with storage_over(etcd.endpoints, limits=Limits(ring_revisions=400)) as storage:
        assert len(list(storage.cached(kinds.CONFIG_MAP))) == 400
        newest = max(entry.version for entry in storage.cached(kinds.CONFIG_MAP))
        assert decode(storage.applied_version)[0] == decode(newest)[0]


async def test_rule_12_the_watch_has_its_own_connection_and_comes_back_soon(etcd: Cluster) -> None:
    async with Proxy(etcd.endpoints[0]) as proxy, storage_over([proxy.endpoint]) as storage:
        await create_all(storage, ["a"])
        await wait_until(lambda: storage._reflector.connected)  # writes don't wait for the watch
        assert proxy.accepted == 2, "one connection for calls, one for the watch"
        await storage.get(key_of("a"))
        watcher = storage.watch(kinds.CONFIG_MAP, version=storage.applied_version)
        for round_ in range(3):
            waiting = asyncio.ensure_future(collect(watcher, 1))
            proxy.cut()
            await wait_until(lambda: not storage._reflector.connected)
            async with storage_over(etcd.endpoints) as other:
                entry = await other.create(key_of(f"meanwhile-{round_}"), config_map("meanwhile"))
            async with asyncio.timeout(3):
                [event] = await waiting
            assert event.version == entry.version


async def test_rule_12_a_watch_that_is_silent_while_etcd_moves_on_is_made_anew(etcd: Cluster) -> None:
    async with Proxy(etcd.endpoints[0]) as proxy, storage_over([proxy.endpoint]) as storage:
        await create_all(storage, ["a"])
        accepted = proxy.accepted
        storage._reflector._stalled()
        await wait_until(lambda: proxy.accepted > accepted)
        await create_all(storage, ["b"])
        assert await storage.get(key_of("b")) is not None


async def test_rule_13_a_foreign_write_of_several_keys_ends_the_watches_it_touches(etcd: Cluster) -> None:
    async with storage_over(etcd.endpoints) as storage, bare_etcd(etcd.endpoints) as foreign:
        entry = await storage.create(key_of("ours"), config_map("ours"))
        watcher = storage.watch(kinds.CONFIG_MAP, version=entry.version)
        elsewhere = storage.watch(kinds.CONFIG_MAP, namespace="elsewhere", version=entry.version)
        waiting = [asyncio.ensure_future(collect(each, 1)) for each in (watcher, elsewhere)]
        await asyncio.sleep(0)
        pairs = [(key_of(name), orjson.dumps(config_map(name))) for name in ("foreign1", "foreign2")]
        await put(foreign, *pairs)
        with pytest.raises(Expired):
            await waiting[0]
        assert {entry.key for entry in storage.cached(kinds.CONFIG_MAP)} == {key_of("ours"), *dict(pairs)}
        with pytest.raises(Expired):
            await collect(storage.watch(kinds.CONFIG_MAP, version=entry.version), 1)
        assert not waiting[1].done()
        waiting[1].cancel()
        # a list from here on, and a watch from it, work
        listed = await storage.list(kinds.CONFIG_MAP)
        later = storage.watch(kinds.CONFIG_MAP, version=listed.version)
        newer = await storage.create(key_of("newer"), config_map("newer"))
        assert [event.version for event in await collect(later, 1)] == [newer.version]


async def test_rule_13_a_foreign_delete_of_more_keys_than_places(etcd: Cluster) -> None:
    async with storage_over(etcd.endpoints) as storage, bare_etcd(etcd.endpoints) as foreign:
        entries = await create_all(storage, [f"c{index}" for index in range(150)])
        watcher = storage.watch(kinds.CONFIG_MAP, version=entries[-1].version)
        waiting = asyncio.ensure_future(collect(watcher, 1))
        await asyncio.sleep(0)
        await delete_range(foreign, "/registry/configmaps/")
        with pytest.raises(Expired):
            await waiting
        await storage.get(key_of("x"))
        assert list(storage.cached(kinds.CONFIG_MAP)) == []


async def test_rule_14_a_started_server_resumes_its_predecessors_clients(etcd: Cluster) -> None:
    async with storage_over(etcd.endpoints) as storage:
        entries = await create_all(storage, ["a", "b", "c"])
        gone = await storage.delete(entries[1].key, version=entries[1].version)
    async with storage_over(etcd.endpoints) as storage:
        watcher = storage.watch(kinds.CONFIG_MAP, version=entries[0].version)
        events = await collect(watcher, 3)
        assert [(event.type, event.version) for event in events] == [
            ("ADDED", entries[1].version), ("ADDED", entries[2].version), ("DELETED", gone)
        ]  # fmt: skip
        assert storage._stores.of(kinds.CONFIG_MAP).ring.covers(entries[0].version), "from the ring, not from etcd"


async def test_rule_14_older_than_the_ring_is_served_from_etcd(etcd: Cluster) -> None:
    async with storage_over(etcd.endpoints, limits=SMALL) as storage:
        start = storage.applied_version
        entries = await create_all(storage, [f"c{index}" for index in range(30)])
        changed = await storage.update(entries[3].key, config_map("c3", "new"), version=entries[3].version)
        gone = await storage.delete(entries[4].key, version=entries[4].version)
        await storage.create("/registry/pods/default/p", {**config_map("p"), "kind": "Pod"})
        watcher = storage.watch(kinds.CONFIG_MAP, version=start)
        live = await storage.create(key_of("live"), config_map("live"))
        events = await collect(watcher, 33)
        assert [event.version for event in events] == [
            *[entry.version for entry in entries], changed.version, gone, live.version
        ]  # fmt: skip
        assert [event.type for event in events[-3:]] == ["MODIFIED", "DELETED", "ADDED"]
        assert events[-3].previous is not None
        assert events[-3].previous.version == entries[3].version


async def test_rule_14_started_after_a_compaction(etcd: Cluster) -> None:
    async with storage_over(etcd.endpoints) as storage, bare_etcd(etcd.endpoints) as bare:
        entries = await create_all(storage, ["a", "b", "c"])
        await storage.delete(entries[0].key, version=entries[0].version)
        await storage.create(key_of("d"), config_map("d"))
        await compact(bare, await bare.revision() - 1)
    async with storage_over(etcd.endpoints) as storage:
        names = [entry.key.rpartition("/")[2] for entry in storage.cached(kinds.CONFIG_MAP)]
        assert names == ["b", "c", "d"]
        with pytest.raises(Expired):
            await collect(storage.watch(kinds.CONFIG_MAP, version=entries[0].version), 1)


async def test_rule_14_overtaken_by_compaction_everything_is_read_anew(etcd: Cluster) -> None:
    async with (
        Proxy(etcd.endpoints[0]) as proxy,
        storage_over([proxy.endpoint]) as behind,
        storage_over(etcd.endpoints) as storage,
        bare_etcd(etcd.endpoints) as bare,
    ):
        entries = await create_all(storage, ["a", "b"])
        await behind.get(key_of("a"))
        heard: list[tuple[str, str]] = []
        behind.listen(kinds.CONFIG_MAP, lambda type_, key, _: heard.append((type_, key.rpartition("/")[2])))
        watcher = behind.watch(kinds.CONFIG_MAP, version=entries[-1].version)
        waiting = asyncio.ensure_future(collect(watcher, 1))
        await asyncio.sleep(0)
        proxy.refusing = True
        proxy.cut()
        await wait_until(lambda: not behind._reflector.connected)
        await storage.delete(entries[0].key, version=entries[0].version)
        await storage.create(key_of("c"), config_map("c"))
        await compact(bare, await bare.revision())
        proxy.refusing = False
        with pytest.raises(Expired):
            await waiting
        await behind.get(key_of("c"))
        assert [entry.key for entry in behind.cached(kinds.CONFIG_MAP)] == [key_of("b"), key_of("c")]
        assert sorted(heard) == [("ADDED", "a"), ("ADDED", "b"), ("ADDED", "c"), ("DELETED", "a")]


async def test_values_that_are_no_objects_are_left_out(etcd: Cluster) -> None:
    async with storage_over(etcd.endpoints) as storage, bare_etcd(etcd.endpoints) as foreign:
        await put(foreign, (key_of("broken"), b"k8s\0binary"))
        await create_all(storage, ["whole"])
        await foreign.txn(rpc.TxnRequest())
        assert await storage.get(key_of("broken")) is None
        assert await storage.get(key_of("whole")) is not None
    async with storage_over(etcd.endpoints) as storage:
        assert len(list(storage.cached(kinds.CONFIG_MAP))) == 1


async def test_a_fault_while_applying_is_got_over(etcd: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    async with storage_over(etcd.endpoints) as storage:
        await create_all(storage, ["a"])
        await storage.get(key_of("a"))
        watcher = storage.watch(kinds.CONFIG_MAP, version=storage.applied_version)
        waiting = asyncio.ensure_future(collect(watcher, 1))
        await asyncio.sleep(0)
        with monkeypatch.context() as patched:
            patched.setattr(storage._feeding, "apply", lambda events: 1 / 0)
            await create_all(storage, ["b", "c"])
            with pytest.raises(Expired):
                await waiting
        assert await storage.get(key_of("b")) is not None
        await create_all(storage, ["d"])
        assert await storage.get(key_of("d")) is not None
