"""Tables as the server sends them (meta.k8s.io Table) laid out as kubectl lays them out."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

JSON = dict[str, Any]

ACCEPT: Final = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
_PADDING: Final = 3
_MIN_WIDTH: Final = 6


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

    layout: Layout
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
        return [aligned(row, self._widths) for row in rows]

    def _shown(self) -> list[int]:
        return [at for at, column in enumerate(self._columns) if self.layout.wide or not column.get("priority")]

    def _header(self) -> list[str]:
        names = [str(self._columns[at]["name"]).upper() for at in self._shown()]
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


def cell_text(value: Any) -> str:
    """A cell as it is shown: one line."""
    if value is None:
        return "<none>"
    if isinstance(value, bool):
        return str(value).lower()
    return str(value).replace("\n", "\\n").replace("\r", "\\r")


def aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    """One line; every cell but the last padded to its column."""
    padded = [cell.ljust(max(width + _PADDING, _MIN_WIDTH)) for cell, width in zip(cells[:-1], widths, strict=False)]
    return "".join([*padded, *cells[-1:]]).rstrip() if cells else ""


def grid(rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a small table of our own."""
    widths = [max(len(row[at]) for row in rows if at < len(row)) for at in range(max(map(len, rows), default=0))]
    return [aligned(row, widths) for row in rows]
