"""Tables: what `kubectl get` prints.

Columns and cells are the kind's printer's (`apimachinery.printers`); a row carries the object's metadata, the whole
object or nothing beside its cells, as `includeObject` says.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from apimachinery import printers
from apimachinery.kinds import Kind
from apimachinery.meta import JSON
from apiserver.endpoints.negotiation import Representation


def partial(obj: JSON, version: str) -> JSON:
    """PartialObjectMetadata of an object."""
    metadata = obj.get("metadata") or {}
    return {"kind": "PartialObjectMetadata", "apiVersion": f"meta.k8s.io/{version}", "metadata": metadata}


def table(
    kind: Kind,
    objects: Sequence[JSON],
    shape: Representation,
    *,
    metadata: JSON | None = None,
    version: str | None = None,
    columns: bool = True,
) -> JSON:
    """A meta.k8s.io Table of a few objects. Only the first event of a watch has `columns`."""
    if metadata is None:
        metadata = {"resourceVersion": version} if version else {}
    row = row_maker(kind, shape)
    return {**head(kind, shape, metadata, columns=columns), "rows": [row(obj) for obj in objects]}


def head(kind: Kind, shape: Representation, metadata: JSON, *, columns: bool = True) -> JSON:
    """A Table without its rows."""
    return {
        "kind": "Table",
        "apiVersion": f"meta.k8s.io/{shape.version}",
        "metadata": metadata,
        "columnDefinitions": printers.columns(kind) if columns else None,
    }


def row_maker(kind: Kind, shape: Representation) -> Callable[[JSON], JSON]:
    """What makes the row of an object; ages are those of now."""
    now = datetime.now(UTC)

    def row(obj: JSON) -> JSON:
        made: JSON = {"cells": printers.row(kind, obj, now=now)}
        if shape.include == "Object":
            made["object"] = obj
        elif shape.include == "Metadata":
            made["object"] = partial(obj, shape.version)
        return made

    return row
