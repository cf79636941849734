"""The API's verbs as coroutines on plain JSON objects.

Paths derive from the kind's row. Errors come back as the class of their reason; no answer at all is `Unreachable`.
What is safe to send again is sent again, a bounded number of times: anything the server refused unprocessed (429), and
reads when the connection failed. A write whose answer got lost is the caller's to judge: its outcome is unknown.
"""

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, urlencode

import aiohttp
import orjson

from apimachinery import errors, meta
from apimachinery.kinds import Kind
from kubeclient import transport, watching
from kubeclient.config import ClientConfig
from kubeclient.errors import Unreachable
from kubeclient.watching import Batch, WatchEvent

JSON = dict[str, Any]
Params = Mapping[str, Any]

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_MERGE_PATCH = "application/strategic-merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"

THROTTLED_ATTEMPTS = 10
READ_ATTEMPTS = 4
MAX_RETRY_AFTER_SECONDS = 10.0
_METADATA_ONLY = {
    "object": "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json",
    "list": "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json",
}


class Client:
    """A client of one API server: `async with Client(config, user_agent="kube-x") as client`."""

    def __init__(self, config: ClientConfig, *, user_agent: str = "kubeclient") -> None:
        self.config = config
        self._transport = transport.Transport(config, user_agent)

    async def __aenter__(self) -> Self:
        await self._transport.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._transport.close()

    async def get(
        self,
        kind: Kind,
        name: str,
        *,
        namespace: str | None = None,
        subresource: str | None = None,
        version: str | None = None,
        metadata_only: bool = False,
    ) -> JSON:
        """One object, as of now (a consistent read)."""
        path = resource_path(kind, namespace=namespace, name=name, subresource=subresource, version=version)
        headers = {"Accept": _METADATA_ONLY["object"]} if metadata_only else None
        return await self.request("GET", path, headers=headers)

    async def list(
        self,
        kind: Kind,
        *,
        namespace: str | None = None,
        label_selector: str = "",
        field_selector: str = "",
        resource_version: str | None = None,
        limit: int | None = None,
        metadata_only: bool = False,
    ) -> JSON:
        """The list object with every item; with a `limit`, one page (its `metadata.continue` leads on)."""
        params = _selection(label_selector, field_selector)
        if resource_version is not None:
            params["resourceVersion"] = resource_version
        if limit is not None:
            params["limit"] = str(limit)
        headers = {"Accept": _METADATA_ONLY["list"]} if metadata_only else None
        path = resource_path(kind, namespace=namespace)
        whole = await self.request("GET", path, params=params, headers=headers)
        whole["items"] = whole.get("items") or []
        params.pop("resourceVersion", None)
        while limit is None and (token := whole["metadata"].get("continue")):
            page = await self.request("GET", path, params={**params, "continue": token}, headers=headers)
            whole["items"].extend(page.get("items") or [])
            whole["metadata"] = page["metadata"]
        return whole

    async def create(
        self,
        kind: Kind,
        body: JSON,
        *,
        namespace: str | None = None,
        name: str | None = None,
        subresource: str | None = None,
        params: Params | None = None,
    ) -> JSON:
        """Create an object, or post to a subresource of the object `name`."""
        space = namespace if namespace is not None else meta.namespace(body)
        path = resource_path(kind, namespace=space, name=name, subresource=subresource)
        return await self.request("POST", path, params=params, body=body)

    async def update(
        self, kind: Kind, body: JSON, *, subresource: str | None = None, params: Params | None = None
    ) -> JSON:
        """Replace the object that the body names; with its resourceVersion, only that version of it."""
        path = resource_path(kind, namespace=meta.namespace(body), name=meta.name(body), subresource=subresource)
        return await self.request("PUT", path, params=params, body=body)

    async def patch(
        self,
        kind: Kind,
        name: str,
        body: Any,
        *,
        namespace: str | None = None,
        content_type: str = MERGE_PATCH,
        subresource: str | None = None,
        params: Params | None = None,
    ) -> JSON:
        """Patch an object, by default with a merge patch."""
        path = resource_path(kind, namespace=namespace, name=name, subresource=subresource)
        return await self.request("PATCH", path, params=params, body=body, headers={"Content-Type": content_type})

    async def delete(
        self,
        kind: Kind,
        name: str,
        *,
        namespace: str | None = None,
        grace_period_seconds: int | None = None,
        propagation_policy: str | None = None,
        uid: str | None = None,
        resource_version: str | None = None,
    ) -> JSON:
        """Delete an object; `uid` and `resource_version` are preconditions (Conflict when they don't hold)."""
        conditions = {"uid": uid, "resourceVersion": resource_version}
        options: JSON = {
            "gracePeriodSeconds": grace_period_seconds,
            "propagationPolicy": propagation_policy,
            "preconditions": {key: value for key, value in conditions.items() if value} or None,
        }
        body = {key: value for key, value in options.items() if value is not None}
        if body:
            body = {"apiVersion": "v1", "kind": "DeleteOptions", **body}
        return await self.request("DELETE", resource_path(kind, namespace=namespace, name=name), body=body or None)

    async def watch_batches(
        self,
        kind: Kind,
        *,
        resource_version: str,
        namespace: str | None = None,
        label_selector: str = "",
        field_selector: str = "",
        timeout_seconds: int | None = None,
        bookmarks: bool = True,
        metadata_only: bool = False,
    ) -> AsyncGenerator[Batch, None]:
        """Events as they arrive, all of one read together; ends when the server ends the stream.

        An ERROR event is raised as its StatusError (Expired: list again).
        """
        params = _selection(label_selector, field_selector) | {"watch": "true", "resourceVersion": resource_version}
        if bookmarks:
            params["allowWatchBookmarks"] = "true"
        if timeout_seconds is not None:
            params["timeoutSeconds"] = str(timeout_seconds)
        headers = {"Accept": _METADATA_ONLY["object"]} if metadata_only else None
        path = resource_path(kind, namespace=namespace)
        response = await self.raw("GET", path, params=params, headers=headers, timeout_seconds=None)
        async with aclosing(watching.events(response, timeout_seconds=timeout_seconds)) as batches:
            async for batch in batches:
                yield batch

    async def watch(self, kind: Kind, *, resource_version: str, **options: Any) -> AsyncGenerator[WatchEvent, None]:
        """The events of `watch_batches`, one by one; the same options."""
        async with aclosing(self.watch_batches(kind, resource_version=resource_version, **options)) as batches:
            async for batch in batches:
                for event in batch:
                    yield event

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Params | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> JSON:
        """Send a request with a JSON body (or bytes as they are), and give the answer's JSON."""
        response = await self.raw(method, path, params=params, body=body, headers=headers)
        answer: JSON = orjson.loads(await transport.read(response) or b"{}")
        return answer

    async def raw(
        self,
        method: str,
        path: str,
        *,
        params: Params | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        timeout_seconds: float | None = transport.REQUEST_TIMEOUT_SECONDS,
    ) -> aiohttp.ClientResponse:
        """Send a request and give the successful response, its body still to read. Raises StatusError, Unreachable."""
        target = f"{path}?{urlencode(params, doseq=True)}" if params else path
        encoded = body if body is None or isinstance(body, bytes) else orjson.dumps(body)
        sent = {"Content-Type": "application/json", **(headers or {})} if encoded is not None else headers
        throttled = failed = 0
        while True:
            try:
                response = await self._transport.send(
                    method, target, body=encoded, headers=sent, timeout_seconds=timeout_seconds
                )
            except Unreachable:
                failed += 1
                if method != "GET" or failed >= READ_ATTEMPTS:
                    raise
                await asyncio.sleep(0.05 * 3**failed * random.uniform(0.5, 1))
                continue
            if response.status < 400:
                return response
            error = await _error(response)
            throttled += 1
            if response.status != 429 or throttled >= THROTTLED_ATTEMPTS or _refused_for_good(error):
                raise error
            await asyncio.sleep(_retry_after(response, error) * random.uniform(1, 1.2))

    @asynccontextmanager
    async def websocket(
        self, path: str, *, params: Params | None = None, protocols: tuple[str, ...]
    ) -> AsyncIterator[aiohttp.ClientWebSocketResponse[bool]]:
        """A WebSocket; what the server answers instead is raised as its StatusError."""
        target = f"{path}?{urlencode(params, doseq=True)}" if params else path
        try:
            socket = await self._transport.websocket(target, protocols=protocols)
        except aiohttp.WSServerHandshakeError as handshake:
            await self.request("GET", path, params=params)  # the handshake hides the body; this raises what it says
            raise errors.from_status({}, handshake.status) from handshake
        try:
            yield socket
        finally:
            await socket.close()


def resource_path(
    kind: Kind,
    *,
    namespace: str | None = None,
    name: str | None = None,
    subresource: str | None = None,
    version: str | None = None,
) -> str:
    """The URL path of a collection, an object, or a subresource."""
    chosen = version or kind.versions[0]
    parts = [f"/apis/{kind.group}/{chosen}" if kind.group else f"/api/{chosen}"]
    if namespace and kind.namespaced:
        parts.append(f"namespaces/{quote(namespace, safe='')}")
    parts.append(kind.plural)
    if name:
        parts.append(quote(name, safe=""))
    if subresource:
        parts.append(subresource)
    return "/".join(parts)


def _selection(label_selector: str, field_selector: str) -> dict[str, str]:
    chosen = {"labelSelector": label_selector, "fieldSelector": field_selector}
    return {key: value for key, value in chosen.items() if value}


async def _error(response: aiohttp.ClientResponse) -> errors.StatusError:
    body = await transport.read(response)
    try:
        status = orjson.loads(body)
    except orjson.JSONDecodeError:
        status = None
    if not isinstance(status, dict) or status.get("kind") != "Status":
        text = body[:1024].decode("utf-8", "replace").strip()
        status = {"message": text or f"the server answered {response.status}", "code": response.status}
    return errors.from_status(status, response.status)


def _refused_for_good(error: errors.StatusError) -> bool:
    """An eviction that a DisruptionBudget forbids is 429 as well; only its caller knows when to ask again."""
    return any(cause.get("reason") == "DisruptionBudget" for cause in error.causes)


def _retry_after(response: aiohttp.ClientResponse, error: errors.StatusError) -> float:
    header = response.headers.get("Retry-After", "")
    seconds = float(header) if header.isdigit() else float(error.retry_after or 1)
    return min(seconds, MAX_RETRY_AFTER_SECONDS)
