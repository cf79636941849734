"""The small formats that rows are made of: ages, label lists, "a,b + 2 more...".

A cell is a function of the object and the time; `at` makes the common one, which shows a field.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from apimachinery import labels, meta

JSON = dict[str, Any]
Cell = Callable[[JSON, datetime], Any]

NONE: Final = "<none>"
UNSET: Final = "<unset>"
UNKNOWN: Final = "<unknown>"


@dataclass(frozen=True, slots=True)
class Column:
    """One column; `type` and `format` as OpenAPI's. Priority 1 is shown with -o wide only."""

    name: str
    cell: Cell
    type: str = "string"
    format: str = ""
    priority: int = 0

    def definition(self) -> JSON:
        """The metav1.TableColumnDefinition."""
        return {
            "name": self.name,
            "type": self.type,
            "format": self.format,
            "description": "",
            "priority": self.priority,
        }


def wide(name: str, cell: Cell, type: str = "string") -> Column:
    return Column(name, cell, type, priority=1)


def look(obj: Any, path: str) -> Any:
    """The value at a dotted path, None where there is none."""
    for key in path.split("."):
        if not isinstance(obj, dict):
            return None
        obj = obj.get(key)
    return obj


def at(path: str, default: Any = "") -> Cell:
    """Shows a field, or the default where it is absent or empty text."""

    def cell(obj: JSON, _now: datetime) -> Any:
        value = look(obj, path)
        return default if value is None or value == "" else value

    return cell


def text(path: str, default: str) -> Cell:
    """The same as text: for what may be a number or a percentage."""
    return lambda obj, now: str(at(path, default)(obj, now))


def count(*paths: str) -> Cell:
    """How many elements the lists or maps have together."""
    return lambda obj, _now: sum(len(look(obj, path) or ()) for path in paths)


def simply(shown: Callable[[JSON], Any]) -> Cell:
    """A cell that time doesn't change."""
    return lambda obj, _now: shown(obj)


def human_duration(duration: timedelta) -> str:
    """Two units at most, and ever coarser: 75s, 5m30s, 12h, 3d4h, 2y11d."""
    seconds = int(duration.total_seconds())
    minutes, hours = seconds // 60, seconds // 3600
    if seconds < -1:
        return "<invalid>"
    if seconds < 120:
        return f"{max(seconds, 0)}s"
    if minutes < 10:
        return _two(minutes, "m", seconds % 60, "s")
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return _two(hours, "h", minutes % 60, "m")
    if hours < 48:
        return f"{hours}h"
    if hours < 24 * 8:
        return _two(hours // 24, "d", hours % 24, "h")
    if hours < 24 * 365 * 2:
        return f"{hours // 24}d"
    if hours < 24 * 365 * 8:
        return _two(hours // 24 // 365, "y", hours // 24 % 365, "d")
    return f"{hours // 24 // 365}y"


def _two(large: int, unit: str, small: int, lesser: str) -> str:
    return f"{large}{unit}{small}{lesser}" if small else f"{large}{unit}"


def since(timestamp: str | None, now: datetime) -> str:
    """How long ago that was."""
    return human_duration(now - meta.parse_time(timestamp)) if timestamp else UNKNOWN


def age(obj: JSON, now: datetime) -> str:
    return since(meta.metadata(obj).get("creationTimestamp"), now)


def joined(values: Iterable[Any], *, default: str = NONE, most: int = 0) -> str:
    """Values with commas between; beyond `most` only how many more there are."""
    shown = [str(value) for value in values]
    if not shown:
        return default
    if most and len(shown) > most:
        return f"{','.join(shown[:most])} + {len(shown) - most} more..."
    return ",".join(shown)


def label_list(values: Mapping[str, str] | None) -> str:
    """A map as "a=b,c=d"."""
    return joined(f"{key}={value}" for key, value in sorted((values or {}).items()))


def selector(path: str) -> Cell:
    """Shows a metav1.LabelSelector as a query would write it."""

    def cell(obj: JSON, _now: datetime) -> str:
        try:
            return str(labels.from_label_selector(look(obj, path) or {})) or NONE
        except ValueError:
            return "<error>"

    return cell


def python_bool(value: bool | None) -> str:
    """ "True", "False", or that it isn't set."""
    return UNSET if value is None else str(bool(value))


NAME: Final = Column("Name", at("metadata.name"), format="name")
AGE: Final = Column("Age", age)
CREATED_AT: Final = Column("Created At", at("metadata.creationTimestamp", UNKNOWN))
