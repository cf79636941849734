"""A storage in a dict, for what only looks things up and listens."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import orjson

from apimachinery import kinds, meta
from apimachinery.kinds import Kind
from apimachinery.meta import JSON
from apiserver.storage import Entry


class FakeStorage:
    """`put` and `remove` tell the listeners, as the watch cache does. `stale` keys are in etcd, not in the cache."""

    def __init__(self, *objects: JSON) -> None:
        self.entries: dict[str, Entry] = {}
        self.stale: set[str] = set()
        self.missed = asyncio.Event()  # somebody looked for what is not there
        self._handlers: list[tuple[str, Callable[..., None], bool]] = []
        for obj in objects:
            self.put(obj)

    def put(self, obj: JSON, *, cached: bool = True) -> str:
        kind = kinds.by_gvk(meta.gvk(obj))
        key = kind.registry_prefix + meta.key(obj)
        spec, event = obj.get("spec") or {}, "MODIFIED" if key in self.entries else "ADDED"
        entry = Entry(key, 1, orjson.dumps(obj), meta.labels(obj), {"spec.nodeName": spec.get("nodeName", "")})
        self.entries[key] = entry
        if cached:
            self._tell(event, entry)
        else:
            self.stale.add(key)
        return key

    def remove(self, key: str) -> None:
        self._tell("DELETED", self.entries.pop(key))

    def _tell(self, event: str, entry: Entry) -> None:
        for prefix, handler, parsed in self._handlers:
            if entry.key.startswith(prefix):
                handler(event, entry.key, entry.parsed() if parsed else entry)

    def listen(self, kind: Kind, handler: Callable[..., None]) -> None:
        self._handlers.append((kind.registry_prefix, handler, True))
        for entry in self.entries.values():
            if entry.key.startswith(kind.registry_prefix):
                handler("ADDED", entry.key, entry.parsed())

    def listen_entries(self, kind: Kind, handler: Callable[..., None]) -> None:
        self._handlers.append((kind.registry_prefix, handler, False))

    async def get(self, key: str, *, consistent: bool = True) -> Entry | None:
        return None if key in self.stale else self.entries.get(key)

    async def get_live(self, key: str) -> Entry | None:
        if key not in self.entries:
            self.missed.set()
        return self.entries.get(key)

    async def list(self, kind: Kind, *, namespace: str = "", **more: Any) -> Any:
        found = [entry for entry in self.entries.values() if entry.key.startswith(kind.registry_prefix + namespace)]
        return type("ListResult", (), {"entries": found})()


def obj(api_version: str, kind: str, name: str, *, namespace: str = "", **fields: Any) -> JSON:
    """An object with a uid that tells its name."""
    metadata: JSON = {"name": name, "uid": f"uid-{name}"}
    if namespace:
        metadata["namespace"] = namespace
    metadata.update(fields.pop("metadata", {}))
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **fields}
