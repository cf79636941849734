"""Objects in etcd, behind a watch cache: see `storage` for the whole, docs/storage.md for the rules."""

from apiserver.storage.cache import Limits, Page
from apiserver.storage.errors import StorageConflict, StorageError, StorageExists
from apiserver.storage.events import ADDED, BOOKMARK, DELETED, MODIFIED, WatchEvent
from apiserver.storage.group import ExtraOp
from apiserver.storage.reading import ListResult
from apiserver.storage.storage import Storage
from apiserver.storage.value import Entry
from apiserver.storage.watching import Watcher

__all__ = [
    "ADDED",
    "BOOKMARK",
    "DELETED",
    "MODIFIED",
    "Entry",
    "ExtraOp",
    "Limits",
    "ListResult",
    "Page",
    "Storage",
    "StorageConflict",
    "StorageError",
    "StorageExists",
    "WatchEvent",
    "Watcher",
]
