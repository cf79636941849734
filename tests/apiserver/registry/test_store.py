"""How a store decides: from the cache where it may, from etcd where it must."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson
import pytest

from apimachinery import errors, kinds
from apimachinery.meta import JSON
from apiserver.admission import Chain
from apiserver.registry.deletion import DeleteOptions, delete
from apiserver.registry.store import GENERATE_ATTEMPTS, ResourceStore
from apiserver.registry.strategy import Context, Strategy
from apiserver.request import User
from apiserver.storage import Entry, StorageConflict, StorageExists

NOW = "2026-01-01T00:00:00Z"


class LaggingStorage:
    """etcd as a dict, and a cache that may be behind it: `cached` is what a read of the cache sees."""

    def __init__(self) -> None:
        self.stored: dict[str, Entry] = {}
        self.cached: dict[str, Entry] = {}
        self.version = 0
        self.live_reads = 0
        self.failure: Exception | None = None

    def put(self, key: str, obj: JSON) -> Entry:
        self.version += 1
        obj = {**obj, "metadata": {**obj["metadata"], "resourceVersion": str(self.version)}}
        self.stored[key] = Entry(key, self.version, orjson.dumps(obj), {}, {})
        return self.stored[key]

    def catch_up(self) -> None:
        self.cached = dict(self.stored)

    async def get(self, key: str, *, consistent: bool = True) -> Entry | None:
        return self.cached.get(key)

    async def get_live(self, key: str) -> Entry | None:
        self.live_reads += 1
        return self.stored.get(key)

    async def create(self, key: str, obj: JSON, *, extra: Sequence[Any] = ()) -> Entry:
        if self.failure is not None:
            raise self.failure
        if key in self.stored:
            raise StorageExists(key)
        return self.put(key, obj)

    async def update(self, key: str, obj: JSON, *, version: int, extra: Sequence[Any] = ()) -> Entry:
        if self.failure is not None:
            raise self.failure
        current = self.stored.get(key)
        if current is None or current.version != version:
            raise StorageConflict(key, current)
        return self.put(key, obj)

    async def delete(self, key: str, *, version: int, extra: Sequence[Any] = ()) -> int:
        current = self.stored.get(key)
        if current is None or current.version != version:
            raise StorageConflict(key, current)
        del self.stored[key]
        self.version += 1
        return self.version


@pytest.fixture
def storage() -> LaggingStorage:
    return LaggingStorage()


@pytest.fixture
def store(storage: LaggingStorage) -> ResourceStore:
    return ResourceStore(kinds.CONFIG_MAP, Strategy(kinds.CONFIG_MAP), storage, Chain([]))  # type: ignore[arg-type]


def context() -> Context:
    return Context(user=User("tester"), now=NOW, manager="test")


def config_map(name: str = "a", **data: str) -> JSON:
    metadata = {"name": name, "namespace": "n"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def adding(**data: str) -> Any:
    """A change that adds data to what is there."""

    def change(old: JSON | None) -> JSON:
        if old is None:
            raise errors.not_found("", "configmaps", "a")
        return {**old, "metadata": dict(old["metadata"]), "data": {**old.get("data", {}), **data}}

    return change


async def test_a_change_starts_from_the_cache_and_reads_nothing_else(
    store: ResourceStore, storage: LaggingStorage
) -> None:
    await store.create(config_map(x="1"), context())
    storage.catch_up()
    written = await store.change("n", "a", adding(y="2"), context())
    assert orjson.loads(written.body)["data"] == {"x": "1", "y": "2"}
    assert storage.live_reads == 0


async def test_a_lost_race_is_run_again_on_what_won(store: ResourceStore, storage: LaggingStorage) -> None:
    await store.create(config_map(x="1"), context())
    storage.catch_up()
    await store.change("n", "a", adding(won="yes"), context())  # the cache does not know yet
    written = await store.change("n", "a", adding(y="2"), context())
    assert orjson.loads(written.body)["data"] == {"x": "1", "won": "yes", "y": "2"}


async def test_not_found_is_said_only_after_asking_etcd(store: ResourceStore, storage: LaggingStorage) -> None:
    await store.create(config_map(x="1"), context())  # the cache is behind
    written = await store.change("n", "a", adding(y="2"), context())
    assert orjson.loads(written.body)["data"] == {"x": "1", "y": "2"}
    assert storage.live_reads == 1
    with pytest.raises(errors.NotFound):
        await store.change("n", "other", adding(), context())


async def test_nothing_to_do_is_said_only_after_asking_etcd(store: ResourceStore, storage: LaggingStorage) -> None:
    await store.create(config_map(x="1"), context())
    storage.catch_up()
    await store.change("n", "a", adding(x="2"), context())  # the cache still has 1
    written = await store.change("n", "a", adding(x="1"), context())
    assert orjson.loads(written.body)["data"] == {"x": "1"}
    assert orjson.loads(storage.stored["/registry/configmaps/n/a"].body)["data"] == {"x": "1"}


async def test_a_change_that_changes_nothing_keeps_the_version(store: ResourceStore, storage: LaggingStorage) -> None:
    await store.create(config_map(x="1"), context())
    storage.catch_up()
    before = storage.version
    written = await store.change("n", "a", adding(x="1"), context())
    assert storage.version == before
    assert written.body == storage.stored["/registry/configmaps/n/a"].body


async def test_an_old_version_is_a_conflict_even_if_the_cache_has_it(
    store: ResourceStore, storage: LaggingStorage
) -> None:
    first = await store.create(config_map(x="1"), context())
    storage.catch_up()
    await store.change("n", "a", adding(x="2"), context())
    old = orjson.loads(first.body)
    with pytest.raises(errors.Conflict):
        await store.change("n", "a", lambda _: {**old, "data": {"x": "3"}}, context())


async def test_an_apply_that_creates_goes_on_from_what_was_created_meanwhile(
    store: ResourceStore, storage: LaggingStorage
) -> None:
    def apply(old: JSON | None) -> JSON:
        if old is None:
            storage.put("/registry/configmaps/n/a", config_map(other="1"))  # someone else is faster
            return config_map(mine="1")
        return {**old, "metadata": dict(old["metadata"]), "data": {**old["data"], "mine": "1"}}

    written = await store.change("n", "a", apply, context())
    assert orjson.loads(written.body)["data"] == {"other": "1", "mine": "1"}


async def test_an_unknown_outcome_is_never_tried_again(store: ResourceStore, storage: LaggingStorage) -> None:
    await store.create(config_map(x="1"), context())
    storage.catch_up()
    storage.failure = errors.Timeout("nobody knows")
    with pytest.raises(errors.Timeout):
        await store.change("n", "a", adding(y="2"), context())
    assert storage.live_reads == 0


async def test_a_generated_name_that_is_taken_is_made_anew(
    store: ResourceStore, storage: LaggingStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = iter(["g-1", "g-1", "g-2", *["g-1"] * GENERATE_ATTEMPTS])
    monkeypatch.setattr("apimachinery.names.generate", lambda base: next(made))
    names = []
    for _ in range(2):
        body = config_map()
        body["metadata"] = {"generateName": "g-", "namespace": "n"}
        names.append(orjson.loads((await store.create(body, context())).body)["metadata"]["name"])
    assert names == ["g-1", "g-2"]
    with pytest.raises(errors.AlreadyExists):
        body["metadata"] = {"generateName": "g-", "namespace": "n"}
        await store.create(body, context())


async def test_the_last_finalizer_takes_a_deleted_object_along(store: ResourceStore, storage: LaggingStorage) -> None:
    body = config_map()
    body["metadata"]["finalizers"] = ["example.com/x"]
    await store.create(body, context())
    deleted = await delete(store, "n", "a", DeleteOptions(), context())
    assert not deleted.gone and "/registry/configmaps/n/a" in storage.stored
    storage.catch_up()

    def without_finalizers(old: JSON | None) -> JSON:
        assert old is not None
        return {**old, "metadata": {key: value for key, value in old["metadata"].items() if key != "finalizers"}}

    await store.change("n", "a", without_finalizers, context())
    assert storage.stored == {}


async def test_deleting_through_a_cache_that_is_behind(store: ResourceStore, storage: LaggingStorage) -> None:
    await store.create(config_map(), context())
    deleted = await delete(store, "n", "a", DeleteOptions(), context())
    assert deleted.gone and storage.stored == {}
    with pytest.raises(errors.NotFound):
        await delete(store, "n", "a", DeleteOptions(), context())
