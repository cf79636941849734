"""Objects on stdout: yaml, json, name, jsonpath and custom-columns."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import click
import yaml

from apimachinery import meta, yamls
from apimachinery.kinds import Kind
from minikubectl import jsonpath
from minikubectl.resources import shown
from minikubectl.session import Failed
from minikubectl.tables import cell_text, grid

JSON = dict[str, Any]

_TEXT: Final = "tag:yaml.org,2002:str"


class _Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]
    """Texts of several lines stay several lines; what YAML 1.1 or Go takes for no text gets double quotes."""

    yaml_implicit_resolvers = {
        first: resolvers
        for first, resolvers in yaml.SafeDumper.yaml_implicit_resolvers.items()
        if first not in ("=", "<")  # texts to Go
    }


def _text(dumper: Any, value: str) -> Any:
    style = None
    if "\n" in value and not any(line.endswith(" ") for line in value.split("\n")):
        style = "|"
    elif not yamls.is_text(value) or dumper.resolve(yaml.ScalarNode, value, (True, False)) != _TEXT:
        style = '"'
    return dumper.represent_scalar(_TEXT, value, style=style)


_Dumper.add_representer(str, _text)


def to_yaml(obj: Any) -> str:
    text = yaml.dump(obj, Dumper=_Dumper, default_flow_style=False, width=10**9, allow_unicode=True)
    return str(text).removesuffix("...\n")


def to_json(obj: Any) -> str:
    return json.dumps(obj, indent=4, sort_keys=True, ensure_ascii=False) + "\n"


def bare(obj: JSON) -> JSON:
    """The object without managedFields, which nobody wants to read."""
    if "managedFields" not in (obj.get("metadata") or {}):
        return obj
    kept = {key: value for key, value in obj["metadata"].items() if key != "managedFields"}
    return {**obj, "metadata": kept}


def as_list(objects: Sequence[JSON]) -> JSON:
    return {"apiVersion": "v1", "items": list(objects), "kind": "List", "metadata": {"resourceVersion": ""}}


def print_objects(found: Sequence[tuple[Kind, JSON]], form: str, *, single: bool = False) -> None:
    """Print objects in a form other than a table; `single`: one that was asked for by name. Raises Failed."""
    name, _, argument = form.partition("=")
    objects = [obj for _, obj in found]
    whole = objects[0] if single and len(objects) == 1 else as_list(objects)
    match name:
        case "yaml":
            click.echo(to_yaml(whole), nl=False)
        case "json":
            click.echo(to_json(whole), nl=False)
        case "name":
            for kind, obj in found:
                click.echo(shown(kind, meta.name(obj)))
        case "jsonpath" | "jsonpath-file" | "jsonpath-as-json":
            template = Path(argument).read_text() if name == "jsonpath-file" else argument
            try:
                if name == "jsonpath-as-json":
                    click.echo(to_json(jsonpath.find(template, whole)), nl=False)
                else:
                    click.echo(jsonpath.compile(template).render(whole), nl=False)
            except jsonpath.TemplateError as error:
                raise Failed(f"error parsing jsonpath {template}, {error}") from error
        case "custom-columns":
            columns = [column.partition(":") for column in argument.split(",")]
            rows = [[title for title, _, _ in columns]]
            rows += [[_column(path, obj) for _, _, path in columns] for obj in objects]
            for line in grid(rows):
                click.echo(line)
        case _:
            raise Failed(
                f'unable to match a printer suitable for the output format "{form}", allowed formats are: '
                "custom-columns,json,jsonpath,jsonpath-as-json,jsonpath-file,name,wide,yaml"
            )


def _column(path: str, obj: JSON) -> str:
    return ",".join(cell_text(each) for each in jsonpath.find(path, obj)) or "<none>"
