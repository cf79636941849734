"""How values of a schema type are taken apart: compiled once per type, field by field as they are met.

A `Type` answers questions; on the path of every write that is too slow, so a Plan holds the answers: for each field its
element in a field set and the plan of its value, None where the value is one leaf (scalars, atomic lists and maps).
A type of None stands for what has no schema: its maps are granular, its lists atomic.
"""

from typing import Any, Final

import orjson

from apimachinery.definitions import Type
from apimachinery.errors import BadRequest

JSON = dict[str, Any]

CACHE_SIZE: Final = 4096
# The official JSON schemas leave out defaults; this is the only one among the keys of lists.
KEY_DEFAULTS: Final = {"protocol": "TCP"}


class Fields(dict[str, tuple[str, "Plan | None"]]):
    """Field name -> (set element, plan of the value). Declared fields are kept, names that users choose are not."""

    def __init__(self, type: Type | None) -> None:
        super().__init__()
        self.type = type

    def __missing__(self, name: str) -> tuple[str, "Plan | None"]:
        if self.type is None:
            return f"f:{name}", _DEDUCED
        if (declared := self.type.fields.get(name)) is None:
            return f"f:{name}", plan_of(self.type.item)
        found = self[name] = (f"f:{name}", plan_of(declared))
        return found

    def declares(self, name: str) -> bool:
        return self.type is not None and name in self.type.fields


class Plan:
    """Exactly one of: an object (`fields`), a list with keys (`keys`), a set of scalars (`is_set`)."""

    __slots__ = ("fields", "is_set", "item", "keys")

    def __init__(self, type: Type | None) -> None:
        self.fields: Fields | None = None
        self.keys: tuple[str, ...] = ()
        self.is_set = False
        self.item: Plan | None = None
        if type is None or type.type != "array":
            self.fields = Fields(type)
        else:
            self.is_set = type.list_type == "set"
            self.keys = tuple(sorted(type.list_map_keys)) if not self.is_set else ()
            self.item = plan_of(type.item)

    def fits(self, value: Any) -> bool:
        """Whether a value is of the kind that the plan takes apart; otherwise it is a leaf."""
        return isinstance(value, dict) if self.fields is not None else isinstance(value, list)

    def element(self, item: Any) -> str:
        """The set element of a list item. Raises BadRequest for an item without its keys."""
        if self.is_set:
            return f"v:{orjson.dumps(item).decode()}"
        if not isinstance(item, dict):
            raise BadRequest("associative list with keys may not have non-map elements")
        found = {key: item.get(key, KEY_DEFAULTS.get(key)) for key in self.keys}
        if len(found) == 1 and None not in found.values():
            key, value = found.popitem()
            return f'k:{{"{key}":{orjson.dumps(value).decode()}}}'
        present = {key: value for key, value in found.items() if value is not None}
        if not present:
            raise BadRequest(f"associative list with keys has an element that omits key field {self.keys[0]!r}")
        return f"k:{orjson.dumps(present).decode()}"


_DEDUCED: Final = Plan(None)
_plans: dict[int, tuple[Type, Plan | None]] = {}  # by id; the Type is held so that its id stays its own


def plan_of(type: Type | None) -> Plan | None:
    """The plan of a type, None if its values are leaves."""
    if type is None:
        return _DEDUCED
    if (known := _plans.get(id(type))) is not None:
        return known[1]
    if len(_plans) >= CACHE_SIZE:
        _plans.clear()
    plan = _DEDUCED if type.type is None else None if _is_leaf(type) else Plan(type)
    _plans[id(type)] = (type, plan)
    return plan


def _is_leaf(type: Type) -> bool:
    if type.type == "object":
        return type.map_type == "atomic"
    return type.type != "array" or type.list_type not in ("set", "map")
