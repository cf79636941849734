"""Manifests: read from files, directories and stdin, split into documents, each remembered with where it came from.

Reading stops at nothing: what is wrong is collected as Problems, so that a user sees all of it at once, before anything
is sent.
"""

import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from apimachinery import yamls

JSON = dict[str, Any]

SUFFIXES: Final = (".json", ".yaml", ".yml")
DOCUMENT_MAX_BYTES: Final = 3 << 20  # what the API server takes
_SEPARATOR: Final = re.compile(r"^---(?:[ \t].*)?$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, and where: file, document (from 1), field path."""

    source: str
    document: int
    field: str
    text: str

    def __str__(self) -> str:
        place = f"{self.source}, document {self.document}" if self.document else self.source
        return f"{place}: {self.field}: {self.text}" if self.field else f"{place}: {self.text}"


@dataclass(frozen=True, slots=True)
class Manifest:
    """One object to be sent."""

    source: str
    document: int
    object: JSON

    def problem(self, field: str, text: str) -> Problem:
        return Problem(self.source, self.document, field, text)


class _Loader(yamls.Loader):
    """A key given twice is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if key.value in seen and key.tag != "tag:yaml.org,2002:merge":
                raise yaml.constructor.ConstructorError(
                    None, None, f'key "{key.value}" already set in map', key.start_mark
                )
            seen.add(key.value)
        found: dict[Any, Any] = super().construct_mapping(node, deep)
        return found


def read(
    paths: Sequence[str], *, recursive: bool = False, generated: bool = False
) -> tuple[list[Manifest], list[Problem]]:
    """Every object in the files, directories and stdin ("-") named, Lists taken apart.

    With `generated` an object may leave its name to the server (`generateName`).
    """
    manifests: list[Manifest] = []
    problems: list[Problem] = []
    for path in paths:
        for source, text in _texts(path, recursive, problems):
            for number, document in _documents(source, text, problems):
                manifests += _objects(Manifest(source, number, document), problems, generated)
    if not manifests and not problems:
        problems.append(Problem(", ".join(paths), 0, "", "no objects passed to apply"))
    return manifests, problems


def _texts(path: str, recursive: bool, problems: list[Problem]) -> Iterator[tuple[str, str]]:
    if path == "-":
        yield "stdin", sys.stdin.read()
        return
    place = Path(path)
    files = [place]
    if place.is_dir():
        entries = place.rglob("*") if recursive else place.iterdir()
        files = sorted(each for each in entries if each.suffix in SUFFIXES and each.is_file())
        if not files:
            problems.append(Problem(path, 0, "", f"no {', '.join(SUFFIXES)} file in this directory"))
    for file in files:
        try:
            yield str(file), file.read_text(encoding="utf-8-sig")
        except FileNotFoundError:
            problems.append(Problem(str(file), 0, "", "this path does not exist"))
        except OSError as error:
            problems.append(Problem(str(file), 0, "", f"can't be read: {error.strerror}"))
        except UnicodeDecodeError as error:
            problems.append(Problem(str(file), 0, "", f"not UTF-8 text (byte {error.start})"))


def _documents(source: str, text: str, problems: list[Problem]) -> Iterator[tuple[int, Any]]:
    line = 0
    for number, part in enumerate(_SEPARATOR.split(text), start=0 if _SEPARATOR.match(text) else 1):
        size = len(part.encode())
        if size > DOCUMENT_MAX_BYTES:
            megabytes = size / (1 << 20)
            problems.append(
                Problem(source, number, "", f"{megabytes:.1f} MiB: the API server takes no more than 3 MiB an object")
            )
        else:
            try:
                document = yamls.load(part, _Loader)
                if document is not None:
                    yield number, document
            except yaml.YAMLError as error:
                problems.append(Problem(source, number, "", f"not valid YAML: {_said(error, line)}"))
            except ValueError as error:
                problems.append(Problem(source, number, "", f"not valid YAML: {error}"))
        line += part.count("\n")


def _said(error: yaml.YAMLError, first_line: int) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
        mark = error.problem_mark
        return f"line {first_line + mark.line + 1}, column {mark.column + 1}: {error.problem or error.context}"
    return str(error).splitlines()[0]


def _objects(manifest: Manifest, problems: list[Problem], generated: bool) -> Iterator[Manifest]:
    """The object itself, or those of a List; only what can be sent at all."""
    obj = manifest.object
    if not isinstance(obj, dict):
        problems.append(manifest.problem("", f"an object is needed, this is a {_yaml_type(obj)}"))
        return
    for field in ("apiVersion", "kind"):
        if not isinstance(obj.get(field), str) or not obj[field]:
            problems.append(manifest.problem(field, "not set"))
            return
    if obj["kind"].endswith("List") and isinstance(obj.get("items"), list):
        for each in obj["items"]:
            yield from _objects(Manifest(manifest.source, manifest.document, each), problems, generated)
        return
    metadata = obj.get("metadata")
    names = metadata if isinstance(metadata, dict) else {}
    name = names.get("name") or (names.get("generateName") if generated else None)
    if not isinstance(name, str) or not name:
        problems.append(manifest.problem("metadata.name", f"Required value: every {obj['kind']} needs a name"))
        return
    yield manifest


def _yaml_type(value: Any) -> str:
    return {list: "list", str: "text", int: "number", float: "number", bool: "boolean"}.get(type(value), "value")
