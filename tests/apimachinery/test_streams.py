"""Stream framing: channels, SPDY frames in whatever pieces they arrive, the pairing of port-forward's streams."""

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apimachinery.streams import channels, portforward, spdy


def test_messages_carry_channel_and_data() -> None:
    assert channels.encode(channels.STDOUT, b"hi") == b"\x01hi"
    assert channels.decode(b"\x00ls\n") == (channels.STDIN, b"ls\n")
    assert channels.decode(channels.close(channels.STDIN)).closes == channels.STDIN
    assert channels.decode(b"\x01\x00").closes is None
    with pytest.raises(ValueError, match="without a channel"):
        channels.decode(b"")


def test_the_newest_protocol_both_know_is_chosen() -> None:
    assert channels.choose(["v4.channel.k8s.io", "v5.channel.k8s.io"]) == channels.V5
    assert channels.choose(["v4.channel.k8s.io", "base64.channel.k8s.io"]) == channels.V4
    assert channels.choose(["channel.k8s.io"]) is None


def test_exit_codes_travel_in_a_status() -> None:
    assert channels.exit_status(0)["status"] == "Success"
    assert channels.exit_status(3)["message"] == "command terminated with non-zero exit code: exit status 3"
    assert [channels.exit_code(channels.exit_status(code)) for code in (0, 3, 137)] == [0, 3, 137]
    assert channels.exit_code(channels.failure_status("no such container")) is None


def test_sizes() -> None:
    assert channels.decode_resize(b'{"Width":80,"Height":24}') == (80, 24)
    assert channels.decode_resize(channels.encode_resize(1, 2)) == (1, 2)
    for wrong in (b"[]", b"{", b'{"Width":"a","Height":1}', b'{"Width":-1,"Height":1}'):
        with pytest.raises(ValueError):
            channels.decode_resize(wrong)


def test_the_header_dictionary_is_the_specified_one() -> None:
    assert len(spdy.DICTIONARY) == 1423
    assert zlib.adler32(spdy.DICTIONARY) == 0xE3C6A7C2


HEADERS = {"streamType": "error", "port": "80", "requestID": "0"}
LOWER = {"streamtype": "error", "port": "80", "requestid": "0"}


@given(st.lists(st.integers(1, 40), min_size=1))
def test_frames_are_understood_in_whatever_pieces_they_come(sizes: list[int]) -> None:
    client, server = spdy.Connection(client=True), spdy.Connection(client=False)
    first, sent = client.open(HEADERS)
    second, more = client.open({"streamType": "data"}, fin=True)
    sent += more + client.data(first, b"hello world") + client.data(first, b"", fin=True)
    gone_away = spdy._control(spdy.GOAWAY, bytes((0, 0, 0, 2, 0, 0, 0, 0)))
    sent += client.ping(1) + client.reset(second) + gone_away + _settings()
    events: list[spdy.Event] = []
    while sent:
        size = sizes.pop() if sizes else 1000
        events += server.feed(sent[:size])
        sent = sent[size:]
    assert events[:2] == [spdy.Opened(1, LOWER, False), spdy.Opened(3, {"streamtype": "data"}, True)]
    parts = [each for each in events if isinstance(each, spdy.Data)]
    assert b"".join(part.data for part in parts) == b"hello world"
    assert [part.fin for part in parts] == [False] * (len(parts) - 1) + [True]
    assert events[-3:] == [spdy.Pinged(1), spdy.Reset(3, spdy.CANCEL), spdy.GoneAway(2)]


def _settings() -> bytes:
    return bytes.fromhex("8003000400000004") + b"\0\0\0\0"


def test_a_stream_is_answered() -> None:
    client, server = spdy.Connection(client=True), spdy.Connection(client=False)
    stream, sent = client.open(HEADERS)
    server.feed(sent)
    assert client.feed(server.reply(stream)) == [spdy.Replied(1, {}, False)]
    assert server.open({})[0] == 2
    assert client.is_ours(1)
    assert not server.is_ours(1)


@pytest.mark.parametrize(
    "sent",
    [b"\x80\x02\0\x01\0\0\0\0", b"\x80\x03\0\x03\0\0\0\x01\0", b"\x80\x03\0\x01\0\xff\0\0"],
)
def test_a_peer_that_breaks_the_protocol_is_told_so(sent: bytes) -> None:
    with pytest.raises(spdy.SpdyError):
        spdy.Connection(client=False).feed(sent)


def test_headers_that_unpack_to_too_much_are_refused() -> None:
    client, server = spdy.Connection(client=True), spdy.Connection(client=False)
    with pytest.raises(spdy.SpdyError, match="more than"):
        server.feed(client.open({"a": "x" * 100_000})[1])


def test_ports_and_their_channels() -> None:
    assert portforward.parse_ports(["80,90", "91"]) == [80, 90, 91]
    assert portforward.greeting([80, 8080]) == [b"\0P\0", b"\1P\0", b"\2\x90\x1f", b"\3\x90\x1f"]
    for wrong in ([], ["0"], ["a"], ["65536"], [""]):
        with pytest.raises(ValueError):
            portforward.parse_ports(wrong)


def test_streams_are_paired_by_request() -> None:
    pairs = portforward.Pairs()
    assert pairs.add(1, {"streamtype": "error", "port": "80", "requestid": "7"}) is None
    assert pairs.add(3, {"streamtype": "error", "port": "81"}) is None
    assert pairs.waiting == [1, 3]
    assert pairs.add(5, {"streamtype": "data", "port": "80", "requestid": "7"}) == portforward.Pair(80, 5, 1)
    assert pairs.add(5, {"streamtype": "data", "port": "81"}) == portforward.Pair(81, 5, 3)
    assert pairs.waiting == []


@pytest.mark.parametrize(
    "headers",
    [
        {"streamtype": "stdin", "port": "80"},
        {"streamtype": "data", "port": "x"},
        {"streamtype": "error", "port": "80", "requestid": "1"},
        {"streamtype": "data", "port": "81", "requestid": "1"},
    ],
)
def test_streams_that_make_no_pair_are_refused(headers: dict[str, str]) -> None:
    pairs = portforward.Pairs()
    pairs.add(1, {"streamtype": "error", "port": "80", "requestid": "1"})
    with pytest.raises(ValueError):
        pairs.add(3, headers)
    pairs.drop(1)
    assert pairs.waiting == []
