"""The official OpenAPI definitions, and the tree of types made of them.

They come from the kubernetes-validate package, so no kind is ever retyped by hand. The file is read when first needed
(10 ms); a `Type` is what patches, server-side apply and decoding have to know of a field: its shape, and how lists and
maps of it merge. A custom resource's schema makes the same tree (`type_of`).
"""

import importlib.util
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import orjson

from apimachinery.kinds import GVK

JSON = dict[str, Any]
RELEASE: Final = "v1.37.*-local"
_REFERENCE: Final = "#/$defs/"
_META: Final = "io.k8s.apimachinery.pkg."
# definitions that stand for a text or number of their own syntax
SYNTAXES: Final = {
    _META + "api.resource.Quantity": "quantity",
    _META + "util.intstr.IntOrString": "int-or-string",
}


@dataclass(slots=True)
class Type:
    """What is known of a field. Nodes are shared and may be recursive: read only."""

    type: str | None = None  # JSON's, None where anything goes
    format: str = ""  # int32, int64, double, byte, date-time, quantity, int-or-string
    name: str = ""  # as Go names it, for messages: "v1.Container"
    fields: dict[str, "Type"] = field(default_factory=dict)
    item: "Type | None" = None  # of a list's items, or of a map's values
    required: tuple[str, ...] = ()
    patch_strategy: str = ""  # "merge", "replace", "retainKeys", or two of them with a comma
    merge_key: str | None = None
    list_type: str | None = None  # "atomic", "set", "map"
    list_map_keys: tuple[str, ...] = ()
    map_type: str | None = None  # "atomic", "granular"
    preserves_unknown: bool = False


def definitions() -> dict[str, JSON]:
    """Every definition by name, as published: not to be changed."""
    return _published()[0]


def definition_name(gvk: GVK) -> str:
    """The definition's name. Raises KeyError for kinds that aren't official."""
    return _published()[1][gvk]


def definition(gvk: GVK) -> JSON:
    """The kind's own definition, references unresolved. Raises KeyError."""
    return definitions()[definition_name(gvk)]


def closure(names: Iterable[str]) -> dict[str, JSON]:
    """The named definitions and all that they refer to."""
    known = definitions()
    found: dict[str, JSON] = {}
    pending = list(names)
    while pending:
        name = pending.pop()
        if name not in found:
            found[name] = known[name]
            pending.extend(_references(known[name]))
    return found


@lru_cache(maxsize=256)
def typed(gvk: GVK) -> Type:
    """The type of a kind. Raises KeyError for kinds that aren't official."""
    return _named(definition_name(gvk))


def type_of(schema: JSON) -> Type:
    """The type that an OpenAPI schema describes: an official definition's, or a custom resource's."""
    reference = schema.get("$ref")
    base = _named(reference.removeprefix(_REFERENCE)) if reference else _filled(_bare(schema), schema)
    own = {
        attribute: schema[keyword]
        for keyword, attribute in (
            ("x-kubernetes-patch-strategy", "patch_strategy"),
            ("x-kubernetes-patch-merge-key", "merge_key"),
            ("x-kubernetes-list-type", "list_type"),
            ("x-kubernetes-map-type", "map_type"),
        )
        if keyword in schema
    }
    if "x-kubernetes-list-map-keys" in schema:
        own["list_map_keys"] = tuple(schema["x-kubernetes-list-map-keys"])
    return replace(base, **own) if own else base


_named_types: dict[str, Type] = {}


def _named(name: str) -> Type:
    """The type of a definition, made once: it is in the table before its fields are, so recursion ends."""
    if name in _named_types:
        return _named_types[name]
    schema = definitions()[name]
    node = _bare(schema)
    node.name = ".".join(name.rsplit(".", 2)[-2:])
    node.map_type = schema.get("x-kubernetes-map-type")
    if name in SYNTAXES:
        node.type, node.format = "string", SYNTAXES[name]
    _named_types[name] = node
    return _filled(node, schema)


def _bare(schema: JSON) -> Type:
    kinds = schema.get("type")
    listed = [kinds] if isinstance(kinds, str) else [each for each in kinds or () if each != "null"]
    return Type(
        type=listed[0] if listed else None,
        format="int-or-string" if schema.get("x-kubernetes-int-or-string") else schema.get("format", ""),
        required=tuple(schema.get("required") or ()),
        preserves_unknown=bool(schema.get("x-kubernetes-preserve-unknown-fields")),
    )


def _filled(node: Type, schema: JSON) -> Type:
    for name, each in (schema.get("properties") or {}).items():
        node.fields[name] = type_of(each)
    item = schema.get("items") or schema.get("additionalProperties")
    if isinstance(item, dict):
        node.item = type_of(item)
    return node


def _references(schema: Any) -> Iterable[str]:
    if isinstance(schema, dict):
        if isinstance(reference := schema.get("$ref"), str):
            yield reference.removeprefix(_REFERENCE)
        for each in schema.values():
            yield from _references(each)
    elif isinstance(schema, list):
        for each in schema:
            yield from _references(each)


@lru_cache(maxsize=1)
def _published() -> tuple[dict[str, JSON], dict[GVK, str]]:
    package = importlib.util.find_spec("kubernetes_validate")  # found, not imported: only its data is wanted
    if package is None or not package.submodule_search_locations:
        raise RuntimeError("the kubernetes-validate package, which carries the API's schemas, is not installed")
    folder = Path(package.submodule_search_locations[0]) / "kubernetes-json-schema"
    newest = sorted(folder.glob(RELEASE))[-1]
    known: dict[str, JSON] = orjson.loads((newest / "_definitions.json").read_bytes())["$defs"]
    names = {}
    for name, schema in known.items():
        stated: list[JSON] = schema.get("x-kubernetes-group-version-kind") or []
        if len(stated) == 1:  # several: options that every group has
            names[GVK(stated[0]["group"], stated[0]["version"], stated[0]["kind"])] = name
    return known, names
