"""exec and attach over WebSocket: binary messages of one channel byte and data (v5 and v4.channel.k8s.io).

The process's end is a Status on the error channel, then the connection closes. v5 adds a message that half-closes one
channel, without which nobody could say that standard input has ended. Over SPDY the same channels are streams, told
apart by their `streamType` header (STREAM_TYPES).
"""

from typing import Any, Final, NamedTuple

import orjson

JSON = dict[str, Any]

V5: Final = "v5.channel.k8s.io"
V4: Final = "v4.channel.k8s.io"
PROTOCOLS: Final = (V5, V4)  # in order of preference
SPDY_PROTOCOL: Final = V4  # in X-Stream-Protocol-Version

STDIN, STDOUT, STDERR, ERROR, RESIZE, CLOSE = 0, 1, 2, 3, 4, 255
STREAM_TYPES: Final = {"stdin": STDIN, "stdout": STDOUT, "stderr": STDERR, "error": ERROR, "resize": RESIZE}
NON_ZERO_EXIT: Final = "NonZeroExitCode"


class Message(NamedTuple):
    """What one WebSocket message says; a half-close has channel CLOSE and `data` of one byte, the closed channel."""

    channel: int
    data: bytes

    @property
    def closes(self) -> int | None:
        """The channel that ends with this message, if it is a half-close."""
        return self.data[0] if self.channel == CLOSE and len(self.data) == 1 else None


def choose(offered: list[str] | tuple[str, ...]) -> str | None:
    """The protocol to speak with a client that offers these, None if there is none."""
    return next((protocol for protocol in PROTOCOLS if protocol in offered), None)


def encode(channel: int, data: bytes | memoryview = b"") -> bytes:
    return bytes((channel,)) + data


def decode(message: bytes) -> Message:
    """Raises ValueError for an empty message, which no client may send."""
    if not message:
        raise ValueError("a message without a channel")
    return Message(message[0], message[1:])


def close(channel: int) -> bytes:
    """The half-close of a channel (v5 only)."""
    return bytes((CLOSE, channel))


def encode_resize(width: int, height: int) -> bytes:
    """The data of a RESIZE message: a terminal's size in characters."""
    return orjson.dumps({"Width": width, "Height": height})


def decode_resize(data: bytes) -> tuple[int, int]:
    """(width, height). Raises ValueError for what is no size."""
    size = orjson.loads(data)
    if not isinstance(size, dict):
        raise ValueError("a terminal size is an object with Width and Height")
    width, height = size.get("Width", 0), size.get("Height", 0)
    for side in (width, height):
        if not isinstance(side, int) or not 0 <= side <= 0xFFFF:
            raise ValueError(f"not a terminal size: {size}")
    return width, height


def exit_status(code: int) -> JSON:
    """The Status for a process that ended with `code`."""
    if code == 0:
        return {"metadata": {}, "status": "Success"}
    return {
        "metadata": {},
        "status": "Failure",
        "message": f"command terminated with non-zero exit code: exit status {code}",
        "reason": NON_ZERO_EXIT,
        "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
    }


def failure_status(message: str) -> JSON:
    """The Status for a process that could not be run or waited for."""
    return {
        "metadata": {},
        "status": "Failure",
        "message": f"Internal error occurred: {message}",
        "reason": "InternalError",
        "details": {"causes": [{"message": message}]},
        "code": 500,
    }


def exit_code(status: JSON) -> int | None:
    """The exit code a Status tells of, None if it tells of another failure."""
    if status.get("status") == "Success":
        return 0
    if status.get("reason") != NON_ZERO_EXIT:
        return None
    for cause in (status.get("details") or {}).get("causes") or ():
        message = str(cause.get("message") or "")
        if cause.get("reason") == "ExitCode" and message.isdigit():
            return int(message)
    return None
