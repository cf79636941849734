"""Objects as bytes: the place that is spliced into what etcd stores, and the version into what clients get.

The first members of a stored object are its kind, its apiVersion, and metadata, whose first member is
`"resourceVersion":"PPP"`: the place of the write in its commit, three digits. So neither writing nor reading it needs a
parser: the bytes before and after are kept as they are. Rule 1 of the storage says why a place is needed.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from sys import intern
from typing import Any, Final

import orjson

from apimachinery.kinds import Kind
from apimachinery.resourceversion import LAST_PLACE, encode

JSON = dict[str, Any]
REGISTRY: Final = "/registry/"

_START: Final = b'{"kind":"'
_MARK: Final = b'"metadata":{"resourceVersion":"'
_MARK_WITHIN_BYTES: Final = 1024
_BLANK: Final = "000"


@dataclass(slots=True, eq=False)
class Entry:
    """One version of one object. Shared by everyone who holds it: never changed."""

    key: str
    version: int
    body: bytes  # the whole object as JSON, metadata.resourceVersion in it
    labels: Mapping[str, str]
    fields: Mapping[str, str]

    def parsed(self) -> JSON:
        """The object, fresh: the caller may change it."""
        obj: JSON = orjson.loads(self.body)
        return obj


@dataclass(slots=True, frozen=True)
class Draft:
    """A serialised object around the gap where the place, or the version, goes."""

    head: bytes
    tail: bytes

    def stored(self, place: int) -> bytes:
        """The value for etcd."""
        return b"%b%03d%b" % (self.head, place, self.tail)

    def body(self, version: int) -> bytes:
        """The object for clients."""
        return b"%b%d%b" % (self.head, version, self.tail)


def draft(obj: JSON) -> Draft:
    """Serialise an object; whatever resourceVersion it has is left out. `obj` is not changed."""
    metadata = {"resourceVersion": _BLANK}
    metadata.update(obj["metadata"])
    metadata["resourceVersion"] = _BLANK
    ordered: JSON = {"kind": obj["kind"], "apiVersion": obj["apiVersion"], "metadata": None}
    ordered.update(obj)
    ordered["metadata"] = metadata
    data = orjson.dumps(ordered)
    gap = data.index(_MARK, 0, _MARK_WITHIN_BYTES) + len(_MARK)
    return Draft(data[:gap], data[gap + 3 :])


def undraft(value: bytes) -> tuple[Draft, int] | None:
    """A stored value and its place. One that another program wrote has the last place; None if it is no object."""
    if value.startswith(_START):
        gap = value.find(_MARK, 0, _MARK_WITHIN_BYTES) + len(_MARK)
        place = value[gap : gap + 3]
        if (
            gap >= len(_MARK)
            and place.isdigit()
            and value[gap + 3 : gap + 4] == b'"'
            and value.count(b"{", 0, gap) == 2
        ):
            return Draft(value[:gap], value[gap + 3 :]), int(place)
    try:
        return draft(orjson.loads(value)), LAST_PLACE
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return None


def restamped(body: bytes, version: int) -> bytes:
    """The same object under another version, as a DELETED event carries it."""
    gap = body.index(_MARK, 0, _MARK_WITHIN_BYTES) + len(_MARK)
    return b"%b%d%b" % (body[:gap], version, body[body.index(b'"', gap) :])


Extractor = Callable[[JSON], dict[str, str]]

# fields that are not found where their name says, and what an absent one counts as
_ALIASES: Final = {"regarding": "involvedObject", "reportingController": "reportingComponent"}
_PATHS: Final = {"source": ("source", "component")}
_ABSENT: Final = {
    "spec.unschedulable": "false",
    "spec.hostNetwork": "false",
    "status.replicas": "0",
    "status.successful": "0",
}
_UNSHARED: Final = frozenset({"involvedObject.uid", "involvedObject.resourceVersion", "status.podIP"})


def labels_of(obj: JSON) -> dict[str, str]:
    """The object's labels, interned: thousands of objects share few of them."""
    labels = obj["metadata"].get("labels")
    if not labels:
        return {}
    return {intern(name): intern(value) for name, value in labels.items() if type(value) is str}


def extractor(kinds: Iterable[Kind]) -> Extractor:
    """What reads the selectable fields of an object; kinds that share their objects are read for together."""
    names = dict.fromkeys(name for kind in kinds for name in kind.selectable)
    paths = tuple((intern(name), _path(name), _ABSENT.get(name, ""), name not in _UNSHARED) for name in names)

    def fields(obj: JSON) -> dict[str, str]:
        metadata = obj["metadata"]
        found = {"metadata.name": metadata.get("name", "")}
        if namespace := metadata.get("namespace"):
            found["metadata.namespace"] = intern(namespace)
        for name, path, absent, shared in paths:
            found[name] = _value(obj, path, absent, shared)
        return found

    return fields


def _path(name: str) -> tuple[str, ...]:
    first, *rest = name.lstrip(".").split(".")
    return _PATHS.get(name) or (_ALIASES.get(first, first), *rest)


def _value(obj: Any, path: tuple[str, ...], absent: str, shared: bool) -> str:
    for step in path:
        obj = obj.get(step) if type(obj) is dict else None
        if obj is None:
            return absent
    if type(obj) is str:
        return intern(obj) if shared else obj
    if type(obj) is bool:
        return "true" if obj else "false"
    return str(obj)


def entry_of(key: str, version: int, source: Draft, fields: Extractor) -> Entry:
    """The entry of a value that was read from etcd: parsed once, for what is indexed, and forgotten."""
    body = source.body(version)
    obj = orjson.loads(body)
    return Entry(key, version, body, labels_of(obj), fields(obj))


def entry_at(key: str, revision: int, value: bytes, fields: Extractor) -> Entry | None:
    """The entry of a key-value pair of etcd; None if the value is no object of ours."""
    if (found := undraft(value)) is None:
        return None
    source, place = found
    return entry_of(key, encode(revision, place), source, fields)
