"""Decoding a watch: a stream of JSON documents, one a line, of any length.

What one read brought is decoded together, so that a burst of events costs one turn of the loop. A server that is alive
sends something (an event, a bookmark) now and then; how long silence may last is bounded by the watch's own timeout.
"""

from collections.abc import AsyncGenerator
from typing import Any, NamedTuple

import aiohttp
import orjson

from apimachinery import errors
from kubeclient import transport

JSON = dict[str, Any]
MAX_EVENT_BYTES = 64 << 20
SILENCE_SECONDS = 900.0
SILENCE_SLACK_SECONDS = 30.0


class WatchEvent(NamedTuple):
    """ADDED, MODIFIED, DELETED or BOOKMARK, and the object (its last state, for DELETED)."""

    type: str
    object: JSON


Batch = list[WatchEvent]


async def events(response: aiohttp.ClientResponse, *, timeout_seconds: int | None) -> AsyncGenerator[Batch, None]:
    """Decode a watch response to its end, then drop the connection. Raises StatusError, Unreachable."""
    silence = timeout_seconds + SILENCE_SLACK_SECONDS if timeout_seconds else SILENCE_SECONDS
    pending: list[bytes] = []
    size = 0
    try:
        while chunk := await transport.read_some(response, timeout_seconds=silence):
            end = chunk.rfind(b"\n") + 1
            if not end:
                pending.append(chunk)
                size += len(chunk)
                if size > MAX_EVENT_BYTES:
                    raise errors.from_status({"message": "a watch event exceeds the limit"}, 500)
                continue
            whole = b"".join([*pending, chunk[:end]])
            pending, size = [chunk[end:]], len(chunk) - end
            yield [_event(line) for line in whole.split(b"\n") if line]
    finally:
        response.close()


def _event(line: bytes) -> WatchEvent:
    event = orjson.loads(line)
    if event["type"] == "ERROR":
        raise errors.from_status(event["object"])
    return WatchEvent(event["type"], event["object"])
