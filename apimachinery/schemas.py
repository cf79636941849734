"""Is an object what its kind's schema says? Most are, so that answer comes in about a microsecond.

`quick` asks one compiled validator that is strict in everything: nothing unknown, nothing null, nothing missing,
nothing of the wrong type. Only where it says no does `examine` walk the object beside its type tree to find out what to
say about it, in the API's words: wrong types make the body undecodable (400), what is missing is a field error (422),
what is unknown is a warning or an error as the request wishes, and dropped (`prune`).
"""

import base64
import binascii
import copy
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

import jsonschema_rs

from apimachinery import meta, quantity
from apimachinery.definitions import SYNTAXES, Type, closure, definition_name, typed
from apimachinery.errors import BadRequest
from apimachinery.field import FieldError, required
from apimachinery.kinds import GVK

JSON = dict[str, Any]
_JSON_TYPES: Final = {str: "string", bool: "bool", int: "number", float: "number", dict: "object", list: "array"}
_PYTHON_TYPES: Final[dict[str, tuple[type, ...]]] = {
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
    "object": (dict,),
    "array": (list,),
}
_GO_TYPES: Final = {"boolean": "bool", "string": "string", "number": "float64"}
_ZEROS: Final[JSON] = {"string": "", "boolean": False, "integer": 0, "number": 0, "object": {}, "array": []}
_INT32: Final = (-(2**31), 2**31 - 1)
_BASE64: Final = r"^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"
_RFC3339: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")  # of all that ISO 8601 allows
_QUANTITY: Final = r"^[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]{1,9})?$"


@dataclass(slots=True)
class Report:
    """What is to be said of one object."""

    unknown: list[str] = field(default_factory=list)  # fields that the kind hasn't: "spec.containers[0].foo"
    missing: list[FieldError] = field(default_factory=list)  # required fields, outside status
    nulls: bool = False  # fields that are there and null, which is as if they weren't


def quick(gvk: GVK, obj: JSON) -> bool:
    """True: all is well, there is nothing to examine and nothing to prune. Raises KeyError for unofficial kinds."""
    return _validator(gvk).is_valid(obj)


def examine(gvk: GVK, obj: JSON) -> Report:
    """The full account. Raises BadRequest where the object can't be decoded as its kind at all."""
    report = Report()
    if not quick(gvk, obj):
        try:
            _Walk(report).visit(typed(gvk), obj, "", ("", ""))
        except _Undecodable as wrong:
            raise decode_error(gvk, str(wrong)) from None
    return report


def validate(gvk: GVK, obj: JSON) -> list[FieldError]:
    """Required fields that are missing. Raises BadRequest for wrong types."""
    return examine(gvk, obj).missing


def prune(gvk: GVK, obj: JSON) -> None:
    """Drop fields that are unknown or null, in place: what decoding into a struct would not have kept."""
    _prune(typed(gvk), obj)


def decode_error(gvk: GVK, why: str) -> BadRequest:
    return BadRequest(f'{gvk.kind} in version "{gvk.version}" cannot be handled as a {gvk.kind}: {why}')


def strict_error(gvk: GVK, problems: Iterable[str]) -> BadRequest:
    """For fieldValidation=Strict; problems such as 'unknown field "spec.foo"'."""
    return decode_error(gvk, f"strict decoding error: {', '.join(problems)}")


class _Undecodable(Exception):
    """The first value that isn't of its field's type; decoding stops there."""


class _Walk:
    """One pass over an object and its type side by side."""

    def __init__(self, report: Report) -> None:
        self.report = report

    def visit(self, node: Type, value: Any, path: str, place: tuple[str, str]) -> None:
        """`path` has indices (spec.containers[0]); `place` is the Go struct and path, without, that decoders name."""
        if value is None or node.type is None:
            return
        if node.format == "int-or-string":
            allowed: tuple[type, ...] = (str, int)
        elif node.format == "quantity":
            allowed = (str, int, float)
        else:
            allowed = _PYTHON_TYPES[node.type]
        if not isinstance(value, allowed) or (isinstance(value, bool) and node.type != "boolean"):
            raise _mismatch(node, _JSON_TYPES[type(value)], place)
        if isinstance(value, dict):
            self._object(node, value, path, place)
        elif isinstance(value, list):
            item = node.item or _ANYTHING
            for index, each in enumerate(value):
                if each is None and item.type is not None:
                    self.report.nulls = True
                    each = _ZEROS[item.type]
                self.visit(item, each, f"{path}[{index}]", place)
        elif node.format:
            _check_format(node, value, place)

    def _object(self, node: Type, value: JSON, path: str, place: tuple[str, str]) -> None:
        prefix, trail = f"{path}." if path else "", f"{place[1]}." if place[1] else ""
        if node.fields:
            struct = node.name.rpartition(".")[2] or place[0]
            for key, each in value.items():
                known = node.fields.get(key)
                if known is not None:
                    self.visit(known, each, prefix + key, (struct, trail + key))
                    self.report.nulls |= each is None
                elif not node.preserves_unknown:
                    self.report.unknown.append(prefix + key)
        elif node.item is not None:
            for key, each in value.items():
                self.visit(node.item, each, prefix + key, place)
                self.report.nulls |= each is None
        if not path.startswith("status"):
            for key in node.required:
                if value.get(key) is None:
                    self.report.missing.append(required(prefix + key))


_ANYTHING: Final = Type()


def _mismatch(node: Type, given: str, place: tuple[str, str]) -> _Undecodable:
    if node.format in ("date-time", "int-or-string"):
        return _Undecodable(f"json: cannot unmarshal {given} into Go value of type string")
    return _Undecodable(
        f"json: cannot unmarshal {given} into Go struct field {place[0]}.{place[1]} of type {_go_type(node)}"
    )


def _go_type(node: Type) -> str:
    if node.type == "array":
        return f"[]{_go_type(node.item or _ANYTHING)}"
    if node.type == "object" and not node.fields and node.item is not None:
        return f"map[string]{_go_type(node.item)}"
    if node.type == "integer":
        return node.format or "int64"
    return node.name or _GO_TYPES.get(node.type or "", "interface {}")


def _check_format(node: Type, value: Any, place: tuple[str, str]) -> None:
    match node.format:
        case "int32" if not _INT32[0] <= value <= _INT32[1]:
            raise _mismatch(node, f"number {value}", place)
        case "quantity":
            try:
                quantity.parse(value)
            except ValueError as wrong:
                raise _Undecodable(str(wrong)) from None
        case "date-time":
            try:
                meta.parse_time(value if _RFC3339.fullmatch(value) else "")
            except ValueError:
                layout = "2006-01-02T15:04:05Z07:00"
                raise _Undecodable(f'parsing time "{value}" as "{layout}": cannot parse "{value}" as "2006"') from None
        case "byte":
            try:
                base64.b64decode(value.replace("\n", "").replace("\r", ""), validate=True)
            except (binascii.Error, ValueError):
                first = re.match(r"[A-Za-z0-9+/]*", value)
                raise _Undecodable(f"illegal base64 data at input byte {first.end() if first else 0}") from None


def _prune(node: Type, value: Any) -> None:
    if isinstance(value, dict) and node.fields:
        for key in [key for key, each in value.items() if each is None or key not in node.fields]:
            if value[key] is None or not node.preserves_unknown:
                del value[key]
        for key, each in value.items():
            if isinstance(each, dict | list) and (known := node.fields.get(key)) is not None:
                _prune(known, each)
    elif node.item is not None and node.item.type is not None:
        places = value.items() if isinstance(value, dict) else enumerate(value)
        for place, each in list(places):
            if each is None:  # an element stays, as what null decodes to
                each = value[place] = copy.copy(_ZEROS[node.item.type])
            if isinstance(each, dict | list):
                _prune(node.item, each)


@lru_cache(maxsize=256)
def _validator(gvk: GVK) -> jsonschema_rs.Draft7Validator:
    """Compiled when a kind is first met: 1–3 ms and under 1 MB for those that hold a pod template."""
    name = definition_name(gvk)
    strict = {each: _strict(each, schema) for each, schema in closure([name]).items()}
    return jsonschema_rs.Draft7Validator(
        {"$ref": f"#/$defs/{name}", "$defs": strict},
        validate_formats=True,
        pattern_options=jsonschema_rs.RegexOptions(),  # time linear in the text, whatever it is
    )


def _strict(name: str, schema: JSON) -> JSON:
    """The definition as `quick` wants it: closed, without nulls, with the syntax of what Go decodes by itself."""
    match SYNTAXES.get(name):
        case "quantity":
            return {"type": ["string", "number"], "pattern": _QUANTITY}
        case "int-or-string":
            return {"type": ["string", "integer"]}
    return _closed(schema)


def _closed(schema: JSON) -> JSON:
    if "$ref" in schema:
        return {"$ref": schema["$ref"]}
    node: JSON = {}
    if "type" in schema:
        listed = [schema["type"]] if isinstance(schema["type"], str) else schema["type"]
        node["type"] = [each for each in listed if each != "null"]
    if "properties" in schema:
        node["properties"] = {key: _closed(each) for key, each in schema["properties"].items()}
        node["additionalProperties"] = False
    for keyword in ("items", "additionalProperties"):
        if isinstance(schema.get(keyword), dict):
            node[keyword] = _closed(schema[keyword])
    if "required" in schema:
        node["required"] = schema["required"]
    match schema.get("format"):
        case "int32":
            node["minimum"], node["maximum"] = _INT32
        case "byte":
            node["pattern"] = _BASE64
        case "date-time":
            node["format"] = "date-time"
    return node
