"""Write apimachinery/protobuf_fields.json: the field numbers of every message that may be in a request body.

    python deploy/protobuf_fields.py PATH/TO/KUBECTL

The numbers are part of the wire format and stand, as compressed file descriptors, in every kubectl up to 1.34 (later
ones have no descriptors any more). Names are those of the published JSON schemas; what 1.35 and later added is missing.
"""

from __future__ import annotations

import json
import re
import sys
import zlib
from collections.abc import Mapping
from pathlib import Path

from google.protobuf import descriptor_pb2

from apimachinery.definitions import definitions
from apimachinery.kinds import KINDS

_GZIP = re.compile(rb"\x1f\x8b\x08\x00\x00\x00\x00\x00[\x00\x02\x04]\xff")
_OPTIONS = "k8s.io.apimachinery.pkg.apis.meta.v1.DeleteOptions"
_LIMIT_BYTES = 2_000_000
_Field = descriptor_pb2.FieldDescriptorProto
# what has no message type of its own: how it is on the wire, and what it becomes in JSON
_SCALARS = {
    _Field.TYPE_STRING: "s", _Field.TYPE_BYTES: "b", _Field.TYPE_BOOL: "?", _Field.TYPE_INT32: "i",
    _Field.TYPE_INT64: "i", _Field.TYPE_DOUBLE: "d",
}  # fmt: skip
_PREFIX = "k8s.io."


def descriptors(binary: bytes) -> dict[str, descriptor_pb2.DescriptorProto]:
    """Every message by its full name."""
    found = {}
    for match in _GZIP.finditer(binary):
        try:
            raw = zlib.decompressobj(31).decompress(binary[match.start() : match.start() + _LIMIT_BYTES])
            file = descriptor_pb2.FileDescriptorProto.FromString(raw)
        except (zlib.error, ValueError):
            continue
        except Exception as error:  # google.protobuf's DecodeError has moved between its versions
            print(f"no descriptor at {match.start()}: {error}", file=sys.stderr)
            continue
        for message in file.message_type:
            found[f"{file.package}.{message.name}"] = message
    return found


def table(messages: dict[str, descriptor_pb2.DescriptorProto]) -> dict[str, dict[str, list[str]]]:
    """message -> number -> [name, type], for what can be reached from the kinds."""
    roots = {_OPTIONS}
    for kind in KINDS:
        for gvk in (
            *(kind.gvk._replace(version=version) for version in kind.versions),
            *(subresource.gvk for subresource in kind.subresources),
        ):
            group = gvk.group.partition(".")[0] if gvk.group else "core"
            roots.add(f"k8s.io.api.{group}.{gvk.version}.{gvk.kind}")
    found: dict[str, dict[str, list[str]]] = {}
    pending = sorted(root for root in roots if root in messages)
    while pending:
        name = pending.pop()
        if name in found:
            continue
        found[name] = {}
        for field in messages[name].field:
            entry, reached = _field(name, field, messages)
            found[name][str(field.number)] = entry
            pending += reached
    return {name.removeprefix(_PREFIX): fields for name, fields in sorted(found.items())}


def _field(
    owner: str, field: descriptor_pb2.FieldDescriptorProto, messages: dict[str, descriptor_pb2.DescriptorProto]
) -> tuple[list[str], list[str]]:
    list_mark = "*" if field.label == _Field.LABEL_REPEATED else ""
    if field.type in _SCALARS:
        return [_json_name(owner, field.name), list_mark + _SCALARS[field.type]], []
    target = field.type_name.lstrip(".")
    nested = {f"{owner}.{each.name}": each for each in messages[owner].nested_type}.get(target)
    if nested is not None:  # a map: key is always text
        (entry, reached) = _field(owner, nested.field[1], messages)
        return [_json_name(owner, field.name), "%" + entry[1].removeprefix("<")], reached
    inline = "<" if not list_mark and _known(owner) and _json_name(owner, field.name) not in _known(owner) else ""
    return [_json_name(owner, field.name), f"{inline}{list_mark}{target.removeprefix(_PREFIX)}"], [target]


def _known(owner: str) -> Mapping[str, object]:
    """The published properties of a message's JSON form."""
    definition = definitions().get("io.k8s." + owner.removeprefix(_PREFIX)) or {}
    properties: Mapping[str, object] = definition.get("properties") or {}
    return properties


def _json_name(owner: str, name: str) -> str:
    """The field as JSON writes it; the descriptors differ in case now and then (uID, aPIGroup, Webhooks)."""
    return next((each for each in _known(owner) if each.lower() == name.lower()), name)


def main() -> None:
    """Read the binary, write the table."""
    found = table(descriptors(Path(sys.argv[1]).read_bytes()))
    lines = ",\n".join(
        f"{json.dumps(name)}:{json.dumps(fields, separators=(',', ':'))}" for name, fields in found.items()
    )
    target = Path(__file__).resolve().parents[1] / "apimachinery" / "protobuf_fields.json"
    target.write_text(f"{{\n{lines}\n}}\n")
    print(f"{target.name}: {len(found)} messages")


if __name__ == "__main__":
    main()
