"""Events: what a component wants a user to see with `kubectl describe`.

Telling one never waits and never fails: it goes into a bounded queue, which a task empties. What repeats is counted on
one Event object; what differs only in its message is combined after ten of them; and an object that is told about
without end is cut off by a token bucket. So a component in trouble does not become the API server's trouble.
"""

import asyncio
import copy
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from apimachinery import errors, kinds, meta
from kubeclient.errors import Unreachable
from kubeclient.rest import MERGE_PATCH, Client

log = logging.getLogger(__name__)

JSON = dict[str, Any]
QUEUE_LENGTH = 1000
REMEMBERED = 4096
SIMILAR_LIMIT = 10
SIMILAR_SECONDS = 600.0
BURST = 25
REFILL_SECONDS = 300.0
MAX_MESSAGE = 1024
MAX_NAME = 236  # of the object, so that the event's own fits 253


@dataclass(slots=True)
class _Series:
    """One Event object that is counted up."""

    name: str
    namespace: str
    count: int


@dataclass(slots=True)
class _Similar:
    """Messages of one reason about one object."""

    since: float
    messages: set[str]


@dataclass(slots=True)
class _Bucket:
    """How many more events one object may have."""

    tokens: float
    at: float


class EventRecorder:
    """Records events of one component; `run` sends them."""

    def __init__(
        self, client: Client, component: str, *, host: str = "", clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._client = client
        self._component = component
        self._host = host
        self._clock = clock
        self._queue: asyncio.Queue[tuple[tuple[str, ...], JSON]] = asyncio.Queue(QUEUE_LENGTH)
        self._series: OrderedDict[tuple[str, ...], _Series] = OrderedDict()
        self._similar: OrderedDict[tuple[str, ...], _Similar] = OrderedDict()
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def named(self, component: str) -> "EventRecorder":
        """The same recorder, speaking as another component."""
        made = copy.copy(self)
        made._component = component
        return made

    def event(self, obj: JSON, type_: str, reason: str, message: str, *, field_path: str = "") -> None:
        """Note an event of type `Normal` or `Warning` about an object, which needs its apiVersion and kind."""
        about = _reference(obj, field_path)
        if not self._allowed(about):
            return
        message = message if len(message) <= MAX_MESSAGE else message[: MAX_MESSAGE - 3] + "..."
        similar = (*(str(about.get(part)) for part in ("kind", "namespace", "name", "uid", "fieldPath")), type_, reason)
        key: tuple[str, ...]
        if self._too_many(similar, message):
            key, message = similar, f"(combined from similar events): {message}"
        else:
            key = (*similar, message)
        body = self._body(about, type_, reason, message)
        try:
            self._queue.put_nowait((key, body))
        except asyncio.QueueFull:
            log.warning("event dropped, too many waiting: %s %s %s", about.get("name"), reason, message)

    async def run(self) -> None:
        """Send what is noted, in order, until cancelled."""
        while True:
            key, body = await self._queue.get()
            try:
                await self._send(key, body)
            except (errors.StatusError, Unreachable) as error:
                log.info("event not recorded: %s: %s", body["message"], error)
            finally:
                self._queue.task_done()

    async def flush(self) -> None:
        """Wait until all that was noted has been sent (while `run` runs)."""
        await self._queue.join()

    async def _send(self, key: tuple[str, ...], body: JSON) -> None:
        series = self._series.get(key)
        if series:
            series.count += 1
            patch = {"count": series.count, "lastTimestamp": body["lastTimestamp"], "message": body["message"]}
            try:
                await self._client.patch(
                    kinds.CORE_EVENT, series.name, patch, namespace=series.namespace, content_type=MERGE_PATCH
                )
            except errors.NotFound:  # it has expired: begin anew
                body["count"] = series.count
            else:
                return
        await self._client.create(kinds.CORE_EVENT, body)
        metadata = body["metadata"]
        _remember(self._series, key, _Series(metadata["name"], metadata["namespace"], body["count"]))

    def _body(self, about: JSON, type_: str, reason: str, message: str) -> JSON:
        moment = meta.now()
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {
                "name": f"{about['name'][:MAX_NAME]}.{time.time_ns():x}",
                "namespace": about.get("namespace") or "default",
            },
            "involvedObject": about,
            "reason": reason,
            "message": message,
            "type": type_,
            "source": {"component": self._component, **({"host": self._host} if self._host else {})},
            "reportingComponent": self._component,
            "reportingInstance": self._host,
            "firstTimestamp": moment,
            "lastTimestamp": moment,
            "count": 1,
        }

    def _allowed(self, about: JSON) -> bool:
        now = self._clock()
        bucket = self._buckets.get(about.get("uid", ""))
        if bucket is None:
            bucket = _Bucket(BURST, now)
        bucket.tokens = min(BURST, bucket.tokens + (now - bucket.at) / REFILL_SECONDS)
        bucket.at = now
        _remember(self._buckets, about.get("uid", ""), bucket)
        if bucket.tokens < 1:
            return False
        bucket.tokens -= 1
        return True

    def _too_many(self, key: tuple[str, ...], message: str) -> bool:
        now = self._clock()
        similar = self._similar.get(key)
        if similar is None or now - similar.since > SIMILAR_SECONDS:
            similar = _Similar(now, set())
        _remember(self._similar, key, similar)
        if message in similar.messages:
            return False
        if len(similar.messages) >= SIMILAR_LIMIT:
            return True
        similar.messages.add(message)
        return False


def _reference(obj: JSON, field_path: str) -> JSON:
    metadata = meta.metadata(obj)
    reference = {
        "apiVersion": obj.get("apiVersion"),
        "kind": obj.get("kind"),
        "namespace": metadata.get("namespace"),
        "name": metadata.get("name"),
        "uid": metadata.get("uid"),
        "resourceVersion": metadata.get("resourceVersion"),
        "fieldPath": field_path,
    }
    return {key: value for key, value in reference.items() if value}


def _remember(table: OrderedDict[Any, Any], key: object, value: object) -> None:
    """Put a value in as the youngest, and let the oldest go."""
    table[key] = value
    table.move_to_end(key)
    if len(table) > REMEMBERED:
        table.popitem(last=False)
