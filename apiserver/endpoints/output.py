"""From stored objects to the answer a client asked for.

Plain JSON of the stored version is passed through as bytes. Everything else (another API version, a Table, metadata
only) is made from the parsed object, one representation at a time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Final

import orjson

from apimachinery import conversion
from apimachinery.errors import NotAcceptable
from apimachinery.meta import JSON
from apiserver.endpoints import tables
from apiserver.endpoints.negotiation import PLAIN, Representation
from apiserver.endpoints.tables import partial
from apiserver.replies import Pieces, Reply
from apiserver.storage import Entry, Page, WatchEvent

if TYPE_CHECKING:
    from apiserver.resources import Resource

Encode = Callable[[WatchEvent], bytes]
GROUP: Final = 64  # objects made into one piece of a list
JOINED_SECONDS: Final = 1.0
_TAIL: Final = b"]}"


def convert(resource: Resource, obj: JSON) -> JSON:
    """The object in the version the path names."""
    if not resource.converted:
        return obj
    converted: JSON = conversion.convert(obj, resource.gvk.api_version)
    return converted


def stored(resource: Resource, obj: JSON) -> JSON:
    """The object in the version it is stored in."""
    if not resource.converted:
        return obj
    assert resource.store is not None
    converted: JSON = conversion.convert(obj, resource.store.gvk.api_version)
    return converted


def single(resource: Resource, body: bytes, shape: Representation, *, status: int = 200) -> Reply:
    """One object."""
    if shape is PLAIN and not resource.converted:
        return Reply(body, status=status)
    return Reply(_shown(resource, body, shape), status=status, content_type=shape.content_type)


def _shown(resource: Resource, body: bytes, shape: Representation) -> bytes:
    obj = convert(resource, orjson.loads(body))
    if shape.form == "Table":
        return orjson.dumps(tables.table(resource.kind, [obj], shape, version=obj["metadata"].get("resourceVersion")))
    if shape.form == "PartialObjectMetadata":
        return orjson.dumps(partial(obj, shape.version))
    if shape.form:
        raise NotAcceptable(f"the requested representation {shape.form} is for lists")
    return orjson.dumps(obj)


async def collection(resource: Resource, entries: Sequence[Entry], list_metadata: JSON, shape: Representation) -> Reply:
    """A list. What has to be made of parsed objects is made a few at a time, and others run in between."""
    head, show = _list_form(resource, list_metadata, shape)
    if show is None:
        return Reply(_plain(head, entries), content_type=shape.content_type)
    items = []
    for start in range(0, len(entries), GROUP):
        if start:
            await asyncio.sleep(0)
        items += [show(entry) for entry in entries[start : start + GROUP]]
    return Reply(_document(head, items), content_type=shape.content_type)


def _plain(head: bytes, entries: Sequence[Entry]) -> Pieces:
    """The stored bytes. What is asked for again and again is kept joined for a moment: a herd of informers."""
    if not isinstance(entries, Page) or not entries.shared:
        return _document(head, [entry.body for entry in entries])
    if entries.joined is None:
        entries.joined = list(_joined([entry.body for entry in entries]))
        asyncio.get_running_loop().call_later(JOINED_SECONDS, entries.forget)
    groups = entries.joined
    return Pieces(len(head) + sum(map(len, groups)), lambda: (head, *groups))


def _document(head: bytes, items: list[bytes]) -> Pieces:
    length = len(head) + sum(map(len, items)) + max(0, len(items) - 1) + len(_TAIL)
    return Pieces(length, lambda: chain((head,), _joined(items)))


def _joined(items: list[bytes]) -> Iterator[bytes]:
    """All that follows the head, some objects at a time, joined only when it is their turn to be written."""
    items = [*items[:-1], items[-1] + _TAIL] if items else [_TAIL]
    for start in range(0, len(items), GROUP):
        group = items[start : start + GROUP]
        yield b",".join([b"", *group] if start else group)


def _list_form(
    resource: Resource, list_metadata: JSON, shape: Representation
) -> tuple[bytes, Callable[[Entry], bytes] | None]:
    """How a list begins, and how one of its items is made; None: it is the stored bytes."""
    if shape.form == "Table":
        row = tables.row_maker(resource.kind, shape)
        head = orjson.dumps(tables.head(resource.kind, shape, list_metadata))
        return head[:-1] + b',"rows":[', lambda entry: orjson.dumps(row(convert(resource, entry.parsed())))
    if shape.form == "PartialObjectMetadataList":
        api_version = f"meta.k8s.io/{shape.version}"
        head = orjson.dumps({"kind": shape.form, "apiVersion": api_version, "metadata": list_metadata})
        return head[:-1] + b',"items":[', lambda entry: orjson.dumps(partial(entry.parsed(), shape.version))
    if shape.form:
        raise NotAcceptable(f"the requested representation {shape.form} is for single objects")
    head = b'%b"metadata":%b,"items":[' % (resource.list_head, orjson.dumps(list_metadata))
    if resource.converted:
        return head, lambda entry: orjson.dumps(convert(resource, entry.parsed()))
    return head, None


def event_encoder(resource: Resource, shape: Representation, frame: Callable[[bytes], bytes]) -> Encode:
    """Watch events as framed lines; equal for all watchers of one representation."""

    def encode(event: WatchEvent) -> bytes:
        return frame(_event_line(event.type, _event_object(resource, event, shape)))

    return encode


def _event_object(resource: Resource, event: WatchEvent, shape: Representation) -> bytes:
    body: bytes = event.entry.body
    if shape is PLAIN and not resource.converted:
        return body
    if event.type == "BOOKMARK":
        return orjson.dumps(_bookmark(resource, orjson.loads(body), shape))
    obj = convert(resource, orjson.loads(body))
    if shape.form == "Table":
        columns = shape.content_type == ""  # see `with_columns`
        return orjson.dumps(tables.table(resource.kind, [obj], shape, columns=columns))
    if shape.form.startswith("PartialObjectMetadata"):
        return orjson.dumps(partial(obj, shape.version))
    return orjson.dumps(obj)


def _bookmark(resource: Resource, obj: JSON, shape: Representation) -> JSON:
    if shape.form == "Table":
        return tables.table(resource.kind, [], shape, metadata=obj["metadata"], columns=False)
    if shape.form:
        return partial(obj, shape.version)
    return {**obj, "apiVersion": resource.gvk.api_version, "kind": resource.gvk.kind}


def with_columns(shape: Representation) -> Representation:
    """The representation of a Table watch's first event, which carries the column definitions."""
    return shape._replace(content_type="")


def _event_line(type_: str, body: bytes) -> bytes:
    return b'{"type":"%b","object":%b}\n' % (type_.encode(), body)
