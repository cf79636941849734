"""DNS over UDP and TCP: packets to questions, answers to packets; what isn't the cluster's is asked of others.

Every query is bounded: so many are forwarded at once, each with a deadline and at most `ATTEMPTS` servers. A query
that is no DNS at all is dropped; one that can't be forwarded gets SERVFAIL. An alias (a Service of type ExternalName)
is followed here, since the resolvers of pods don't ask on.
"""

from __future__ import annotations

import asyncio
import logging
import random
import struct
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import cast

from dnslib import AAAA, CNAME, EDNS0, PTR, QTYPE, RCODE, RR, SOA, SRV, A, DNSError, DNSHeader, DNSRecord

from clusterdns.records import Answer, Record
from componentbase.metrics import METRICS

log = logging.getLogger(__name__)
TTL_SECONDS = 30
NEGATIVE_TTL_SECONDS = 5
FORWARD_SECONDS = 2.0
ATTEMPTS = 2
FORWARDS_IN_FLIGHT = 512
CONNECTION_IDLE_SECONDS = 30.0
_ALIASES = 8  # followed for one question; more go in a circle
_UDP_LIMIT = 512

REQUESTS = METRICS.counter("coredns_dns_requests_total", "Queries, by protocol and type.", ["proto", "type"])
RESPONSES = METRICS.counter("coredns_dns_responses_total", "Answers, by code.", ["rcode"])
SECONDS = METRICS.histogram(
    "coredns_dns_request_duration_seconds", "Time to answer.", buckets=[0.00025 * 2**i for i in range(14)]
)
Lookup = Callable[[str, str], Answer | None]
_DATA = {"A": A, "AAAA": AAAA, "CNAME": CNAME, "PTR": PTR}


class Resolver:
    """Answers one packet with another."""

    def __init__(self, lookup: Lookup, zone: str, upstreams: Sequence[tuple[str, int]]) -> None:
        self._lookup = lookup
        self._zone = zone
        self._upstreams = upstreams
        self._room = asyncio.Semaphore(FORWARDS_IN_FLIGHT)

    async def resolve(self, packet: bytes, protocol: str) -> bytes | None:
        """The answer to `packet` over `udp` or `tcp`; None if it is no query."""
        started = time.perf_counter()
        try:
            query = DNSRecord.parse(packet)
        except (DNSError, ValueError, IndexError, struct.error):
            return None
        if query.header.qr or not query.questions:
            return None
        question = query.questions[0]
        kind = QTYPE.get(question.qtype, str(question.qtype))
        REQUESTS.labels(protocol, kind).inc()
        try:
            reply = await self._reply(packet, query, protocol)
        except (ValueError, LookupError, TypeError, DNSError):
            log.exception("answering %s %s failed", question.qname, kind)
            reply = _failure(query, RCODE.SERVFAIL)
        if protocol == "udp" and len(reply) > self._udp_limit(query):
            reply = _truncated(query)
        RESPONSES.labels(RCODE.get(reply[3] & 0xF, "?")).inc()
        SECONDS.observe(time.perf_counter() - started)
        return reply

    async def _reply(self, packet: bytes, query: DNSRecord, protocol: str, aliases: int = _ALIASES) -> bytes:
        kind = QTYPE.get(query.q.qtype, str(query.q.qtype))
        answer = self._lookup(str(query.q.qname).rstrip(".").lower(), kind)
        if answer is None:
            return await self._forward(packet, query, protocol)
        if kind == "CNAME" or not answer.records or answer.records[0].type != "CNAME":
            return self._encode(query, answer)
        if not aliases:
            return _failure(query, RCODE.SERVFAIL)
        onward = DNSRecord.question(str(answer.records[0].data), kind)
        further = await self._reply(bytes(onward.pack()), onward, protocol, aliases - 1)
        return self._encode(query, answer, DNSRecord.parse(further))

    def _encode(self, query: DNSRecord, answer: Answer, followed: DNSRecord | None = None) -> bytes:
        reply = query.reply(ra=1, aa=1)
        if not answer.exists:
            reply.header.rcode = RCODE.NXDOMAIN
        for record in random.sample(list(answer.records), len(answer.records)):
            reply.add_answer(_rr(record))
        if followed is not None:
            reply.header.rcode = followed.header.rcode  # of the last name (RFC 6604)
            reply.add_answer(*followed.rr)
        for record in answer.additional:
            reply.add_ar(_rr(record))
        if not answer.records:
            times = (int(time.time()), 7200, 1800, 86400, NEGATIVE_TTL_SECONDS)
            authority = SOA(f"ns.dns.{self._zone}", f"hostmaster.{self._zone}", times)
            reply.add_auth(RR(self._zone, QTYPE.SOA, rdata=authority, ttl=NEGATIVE_TTL_SECONDS))
        if any(record.rtype == QTYPE.OPT for record in query.ar):
            reply.add_ar(EDNS0(udp_len=1232))
        return bytes(reply.pack())

    async def _forward(self, packet: bytes, query: DNSRecord, protocol: str) -> bytes:
        """Asks the servers of the node, one after another. A name that ends like ours is never given away."""
        if self._room.locked():
            return _failure(query, RCODE.REFUSED)
        async with self._room:
            ask = _ask_udp if protocol == "udp" else _ask_tcp
            for server in self._upstreams[:ATTEMPTS]:
                with suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
                    async with asyncio.timeout(FORWARD_SECONDS):
                        return await ask(packet, server)
        return _failure(query, RCODE.SERVFAIL)

    @staticmethod
    def _udp_limit(query: DNSRecord) -> int:
        sizes: list[int] = [record.edns_len for record in query.ar if record.rtype == QTYPE.OPT]
        return max(_UDP_LIMIT, *sizes, 0)


def _rr(record: Record) -> RR:
    kind = getattr(QTYPE, record.type)
    if isinstance(record.data, tuple):
        return RR(record.name, kind, rdata=SRV(*record.data), ttl=TTL_SECONDS)
    return RR(record.name, kind, rdata=_DATA[record.type](record.data), ttl=TTL_SECONDS)


def _failure(query: DNSRecord, code: int) -> bytes:
    reply = query.reply(ra=1, aa=0)
    reply.header.rcode = code
    return bytes(reply.pack())


def _truncated(query: DNSRecord) -> bytes:
    header = DNSHeader(id=query.header.id, qr=1, aa=1, tc=1, ra=1, rd=query.header.rd)
    return bytes(DNSRecord(header, q=query.q).pack())


class _Exchange(asyncio.DatagramProtocol):
    """One query to another server: the first packet with its id is the answer."""

    def __init__(self, packet: bytes) -> None:
        self._packet = packet
        self.answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast(asyncio.DatagramTransport, transport).sendto(self._packet)

    def datagram_received(self, data: bytes, addr: object) -> None:
        if data[:2] == self._packet[:2] and not self.answer.done():
            self.answer.set_result(data)

    def error_received(self, exc: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(exc)


async def _ask_udp(packet: bytes, server: tuple[str, int]) -> bytes:
    loop = asyncio.get_running_loop()
    transport, exchange = await loop.create_datagram_endpoint(lambda: _Exchange(packet), remote_addr=server)
    try:
        return await exchange.answer
    finally:
        transport.close()


async def _ask_tcp(packet: bytes, server: tuple[str, int]) -> bytes:
    reader, writer = await asyncio.open_connection(*server)
    try:
        writer.write(struct.pack("!H", len(packet)) + packet)
        (size,) = struct.unpack("!H", await reader.readexactly(2))
        return await reader.readexactly(size)
    finally:
        writer.close()


class UDPServer(asyncio.DatagramProtocol):
    """The UDP side. Answers from memory are sent at once; forwarded ones by a task of `tasks`."""

    def __init__(self, resolver: Resolver, tasks: asyncio.TaskGroup) -> None:
        self._resolver = resolver
        self._tasks = tasks

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._tasks.create_task(self._answer(data, addr))

    async def _answer(self, data: bytes, addr: tuple[str, int]) -> None:
        reply = await self._resolver.resolve(data, "udp")
        if reply is not None and not self._transport.is_closing():
            self._transport.sendto(reply, addr)


async def serve_tcp(resolver: Resolver, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One TCP connection: queries one after another until it is idle or closed."""
    with suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
        while True:
            async with asyncio.timeout(CONNECTION_IDLE_SECONDS):
                (size,) = struct.unpack("!H", await reader.readexactly(2))
                packet = await reader.readexactly(size)
            reply = await resolver.resolve(packet, "tcp")
            if reply is None:
                break
            writer.write(struct.pack("!H", len(reply)) + reply)
            await writer.drain()
    writer.close()
