"""Server-side apply: an object brought to what one manager's configuration says, without treading on others' fields.

The configuration is merged in; what the manager applied before and doesn't any more goes, unless somebody else owns it;
a field that would change and is owned by another is a conflict, all of them reported in one 409, or taken with `force`.
"""

from typing import Any, Final

import orjson

from apimachinery.definitions import Type
from apimachinery.errors import Conflict
from apimachinery.kinds import GVK
from apimachinery.managedfields import (
    APPLY,
    RESET,
    UPDATE,
    entry_of,
    finish,
    first_apply,
    identity,
    plan_for,
    same_manager,
    strip,
    take_from_others,
)
from apimachinery.patch import fresh
from apimachinery.structured.extract import compare, fields_of
from apimachinery.structured.fieldset import FieldSet, difference, intersection, paths, union
from apimachinery.structured.merge import merge, remove, with_named_fields
from apimachinery.structured.plan import Plan

JSON = dict[str, Any]

LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"
_KUBECTL: Final = "kubectl"


def apply(
    live: JSON | None,
    config: JSON,
    *,
    manager: str,
    force: bool,
    type: Type | None,
    gvk: GVK,
    now: str,
    subresource: str = "",
) -> JSON:
    """The object after `manager` applied `config`, managedFields included; equal to `live` if nothing came of it.

    Raises Conflict with a cause for each field in dispute, BadRequest for lists whose items can't be told apart.
    """
    config = {"apiVersion": gvk.api_version, "kind": gvk.kind, **config}
    plan = plan_for(config, type)
    own = identity(config, manager=manager, operation=APPLY, subresource=subresource)
    said = fields_of(config, plan)
    for key in RESET.get(subresource, ()):
        said.pop(key, None)
    held = with_named_fields(said, plan)  # what names the object is nobody's, and yet holds up metadata
    fields = strip(said)
    if live is None:
        new = fresh(merge({}, config, plan))
        return _with_entries(new, [entry_of(own, fields, now)] if fields else [])
    entries = (live.get("metadata") or {}).get("managedFields") or [first_apply(live, plan)]
    before: JSON = next((entry for entry in entries if same_manager(entry, own)), {})
    new = merge(live, config, plan)
    new = fresh(_pruned(new, entries, own, held, before.get("fieldsV1") or {}, plan))
    changed, removed = (strip(each) for each in compare(live, new, plan))
    disputes = [] if force else _disputes(entries, own, changed)
    if disputes and manager == _KUBECTL:
        disputes = _outside(disputes, _unchanged_since_client_side_apply(live, plan))
    if disputes:
        raise _conflict(disputes)
    rest = take_from_others(entries, own, union(changed, removed))
    idle = not changed and not removed and before.get("fieldsV1") == fields
    if fields:
        rest.append(before if idle else entry_of(own, fields, now))
    new = _with_entries(new, finish(rest))
    if manager == _KUBECTL:
        _renew_last_applied(new, config)
    return new


def _with_entries(new: JSON, entries: list[JSON]) -> JSON:
    """`new`, whose root and metadata are its own, with these managedFields."""
    metadata = new.setdefault("metadata", {})
    if entries:
        metadata["managedFields"] = entries
    else:
        metadata.pop("managedFields", None)
    return new


def _pruned(new: JSON, entries: list[JSON], own: JSON, held: FieldSet, last: FieldSet, plan: Plan) -> JSON:
    """`new` without what the manager applied last, doesn't hold now, and nobody else owns."""
    if not last:
        return new
    owned = held
    for entry in entries:
        if not same_manager(entry, own):
            owned = union(owned, entry.get("fieldsV1") or {})
    gone = difference(with_named_fields(last, plan), with_named_fields(owned, plan))
    pruned: JSON = remove(new, gone, plan) or {} if gone else new
    return pruned


def _disputes(entries: list[JSON], own: JSON, changed: FieldSet) -> list[tuple[JSON, FieldSet]]:
    """(entry, fields of it that would change), for every other manager that has such."""
    found = []
    for entry in sorted(entries, key=lambda each: each.get("manager") or ""):
        if not same_manager(entry, own) and (disputed := intersection(entry.get("fieldsV1") or {}, changed)):
            found.append((entry, disputed))
    return found


def _outside(disputes: list[tuple[JSON, FieldSet]], allowed: FieldSet) -> list[tuple[JSON, FieldSet]]:
    left = [(entry, difference(fields, allowed)) for entry, fields in disputes]
    return [(entry, fields) for entry, fields in left if fields]


def _conflict(disputes: list[tuple[JSON, FieldSet]]) -> Conflict:
    causes = []
    by_manager: dict[str, list[str]] = {}
    for entry, fields in disputes:
        who = _shown(entry)
        for path in paths(fields):
            by_manager.setdefault(who, []).append(path)
            causes.append({"reason": "FieldManagerConflict", "message": f"conflict with {who}", "field": path})
    if len(causes) == 1:
        said = f"{causes[0]['message']}: {causes[0]['field']}"
        return Conflict(f"Apply failed with 1 conflict: {said}", causes=causes)
    lines = []
    for who, listed in by_manager.items():
        lines += [f"conflicts with {who}:", *(f"- {path}" for path in listed)]
    return Conflict(f"Apply failed with {len(causes)} conflicts: " + "\n".join(lines), causes=causes)


def _shown(entry: JSON) -> str:
    text = orjson.dumps(entry.get("manager") or "").decode()
    if entry.get("subresource"):
        text += f' with subresource "{entry["subresource"]}"'
    return f"{text} using {entry.get('apiVersion')}" if entry.get("operation") == UPDATE else text


def _unchanged_since_client_side_apply(live: JSON, plan: Plan) -> FieldSet:
    """What kubectl applied from the client's side and still is as it was: its own, so no conflict to take over."""
    try:
        last = orjson.loads(_last_applied(live))
    except orjson.JSONDecodeError:
        return {}
    if not isinstance(last, dict) or last.get("apiVersion") != live.get("apiVersion"):
        return {}
    changed, removed = compare(last, live, plan)
    return difference(difference(fields_of(last, plan), changed), removed)


def _last_applied(obj: JSON) -> str:
    annotations = (obj.get("metadata") or {}).get("annotations") or {}
    return str(annotations.get(LAST_APPLIED) or "")


def _renew_last_applied(new: JSON, config: JSON) -> None:
    """Keep the annotation true for those who will apply from the client's side again; `new`'s metadata is its own."""
    if _last_applied(new):
        said = orjson.dumps(config, option=orjson.OPT_SORT_KEYS).decode() + "\n"
        new["metadata"]["annotations"] = {**new["metadata"]["annotations"], LAST_APPLIED: said}
