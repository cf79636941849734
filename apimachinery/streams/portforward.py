"""port-forward: which channel or stream carries which port, without I/O.

Two protocols. The Python client's WebSocket (`v4.channel.k8s.io`) has two channels for each port asked for in the URL.
kubectl's is SPDY, bare or tunnelled in WebSocket messages (TUNNEL): for each connection to the local port it opens an
error stream and a data stream with the same `requestID`; `Pairs` puts them together.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

SPDY_PROTOCOL: Final = "portforward.k8s.io"  # in X-Stream-Protocol-Version
TUNNEL: Final = "SPDY/3.1+portforward.k8s.io"  # as Sec-WebSocket-Protocol
UNPAIRED_MAX: Final = 1000
PORTS_MAX: Final = 127  # two channels each, of 256, less the one that closes


def data_channel(index: int) -> int:
    """Of the port that is `index`-th in the URL."""
    return 2 * index


def error_channel(index: int) -> int:
    return 2 * index + 1


def greeting(ports: Sequence[int]) -> list[bytes]:
    """The first message on every channel: its port, little-endian."""
    return [
        bytes((channel,)) + port.to_bytes(2, "little")
        for index, port in enumerate(ports)
        for channel in (data_channel(index), error_channel(index))
    ]


def parse_ports(values: Sequence[str]) -> list[int]:
    """The ports of `?ports=80,90&ports=91`. Raises ValueError saying which is none."""
    ports = []
    for text in (each for value in values for each in value.split(",")):
        if not (text.isascii() and text.isdigit() and 0 < int(text) <= 0xFFFF):
            raise ValueError(f'invalid port "{text}"')
        ports.append(int(text))
    if not 0 < len(ports) <= PORTS_MAX:
        raise ValueError(f"between 1 and {PORTS_MAX} ports are required, not {len(ports)}")
    return ports


@dataclass(frozen=True, slots=True)
class Pair:
    """One forwarded connection: to `port`, bytes on stream `data`, what goes wrong said on stream `error`."""

    port: int
    data: int
    error: int


@dataclass(slots=True)
class Pairs:
    """Streams that wait for their other half, by request id; bounded, and the caller drops what waits too long."""

    _waiting: dict[str, tuple[str, int, int]] = field(default_factory=dict)  # id -> (type, port, stream)

    def add(self, stream: int, headers: Mapping[str, str]) -> Pair | None:
        """The pair that this stream completes, if it does. Raises ValueError for one that must be refused."""
        kind = headers.get("streamtype", "")
        if kind not in ("data", "error"):
            raise ValueError(f'invalid stream type "{kind}"')
        (port,) = parse_ports([headers.get("port", "")])
        request = headers.get("requestid") or str(stream if kind == "error" else stream - 2)
        if request not in self._waiting:
            if len(self._waiting) >= UNPAIRED_MAX:
                raise ValueError("too many streams wait for their other half")
            self._waiting[request] = (kind, port, stream)
            return None
        other_kind, other_port, other = self._waiting[request]
        if other_kind == kind or other_port != port:
            raise ValueError(f"request {request} has a second {kind} stream, or one for another port")
        del self._waiting[request]
        return Pair(port, stream, other) if kind == "data" else Pair(port, other, stream)

    def drop(self, stream: int) -> None:
        """Forget a stream that was closed, or waited too long, before its other half came."""
        self._waiting = {request: each for request, each in self._waiting.items() if each[2] != stream}

    @property
    def waiting(self) -> list[int]:
        return [stream for _, _, stream in self._waiting.values()]
