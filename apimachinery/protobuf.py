"""Protobuf request bodies, as JSON objects.

Go clients send the built-in kinds as protobuf by default (`kubectl create token`, `auth can-i`, `drain`) and don't fall
back when it is refused, so it is read here; answers stay JSON, which these clients offer to take. A body is `k8s\\0`
and an envelope (apiVersion, kind, message); a message is field numbers and values, and `protobuf_fields.json` says
which number is which field of the JSON form.

On the wire, a field that Go keeps by value is written even if it is empty, and means the same as if it were absent. A
field that Go keeps by pointer is written only if it is set, also to zero. The format does not tell the two apart: the
fields in `SET_TO_ZERO` are of the second sort, and keep their zero.
"""

import struct
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, Final

import orjson

from apimachinery.definitions import definitions
from apimachinery.errors import BadRequest
from apimachinery.kinds import GVK

JSON = dict[str, Any]
MEDIA_TYPE: Final = "application/vnd.kubernetes.protobuf"
MAGIC: Final = b"k8s\x00"
_DEPTH: Final = 48
_META: Final = "apimachinery.pkg.apis.meta.v1."
_OPTIONS: Final = frozenset({"DeleteOptions"})
SET_TO_ZERO: Final = frozenset(
    {
        "activeDeadlineSeconds", "allocateLoadBalancerNodePorts", "allowPrivilegeEscalation", "allowVolumeExpansion",
        "attachRequired", "automountServiceAccountToken", "averageUtilization", "backoffLimit", "backoffLimitPerIndex",
        "blockOwnerDeletion", "completions", "controller", "defaultMode", "enableServiceLinks",
        "failedJobsHistoryLimit", "fsGroup", "gracePeriodSeconds", "hostUsers", "immutable", "ingressClassName",
        "maxFailedIndexes", "minReplicas", "mode", "optional", "orphanDependents", "parallelism", "partition",
        "podInfoOnMount", "priority", "privileged", "progressDeadlineSeconds", "readOnlyRootFilesystem", "ready",
        "replicas", "requiresRepublish", "revisionHistoryLimit", "runAsGroup", "runAsNonRoot", "runAsUser", "serving",
        "setHostnameAsFQDN", "shareProcessNamespace", "stabilizationWindowSeconds", "startingDeadlineSeconds",
        "storageCapacity", "storageClassName", "successfulJobsHistoryLimit", "suspend", "terminating",
        "terminationGracePeriodSeconds", "tolerationSeconds", "ttlSecondsAfterFinished", "value",
        "volumeAttributesClassName",
    }
)  # fmt: skip
_ZERO: Final = (0, "", False, 0.0)


class _Malformed(Exception):
    """Not a message."""


@cache
def _table() -> dict[str, dict[int, tuple[str, str]]]:
    """message -> number -> (field, type); read when first needed (1 ms)."""
    raw = orjson.loads(Path(__file__).with_name("protobuf_fields.json").read_bytes())
    return {
        message: {int(number): (name, kind) for number, (name, kind) in fields.items()}
        for message, fields in raw.items()
    }


def _required(message: str) -> Sequence[str]:
    """The fields that the JSON form must have, empty or not."""
    required: Sequence[str] = definitions().get("io.k8s." + message, {}).get("required") or ()
    return required


def _means_zero(field: str, value: Any) -> bool:
    """Whether a zero that was written is one that was meant: of text, only the empty name of a class is."""
    return field in SET_TO_ZERO and (value != "" or field.endswith("ClassName"))


def decode(body: bytes) -> JSON:
    """The object in a request body. Raises BadRequest."""
    if not body.startswith(MAGIC):
        raise BadRequest("the body of the request does not begin as protobuf of this API does")
    try:
        envelope = dict(_fields(body[len(MAGIC) :]))
        told = dict(_fields(_bytes(envelope.get(1, b""))))
        version, kind = _bytes(told.get(1, b"")).decode(), _bytes(told.get(2, b"")).decode()
        gvk = GVK.of(version, kind)
        message = (
            _META + kind if kind in _OPTIONS else f"api.{gvk.group.partition('.')[0] or 'core'}.{gvk.version}.{kind}"
        )
        if message not in _table():
            raise BadRequest(f"{kind} in version {version} can't be read as protobuf here: send it as JSON")
        return {"apiVersion": version, "kind": kind, **_message(message, _bytes(envelope.get(2, b"")), _DEPTH)}
    except (_Malformed, UnicodeDecodeError, ValueError, IndexError, struct.error) as error:
        raise BadRequest(f"the object provided is unrecognized: proto: {error}") from error


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise _Malformed("integer overflow")


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """(number, value) of a message: integers as they are, everything else as bytes."""
    at, end = 0, len(data)
    while at < end:
        tag, at = _varint(data, at)
        wire = tag & 7
        value: int | bytes
        if wire == 0:
            value, at = _varint(data, at)
        elif wire in (1, 2, 5):
            length = {1: 8, 5: 4}.get(wire, 0)
            if wire == 2:
                length, at = _varint(data, at)
            if at + length > end:
                raise _Malformed("unexpected EOF")
            value = data[at : at + length]
            at += length
        else:
            raise _Malformed(f"illegal wireType {wire}")
        yield tag >> 3, value


def _bytes(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise _Malformed("a number where text or a message is expected")
    return value


def _signed(value: int | bytes) -> int:
    if not isinstance(value, int):
        raise _Malformed("bytes where a number is expected")
    return value - (1 << 64) if value >= 1 << 63 else value


_SCALARS: Final[dict[str, Callable[[int | bytes], Any]]] = {
    "s": lambda value: _bytes(value).decode(),
    "b": lambda value: b64encode(_bytes(value)).decode(),
    "?": lambda value: bool(_signed(value)),
    "i": _signed,
    "d": lambda value: struct.unpack("<d", _bytes(value))[0],
}


def _message(name: str, data: bytes, depth: int) -> JSON:
    """A message as its JSON object."""
    if depth == 0:
        raise _Malformed("too deep")
    fields = _table()[name]
    found: JSON = {}
    for number, raw in _fields(data):
        if number not in fields:
            if raw in (0, b""):
                continue  # newer than the table, and empty
            raise _Malformed(f"field {number} of {name} is not known here: send the object as JSON")
        field, kind = fields[number]
        match kind[0]:
            case "<":
                found.update(_message(kind[1:], _bytes(raw), depth - 1))
            case "*":
                found.setdefault(field, []).extend(_items(kind[1:], raw, depth))
            case "%":
                key, value = _entry(kind[1:], _bytes(raw), depth)
                found.setdefault(field, {})[key] = value
            case _:
                value = _value(kind, raw, depth)
                if value is not None and (value not in _ZERO or _means_zero(field, value) or field in _required(name)):
                    found[field] = value
    return found


def _items(kind: str, raw: int | bytes, depth: int) -> list[Any]:
    """One element, or, for numbers, perhaps several packed together."""
    if kind == "i" and isinstance(raw, bytes):
        numbers, at = [], 0
        while at < len(raw):
            number, at = _varint(raw, at)
            numbers.append(_signed(number))
        return numbers
    return [_value(kind, raw, depth)]


def _entry(kind: str, data: bytes, depth: int) -> tuple[str, Any]:
    """Key and value of one member of a map."""
    parts = dict(_fields(data))
    empty: int | bytes = 0 if kind in ("i", "?") else b""
    return _bytes(parts.get(1, b"")).decode(), _value(kind, parts.get(2, empty), depth)


def _value(kind: str, raw: int | bytes, depth: int) -> Any:
    scalar = _SCALARS.get(kind)
    if scalar is not None:
        return scalar(raw)
    special = _SPECIAL.get(kind.rpartition(".")[2])
    if special is not None:
        return special(dict(_fields(_bytes(raw))))
    if kind.endswith(".ExtraValue"):
        return _message(kind, _bytes(raw), depth - 1).get("items", [])
    return _message(kind, _bytes(raw), depth - 1)


def _time(fields: dict[int, int | bytes], form: str = "%Y-%m-%dT%H:%M:%SZ") -> str | None:
    seconds, nanos = _signed(fields.get(1, 0)), _signed(fields.get(2, 0))
    if not fields:
        return None
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds, microseconds=nanos // 1000)
    return moment.strftime(form)


def _int_or_string(fields: dict[int, int | bytes]) -> int | str:
    if _signed(fields.get(1, 0)) == 1:
        return _bytes(fields.get(3, b"")).decode()
    return _signed(fields.get(2, 0))


def _embedded(fields: dict[int, int | bytes]) -> Any:
    raw = _bytes(fields.get(1, b""))
    return orjson.loads(raw) if raw else None


# messages that stand for a value of another shape
_SPECIAL: Final[dict[str, Callable[[dict[int, int | bytes]], Any]]] = {
    "Time": _time,
    "MicroTime": lambda fields: _time(fields, "%Y-%m-%dT%H:%M:%S.%fZ"),
    "Quantity": lambda fields: _bytes(fields.get(1, b"")).decode(),
    "IntOrString": _int_or_string,
    "FieldsV1": _embedded,
    "RawExtension": _embedded,
}
