"""SPDY/3.1 framing without I/O: what older clients use for exec, and every kubectl for port-forward.

`Connection.feed` turns received bytes into events; its other methods return the bytes to send. Data is passed on as it
arrives, never gathered, and header blocks are bounded, so a peer can't make us hold more than a few kilobytes. As the
clients' implementations ignore flow control (windows), so does this: TCP's is what holds a fast sender back.
"""

import struct
import zlib
from dataclasses import dataclass, field
from typing import Final

PROTOCOL: Final = "SPDY/3.1"  # in the Upgrade header
VERSION: Final = 3
HEADERS_MAX_BYTES: Final = 16 * 1024
FRAME_MAX_BYTES: Final = 16 * 1024  # of control frames
FIN: Final = 0x01
SYN_STREAM, SYN_REPLY, RST_STREAM, SETTINGS, PING, GOAWAY = 1, 2, 3, 4, 6, 7
REFUSED_STREAM, CANCEL = 3, 5
_CONTROL: Final = 0x8000
_WORDS: Final = (
    "options head post put delete trace accept accept-charset accept-encoding accept-language accept-ranges age allow "
    "authorization cache-control connection content-base content-encoding content-language content-length "
    "content-location content-md5 content-range content-type date etag expect expires from host if-match "
    "if-modified-since if-none-match if-range if-unmodified-since last-modified location max-forwards pragma "
    "proxy-authenticate proxy-authorization range referer retry-after server te trailer transfer-encoding upgrade "
    "user-agent vary via warning www-authenticate method get status 200_OK version HTTP/1.1 url public set-cookie "
    "keep-alive origin"
)
_REST: Final = (
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505"
    "203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized403 Forbidden"
    "404 Not Found500 Internal Server Error501 Not Implemented503 Service Unavailable"
    "Jan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMT"
    "chunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,text/javascript,"
    "publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0."
)
# What both ends' header compression starts with: words with their lengths, then the rest (SPDY draft 3, 2.6.10.1).
DICTIONARY: Final = (
    b"".join(
        len(word).to_bytes(4, "big") + word.encode() for word in (each.replace("_", " ") for each in _WORDS.split())
    )
    + _REST.encode()
)


class SpdyError(Exception):
    """The peer broke the protocol; the connection can't go on."""


@dataclass(frozen=True, slots=True)
class Opened:
    """The peer opened a stream (SYN_STREAM); answer with `reply` or `reset`."""

    stream: int
    headers: dict[str, str]
    fin: bool


@dataclass(frozen=True, slots=True)
class Replied:
    """The peer took our stream (SYN_REPLY), or sent more headers for it."""

    stream: int
    headers: dict[str, str]
    fin: bool


@dataclass(frozen=True, slots=True)
class Data:
    """Some bytes of a stream; `fin` with the last of them."""

    stream: int
    data: bytes
    fin: bool


@dataclass(frozen=True, slots=True)
class Reset:
    stream: int
    code: int


@dataclass(frozen=True, slots=True)
class Pinged:
    """A ping; one with our parity is the answer to ours, any other wants `ping(id)` sent back."""

    id: int


@dataclass(frozen=True, slots=True)
class GoneAway:
    """The peer opens and takes no more streams."""

    last: int


Event = Opened | Replied | Data | Reset | Pinged | GoneAway


@dataclass(slots=True)
class Connection:
    """One end of a connection. Streams that it opens are odd for the client, even for the server."""

    client: bool
    _next: int = field(init=False)
    _buffer: bytearray = field(default_factory=bytearray)
    _open_data: tuple[int, int, bool] | None = None  # (stream, bytes left, fin) of a data frame under way
    _deflate: "zlib._Compress" = field(init=False)
    _inflate: "zlib._Decompress" = field(init=False)

    def __post_init__(self) -> None:
        self._next = 1 if self.client else 2
        self._deflate = zlib.compressobj(wbits=zlib.MAX_WBITS, zdict=DICTIONARY)
        self._inflate = zlib.decompressobj(zdict=DICTIONARY)

    def open(self, headers: dict[str, str], *, fin: bool = False) -> tuple[int, bytes]:
        """(id of a new stream, bytes to send)."""
        stream = self._next
        self._next += 2
        payload = struct.pack(">IIBB", stream, 0, 0, 0) + self._packed(headers)
        return stream, _control(SYN_STREAM, payload, FIN if fin else 0)

    def reply(self, stream: int, headers: dict[str, str] | None = None, *, fin: bool = False) -> bytes:
        return _control(SYN_REPLY, struct.pack(">I", stream) + self._packed(headers or {}), FIN if fin else 0)

    def data(self, stream: int, data: bytes, *, fin: bool = False) -> bytes:
        """Up to 16 MiB; an empty one with `fin` half-closes the stream."""
        return struct.pack(">II", stream, (FIN if fin else 0) << 24 | len(data)) + data

    def reset(self, stream: int, code: int = CANCEL) -> bytes:
        return _control(RST_STREAM, struct.pack(">II", stream, code))

    def ping(self, id: int) -> bytes:
        return _control(PING, struct.pack(">I", id))

    def is_ours(self, id: int) -> bool:
        """Whether a ping or stream of this id was begun by this end."""
        return id % 2 == (1 if self.client else 0)

    def feed(self, received: bytes) -> list[Event]:
        """What `received` completes. Raises SpdyError."""
        self._buffer += received
        events: list[Event] = []
        while True:
            if self._open_data is not None:
                if not self._buffer and self._open_data[1]:
                    return events
                events.append(self._some_data(*self._open_data))
                continue
            if len(self._buffer) < 8:
                return events
            first, second = struct.unpack_from(">II", self._buffer)
            length = second & 0xFFFFFF
            if not first >> 31:
                del self._buffer[:8]
                self._open_data = (first, length, bool(second >> 24 & FIN))
                continue
            if first >> 16 != _CONTROL | VERSION:
                raise SpdyError(f"not a frame of SPDY version {VERSION}")
            if length > FRAME_MAX_BYTES:
                raise SpdyError(f"a control frame of {length} bytes")
            if len(self._buffer) < 8 + length:
                return events
            payload = bytes(self._buffer[8 : 8 + length])
            del self._buffer[: 8 + length]
            event = self._control_event(first & 0xFFFF, second >> 24, payload)
            if event is not None:
                events.append(event)

    def _some_data(self, stream: int, left: int, fin: bool) -> Data:
        part = bytes(self._buffer[:left])
        del self._buffer[: len(part)]
        left -= len(part)
        self._open_data = (stream, left, fin) if left else None
        return Data(stream, part, fin and not left)

    def _control_event(self, kind: int, flags: int, payload: bytes) -> Event | None:
        fin = bool(flags & FIN)
        try:
            match kind:
                case 1:  # SYN_STREAM
                    (stream,) = struct.unpack_from(">I", payload)
                    return Opened(stream & 0x7FFFFFFF, self._unpacked(payload[10:]), fin)
                case 2 | 8:  # SYN_REPLY, HEADERS
                    (stream,) = struct.unpack_from(">I", payload)
                    return Replied(stream & 0x7FFFFFFF, self._unpacked(payload[4:]), fin)
                case 3:  # RST_STREAM
                    stream, code = struct.unpack(">II", payload)
                    return Reset(stream & 0x7FFFFFFF, code)
                case 6:  # PING
                    return Pinged(struct.unpack(">I", payload)[0])
                case 7:  # GOAWAY
                    return GoneAway(struct.unpack_from(">I", payload)[0] & 0x7FFFFFFF)
        except struct.error as error:
            raise SpdyError(f"a broken frame of type {kind}: {error}") from error
        return None  # SETTINGS, WINDOW_UPDATE and what is to come: may be ignored

    def _packed(self, headers: dict[str, str]) -> bytes:
        parts = [struct.pack(">I", len(headers))]
        for name, value in headers.items():
            for text in (name.lower().encode(), value.encode()):
                parts.append(struct.pack(">I", len(text)) + text)
        return self._deflate.compress(b"".join(parts)) + self._deflate.flush(zlib.Z_SYNC_FLUSH)

    def _unpacked(self, block: bytes) -> dict[str, str]:
        """Header names in lower case; several values of one name are joined by NUL, as sent."""
        try:
            plain = self._inflate.decompress(block, HEADERS_MAX_BYTES)
        except zlib.error as error:
            raise SpdyError(f"headers that don't decompress: {error}") from error
        if self._inflate.unconsumed_tail:
            raise SpdyError(f"headers of more than {HEADERS_MAX_BYTES} bytes")
        (count,) = struct.unpack_from(">I", plain)
        texts: list[str] = []
        place = 4
        for _ in range(2 * count):
            (length,) = struct.unpack_from(">I", plain, place)
            texts.append(plain[place + 4 : place + 4 + length].decode("utf-8", "replace"))
            place += 4 + length
        return dict(zip(map(str.lower, texts[::2]), texts[1::2], strict=True))


def _control(kind: int, payload: bytes, flags: int = 0) -> bytes:
    return struct.pack(">HHI", _CONTROL | VERSION, kind, flags << 24 | len(payload)) + payload
