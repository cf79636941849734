"""etcd 3.4 over gRPC: the few calls that storage makes, with etcd's errors sorted by what they prove.

The generated messages of aetcd go over bare `grpc.aio` methods: its wrapper costs more than etcd. What matters about
an error of a write is whether the write may have happened, so that is what the classes here say: `Refused` was not
done, `Unknown` may have been, or may still be. Reads are asked again, of the next member, until their deadline.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import grpc
from aetcd import rpc

from componentbase import metrics
from componentbase.defaults import ETCD_CLIENT_PORT, ETCD_SHIFT_KEY

log = logging.getLogger(__name__)

CALL_SECONDS: Final = 5.0
SUSPECTED_SECONDS: Final = 10.0
ATTEMPT_SECONDS: Final = 2.0  # of a read, where another member could be asked
SLOW_SECONDS: Final = 0.25  # more than a healthy disk ever takes
_DURATION: Final = metrics.METRICS.histogram(
    "etcd_request_duration_seconds", "Latency of requests to etcd, as the API server sees it.", ("operation",)
)
PROBE_KEY: Final = b"/probe"  # never written: reading it costs etcd nothing but the agreement on its revision

# No pings without a call: etcd takes them for an attack and closes the connection.
_OPTIONS: Final = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.enable_http_proxy", 0),
)
_OWN_CONNECTION: Final = (("grpc.use_local_subchannel_pool", 1),)


@contextmanager
def _timed(operation: str) -> Iterator[None]:
    """Count how long a request takes, answered or not, and say so when it is long."""
    begun = time.perf_counter()
    try:
        yield
    finally:
        took = time.perf_counter() - begun
        _DURATION.labels(operation).observe(took)
        if took > SLOW_SECONDS:
            log.warning("etcd is slow: a %s took %.1f s", operation, took)


class EtcdError(Exception):
    """A call that got no good answer."""


class Unknown(EtcdError):
    """No answer, or one that says nothing about whether the request was, or will be, applied."""


class Refused(EtcdError):
    """Not applied, and never will be."""


class TooLarge(Refused):
    """More bytes in a request than this etcd takes."""


class NoSpace(EtcdError):
    """The quota is used up; etcd may have applied the very request it says this of, but won't later."""


class Compacted(EtcdError):
    """The revision asked for is no longer there. `revision` is the compacted one, 0 if etcd didn't say."""

    def __init__(self, message: str, revision: int = 0) -> None:
        super().__init__(message)
        self.revision = revision


class FutureRevision(EtcdError):
    """The revision asked for is not there yet."""


# (gRPC code, part of the message) -> class; the first row that fits. Whatever fits none is Unknown.
_CODES: Final = grpc.StatusCode
_ERRORS: Final[tuple[tuple[grpc.StatusCode, str, type[EtcdError]], ...]] = (
    (_CODES.OUT_OF_RANGE, "compacted", Compacted),
    (_CODES.OUT_OF_RANGE, "future", FutureRevision),
    (_CODES.RESOURCE_EXHAUSTED, "space exceeded", NoSpace),
    (_CODES.RESOURCE_EXHAUSTED, "too many requests", Refused),
    (_CODES.RESOURCE_EXHAUSTED, "grpc: received message larger than max", TooLarge),  # etcd's words: we take any size
    (_CODES.INVALID_ARGUMENT, "too large", TooLarge),
    (_CODES.INVALID_ARGUMENT, "", Refused),
    (_CODES.FAILED_PRECONDITION, "", Refused),
    (_CODES.UNAUTHENTICATED, "", Refused),
    (_CODES.PERMISSION_DENIED, "", Refused),
    (_CODES.UNIMPLEMENTED, "", Refused),
)
_NEVER_SENT: Final = "failed to connect to all addresses"  # gRPC's words for a call without a connection


def _error(error: grpc.aio.AioRpcError) -> EtcdError:
    details = error.details() or ""
    for code, part, made in _ERRORS:
        if error.code() == code and part in details:
            return made(details)
    return Unknown(f"{error.code().name}: {details}")


@dataclass(frozen=True, slots=True)
class Tls:
    """Paths of PEM files; all empty for plain HTTP."""

    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""

    def credentials(self) -> grpc.ChannelCredentials:
        """Read now, so that renewed certificates are taken at the next start."""
        read = [Path(path).read_bytes() if path else None for path in (self.ca_file, self.key_file, self.cert_file)]
        return grpc.ssl_channel_credentials(*read)


class Member:
    """The connections to one member: one for calls, and one of its own for each watch (rule 12)."""

    def __init__(self, endpoint: str, tls: Tls) -> None:
        parts = urlsplit(endpoint if "//" in endpoint else f"http://{endpoint}")
        self.target = f"{parts.hostname}:{parts.port or ETCD_CLIENT_PORT}"
        self._credentials = tls.credentials() if parts.scheme == "https" else None
        self.channel = self.connect(())
        self.suspected_until = 0.0  # loop time; it did not answer a moment ago
        unary: Callable[[str, Any, Any], Any] = lambda method, request, response: self.channel.unary_unary(  # noqa: E731
            f"/etcdserverpb.{method}",
            request_serializer=request.SerializeToString,
            response_deserializer=response.FromString,
        )
        self.range = unary("KV/Range", rpc.RangeRequest, rpc.RangeResponse)
        self.txn = unary("KV/Txn", rpc.TxnRequest, rpc.TxnResponse)
        self.compact = unary("KV/Compact", rpc.CompactionRequest, rpc.CompactionResponse)
        self.status = unary("Maintenance/Status", rpc.StatusRequest, rpc.StatusResponse)
        self.alarm = unary("Maintenance/Alarm", rpc.AlarmRequest, rpc.AlarmResponse)
        self.defragment = unary("Maintenance/Defragment", rpc.DefragmentRequest, rpc.DefragmentResponse)

    def connect(self, options: Sequence[tuple[str, int]]) -> grpc.aio.Channel:
        """A new channel. Channels with equal options would share one connection."""
        together = [*_OPTIONS, *options]
        if self._credentials is None:
            return grpc.aio.insecure_channel(self.target, options=together)
        return grpc.aio.secure_channel(self.target, self._credentials, options=together)

    def doubt(self, now: float) -> int:
        """0: ask it; 1: it did not answer a moment ago; 2: it can't even be connected to."""
        if self.channel.get_state() is grpc.ChannelConnectivity.TRANSIENT_FAILURE:
            return 2
        return 1 if now < self.suspected_until else 0


class Etcd:
    """An etcd cluster. Calls go to one member for as long as it answers."""

    def __init__(self, endpoints: Sequence[str], tls: Tls | None = None) -> None:
        self._endpoints, self._tls = list(endpoints), tls or Tls()
        self._members: list[Member] = []
        self._current = 0

    def open(self) -> None:
        """Make the channels; needs a running loop."""
        self._members = [Member(endpoint, self._tls) for endpoint in self._endpoints]

    async def close(self) -> None:
        for member in self._members:
            await member.channel.close()

    @property
    def members(self) -> Sequence[Member]:
        return self._members

    def advance(self, member: Member) -> None:
        """Leave a member that did not answer, for a while."""
        member.suspected_until = asyncio.get_running_loop().time() + SUSPECTED_SECONDS
        if self._members[self._current] is member:
            self._current = (self._current + 1) % len(self._members)

    def member(self) -> Member:
        """The member to ask next: one that is neither failing nor suspected, if there is one."""
        now = asyncio.get_running_loop().time()
        count = len(self._members)
        order = [(self._current + step) % count for step in range(count)]
        self._current = min(order, key=lambda index: self._members[index].doubt(now))  # the first of the best
        return self._members[self._current]

    async def txn(self, request: Any, *, timeout: float = CALL_SECONDS) -> Any:
        """Send a transaction once: to the next member only what never left for the one before.

        Raises EtcdError; with `Unknown` it may have been applied.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        alone = len(self._members) == 1
        while True:
            member = self.member()
            try:
                with _timed("write"):
                    return await member.txn(request, timeout=max(deadline - loop.time(), 0.05), wait_for_ready=alone)
            except grpc.aio.AioRpcError as error:
                found = _error(error)
                if isinstance(found, Unknown):
                    self.advance(member)
                if _NEVER_SENT not in (error.details() or "") or deadline - loop.time() < 0.1:
                    raise found from error
            await asyncio.sleep(0.05)

    async def read(self, call: Callable[[Member], Any], request: Any, *, timeout: float = CALL_SECONDS) -> Any:
        """Ask for something that changes nothing, of one member after the other until one answers or time is up."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        while True:
            member = self.member()
            left = deadline - loop.time()
            attempt = left if len(self._members) == 1 else min(left, ATTEMPT_SECONDS)
            try:
                with _timed("read"):
                    return await call(member)(request, timeout=attempt, wait_for_ready=len(self._members) == 1)
            except grpc.aio.AioRpcError as error:
                found = _error(error)
                if isinstance(found, Unknown):
                    self.advance(member)
                if not isinstance(found, Unknown) or deadline - loop.time() < 0.1:
                    raise found from error
            await asyncio.sleep(0.05)

    async def on(self, member: Member, call: Any, request: Any, *, timeout: float) -> Any:
        """Ask one member for something that only it can do."""
        try:
            return await call(request, timeout=timeout)
        except grpc.aio.AioRpcError as error:
            raise _error(error) from error

    async def range(self, request: Any, *, timeout: float = CALL_SECONDS) -> Any:
        """Read keys. Raises Compacted, FutureRevision or another EtcdError."""
        return await self.read(lambda member: member.range, request, timeout=timeout)

    async def revision(self) -> int:
        """The revision that every write acknowledged before this call has reached (rule 15)."""
        response = await self.range(rpc.RangeRequest(key=PROBE_KEY, count_only=True))
        return int(response.header.revision)

    async def shift(self) -> int:
        """What is added to revisions in versions since this etcd was restored from a snapshot."""
        kvs = (await self.range(rpc.RangeRequest(key=ETCD_SHIFT_KEY.encode()))).kvs
        return int(kvs[0].value) if kvs else 0

    async def readable(self, revision: int) -> bool:
        """Whether that revision is not compacted."""
        try:
            await self.range(rpc.RangeRequest(key=PROBE_KEY, count_only=True, revision=revision))
        except Compacted:
            return False
        return True

    async def watch(self, start: int, *, key: bytes = b"\0", range_end: bytes = b"\0") -> AsyncIterator[Sequence[Any]]:
        """Every event from revision `start` on, of the whole key space, in lists that hold whole commits (rule 11).

        Raises Compacted if that revision is not there any more, Unknown when the stream breaks.
        """
        member = self.member()
        channel = member.connect(_OWN_CONNECTION)
        stream = channel.stream_stream(
            "/etcdserverpb.Watch/Watch",
            request_serializer=rpc.WatchRequest.SerializeToString,
            response_deserializer=rpc.WatchResponse.FromString,
        )(metadata=(("hasleader", "true"),))
        create = rpc.WatchCreateRequest(key=key, range_end=range_end, start_revision=start, fragment=True)
        fragments: list[Any] = []
        try:
            async with asyncio.timeout(CALL_SECONDS):
                await stream.write(rpc.WatchRequest(create_request=create))
                response = await stream.read()
            while response is not grpc.aio.EOF:
                if response.canceled:
                    if response.compact_revision:
                        raise Compacted("the watch was overtaken by compaction", response.compact_revision)
                    raise Unknown(f"etcd ended the watch: {response.cancel_reason}")
                if response.fragment:
                    fragments.extend(response.events)
                elif response.events:
                    yield [*fragments, *response.events] if fragments else response.events
                    fragments = []
                response = await stream.read()
            raise Unknown("etcd closed the watch")
        except grpc.aio.AioRpcError as error:
            self.advance(member)
            raise _error(error) from error
        except TimeoutError as error:
            self.advance(member)
            raise Unknown("etcd did not take the watch in time") from error
        finally:
            stream.cancel()
            await channel.close()
