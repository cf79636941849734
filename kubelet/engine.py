"""The Docker Engine API, spoken over its unix socket.

The daemon's HTTP API is small and stable, and everything the kubelet wants from it is one request each, so this is a
thin asyncio client rather than a library in threads: no thread pool to size, cancellation works, and the streams
(events, logs, exec) are plain byte streams. Nothing here knows what a pod is.

Paths carry no version: the daemon then answers with its newest API, and what is used here exists since 1.30.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import orjson

from apimachinery.meta import JSON

DEFAULT_SOCKET = "/var/run/docker.sock"
CONNECTIONS_MAX = 256  # waits, log followers and event streams each hold one
STREAM_LINE_BYTES_MAX = 1 << 20


class EngineError(Exception):
    """The daemon refused or could not be reached; `code` is its HTTP status, 0 where there was none."""

    def __init__(self, message: str, *, code: int = 0) -> None:
        super().__init__(message)
        self.message = message
        self.code = code

    @property
    def not_found(self) -> bool:
        """No such container, image or exec."""
        return self.code == 404


class Engine:
    """One daemon. Use as an async context manager."""

    def __init__(self, socket_path: str = DEFAULT_SOCKET) -> None:
        self.socket_path = socket_path
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> "Engine":
        connector = aiohttp.UnixConnector(path=self.socket_path, limit=CONNECTIONS_MAX)
        self._session = aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=None))
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    @asynccontextmanager
    async def stream(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        body: JSON | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_seconds: float | None = 120.0,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """An open response whose body the caller reads; raises EngineError for a status of 400 and above."""
        assert self._session is not None, "the engine is used before it was entered"
        query = {k: _param(v) for k, v in (params or {}).items() if v is not None}
        data = orjson.dumps(body) if body is not None else None
        typed = {"Content-Type": "application/json"} if body is not None else {}
        try:
            async with self._session.request(
                method,
                f"http://docker{path}",
                params=query,
                data=data,
                headers={**typed, **(headers or {})},
                timeout=aiohttp.ClientTimeout(total=timeout_seconds),
                read_bufsize=1 << 18,
            ) as response:
                if response.status >= 400:
                    raise EngineError(_message(await response.read()), code=response.status)
                yield response
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise EngineError(f"docker: {method} {path}: {error or type(error).__name__}") from error

    async def call(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        body: JSON | None = None,
        timeout_seconds: float | None = 120.0,
    ) -> Any:
        """One request, its JSON answer (None when empty)."""
        async with self.stream(method, path, params=params, body=body, timeout_seconds=timeout_seconds) as response:
            data = await response.read()
        return orjson.loads(data) if data and response.content_type == "application/json" else None

    # Containers

    async def containers(self, labels: list[str]) -> list[JSON]:
        """All containers, running or not, that carry every one of `labels` ("key" or "key=value")."""
        answer = await self.call("GET", "/containers/json", params={"all": True, "filters": {"label": labels}})
        return answer or []

    async def create(self, name: str, body: JSON) -> str:
        """The new container's id."""
        return str((await self.call("POST", "/containers/create", params={"name": name}, body=body))["Id"])

    async def start(self, container: str) -> None:
        """Start a created container."""
        await self.call("POST", f"/containers/{container}/start")

    async def inspect(self, container: str) -> JSON:
        """Everything the daemon knows about a container."""
        answer: JSON = await self.call("GET", f"/containers/{container}/json")
        return answer

    async def kill(self, container: str, signal: str) -> None:
        """Send a signal; a container that does not run is no error."""
        try:
            await self.call("POST", f"/containers/{container}/kill", params={"signal": signal})
        except EngineError as error:
            if error.code not in (404, 409):
                raise

    async def wait(self, container: str) -> None:
        """Return once the container does not run any more (at once when it is gone)."""
        try:
            await self.call("POST", f"/containers/{container}/wait", timeout_seconds=None)
        except EngineError as error:
            if not error.not_found:
                raise

    async def remove(self, container: str) -> None:
        """Kill if need be and remove, with its anonymous volumes; gone already, or going, is success."""
        try:
            await self.call("DELETE", f"/containers/{container}", params={"force": True, "v": True})
        except EngineError as error:
            if error.code not in (404, 409):
                raise

    async def events(self, filters: JSON) -> AsyncIterator[JSON]:
        """Events as they happen, until the daemon closes the stream."""
        async with self.stream("GET", "/events", params={"filters": filters}, timeout_seconds=None) as response:
            while line := await response.content.readline():
                yield orjson.loads(line)

    # Images

    async def image(self, reference: str) -> JSON | None:
        """The image's description, or None when it is not present."""
        try:
            answer: JSON = await self.call("GET", f"/images/{reference}/json")
        except EngineError as error:
            if error.not_found:
                return None
            raise
        return answer

    async def pull(self, repository: str, tag: str, *, auth: str = "") -> None:
        """Pull an image; the daemon reports failures inside a 200 response, they are raised all the same.

        `auth` is the value of X-Registry-Auth, a secret.
        """
        params, headers = {"fromImage": repository, "tag": tag}, {"X-Registry-Auth": auth} if auth else {}
        async with self.stream(
            "POST", "/images/create", params=params, headers=headers, timeout_seconds=None
        ) as response:
            while line := await response.content.readline():
                event = orjson.loads(line)
                if "error" in event:
                    raise EngineError(str(event["error"]), code=500)

    # Exec

    async def exec_create(self, container: str, body: JSON) -> str:
        """A prepared command inside a running container; its id."""
        return str((await self.call("POST", f"/containers/{container}/exec", body=body))["Id"])

    async def exec_inspect(self, exec_id: str) -> JSON:
        """Its exit code and whether it runs."""
        answer: JSON = await self.call("GET", f"/exec/{exec_id}/json")
        return answer

    @asynccontextmanager
    async def hijack(
        self, path: str, *, body: JSON | None = None
    ) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """The raw byte stream that Docker turns an exec or attach request into (HTTP upgrade to "tcp")."""
        try:
            reader, writer = await asyncio.open_unix_connection(self.socket_path, limit=STREAM_LINE_BYTES_MAX)
        except OSError as error:
            raise EngineError(f"docker: {path}: {error}") from error
        try:
            data = json.dumps(body or {}).encode()
            writer.write(
                f"POST {path} HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n".encode()
                + data
            )
            head = await reader.readuntil(b"\r\n\r\n")
            status = int(head.split(b" ", 2)[1])
            if status not in (101, 200):
                raise EngineError(_message(await reader.read(65536)), code=status)
            yield reader, writer
        except (OSError, asyncio.IncompleteReadError) as error:
            raise EngineError(f"docker: {path}: {error}") from error
        finally:
            writer.close()


async def demultiplex(reader: asyncio.StreamReader | aiohttp.StreamReader) -> AsyncIterator[tuple[int, bytes]]:
    """Docker's stream of a container without terminal: (1 stdout | 2 stderr, data), until its end."""
    while True:
        try:
            head = await reader.readexactly(8)
            yield head[0], await reader.readexactly(int.from_bytes(head[4:], "big"))
        except (asyncio.IncompleteReadError, aiohttp.ClientPayloadError):
            return


def _param(value: Any) -> str:
    if isinstance(value, bool):
        return "1" if value else "0"
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _message(data: bytes) -> str:
    try:
        return str(orjson.loads(data)["message"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return data.decode(errors="replace").strip() or "no message"
