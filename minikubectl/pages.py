"""Pages of `Name:  value` lines, values aligned within each block, blocks indented below their title."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from minikubectl.tables import cell_text, grid

JSON = dict[str, Any]

_ACRONYMS: Final = {
    "Api": "API",
    "Cidr": "CIDR",
    "Cidrs": "CIDRs",
    "Id": "ID",
    "Ip": "IP",
    "Uid": "UID",
    "Url": "URL",
}
NONE: Final = "<none>"


@dataclass(slots=True)
class Page:
    """Lines at a depth; a block's own lines are aligned when it is written out."""

    lines: list[str] = field(default_factory=list)

    def block(self, pairs: Sequence[tuple[str, str]], *, depth: int = 0) -> None:
        """`Name:   value` with the values in one column; further lines of a value stand below its first."""
        width = max((len(name) for name, _ in pairs), default=0) + 3
        for name, value in pairs:
            first, *rest = value.split("\n") if value else [""]
            self.add(f"{name}:".ljust(width) + first if first else f"{name}:", depth=depth)
            for line in rest:
                self.add(" " * width + line, depth=depth)

    def add(self, line: str, *, depth: int = 0) -> None:
        self.lines.append(f"{'  ' * depth}{line}".rstrip())

    def table(self, title: str, rows: Sequence[Sequence[str]], *, depth: int = 0) -> None:
        """A titled table, <none> without rows beyond the headers."""
        if len(rows) < 2:
            self.add(f"{title}:  {NONE}", depth=depth)
            return
        self.add(f"{title}:", depth=depth)
        underlined = [rows[0], ["-" * len(cell) for cell in rows[0]], *rows[1:]]
        for line in grid(underlined):
            self.add(line, depth=depth + 1)

    def fields(self, value: Mapping[str, Any], *, depth: int = 0) -> None:
        """Any object's fields, by name: scalars in one column, the rest as blocks."""
        width = (
            max((len(words(key)) for key, each in value.items() if not isinstance(each, (dict, list))), default=0) + 3
        )
        for key in sorted(value):
            each, title = value[key], words(key)
            if isinstance(each, dict) and each:
                self.add(f"{title}:", depth=depth)
                self.fields(each, depth=depth + 1)
            elif isinstance(each, list) and each:
                self.add(f"{title}:", depth=depth)
                for item in each:
                    if isinstance(item, dict):
                        self.fields(item, depth=depth + 1)
                    else:
                        self.add(cell_text(item), depth=depth + 1)
            elif not isinstance(each, (dict, list)):
                self.add(f"{title}:".ljust(width) + cell_text(each), depth=depth)

    def text(self) -> str:
        return "\n".join(self.lines) + "\n"


def words(key: str) -> str:
    """ "hostIP" is "Host IP", "creationTimestamp" "Creation Timestamp"; what isn't a field's name stays."""
    if not re.fullmatch(r"[a-z][A-Za-z0-9]*", key):
        return key
    parts = re.findall(r"[A-Z]{2,}s?(?![a-z])|[A-Z]?[a-z0-9]+|[A-Z]", key[0].upper() + key[1:])
    return " ".join(_ACRONYMS.get(part, part) for part in parts)


def mapping(value: Mapping[str, Any] | None, separator: str = "=") -> str:
    """Labels and the like, one a line; without the copy of the manifest that apply keeps."""
    kept = [key for key in sorted(value or ()) if not key.endswith("/last-applied-configuration")]
    return "\n".join(f"{key}{separator}{value[key]}" for key in kept) if value and kept else NONE
