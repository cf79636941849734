"""Lists as bytes: the same document however its pieces are cut, joined once for those who ask for the same."""

import asyncio

import orjson
import pytest

from apimachinery import kinds
from apiserver.endpoints import output
from apiserver.endpoints.negotiation import PLAIN
from apiserver.replies import Pieces, _together
from apiserver.resources import Resource
from apiserver.storage import Entry, Page


def page_of(count: int) -> Page:
    return Page([Entry(f"/{index}", index, b'{"a":%d}' % index, {}, {}) for index in range(count)], 0)


async def listed(entries: Page) -> Pieces:
    reply = await output.collection(Resource(kinds.POD, kinds.POD.gvk, None), entries, {"resourceVersion": "7"}, PLAIN)
    assert isinstance(reply.body, Pieces)
    return reply.body


@pytest.mark.parametrize("count", [0, 1, output.GROUP, output.GROUP + 1, 3 * output.GROUP])
@pytest.mark.parametrize("shared", [False, True])
async def test_a_list_is_one_document_of_the_length_that_was_said(count, shared):
    entries = page_of(count)
    entries.shared = shared
    body = await listed(entries)
    document = b"".join(body.make())
    assert len(document) == body.length
    assert [item["a"] for item in orjson.loads(document)["items"]] == list(range(count))


async def test_what_is_asked_for_again_is_joined_once_and_given_back_after_a_moment(monkeypatch):
    monkeypatch.setattr(output, "JOINED_SECONDS", 0.0)
    entries = page_of(2)
    await listed(entries)
    assert entries.joined is None, "one client's list is not kept"
    entries.shared = True
    body = await listed(entries)
    joined = entries.joined
    await listed(entries)
    assert entries.joined is joined is not None
    later = asyncio.Event()
    asyncio.get_running_loop().call_later(0.0, later.set)
    await later.wait()
    assert entries.joined is None
    assert len(b"".join(body.make())) == body.length, "who is reading it still can"


def test_small_pieces_are_written_with_what_follows_them():
    small, large = b"s", b"L" * (64 * 1024)
    assert list(_together([small, large, large, small])) == [small + large, large, small]
