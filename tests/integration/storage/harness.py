"""What the storage tests share: objects, storages over a real etcd, foreign writers, and a proxy that loses answers."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

from aetcd import rpc

from apimachinery import kinds
from apiserver.storage import Entry, Limits, Storage, Watcher, WatchEvent
from apiserver.storage.cache import Stores
from apiserver.storage.etcd import Etcd
from apiserver.storage.feeding import read_commit, revisions
from tests.fixtures.history import Change

KINDS = (kinds.POD, kinds.CONFIG_MAP, kinds.SERVICE, kinds.LEASE, kinds.CORE_EVENT)
WAIT_SECONDS = 20.0


def config_map(name: str, data: str = "", **metadata: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": "default", "uid": f"uid-{name}", **metadata},
        "data": {"text": data},
    }


def key_of(name: str) -> str:
    return f"/registry/configmaps/default/{name}"


@contextlib.asynccontextmanager
async def storage_over(endpoints: Sequence[str], **options: Any) -> AsyncIterator[Storage]:
    storage = Storage(endpoints, **options)
    for kind in KINDS:
        storage.register(kind)
    await storage.start()
    try:
        yield storage
    finally:
        await storage.stop()


@contextlib.asynccontextmanager
async def bare_etcd(endpoints: Sequence[str]) -> AsyncIterator[Etcd]:
    """etcd as another program would use it."""
    etcd = Etcd(endpoints)
    etcd.open()
    try:
        yield etcd
    finally:
        await etcd.close()


async def put(etcd: Etcd, *pairs: tuple[str, bytes]) -> int:
    """A foreign write of some keys in one transaction; its revision."""
    request = rpc.TxnRequest()
    for key, value in pairs:
        operation = request.success.add().request_put
        operation.key, operation.value = key.encode(), value
    return int((await etcd.txn(request)).header.revision)


async def delete_range(etcd: Etcd, prefix: str) -> int:
    request = rpc.TxnRequest()
    operation = request.success.add().request_delete_range
    operation.key, operation.range_end = prefix.encode(), prefix[:-1].encode() + b"0"
    return int((await etcd.txn(request)).header.revision)


async def compact(etcd: Etcd, revision: int) -> None:
    await etcd.read(lambda member: member.compact, rpc.CompactionRequest(revision=revision, physical=True))


async def create_all(storage: Storage, names: Sequence[str], data: str = "") -> list[Entry]:
    """Create at once, so that they share a commit."""
    return await asyncio.gather(*[storage.create(key_of(name), config_map(name, data)) for name in names])


async def collect(watcher: Watcher, count: int) -> list[WatchEvent]:
    """The next events, bookmarks left out."""
    found: list[WatchEvent] = []
    async with asyncio.timeout(WAIT_SECONDS):
        while len(found) < count:
            found += [event for event in await anext(watcher) if event.type != "BOOKMARK"]
    return found


async def wait_until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_SECONDS):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


class Proxy:
    """Stands between a storage and etcd. `mute` loses what etcd answers, `cut` breaks all connections."""

    def __init__(self, endpoint: str) -> None:
        parts = urlsplit(endpoint)
        self._host, self._port = str(parts.hostname), int(parts.port or 0)
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.muted = False
        self.refusing = False
        self.endpoint = ""
        self.accepted = 0

    async def __aenter__(self) -> "Proxy":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.endpoint = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        for task in self._tasks:  # also those that were just about to connect to etcd, which nothing cuts
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    @property
    def connections(self) -> int:
        return len(self._writers) // 2

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refusing:
            writer.transport.abort()
            return
        self.accepted += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        far_reader, far_writer = await asyncio.open_connection(self._host, self._port)
        both = {writer, far_writer}
        self._writers |= both
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump(reader, far_writer, answers=False))
                group.create_task(self._pump(far_reader, writer, answers=True))
        except* OSError:
            pass
        finally:
            self._writers -= both
            for each in both:
                each.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool) -> None:
        while data := await reader.read(65536):
            if not (answers and self.muted):
                writer.write(data)
                await writer.drain()
        raise ConnectionResetError


async def full_history(endpoints: Sequence[str], identify: Callable[[bytes], str], *, first: int = 1) -> list[Change]:
    """What etcd itself says that happened to ConfigMaps, from revision `first` on; `identify` tells bodies apart."""
    found: list[Change] = []
    stores = Stores(Limits())
    stores.of(kinds.CONFIG_MAP)
    async with bare_etcd(endpoints) as bare:
        now = await bare.revision()
        if now < max(first, 2):
            return found
        async for events in bare.watch(first):
            for revision, some in revisions(events):
                made = read_commit(revision, some, stores)
                for change in made.changes:
                    uid = "" if change.deleted else identify(change.source.body(1))  # type: ignore[union-attr]
                    found.append(Change(made.version(change), change.key, uid))
            if events[-1].kv.mod_revision >= now:
                return found
    return found


SMALL = Limits(ring_events=1, ring_revisions=1)
