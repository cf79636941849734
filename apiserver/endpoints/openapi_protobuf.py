"""OpenAPI version 2 as protobuf, for clients that take nothing else.

kubectl validates what the server can't say of a document (a `List`) by these definitions, and reads them as the
protobuf form of gnostic's openapi.v2 only. The format is small: a message is numbered fields, each with its length.
What such clients read are the definitions, so the paths are left out.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import orjson

from apimachinery.meta import JSON

MEDIA_TYPE: Final = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"
CONTENT_TYPE: Final = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"

# Field numbers of gnostic's messages.
_SWAGGER, _INFO, _PATHS, _DEFINITIONS = 1, 2, 8, 9
_TITLE, _VERSION = 1, 2
_TEXTS: Final = {"$ref": 1, "format": 2, "description": 4}
_DEFAULT, _REQUIRED, _ENUM, _ADDITIONAL, _TYPE, _ITEMS, _PROPERTIES, _EXTENSION = 5, 19, 20, 21, 22, 23, 25, 31
_NAME, _VALUE, _YAML, _ONLY = 1, 2, 2, 1


def encode(document: JSON) -> bytes:
    """The version 2 document (as JSON) in protobuf."""
    info = _text(_TITLE, document["info"]["title"]) + _text(_VERSION, document["info"]["version"])
    return b"".join(
        (
            _text(_SWAGGER, document["swagger"]),
            _field(_INFO, info),
            _field(_PATHS, b""),
            _field(_DEFINITIONS, _named(document["definitions"])),
        )
    )


def _varint(number: int) -> bytes:
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)


def _field(number: int, content: bytes) -> bytes:
    """A field of the length-delimited wire type."""
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _text(number: int, text: str) -> bytes:
    return _field(number, text.encode())


def _any(value: Any) -> bytes:
    """A value of any type: as YAML, of which JSON is a part."""
    return _field(_YAML, orjson.dumps(value))


def _named(schemas: JSON) -> bytes:
    """Schemas by name: Definitions and Properties look the same."""
    return b"".join(_field(_ONLY, _text(_NAME, name) + _field(_VALUE, _schema(each))) for name, each in schemas.items())


def _schema(schema: JSON) -> bytes:
    return b"".join(_members(schema))


def _members(schema: JSON) -> Iterable[bytes]:
    for key, value in schema.items():
        if key in _TEXTS:
            yield _text(_TEXTS[key], value)
        elif key == "type":
            yield _field(_TYPE, _text(_ONLY, value))
        elif key == "properties":
            yield _field(_PROPERTIES, _named(value))
        elif key == "items":
            yield _field(_ITEMS, _field(_ONLY, _schema(value)))
        elif key == "additionalProperties" and isinstance(value, dict):
            yield _field(_ADDITIONAL, _field(_ONLY, _schema(value)))
        elif key == "required":
            yield from (_text(_REQUIRED, each) for each in value)
        elif key == "enum":
            yield from (_field(_ENUM, _any(each)) for each in value)
        elif key == "default":
            yield _field(_DEFAULT, _any(value))
        elif key.startswith("x-"):
            yield _field(_EXTENSION, _text(_NAME, key) + _field(_VALUE, _any(value)))
