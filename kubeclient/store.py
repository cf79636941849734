"""The memory of an informer: objects by key, with indexes kept as they change.

Objects are shared with every reader and never mutated; a reader who wants to change one copies it first. Invariant:
each index holds exactly the keys that its function gives for the objects that are stored now.
"""

from collections.abc import Callable, Iterable
from typing import Any

from apimachinery import meta

JSON = dict[str, Any]
IndexFunction = Callable[[JSON], Iterable[str]]
NAMESPACE_INDEX = "namespace"


class Store:
    """Objects by "namespace/name" (or name)."""

    def __init__(self) -> None:
        self._objects: dict[str, JSON] = {}
        self._functions: dict[str, IndexFunction] = {NAMESPACE_INDEX: lambda obj: (meta.namespace(obj),)}
        self._indexes: dict[str, dict[str, dict[str, None]]] = {NAMESPACE_INDEX: {}}

    def __len__(self) -> int:
        return len(self._objects)

    def get(self, key: str) -> JSON | None:
        """The object with that key."""
        return self._objects.get(key)

    def keys(self) -> Iterable[str]:
        """Every key, in the order of arrival."""
        return self._objects.keys()

    def values(self) -> list[JSON]:
        """Every object."""
        return list(self._objects.values())

    def put(self, obj: JSON) -> JSON | None:
        """Store an object; gives the one it replaces."""
        key = meta.key(obj)
        old = self._objects.get(key)
        if old is not None:
            self._unindex(key, old)
        self._objects[key] = obj
        for name, function in self._functions.items():
            index = self._indexes[name]
            for value in function(obj):
                index.setdefault(value, {})[key] = None
        return old

    def remove(self, key: str) -> JSON | None:
        """Forget an object; gives it."""
        old = self._objects.pop(key, None)
        if old is not None:
            self._unindex(key, old)
        return old

    def add_index(self, name: str, function: IndexFunction) -> None:
        """Keep an index from now on, over what is there too. A second call with the same name changes nothing."""
        if name in self._functions:
            return
        self._functions[name] = function
        index: dict[str, dict[str, None]] = {}
        for key, obj in self._objects.items():
            for value in function(obj):
                index.setdefault(value, {})[key] = None
        self._indexes[name] = index

    def by_index(self, name: str, value: str) -> list[JSON]:
        """The objects that the index's function gave `value` for. KeyError for an index that was never added."""
        return [self._objects[key] for key in self._indexes[name].get(value, ())]

    def _unindex(self, key: str, obj: JSON) -> None:
        for name, function in self._functions.items():
            index = self._indexes[name]
            for value in function(obj):
                keys = index.get(value)
                if keys is not None:
                    keys.pop(key, None)
                    if not keys:
                        del index[value]
