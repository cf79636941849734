"""Rules 4 to 10 where etcd's own behaviour matters."""

import asyncio
from typing import Any

import pytest
from aetcd import rpc

from apimachinery import kinds
from apimachinery.errors import RequestEntityTooLarge, Timeout
from apimachinery.resourceversion import decode
from apiserver.storage import ExtraOp, Storage, StorageConflict, StorageExists, commit
from apiserver.storage.etcd import Refused
from apiserver.storage.group import MAX_OPERATIONS, Write, build
from apiserver.storage.value import draft
from tests.fixtures.etcd import Cluster
from tests.integration.storage.harness import Proxy, bare_etcd, config_map, create_all, key_of, storage_over, wait_until


def a_write(name: str, extra: Any = ()) -> Write:
    future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    return Write(key_of(name), 0, draft(config_map(name)), {}, {}, extra, future, 0.0)


async def test_rule_04_etcd_takes_the_largest_groups(etcd: Cluster) -> None:
    """64 writes; 127 operations in all, in a nested list as long as may be; not one more."""
    async with bare_etcd(etcd.endpoints) as bare:
        await bare.txn(build([a_write(f"a{index}") for index in range(64)]))
        wide = [ExtraOp(f"/allocations/{index}", b"x") for index in range(MAX_OPERATIONS - 1)]
        await bare.txn(build([a_write("wide", wide)]))
        with pytest.raises(Refused):
            await bare.txn(build([a_write("wider", [*wide, ExtraOp("/allocations/one", b"x")])]))
        with pytest.raises(Refused):
            await bare.txn(build([a_write("twice"), a_write("twice")]))


async def test_rule_04_too_large_is_413_for_that_object_alone(etcd: Cluster) -> None:
    async with storage_over(etcd.endpoints) as storage:
        huge = storage.create(key_of("huge"), config_map("huge", "x" * (5 << 20)))
        done = await asyncio.gather(
            create_all(storage, ["a", "b"]), huge, create_all(storage, ["c"], "x" * (3 << 20)), return_exceptions=True
        )
        assert isinstance(done[1], RequestEntityTooLarge)
        assert len(list(storage.cached(kinds.CONFIG_MAP))) == 3 or await storage.get(key_of("c")) is not None


async def test_rule_04_the_same_key_many_times_at_once(etcd: Cluster) -> None:
    async with storage_over(etcd.endpoints) as storage:
        done = await asyncio.gather(
            *[storage.create(key_of("same"), config_map("same", str(index))) for index in range(50)],
            return_exceptions=True,
        )
        assert sum(isinstance(each, StorageExists) for each in done) == 49


async def test_rule_05_failures_over_large_values_are_small(etcd: Cluster) -> None:
    async with storage_over(etcd.endpoints) as storage:
        names = [f"large{index}" for index in range(8)]
        await create_all(storage, names, "x" * 1_500_000)
        writes = [
            *[storage.create(key_of(name), config_map(name)) for name in names],
            storage.create(key_of("new"), config_map("new")),
        ]
        done = await asyncio.gather(*writes, return_exceptions=True)
        assert [type(each) for each in done[:-1]] == [StorageExists] * len(names)
        assert not isinstance(done[-1], BaseException)


async def lose_answer(storage: Storage, proxy: Proxy, cluster: Cluster, work: Any) -> Any:
    """Run a write whose answer is lost although etcd has made it."""
    async with bare_etcd(cluster.endpoints) as bare:
        before = await bare.revision()
        proxy.muted = True
        task = asyncio.ensure_future(work)
        async with asyncio.timeout(10):
            while await bare.revision() == before:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        proxy.cut()
        proxy.muted = False
        return await task


async def test_rule_06_a_lost_answer_is_found_out(etcd: Cluster) -> None:
    async with Proxy(etcd.endpoints[0]) as proxy, storage_over([proxy.endpoint]) as storage:
        await create_all(storage, ["warm"])
        created = await lose_answer(storage, proxy, etcd, storage.create(key_of("a"), config_map("a")))
        assert (await storage.get(key_of("a"))).version == created.version  # type: ignore[union-attr]
        updated = await lose_answer(
            storage, proxy, etcd, storage.update(created.key, created.parsed(), version=created.version)
        )
        assert decode(updated.version)[0] > decode(created.version)[0]


async def test_rule_06_what_can_not_be_known_is_a_504(etcd: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commit, "WRITE_SECONDS", 1.0)
    async with Proxy(etcd.endpoints[0]) as proxy, storage_over([proxy.endpoint]) as storage:
        entry = await storage.create(key_of("a"), config_map("a"))
        with pytest.raises(Timeout):  # a delete: that the key is gone proves nothing
            await lose_answer(storage, proxy, etcd, storage.delete(entry.key, version=entry.version))
        again = await storage.create(key_of("a"), config_map("a"))
        assert again.version > entry.version


async def test_rule_07_a_paused_etcd_costs_no_more_than_the_deadline(
    etcd: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commit, "WRITE_SECONDS", 1.0)
    async with storage_over(etcd.endpoints) as storage:
        await create_all(storage, ["warm"])
        etcd.members[0].pause()
        try:
            async with asyncio.timeout(8):
                done = await asyncio.gather(
                    *[storage.create(key_of(f"p{index}"), config_map(f"p{index}")) for index in range(200)],
                    return_exceptions=True,
                )
        finally:
            etcd.members[0].resume()
        assert {type(each) for each in done} == {Timeout}
        await create_all(storage, ["afterwards"])


async def test_rule_08_events_expire_by_compare_and_delete(etcd: Cluster) -> None:
    now = 1_000_000.0

    def event(name: str) -> dict[str, Any]:
        return {**config_map(name), "kind": "Event", "data": None}

    async with storage_over(etcd.endpoints, event_ttl_seconds=60, clock=lambda: now) as storage:
        keys = [f"/registry/events/default/{name}" for name in "ab"]
        a, b = [await storage.create(key, event(key[-1])) for key in keys]
        await storage.get(b.key)  # the cache has them, and so has the expiry
        now += 50
        await storage._expiry.expire()
        await storage.update(b.key, b.parsed(), version=b.version)
        await storage.get(b.key)
        now += 20
        await storage._expiry.expire()
        assert await storage.get(a.key) is None
        assert await storage.get(b.key) is not None
        now += 50
        await storage._expiry.expire()
        assert await storage.get(b.key) is None
    async with bare_etcd(etcd.endpoints) as bare:
        kvs = (await bare.range(rpc.RangeRequest(key=b"/registry/", range_end=b"/registry0"))).kvs
        assert all(kv.lease == 0 for kv in kvs)


async def test_rule_09_a_no_is_decided_from_etcd(etcd: Cluster) -> None:
    """A server whose watch is cut off still tells what etcd has."""
    async with (
        Proxy(etcd.endpoints[0]) as proxy,
        storage_over([proxy.endpoint]) as behind,
        storage_over(etcd.endpoints) as storage,
    ):
        entry = await storage.create(key_of("a"), config_map("a"))
        await behind.get(entry.key)
        proxy.refusing = True
        proxy.cut()
        await wait_until(lambda: not behind._reflector.connected)
        newer = await storage.update(entry.key, entry.parsed(), version=entry.version)
        other = await storage.create(key_of("b"), config_map("b"))
        assert (await behind.get(entry.key, consistent=False)).version == entry.version  # type: ignore[union-attr]
        assert await behind.get(other.key, consistent=False) is None
        proxy.refusing = False
        assert (await behind.get_live(entry.key)).version == newer.version  # type: ignore[union-attr]
        assert (await behind.get_live(other.key)).version == other.version  # type: ignore[union-attr]
        with pytest.raises(StorageConflict) as raised:
            await behind.update(entry.key, entry.parsed(), version=entry.version)
        assert raised.value.current is not None
        assert raised.value.current.version == newer.version


async def test_rule_10_allocations_are_keys_of_their_own(etcd: Cluster) -> None:
    def service(name: str, address: str, port: int) -> Any:
        obj = {**config_map(name), "kind": "Service", "data": None}
        ip = {"kind": "IPAddress", "apiVersion": "networking.k8s.io/v1", "metadata": {"name": address}}
        extra = [
            ExtraOp.of(f"/registry/networking.k8s.io/ipaddresses/{address}", ip, must_be_absent=True),
            ExtraOp(f"/allocations/nodeports/{port}", name.encode(), must_be_absent=True),
        ]
        return f"/registry/services/default/{name}", obj, extra

    async with storage_over(etcd.endpoints) as storage, bare_etcd(etcd.endpoints) as bare:
        storage.register(kinds.named("IPAddress"))
        key, obj, extra = service("a", "10.96.0.1", 30000)
        a = await storage.create(key, obj, extra=extra)
        for name, address, port in (("b", "10.96.0.1", 30001), ("c", "10.96.0.2", 30000)):
            key, obj, extra = service(name, address, port)
            with pytest.raises(StorageExists) as raised:
                await storage.create(key, obj, extra=extra)
            assert raised.value.key in {each.key for each in extra}
            assert await storage.get(key) is None
        assert len(list(storage.cached(kinds.named("IPAddress")))) == 1
        # many at once for few: each allocation has one owner
        wanted = [service(f"s{index}", f"10.96.1.{index % 5}", 31000 + index) for index in range(40)]
        done = await asyncio.gather(
            *[storage.create(key, obj, extra=extra) for key, obj, extra in wanted], return_exceptions=True
        )
        assert sum(not isinstance(each, BaseException) for each in done) == 5
        release = [ExtraOp(each.key) for each in service("a", "10.96.0.1", 30000)[2]]
        await storage.delete(a.key, version=a.version, extra=release)
        left = await bare.range(rpc.RangeRequest(key=b"/allocations/nodeports/30000"))
        assert not left.kvs
        assert await storage.get("/registry/networking.k8s.io/ipaddresses/10.96.0.1") is None
