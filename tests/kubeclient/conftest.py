"""An API server in eighty lines: list, watch and writes over real HTTP, and faults on call.

The client is tested against the real server in tests/integration; this one is for what a real server won't do on call:
forget its history, break a stream, refuse with 429.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
from aiohttp import web

from apimachinery import errors
from kubeclient.config import ClientConfig
from kubeclient.rest import Client

JSON = dict[str, Any]


class FakeApi:
    """Objects of any namespaced kind at /api/v1 or /apis; versions count up by one."""

    def __init__(self) -> None:
        self.version = 0
        self.objects: dict[str, JSON] = {}
        self.history: list[tuple[int, str, str, JSON]] = []  # version, event type, collection, object
        self.oldest = 0
        self.requests: list[str] = []
        self.failures: list[web.Response] = []  # answered instead, one request each
        self.changed = asyncio.Condition()
        self.breaks = 0  # raised to end every watch
        self.url = ""

    async def serve(self) -> web.ServerRunner:
        runner = web.ServerRunner(web.Server(self._handle), shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return runner

    async def put(self, path: str, obj: JSON) -> JSON:
        """Write an object at its path, and tell the watchers."""
        kind = "MODIFIED" if path in self.objects else "ADDED"
        return await self._commit(kind, path, obj)

    async def remove(self, path: str) -> None:
        await self._commit("DELETED", path, self.objects[path])

    async def break_watches(self, *, forget: bool = False) -> None:
        """End every watch; with `forget`, versions until now can't be watched from any more."""
        async with self.changed:
            self.breaks += 1
            if forget:
                self.oldest = self.version + 1
                self.version += 1
            self.changed.notify_all()

    async def _commit(self, kind: str, path: str, obj: JSON) -> JSON:
        async with self.changed:
            self.version += 1
            metadata = {**obj["metadata"], "resourceVersion": str(self.version)}
            present = self.objects.get(path, obj)
            metadata.setdefault("uid", present["metadata"].get("uid") or f"uid-{self.version}")
            obj = {**obj, "metadata": metadata}
            self.history.append((self.version, kind, path.rpartition("/")[0], obj))
            if kind == "DELETED":
                del self.objects[path]
            else:
                self.objects[path] = obj
            self.changed.notify_all()
        return obj

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        self.requests.append(f"{request.method} {request.path_qs}")
        if self.failures:
            return self.failures.pop(0)
        try:
            return await self._answer(request)
        except errors.StatusError as error:
            return _json(error.status, error.code)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.path
        if request.query.get("watch"):
            return await self._watch(request, int(request.query["resourceVersion"]))
        if request.method == "GET":
            if path in self.objects:
                return _json(self.objects[path])
            if path.rpartition("/")[2] in ("configmaps", "leases", "events"):
                items = [obj for key, obj in self.objects.items() if _within(path, key.rpartition("/")[0])]
                return _json({"metadata": {"resourceVersion": str(self.version)}, "items": items})
            raise errors.not_found("", "configmaps", path.rpartition("/")[2])
        body = orjson.loads(await request.read() or b"{}")
        if request.method == "POST":
            target = f"{path}/{body['metadata']['name']}"
            if target in self.objects:
                raise errors.already_exists("", "configmaps", body["metadata"]["name"])
            return _json(await self.put(target, body), 201)
        if path not in self.objects:
            raise errors.not_found("", "configmaps", path.rpartition("/")[2])
        if request.method == "DELETE":
            await self.remove(path)
            return _json({"kind": "Status", "status": "Success"})
        if request.method == "PATCH":
            return _json(await self.put(path, {**self.objects[path], **body}))
        wanted = body["metadata"].get("resourceVersion")
        if wanted and wanted != self.objects[path]["metadata"]["resourceVersion"]:
            raise errors.conflict("", "configmaps", body["metadata"]["name"])
        return _json(await self.put(path, body))

    async def _watch(self, request: web.BaseRequest, version: int) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        if version < self.oldest:
            status = errors.Expired("too old resource version").status
            await response.write(orjson.dumps({"type": "ERROR", "object": status}) + b"\n")
            return response
        breaks, sent = self.breaks, 0
        while self.breaks == breaks:
            for at, kind, collection, obj in self.history[sent:]:
                if at > version and _within(request.path, collection):
                    await response.write(orjson.dumps({"type": kind, "object": obj}) + b"\n")
            sent = len(self.history)
            async with self.changed:
                await self.changed.wait_for(lambda seen=sent: len(self.history) > seen or self.breaks != breaks)
        return response


def _within(path: str, collection: str) -> bool:
    """Whether a collection is the one asked for, or one namespace's part of it."""
    return collection == path or ("/namespaces/" not in path and collection.endswith("/" + path.rpartition("/")[2]))


def _json(body: JSON, code: int = 200) -> web.Response:
    return web.Response(status=code, body=orjson.dumps(body), content_type="application/json")


@pytest.fixture
async def api() -> AsyncIterator[FakeApi]:
    fake = FakeApi()
    runner = await fake.serve()
    fake.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield fake
    await fake.break_watches()
    await runner.cleanup()


@pytest.fixture
async def client(api: FakeApi) -> AsyncIterator[Client]:
    async with Client(ClientConfig(server=api.url), user_agent="test") as made:
        yield made
