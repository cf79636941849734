"""Which representation a client wants: plain JSON, a Table, or metadata only.

Accept headers repeat, so each is worked out once. A media range's parameters `as`, `v` and `g` choose a transformation
(API concepts page, "Receiving resources as Tables"); protobuf is never chosen, clients offer JSON beside it.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

from apimachinery.errors import BadRequest, NotAcceptable
from apiserver.request import Call

_JSON_RANGES: Final = frozenset({"application/json", "application/*", "*/*", ""})
_TRANSFORMATIONS: Final = {
    "Table": ("v1", "v1beta1"),
    "PartialObjectMetadata": ("v1", "v1beta1"),
    "PartialObjectMetadataList": ("v1", "v1beta1"),
}
_INCLUDE: Final = frozenset({"", "None", "Metadata", "Object"})


class Representation(NamedTuple):
    """How objects are shown; equal representations share encoded watch events."""

    form: str = ""  # "" (as stored), "Table", "PartialObjectMetadata", "PartialObjectMetadataList"
    version: str = ""
    include: str = ""  # includeObject of a Table
    content_type: str = "application/json"


PLAIN: Final = Representation()
DISCOVERY_FORMS: Final = ("v2", "v2beta1")


class MediaRange(NamedTuple):
    """One alternative of an Accept header."""

    type: str
    parameters: dict[str, str]


@lru_cache(maxsize=512)
def accepted(header: str) -> tuple[MediaRange, ...]:
    """The alternatives of an Accept header, most wanted first (by q, then by order)."""
    found = []
    for part in header.split(","):
        pieces = [piece.strip() for piece in part.split(";")]
        parameters = dict(piece.split("=", 1) for piece in pieces[1:] if "=" in piece)
        try:
            quality = float(parameters.pop("q", "1"))
        except ValueError:
            quality = 1.0
        if quality > 0:
            found.append((-quality, MediaRange(pieces[0].lower(), parameters)))
    found.sort(key=lambda pair: pair[0])
    return tuple(each for _, each in found)


@lru_cache(maxsize=512)
def _negotiate(header: str) -> Representation | None:
    for media, parameters in accepted(header):
        if media not in _JSON_RANGES:
            continue
        form = parameters.get("as", "")
        if not form:
            return PLAIN
        version = parameters.get("v", "")
        group = parameters.get("g", "meta.k8s.io")
        if version in _TRANSFORMATIONS.get(form, ()) and group == "meta.k8s.io":
            return Representation(form, version, "", f"application/json;as={form};g=meta.k8s.io;v={version}")
    return None


def representation(call: Call) -> Representation:
    """What this call's answer looks like; NotAcceptable if nothing offered can be served."""
    header = call.request.headers.get("Accept")
    if header is None:
        return PLAIN
    chosen = _negotiate(header)
    if chosen is None:
        raise NotAcceptable(
            "only the following media types are accepted: application/json, "
            "application/json;as=Table;g=meta.k8s.io;v=v1, "
            "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1, "
            "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
        )
    if chosen.form == "Table":
        include = call.query.get("includeObject", "")
        if include not in _INCLUDE:
            raise BadRequest(
                f'Unable to convert to Table as requested: includeObject: Invalid value: "{include}": '
                "must be 'Metadata', 'Object', 'None', or empty"
            )
        chosen = chosen._replace(include=include or "Metadata")
    return chosen
