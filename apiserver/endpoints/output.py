"""From stored objects to the answer a client asked for.

Plain JSON of the stored version is passed through as bytes. Everything else (another API version, a Table, metadata
only) is made from the parsed object, one representation at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import orjson

from apimachinery import conversion
from apimachinery.errors import NotAcceptable
from apimachinery.meta import JSON
from apiserver.endpoints import tables
from apiserver.endpoints.negotiation import PLAIN, Representation
from apiserver.replies import Reply

if TYPE_CHECKING:
    from apiserver.resources import Resource
    from apiserver.storage import Entry, WatchEvent

Encode = Callable[["WatchEvent"], bytes]


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


def partial(obj: JSON, version: str) -> JSON:
    """PartialObjectMetadata of an object."""
    return {
        "kind": "PartialObjectMetadata",
        "apiVersion": f"meta.k8s.io/{version}",
        "metadata": obj.get("metadata") or {},
    }


def collection(resource: Resource, entries: Sequence[Entry], list_metadata: JSON, shape: Representation) -> Reply:
    """A list."""
    if shape.form == "Table":
        objects = [convert(resource, entry.parsed()) for entry in entries]
        document = tables.table(resource.kind, objects, shape, metadata=list_metadata)
        return Reply(orjson.dumps(document), content_type=shape.content_type)
    if shape.form == "PartialObjectMetadataList":
        document = {
            "kind": "PartialObjectMetadataList",
            "apiVersion": f"meta.k8s.io/{shape.version}",
            "metadata": list_metadata,
            "items": [partial(entry.parsed(), shape.version) for entry in entries],
        }
        return Reply(orjson.dumps(document), content_type=shape.content_type)
    if shape.form:
        raise NotAcceptable(f"the requested representation {shape.form} is for single objects")
    if resource.converted:
        bodies = [orjson.dumps(convert(resource, entry.parsed())) for entry in entries]
    else:
        bodies = [entry.body for entry in entries]
    return Reply(_joined(resource.list_head, list_metadata, bodies))


def _joined(list_head: bytes, list_metadata: JSON, bodies: list[bytes]) -> list[bytes]:
    """The pieces of a list document; nothing is parsed or copied."""
    pieces = [list_head, b'"metadata":', orjson.dumps(list_metadata), b',"items":[']
    if bodies:
        separated = [b","] * (2 * len(bodies) - 1)
        separated[::2] = bodies
        pieces += separated
    pieces.append(b"]}")
    return pieces


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
