"""Packets in, packets out: over real sockets on loopback, with another server of the test's own to forward to."""

import asyncio

from dnslib import QTYPE, RCODE, RR, A, DNSRecord

from clusterdns.records import NOTHING, Answer, Record
from clusterdns.server import Resolver, UDPServer


class Elsewhere(asyncio.DatagramProtocol):
    """A server that knows every name as 192.0.2.7."""

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, addr):
        reply = DNSRecord.parse(data).reply()
        reply.add_answer(RR(str(reply.q.qname), rdata=A("192.0.2.7")))
        self.transport.sendto(reply.pack(), addr)


ALIASES = {
    "near.cluster.local": "many.cluster.local",
    "far.cluster.local": "example.org",
    "lost.cluster.local": "x.cluster.local",
    "ring.cluster.local": "ring.cluster.local",
}


def known(name, kind):
    if name == "many.cluster.local":
        return Answer(True, [Record(name, "A", f"10.0.{i}.1") for i in range(100)])
    if target := ALIASES.get(name):
        return Answer(True, [Record(name, "CNAME", target)])
    if name == "odd.cluster.local":
        raise ValueError("a record that cannot be")
    return NOTHING if name.endswith("cluster.local") else None


async def asked(resolver, name, *, protocol="udp", edns=False):
    query = DNSRecord.question(name)
    if edns:
        from dnslib import EDNS0

        query.add_ar(EDNS0(udp_len=4096))
    return DNSRecord.parse(await resolver.resolve(bytes(query.pack()), protocol))


async def test_an_unknown_name_of_the_zone_is_no_domain_and_says_who_says_so():
    reply = await asked(Resolver(known, "cluster.local", []), "x.cluster.local")
    assert reply.header.rcode == RCODE.NXDOMAIN and reply.header.aa and len(reply.auth) == 1


async def test_an_answer_too_large_for_udp_is_cut_and_whole_over_tcp():
    resolver = Resolver(known, "cluster.local", [])
    assert (await asked(resolver, "many.cluster.local")).header.tc
    assert len((await asked(resolver, "many.cluster.local", edns=True)).rr) == 100
    assert len((await asked(resolver, "many.cluster.local", protocol="tcp")).rr) == 100


async def test_a_fault_is_an_answer_too():
    assert (await asked(Resolver(known, "cluster.local", []), "odd.cluster.local")).header.rcode == RCODE.SERVFAIL


async def test_garbage_gets_no_answer():
    assert await Resolver(known, "cluster.local", []).resolve(b"\x00\x01garbage", "udp") is None


async def test_other_names_are_asked_elsewhere():
    loop = asyncio.get_running_loop()
    there, _ = await loop.create_datagram_endpoint(Elsewhere, local_addr=("127.0.0.1", 0))
    resolver = Resolver(known, "cluster.local", [there.get_extra_info("sockname")])
    assert str((await asked(resolver, "example.org")).rr[0].rdata) == "192.0.2.7"
    there.close()


async def test_an_alias_comes_with_the_addresses_of_what_it_stands_for():
    loop = asyncio.get_running_loop()
    there, _ = await loop.create_datagram_endpoint(Elsewhere, local_addr=("127.0.0.1", 0))
    resolver = Resolver(known, "cluster.local", [there.get_extra_info("sockname")])
    near = await asked(resolver, "near.cluster.local", edns=True)
    assert [near.rr[0].rtype, {record.rtype for record in near.rr[1:]}] == [QTYPE.CNAME, {QTYPE.A}]
    assert len(near.rr) == 101
    far = await asked(resolver, "far.cluster.local")
    assert [str(record.rdata) for record in far.rr] == ["example.org.", "192.0.2.7"]
    there.close()


async def test_an_alias_that_leads_nowhere_has_that_answer():
    resolver = Resolver(known, "cluster.local", [])
    assert (await asked(resolver, "lost.cluster.local")).header.rcode == RCODE.NXDOMAIN
    assert (await asked(resolver, "ring.cluster.local")).header.rcode == RCODE.SERVFAIL


async def test_without_servers_to_ask_the_failure_is_said():
    reply = await asked(Resolver(known, "cluster.local", []), "example.org")
    assert reply.header.rcode == RCODE.SERVFAIL


async def test_queries_over_a_real_socket():
    loop = asyncio.get_running_loop()
    async with asyncio.TaskGroup() as tasks:
        resolver = Resolver(known, "cluster.local", [])
        here, _ = await loop.create_datagram_endpoint(lambda: UDPServer(resolver, tasks), local_addr=("127.0.0.1", 0))
        host, port = here.get_extra_info("sockname")
        reply = await asyncio.to_thread(DNSRecord.question("x.cluster.local").send, host, port, timeout=5)
        assert DNSRecord.parse(reply).header.rcode == RCODE.NXDOMAIN
        here.close()
