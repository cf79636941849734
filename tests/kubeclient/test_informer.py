"""Informers: the copy follows, through breaks and forgotten history, and handlers are told every difference."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from apimachinery import kinds, labels
from kubeclient import informer as informers
from kubeclient.informer import Informer, InformerFactory

BASE = "/api/v1/namespaces/default/configmaps"


def config_map(name, **more):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default", **more}}


class Heard:
    """Notes what an informer tells, and waits for it."""

    def __init__(self, informer: Informer) -> None:
        self.events: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
        informer.add_handler(
            on_add=lambda obj: self.events.put_nowait(("add", obj["metadata"]["name"])),
            on_update=lambda old, new: self.events.put_nowait(("update", new["metadata"]["name"])),
            on_delete=lambda obj: self.events.put_nowait(("delete", obj["metadata"]["name"])),
        )

    async def next(self) -> tuple[str, str]:
        async with asyncio.timeout(5):
            return await self.events.get()


@pytest.fixture(autouse=True)
def quick_backoff(monkeypatch):
    monkeypatch.setattr(informers, "BACKOFF_SECONDS", (0.001, 0.01))


@pytest.fixture
async def factory(client) -> AsyncIterator[InformerFactory]:
    made = InformerFactory(client)
    task = asyncio.create_task(made.run())
    await asyncio.sleep(0)
    yield made
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_lists_then_follows(api, factory):
    await api.put(f"{BASE}/a", config_map("a"))
    informer = factory.informer(kinds.CONFIG_MAP)
    heard = Heard(informer)
    assert await heard.next() == ("add", "a")
    await api.put(f"{BASE}/b", config_map("b"))
    assert await heard.next() == ("add", "b")
    await api.put(f"{BASE}/a", config_map("a", labels={"x": "1"}))
    assert await heard.next() == ("update", "a")
    await api.remove(f"{BASE}/b")
    assert await heard.next() == ("delete", "b")
    assert [obj["metadata"]["name"] for obj in informer.list()] == ["a"]
    assert informer.resource_version == "4"


async def test_goes_on_from_its_version_after_a_break(api, factory):
    heard = Heard(factory.informer(kinds.CONFIG_MAP))
    await factory.wait_synced()
    await api.break_watches()
    await api.put(f"{BASE}/a", config_map("a"))
    assert await heard.next() == ("add", "a")
    assert sum("watch" not in request for request in api.requests) == 1


async def test_lists_again_when_history_is_gone_and_tells_deletions(api, factory):
    await api.put(f"{BASE}/stays", config_map("stays"))
    await api.put(f"{BASE}/goes", config_map("goes"))
    informer = factory.informer(kinds.CONFIG_MAP)
    heard = Heard(informer)
    await heard.next()
    await heard.next()
    api.objects.pop(f"{BASE}/goes")  # unseen by the watch
    await api.break_watches(forget=True)
    assert await heard.next() == ("delete", "goes")
    assert heard.events.empty(), "what stayed the same is not told again"


async def test_what_is_kept_is_told_as_gone_and_not_transformed_again(api, factory):
    await api.put(f"{BASE}/goes", config_map("goes"))
    informer = factory.informer(
        kinds.CONFIG_MAP, transform=lambda obj: {"metadata": obj["metadata"], "of": obj["kind"]}
    )
    gone = asyncio.Queue[dict]()
    informer.add_handler(on_delete=gone.put_nowait)
    await factory.wait_synced()
    api.objects.pop(f"{BASE}/goes")
    await api.break_watches(forget=True)
    async with asyncio.timeout(5):
        assert (await gone.get())["of"] == "ConfigMap"


async def test_an_object_made_again_is_a_deletion_and_an_addition(api, factory):
    await api.put(f"{BASE}/a", config_map("a", uid="one"))
    heard = Heard(factory.informer(kinds.CONFIG_MAP))
    await heard.next()
    await api.put(f"{BASE}/a", config_map("a", uid="two"))
    assert [await heard.next(), await heard.next()] == [("delete", "a"), ("add", "a")]


async def test_a_handler_that_raises_harms_nobody(api, factory):
    informer = factory.informer(kinds.CONFIG_MAP)
    informer.add_handler(on_add=lambda obj: 1 / 0)
    heard = Heard(informer)
    await api.put(f"{BASE}/a", config_map("a"))
    assert await heard.next() == ("add", "a")


async def test_indexes_selectors_and_sharing(api, factory):
    await api.put(f"{BASE}/a", config_map("a", labels={"app": "web"}))
    await api.put(f"{BASE}/b", config_map("b", labels={"app": "db"}, managedFields=[{}]))
    informer = factory.informer(kinds.CONFIG_MAP)
    assert factory.informer(kinds.CONFIG_MAP) is informer
    await informer.wait_synced()
    informer.add_index("app", lambda obj: [obj["metadata"]["labels"]["app"]])
    assert [obj["metadata"]["name"] for obj in informer.by_index("app", "web")] == ["a"]
    assert [obj["metadata"]["name"] for obj in informer.list("default", labels.parse("app=db"))] == ["b"]
    assert informer.list("other") == []
    assert "managedFields" not in informer.get("default/b")["metadata"]
