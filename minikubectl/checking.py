"""Manifests against the official schemas, before anything is sent: every fault, with its field path.

The API server's decoder stops at the first wrong type; a user would rather see them all, with the field that was
probably meant.
"""

import difflib
from collections.abc import Iterator
from typing import Any, Final

from apimachinery import quantity
from apimachinery.definitions import Type, typed
from apimachinery.kinds import GVK
from minikubectl.manifests import Manifest, Problem

JSON = dict[str, Any]

_PYTHON: Final[dict[str, tuple[type, ...]]] = {
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
    "object": (dict,),
    "array": (list,),
}
_NAMES: Final = {dict: "an object", list: "a list", str: "text", bool: "a boolean", int: "a number", float: "a number"}
_WANTED: Final = {
    "string": "text",
    "boolean": "true or false",
    "integer": "a whole number",
    "number": "a number",
    "object": "an object",
    "array": "a list",
}


def check(manifest: Manifest) -> list[Problem]:
    """What the official schema finds wrong. Kinds without one (custom resources) are left to the server."""
    obj = manifest.object
    try:
        type_ = typed(GVK.of(obj["apiVersion"], obj["kind"]))
    except KeyError:
        return []
    return [manifest.problem(path, text) for path, text in _faults(type_, obj, "")]


def _faults(type_: Type, value: Any, path: str) -> Iterator[tuple[str, str]]:
    if value is None or type_.type is None:
        return
    wrong = _wrong_type(type_, value)
    if wrong:
        yield path, wrong
    elif isinstance(value, dict):
        yield from _object_faults(type_, value, path)
    elif isinstance(value, list) and type_.item is not None:
        for index, each in enumerate(value):
            yield from _faults(type_.item, each, f"{path}[{index}]")


def _object_faults(type_: Type, value: JSON, path: str) -> Iterator[tuple[str, str]]:
    prefix = f"{path}." if path else ""
    for key, each in value.items():
        if not isinstance(key, str):
            yield path, f"the key {key} must be text: put it in quotes"
        elif key in type_.fields:
            yield from _faults(type_.fields[key], each, prefix + key)
        elif type_.fields and not type_.preserves_unknown:
            close = difflib.get_close_matches(key, type_.fields, n=1)
            yield prefix + key, "unknown field" + (f' (did you mean "{close[0]}"?)' if close else "")
        elif type_.item is not None:
            yield from _faults(type_.item, each, prefix + key)
    if path.partition(".")[0] != "status":
        for key in type_.required:
            if value.get(key) is None:
                yield prefix + key, "Required value"


def _wrong_type(type_: Type, value: Any) -> str:
    given = _NAMES.get(type(value), "a value")
    if type_.format == "int-or-string":
        right = isinstance(value, (str, int)) and not isinstance(value, bool)
        return "" if right else f"text or a whole number expected, got {given}"
    if type_.format == "quantity":
        try:
            quantity.parse(value)
        except (ValueError, TypeError):
            return f"a quantity such as 500m or 1Gi expected, got {value!r}"
        return ""
    allowed = _PYTHON[type_.type or "object"]
    if isinstance(value, allowed) and (not isinstance(value, bool) or type_.type == "boolean"):
        return ""
    hint = ": put it in quotes" if type_.type == "string" and isinstance(value, (bool, int, float)) else ""
    return f"{_WANTED[type_.type or 'object']} expected, got {given} ({value!r}){hint}"[:200]
