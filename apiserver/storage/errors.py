"""What storage says when a write's compare fails: the caller knows the kind and words the API error.

Everything else that storage raises is already an API error of `apimachinery.errors`.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from apiserver.storage.value import Entry


class StorageError(Exception):
    """A write that was not made, for sure. `key` is the one whose compare failed."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


class StorageExists(StorageError):
    """A key that had to be absent is there: the object's own, or one of its `ExtraOp`s."""


class StorageConflict(StorageError):
    """The object has another version than the write was made from; `current` was read from etcd afterwards."""

    def __init__(self, key: str, current: "Entry | None") -> None:
        super().__init__(key)
        self.current = current
