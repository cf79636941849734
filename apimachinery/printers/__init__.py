"""Tables: the columns and rows of each kind, as `kubectl get` shows them.

The server prints, so every client shows the same. A kind's columns are a tuple of data in one of the modules here, by
its resource name; what has no entry shows its name and age. Columns of priority 1 are for `-o wide`.
"""

from datetime import datetime
from typing import Any, Final

from apimachinery.kinds import Kind
from apimachinery.printers import cluster, network, pods, workloads
from apimachinery.printers.cells import AGE, NAME, Column, human_duration

__all__ = ["columns", "human_duration", "row"]

JSON = dict[str, Any]
_DEFAULT: Final = (NAME, AGE)
_TABLES: Final[dict[str, tuple[Column, ...]]] = {
    "pods": pods.COLUMNS,
    **workloads.TABLES,
    **network.TABLES,
    **cluster.TABLES,
}


def columns(kind: Kind) -> list[JSON]:
    """The kind's metav1.TableColumnDefinitions."""
    return [column.definition() for column in _TABLES.get(kind.resource, _DEFAULT)]


def row(kind: Kind, obj: JSON, *, now: datetime) -> list[Any]:
    """One object's cells, in the order of the columns; `now` is what ages are reckoned from."""
    if kind.resource == "pods":
        return pods.row(obj, now)
    return [column.cell(obj, now) for column in _TABLES.get(kind.resource, _DEFAULT)]
