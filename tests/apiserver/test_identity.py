"""An API server is alive while its Lease is renewed, by the clock of the one who looks."""

from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from apimachinery import kinds
from apimachinery.meta import JSON
from apiserver import identity
from apiserver.cluster import context
from apiserver.storage import Entry, StorageConflict

KEY = kinds.LEASE.registry_prefix + "kube-system/"


class Leases:
    """Leases in a dict, as storage and as store; `cached` may lag behind."""

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self.lagging: dict[str, Entry] | None = None
        self.version = 0

    def key(self, namespace: str, name: str) -> str:
        return KEY + name

    async def change(self, namespace: str, name: str, wanted: Any, ctx: Any) -> None:
        old = self.entries.get(KEY + name)
        obj: JSON = wanted(old.parsed() if old else None)
        self.version += 1
        self.entries[KEY + name] = Entry(
            KEY + name, self.version, orjson.dumps(obj), obj["metadata"].get("labels") or {}, {}
        )

    def cached(self, kind: Any, *, namespace: str) -> list[Entry]:
        return list((self.entries if self.lagging is None else self.lagging).values())

    async def get_live(self, key: str) -> Entry | None:
        return self.entries.get(key)

    async def delete(self, key: str, *, version: int) -> None:
        entry = self.entries.get(key)
        if entry is None or entry.version != version:
            raise StorageConflict(key, entry)
        del self.entries[key]


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def leases() -> Leases:
    return Leases()


def server(leases: Leases, address: str, clock: Clock) -> identity.Identity:
    parts: Any = SimpleNamespace(storage=leases, resources=SimpleNamespace(store=lambda kind: leases))
    return identity.Identity(parts, address, 6443, clock=clock)


async def test_servers_that_renew_are_alive(leases: Leases) -> None:
    clock = Clock()
    one, two = (server(leases, address, clock) for address in ("192.0.2.1", "192.0.2.2"))
    for _ in range(10):
        await two.renew(context())
        assert await one.others() == {"192.0.2.2"}
        clock.now += identity.RENEW_SECONDS


async def test_one_that_stopped_renewing_is_dropped_and_its_lease_removed(leases: Leases) -> None:
    clock = Clock()
    one, two = (server(leases, address, clock) for address in ("192.0.2.1", "192.0.2.2"))
    await two.renew(context())
    assert await one.others() == {"192.0.2.2"}
    clock.now += identity.LEASE_SECONDS + 1
    assert await one.others() == set()
    assert leases.entries == {}


async def test_one_whose_renewals_were_not_seen_stays(leases: Leases) -> None:
    clock = Clock()
    one, two = (server(leases, address, clock) for address in ("192.0.2.1", "192.0.2.2"))
    await two.renew(context())
    await one.others()
    leases.lagging = dict(leases.entries)
    clock.now += identity.LEASE_SECONDS + 1
    await two.renew(context())
    assert await one.others() == {"192.0.2.2"}


async def test_one_that_ends_says_so(leases: Leases) -> None:
    clock = Clock()
    one, two = (server(leases, address, clock) for address in ("192.0.2.1", "192.0.2.2"))
    await two.renew(context())
    await two.withdraw()
    assert await one.others() == set()


async def test_other_leases_of_the_namespace_are_no_servers(leases: Leases) -> None:
    name = "kube-scheduler"
    leases.entries[KEY + name] = Entry(KEY + name, 1, b'{"metadata": {"name": "kube-scheduler"}}', {}, {})
    one = server(leases, "192.0.2.1", Clock())
    assert await one.others() == set()
    assert KEY + name in leases.entries
