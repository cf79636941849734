"""`explain`: the official description of a field. Custom resources have none here: see `kubectl explain`."""

import textwrap
from collections.abc import Iterator
from typing import Any, Final

import click

from apimachinery.definitions import SYNTAXES, definition, definitions
from apimachinery.kinds import GVK
from minikubectl import completing
from minikubectl.cli import cli
from minikubectl.session import Failed, Session, command

JSON = dict[str, Any]

_WIDTH: Final = 76
_RECURSION_MAX: Final = 20


@command(cli, "explain")
@click.argument("what", shell_complete=completing.resources)
@click.option("--recursive", is_flag=True, help="All fields of fields, without descriptions.")
@click.option("--api-version", default="", help="Of this version.")
async def explain(session: Session, what: str, recursive: bool, api_version: str) -> int:
    """Show what a type, or a field of it, means.

    \b
    minikubectl explain pod
    minikubectl explain deploy.spec.strategy
    """
    word, *path = what.split(".")
    try:
        kind = await session.catalog.find(word)
    except ValueError as error:
        raise Failed(str(error)) from error
    version = api_version.rpartition("/")[2] or kind.versions[0]
    gvk = GVK(kind.group, version, kind.kind)
    try:
        schema = definition(gvk)
    except KeyError:
        raise Failed(f"couldn't find resource for {gvk.api_version}, Kind={kind.kind}") from None
    lines = [f"GROUP:      {kind.group}"] if kind.group else []
    lines += [f"KIND:       {kind.kind}", f"VERSION:    {version}", ""]
    about = [schema.get("description", "")]
    for field in path:
        fields = (_inner(schema) or {}).get("properties") or {}
        if field not in fields:
            raise Failed(f'field "{field}" does not exist')
        schema = fields[field]
        about = [schema.get("description", "")]
        inner = _inner(schema)
        if inner and inner is not schema and inner.get("properties"):
            about.append(inner.get("description", ""))
    if path:
        lines += [f"FIELD: {path[-1]} <{type_name(schema)}>", "", ""]
    lines += ["DESCRIPTION:", *(line for each in about if each for line in _wrapped(each)), "    "]
    inner = _inner(schema)
    if inner and inner.get("properties"):
        lines += ["FIELDS:", *_fields(inner, recursive=recursive, depth=1)]
    click.echo("\n".join([*lines, ""]))
    return 0


def _wrapped(text: str, depth: int = 1) -> list[str]:
    return [
        " " * 4 + line
        for paragraph in text.split("\n")
        for line in textwrap.wrap(paragraph, _WIDTH, break_long_words=False, break_on_hyphens=False) or [""]
    ]


def _fields(schema: JSON, *, recursive: bool, depth: int, above: tuple[int, ...] = ()) -> Iterator[str]:
    for name, each in sorted(schema["properties"].items()):
        required = " -required-" if name in (schema.get("required") or ()) else ""
        yield f"{'  ' * depth}{name}\t<{type_name(each)}>{required}"
        inner = _inner(each)
        if not recursive:
            yield from [*_wrapped(_description(each)), ""]
        elif inner and inner.get("properties") and id(inner) not in above and depth < _RECURSION_MAX:
            yield from _fields(inner, recursive=True, depth=depth + 1, above=(*above, id(inner)))


def _name(schema: JSON) -> str:
    return str(schema.get("$ref") or "").rpartition("/")[2]


def _description(schema: JSON) -> str:
    return str(schema.get("description") or definitions().get(_name(schema), {}).get("description") or "")


def _inner(schema: JSON) -> JSON | None:
    """The object type that a field holds, alone, in a list or as a map's values."""
    while True:
        if name := _name(schema):
            return None if name in SYNTAXES else definitions()[name]
        more = schema.get("items") or schema.get("additionalProperties")
        if not isinstance(more, dict):
            return schema
        schema = more


def type_name(schema: JSON) -> str:
    """ "string", "[]Container", "map[string]Quantity"."""
    if name := _name(schema):
        own = definitions()[name]
        is_time = own.get("format") == "date-time" or name in SYNTAXES
        return "string" if own.get("format") == "date-time" and is_time else name.rpartition(".")[2]
    if "items" in schema:
        return f"[]{type_name(schema['items'])}"
    if isinstance(more := schema.get("additionalProperties"), dict):
        return f"map[string]{type_name(more)}"
    listed = schema.get("type") or "Object"
    return next(each for each in ([listed] if isinstance(listed, str) else listed) if each != "null")
