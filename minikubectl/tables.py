"""Tables as the server sends them (meta.k8s.io Table) laid out as kubectl lays them out."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import click

JSON = dict[str, Any]

ACCEPT: Final = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
_PADDING: Final = 3
_MIN_WIDTH: Final = 6
_JUDGED: Final = ("STATUS", "TYPE")  # columns that say how something is
_WELL: Final = ("Running", "Ready", "Active", "Bound", "Available", "Succeeded", "Complete", "Completed")
_ON_THE_WAY: Final = ("Pending", "ContainerCreating", "PodInitializing", "Terminating", "Released", "Warning")
_ILL: Final = re.compile(r"Error|Err[A-Z]|BackOff|Failed|Evicted|NotReady|OOMKilled|Invalid|Lost|Unknown")


@dataclass(frozen=True, slots=True)
class Layout:
    """Which columns there are beyond those that every table shows."""

    wide: bool = False
    namespace: bool = False
    kind: str = ""  # "deployment.apps": names are shown with it
    labels: bool = False
    label_columns: tuple[str, ...] = ()


@dataclass(slots=True)
class Printer:
    """Lays out one table after another with columns that only ever get wider, so that a watch stays readable."""

    layout: Layout = Layout()
    headers: bool = True
    _columns: list[JSON] = field(default_factory=list)
    _widths: list[int] = field(default_factory=list)

    def lines(self, table: JSON) -> list[str]:
        """The lines of a table, or of the further rows of one; headers only once."""
        rows: list[list[str]] = []
        if table.get("columnDefinitions") and not self._columns:
            self._columns = table["columnDefinitions"]
            if self.headers:
                rows.append(self._header())
        rows += [self._cells(row) for row in table.get("rows") or ()]
        for row in rows:
            for index, cell in enumerate(row):
                if index >= len(self._widths):
                    self._widths.append(0)
                self._widths[index] = max(self._widths[index], len(cell))
        return [self._line(row) for row in rows]

    def show(self, table: JSON) -> None:
        """Print these lines."""
        for line in self.lines(table):
            click.echo(line)

    def _line(self, row: Sequence[str]) -> str:
        cells = padded(row, self._widths)
        for at, name in enumerate(self._header()):
            if at < len(row) and name in _JUDGED and (colour := _colour(row[at])):
                cells[at] = click.style(row[at], fg=colour) + " " * (len(cells[at]) - len(row[at]))
        return "".join(cells).rstrip()

    def _shown(self) -> list[int]:
        return [at for at, column in enumerate(self._columns) if self.layout.wide or not column.get("priority")]

    def _header(self) -> list[str]:
        names = [str(self._columns[at].get("shown") or self._columns[at]["name"].upper()) for at in self._shown()]
        space = ["NAMESPACE"] if self.layout.namespace else []
        labels = [key.rpartition("/")[2].upper() for key in self.layout.label_columns]
        return [*space, *names, *labels, *(["LABELS"] if self.layout.labels else [])]

    def _cells(self, row: JSON) -> list[str]:
        metadata = (row.get("object") or {}).get("metadata") or {}
        cells = row.get("cells") or []
        shown = [cell_text(cells[at]) for at in self._shown() if at < len(cells)]
        if self.layout.kind and shown:
            shown[0] = f"{self.layout.kind}/{shown[0]}"
        space = [metadata.get("namespace") or ""] if self.layout.namespace else []
        labels = metadata.get("labels") or {}
        picked = [str(labels.get(key, "")) for key in self.layout.label_columns]
        every = [",".join(f"{key}={labels[key]}" for key in sorted(labels)) or "<none>"] if self.layout.labels else []
        return [*space, *shown, *picked, *every]


def as_table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> JSON:
    """A table of our own, to be laid out as the server's are."""
    return {
        "columnDefinitions": [{"name": each, "shown": each} for each in headers],
        "rows": [{"cells": row} for row in rows],
    }


def cell_text(value: Any) -> str:
    """A cell as it is shown: one line."""
    if value is None:
        return "<none>"
    if isinstance(value, bool):
        return str(value).lower()
    return str(value).replace("\n", "\\n").replace("\r", "\\r")


def aligned(cells: Sequence[str], widths: Sequence[int], padding: int = _PADDING) -> str:
    """One line, without blanks at its end."""
    return "".join(padded(cells, widths, padding)).rstrip()


def padded(cells: Sequence[str], widths: Sequence[int], padding: int = _PADDING) -> list[str]:
    """Every cell but the last filled up to its column's width."""
    filled = [cell.ljust(max(width + padding, _MIN_WIDTH)) for cell, width in zip(cells[:-1], widths, strict=False)]
    return [*filled, *cells[-1:]]


def _colour(state: str) -> str:
    """How a state is: on a terminal, green is well and red is not."""
    word = state.rpartition(":")[2].partition(",")[0]
    if word in _WELL:
        return "green" if word == state else "yellow"
    return "red" if _ILL.search(word) else "yellow" if word in _ON_THE_WAY else ""


def grid(rows: Sequence[Sequence[str]], *, padding: int = _PADDING) -> list[str]:
    """The lines of a small table of our own."""
    widths = [max(len(row[at]) for row in rows if at < len(row)) for at in range(max(map(len, rows), default=0))]
    return [aligned(row, widths, padding) for row in rows]
