"""Tables: what `kubectl get` prints.

Columns and cells are the kind's printer's (`apimachinery.printers`); a row carries the object's metadata, the whole
object or nothing beside its cells, as `includeObject` says.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from apimachinery import printers
from apimachinery.kinds import Kind
from apimachinery.meta import JSON
from apiserver.endpoints.negotiation import Representation


def table(
    kind: Kind,
    objects: Sequence[JSON],
    shape: Representation,
    *,
    metadata: JSON | None = None,
    version: str | None = None,
    columns: bool = True,
) -> JSON:
    """A meta.k8s.io Table of the objects. Only the first event of a watch has `columns`."""
    now = datetime.now(UTC)
    if metadata is None:
        metadata = {"resourceVersion": version} if version else {}
    return {
        "kind": "Table",
        "apiVersion": f"meta.k8s.io/{shape.version}",
        "metadata": metadata,
        "columnDefinitions": printers.columns(kind) if columns else None,
        "rows": [_row(kind, obj, shape, now) for obj in objects],
    }


def _row(kind: Kind, obj: JSON, shape: Representation, now: datetime) -> JSON:
    row: JSON = {"cells": printers.row(kind, obj, now=now)}
    if shape.include == "Object":
        row["object"] = obj
    elif shape.include == "Metadata":
        row["object"] = {
            "kind": "PartialObjectMetadata",
            "apiVersion": f"meta.k8s.io/{shape.version}",
            "metadata": obj.get("metadata") or {},
        }
    return row
