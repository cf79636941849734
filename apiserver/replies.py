"""Answers, written straight to the transport.

aiohttp's `Response` builds and serialises a header multidict for each answer; here the head is a few bytes that were
made before, so that answering a GET is one write of stored bytes. `Reply` has what aiohttp's connection loop asks of
a response: `prepare`, `write_eof`, `keep_alive`.
"""

from __future__ import annotations

import asyncio
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from itertools import chain
from typing import Final

import orjson
from aiohttp import web

from apimachinery.errors import StatusError
from apimachinery.meta import JSON

JSON_TYPE: Final = "application/json"
TEXT_TYPE: Final = "text/plain; charset=utf-8"
SLICE_BYTES: Final = 1 << 20
GZIP_FROM_BYTES: Final = 128 * 1024
_AT_ONCE_BYTES: Final = 64 * 1024
_NO_HEADERS: Mapping[str, str] = {}


@lru_cache(maxsize=1024)
def _head(status: int, content_type: str) -> bytes:
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}"]
    if content_type:
        lines.append(f"Content-Type: {content_type}")
    return ("\r\n".join(lines) + "\r\n").encode()


class _Clock:
    """The Date header's line, made once a second."""

    second = 0
    line = b""


def date_line() -> bytes:
    """`Date: …` with its line end."""
    second = int(time.time())
    if second != _Clock.second:
        _Clock.second = second
        _Clock.line = f"Date: {formatdate(second, usegmt=True)}\r\n".encode()
    return _Clock.line


def head(status: int, content_type: str, headers: Mapping[str, str], *, close: bool = False) -> bytes:
    """A response head without its length and its empty line."""
    lines = _head(status, content_type) + date_line()
    if "Cache-Control" not in headers:
        lines += b"Cache-Control: no-cache, private\r\n"
    for name, value in headers.items():
        lines += f"{name}: {value}\r\n".encode()
    return lines + b"Connection: close\r\n" if close else lines


@dataclass(frozen=True, slots=True)
class Pieces:
    """A large body that is made while it is written."""

    length: int
    make: Callable[[], Iterable[bytes]]


class Reply:
    """A whole answer."""

    __slots__ = ("body", "content_type", "headers", "keep_alive", "status", "warnings")

    def __init__(
        self,
        body: bytes | Pieces,
        *,
        status: int = 200,
        content_type: str = JSON_TYPE,
        headers: Mapping[str, str] = _NO_HEADERS,
    ) -> None:
        self.body = body
        self.status = status
        self.content_type = content_type
        self.headers = headers
        self.warnings: Sequence[str] = ()
        self.keep_alive = True

    async def prepare(self, request: web.BaseRequest) -> None:
        """Write it all."""
        transport = request.transport
        if transport is None:
            raise ConnectionResetError("the client has gone")
        self.keep_alive = request.keep_alive
        body, headers = self.body, self.headers
        length = len(body) if isinstance(body, bytes) else body.length
        if length >= GZIP_FROM_BYTES and "gzip" in request.headers.get("Accept-Encoding", ""):
            body = await asyncio.to_thread(_compressed, body)
            length = len(body)
            headers = {**headers, "Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
        lines = head(self.status, self.content_type, headers, close=not self.keep_alive)
        for warning in self.warnings:
            lines += f"Warning: {warning}\r\n".encode()
        if self.status != 304:
            lines += b"Content-Length: %d\r\n" % length
        lines += b"\r\n"
        if request.method == "HEAD" or not length:
            transport.write(lines)
        elif length <= _AT_ONCE_BYTES:
            transport.write(b"".join((lines, *_made(body))))
        else:
            await _write_slices(request, transport, chain((lines,), _made(body)))

    async def write_eof(self) -> None:
        """Nothing is left to write."""


def _made(body: bytes | Pieces) -> Iterable[bytes]:
    return (body,) if isinstance(body, bytes) else body.make()


async def _write_slices(request: web.BaseRequest, transport: asyncio.Transport, pieces: Iterable[bytes]) -> None:
    """Bounded memory for large answers: no more than a slice is written before what went before is on its way."""
    waiting = 0
    for piece in _together(pieces):
        for start in range(0, len(piece), SLICE_BYTES):
            part = piece if len(piece) <= SLICE_BYTES else memoryview(piece)[start : start + SLICE_BYTES]
            transport.write(part)
            waiting += len(part)
            if waiting >= SLICE_BYTES:
                await request.protocol._drain_helper()
                waiting = 0
    await request.protocol._drain_helper()


def _together(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """What is small joined with what follows it: every write costs a TLS record and more."""
    small: list[bytes] = []
    length = 0
    for piece in pieces:
        small.append(piece)
        length += len(piece)
        if length >= _AT_ONCE_BYTES:
            yield b"".join(small)
            small, length = [], 0
    yield b"".join(small)


def _compressed(body: bytes | Pieces) -> bytes:
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    return b"".join([*map(packer.compress, _made(body)), packer.flush()])


class Done:
    """The answer to a stream that the endpoint has written itself."""

    __slots__ = ("keep_alive", "status")

    def __init__(self, *, status: int = 200, keep_alive: bool = False) -> None:
        self.status = status
        self.keep_alive = keep_alive

    async def prepare(self, request: web.BaseRequest) -> None:
        """Written already."""

    async def write_eof(self) -> None:
        """Written already."""


def json_reply(value: JSON, *, status: int = 200, headers: Mapping[str, str] = _NO_HEADERS) -> Reply:
    """A small document."""
    return Reply(orjson.dumps(value), status=status, headers=headers)


def text_reply(text: str, *, status: int = 200) -> Reply:
    """Plain text."""
    return Reply(text.encode(), status=status, content_type=TEXT_TYPE, headers={"X-Content-Type-Options": "nosniff"})


def error_reply(error: StatusError) -> Reply:
    """A Status, with its retry hint as a header too."""
    headers: dict[str, str] = {}
    if error.retry_after is not None:
        headers["Retry-After"] = str(error.retry_after)
    return Reply(orjson.dumps(error.status), status=error.code or 500, headers=headers)
