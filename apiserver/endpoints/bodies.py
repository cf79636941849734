"""Request bodies: read within a limit, decoded from JSON or YAML, checked to be the kind that the path names.

Unknown and duplicate fields follow `fieldValidation`: Strict refuses them all at once, Warn (the default) lists them in
Warning headers, Ignore drops them. What is unknown is never stored.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Iterator
from typing import Any, Final

import orjson
import yaml
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from apimachinery import errors, kinds, protobuf, schemas, yamls
from apimachinery.kinds import GVK
from apimachinery.meta import JSON
from apiserver.registry.strategy import Context
from apiserver.request import Call

LIMIT_BYTES: Final = 3 * 1024 * 1024
YAML_ALIASES: Final = 64
_YAML_ON_LOOP_BYTES: Final = 32 * 1024
_JSON_TYPES: Final = frozenset({"application/json", "text/json"})
_YAML_TYPES: Final = frozenset({"application/yaml", "application/x-yaml", "text/yaml"})
JSON_NAMES: Final[dict[type, str]] = {
    dict: "object", list: "array", str: "string", int: "number", float: "number", bool: "bool",
}  # fmt: skip
_VALIDATIONS: Final = ("Ignore", "Warn", "Strict")
_ALIAS = re.compile(rb"(?<=[\s\[{,:-])\*\w")


async def read(call: Call) -> bytes:
    """The raw body; RequestEntityTooLarge beyond 3 MiB."""
    if "Expect" in call.request.headers and call.request.transport is not None:
        call.request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    try:
        return await call.request.read()
    except web.HTTPRequestEntityTooLarge as error:
        raise errors.RequestEntityTooLarge(f"Request entity too large: limit is {LIMIT_BYTES}") from error
    except (HttpProcessingError, web.RequestPayloadError) as error:
        raise errors.BadRequest(f"the request body could not be read: {error}") from error


def media_type(call: Call) -> str:
    """The Content-Type without parameters, "" if not given."""
    value = call.request.headers.get("Content-Type", "")
    return value.partition(";")[0].strip().lower()


async def decode(call: Call, raw: bytes, media: str = "") -> Any:
    """The document of a body, of whatever type."""
    media = media or media_type(call) or "application/json"
    if media in _JSON_TYPES:
        return _from_json(raw)
    if media in _YAML_TYPES:
        if len(raw) > _YAML_ON_LOOP_BYTES:
            return await asyncio.to_thread(_from_yaml, raw)
        return _from_yaml(raw)
    if media == protobuf.MEDIA_TYPE:
        return protobuf.decode(raw)
    raise errors.UnsupportedMediaType(
        "the body of the request was in an unknown format - accepted media types include: "
        "application/json, application/yaml, application/vnd.kubernetes.protobuf"
    )


def _from_json(raw: bytes) -> Any:
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise errors.BadRequest(
            f"the object provided is unrecognized: couldn't get version/kind; json parse error: {error}"
        ) from error


def syntax_error(raw: bytes, error: orjson.JSONDecodeError) -> str:
    """What is wrong with JSON, in the words of Go's decoder."""
    text = raw.decode(errors="replace")
    rest = text[error.pos :].lstrip()
    if not rest:
        return "unexpected end of JSON input"
    wanted = "object key string" if text[: error.pos].rstrip().endswith("{") else "value"
    return f"invalid character '{rest[0]}' looking for beginning of {wanted}"


def _from_yaml(raw: bytes) -> Any:
    if len(_ALIAS.findall(raw)) > YAML_ALIASES:
        raise errors.BadRequest("error converting YAML to JSON: yaml: document contains excessive aliasing")
    try:
        return yamls.load(raw)
    except (yaml.YAMLError, ValueError) as error:
        raise errors.BadRequest(f"error converting YAML to JSON: yaml: {error}") from error


async def read_object(call: Call, gvk: GVK, ctx: Context | None = None) -> JSON:
    """The object of a create or an update, of the kind expected, without nulls and unknown fields.

    `ctx` is told if the schema finds nothing wrong with it.
    """
    raw = await read(call)
    if not raw:
        raise errors.BadRequest(f"the object provided is unrecognized (must be of type {gvk.kind}): empty body")
    obj = await decode(call, raw)
    obj = checked_kind(obj, gvk)
    clean = inspector(call, gvk, raw)(obj)
    if ctx is not None:
        ctx.checked = clean
    return obj


def checked_kind(obj: Any, gvk: GVK) -> JSON:
    """The object if it is of that kind (or does not say); its metadata is a dict afterwards."""
    if not isinstance(obj, dict):
        raise errors.BadRequest(
            f"the object provided is unrecognized (must be of type {gvk.kind}): couldn't get version/kind; "
            "json parse error: not an object"
        )
    version, kind = obj.get("apiVersion") or gvk.api_version, obj.get("kind") or gvk.kind
    if kind != gvk.kind:
        raise errors.BadRequest(
            f'{kind} in version "{str(version).rpartition("/")[2]}" cannot be handled as a {gvk.kind}: '
            + _why_other(str(version), str(kind), gvk)
        )
    if version != gvk.api_version:
        raise errors.BadRequest(
            f"the API version in the data ({version}) does not match the expected API version ({gvk.api_version})"
        )
    metadata = obj.get("metadata")
    if metadata is None:
        metadata = {}
    if not isinstance(metadata, dict):
        raise errors.BadRequest(
            f'{kind} in version "{gvk.version}" cannot be handled as a {kind}: metadata is no object'
        )
    checked: JSON = {"apiVersion": version, "kind": kind, "metadata": metadata}
    for key, value in obj.items():
        if key not in checked:
            checked[key] = value
    return checked


def _why_other(version: str, kind: str, gvk: GVK) -> str:
    """Is the kind another one, or unknown?"""
    given = GVK.of(version, kind)
    try:
        kinds.by_gvk(given)
    except KeyError:
        return f'no kind "{kind}" is registered for version "{version}"'
    return f"converting ({given.version}.{kind}) to ({gvk.group or 'core'}.{gvk.kind}): unknown conversion"


def inspector(call: Call, gvk: GVK, raw: bytes = b"") -> Callable[[JSON], bool]:
    """A check of an object's fields by this call's `fieldValidation`; drops nulls and what is unknown.

    It answers whether the schema found nothing wrong from the start.
    """
    validation = call.query.get("fieldValidation") or "Warn"
    if validation not in _VALIDATIONS:
        text = f'fieldValidation: Unsupported value: "{validation}": supported values: "Ignore", "Strict", "Warn"'
        raise errors.BadRequest(text)

    def inspect(obj: JSON) -> bool:
        faults = [f'duplicate field "{path}"' for path in _duplicates(raw, obj)] if validation != "Ignore" else []
        clean = schemas.quick(gvk, obj)
        if not clean:
            report = schemas.examine(gvk, obj)
            faults += [f'unknown field "{path}"' for path in report.unknown]
            if report.unknown or report.nulls:
                schemas.prune(gvk, obj)
        if faults and validation == "Strict":
            raise schemas.strict_error(gvk, faults)
        if faults and validation == "Warn":
            call.warnings += faults
        return clean

    return inspect


class _Pairs(list[tuple[str, Any]]):
    """A JSON object with all its members, also those of one name."""


def _duplicates(raw: bytes, obj: JSON) -> list[str]:
    """Paths of keys that stand twice in one JSON object.

    The decoder keeps the last and does not tell, so the keys are counted: only if the body has more of them than the
    object is it decoded again, slowly.
    """
    if not raw or raw[:1] != b"{" or raw.count(b'":') <= orjson.dumps(obj).count(b'":'):
        return []
    try:
        return list(_repeated(json.loads(raw, object_pairs_hook=_Pairs), ""))
    except (ValueError, RecursionError):
        return []


def _repeated(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, _Pairs):
        seen: set[str] = set()
        for key, each in value:
            below = f"{path}.{key}" if path else key
            if key in seen:
                yield below
            seen.add(key)
            yield from _repeated(each, below)
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from _repeated(each, f"{path}[{index}]")
