"""Who owns which fields: the `metadata.managedFields` of every object, kept up with every write.

An entry is a manager (with its operation, API version and subresource) and the set of fields it last set. A write that
changes a field takes it from all others; an entry left with nothing goes. This runs on each write of the API server, so
it costs what has changed: a create is one walk over the object, a patch only the parts that are not shared with the
version before, and entries that the change doesn't touch are passed on as they are.

Rules and wording of the API's "Server-Side Apply" page; entries are never changed in place, only replaced.
"""

from functools import lru_cache
from typing import Any, Final

import orjson

from apimachinery.definitions import Type, typed
from apimachinery.kinds import GVK
from apimachinery.structured.extract import added, compare
from apimachinery.structured.fieldset import MEMBER, SELF, FieldSet, difference, is_valid, union
from apimachinery.structured.plan import Plan, plan_of

JSON = dict[str, Any]

APPLY: Final = "Apply"
UPDATE: Final = "Update"
MAX_UPDATERS: Final = 10
OLD_UPDATERS: Final = "ancient-changes"
FIELDS_TYPE: Final = "FieldsV1"
# what the server alone decides, or what names the object: nobody owns it
_UNOWNED_METADATA: Final = (
    SELF, "f:name", "f:namespace", "f:creationTimestamp", "f:selfLink", "f:uid", "f:clusterName", "f:generation",
    "f:managedFields", "f:resourceVersion",
)  # fmt: skip
# Containers that upstream's types always have, so that no write makes them appear and nobody owns them as such.
_POD: Final[FieldSet] = {"f:metadata": {}, "f:spec": {"f:containers": {}}}
_JOB: Final[FieldSet] = {"f:metadata": {}, "f:spec": {"f:template": _POD}}
_ALWAYS_THERE: Final[FieldSet] = {
    "f:metadata": {},
    "f:spec": {
        "f:containers": {},
        "f:strategy": {},
        "f:updateStrategy": {},
        "f:template": _POD,
        "f:jobTemplate": _JOB,
    },
    "f:status": {},
}
_BESIDE_SPEC: Final[FieldSet] = {key: inner for key, inner in _ALWAYS_THERE.items() if key != "f:spec"}
# The other part of an object with a status is put back by every write, so that write doesn't own it.
RESET: Final[dict[str, tuple[str, ...]]] = {"": ("f:status",), "status": ("f:spec",)}


def update_managed(
    live: JSON | None,
    new: JSON,
    *,
    manager: str,
    subresource: str = "",
    operation: str = UPDATE,
    now: str,
    type: Type | None = None,
) -> None:
    """Set `new`'s managedFields for a write by `manager` that turned `live` (None: a create) into `new`.

    `type` defaults to the official one of `new`'s kind; a custom resource's has to be given.
    """
    plan = plan_for(new, type)
    entries = _entries(live, new, subresource)
    if live is None:
        changed = _fields_of_new(new, plan, subresource)
        removed = MEMBER
    elif not entries:
        new["metadata"].pop("managedFields", None)  # not tracked since a client reset it: stays so
        return
    else:
        changed, removed = (strip(fields) for fields in compare(live, new, plan))
    if changed or removed:
        own = identity(new, manager=manager, operation=operation, subresource=subresource)
        entries = _record(entries, own, changed, removed, now)
    if entries:
        new["metadata"]["managedFields"] = entries
    else:
        new["metadata"].pop("managedFields", None)


def plan_for(obj: JSON, type: Type | None) -> Plan:
    """The plan of a kind's official type, of the `type` given, or of something without schema."""
    if type is None:
        try:
            type = typed(GVK.of(obj.get("apiVersion") or "", obj.get("kind") or ""))
        except KeyError:
            type = None
    return plan_of(type) or Plan(None)


def identity(obj: JSON, *, manager: str, operation: str, subresource: str) -> JSON:
    """An entry of no fields yet."""
    own = {"manager": manager, "operation": operation, "apiVersion": obj.get("apiVersion") or ""}
    return {**own, "subresource": subresource} if subresource else own


def same_manager(one: JSON, other: JSON) -> bool:
    """Appliers are the same whatever version they apply in; updaters have an entry for each version."""
    return (
        one.get("manager") == other.get("manager")
        and one.get("operation") == other.get("operation")
        and (one.get("subresource") or "") == (other.get("subresource") or "")
        and (one.get("operation") == APPLY or one.get("apiVersion") == other.get("apiVersion"))
    )


def entry_of(own: JSON, fields: FieldSet, time: str | None) -> JSON:
    """The whole entry, its members in the order in which the API writes them."""
    entry = {key: own[key] for key in ("manager", "operation", "apiVersion")}
    if time:
        entry["time"] = time
    entry |= {"fieldsType": FIELDS_TYPE, "fieldsV1": fields}
    return {**entry, "subresource": own["subresource"]} if own.get("subresource") else entry


def strip(fields: FieldSet) -> FieldSet:
    """`fields`, just made and nobody else's, without what nobody owns. Changes it."""
    for key in ("f:apiVersion", "f:kind", SELF):
        fields.pop(key, None)
    if (metadata := fields.get("f:metadata")) is not None:
        if metadata:
            for key in _UNOWNED_METADATA:
                metadata.pop(key, None)
        if not metadata:
            del fields["f:metadata"]
    return fields


def take_from_others(entries: list[JSON], own: JSON, taken: FieldSet) -> list[JSON]:
    """The entries of all but `own`, without the fields in `taken`."""
    rest: list[JSON] = []
    for entry in entries:
        if same_manager(entry, own):
            continue
        if entry.get("apiVersion") == own["apiVersion"]:
            before = entry.get("fieldsV1") or {}
            left = difference(before, taken)
            if not left:
                continue
            if left is not before:
                entry = {**entry, "fieldsV1": left}
        rest.append(entry)
    return rest


def finish(entries: list[JSON]) -> list[JSON]:
    """The entries as they are stored: not too many, in order."""
    if len(entries) > MAX_UPDATERS:
        entries = _capped(entries)
    if len(entries) > 1:
        entries.sort(key=_place)
    return entries


def first_apply(live: JSON, plan: Plan, subresource: str = "") -> JSON:
    """The entry for what an object held before anyone's ownership of it was tracked."""
    own = identity(live, manager="before-first-apply", operation=UPDATE, subresource="")
    return entry_of(own, _fields_of_new(live, plan, subresource), None)


def _fields_of_new(new: JSON, plan: Plan, subresource: str) -> FieldSet:
    spec = new.get("spec")
    if isinstance(spec, dict) and plan.fields is not None:
        fields = added({key: value for key, value in new.items() if key != "spec"}, plan)
        if of_spec := _fields_of_new_spec(plan, orjson.dumps(spec)):
            fields["f:spec"] = of_spec
    else:
        fields = added(new, plan)
    for key in RESET.get(subresource, ()):
        fields.pop(key, None)
    _disown(fields, _BESIDE_SPEC)
    return strip(fields)


@lru_cache(maxsize=512)
def _fields_of_new_spec(plan: Plan, spec: bytes) -> FieldSet:
    """The fields of a spec; shared, so never changed. The pods of one template come with the same spec."""
    fields = added({"spec": orjson.loads(spec)}, plan)
    _disown(fields, _ALWAYS_THERE)
    found: FieldSet = fields.get("f:spec", {})
    return found


def _disown(fields: FieldSet, containers: FieldSet) -> None:
    for key, inner in containers.items():
        if (node := fields.get(key)) is None:
            continue
        node.pop(SELF, None)
        if node:
            _disown(node, inner)
        else:
            del fields[key]


def _entries(live: JSON | None, new: JSON, subresource: str) -> list[JSON]:
    """The entries to start from. Clients may write managedFields: whole ones count, broken or no ones don't."""
    current: list[JSON] = ((live or {}).get("metadata") or {}).get("managedFields") or []
    sent = new["metadata"].get("managedFields")
    if not sent or sent is current or subresource or sent == current:
        return current
    if sent == [{}]:
        return []
    return sent if _are_valid(sent) else current


def _are_valid(entries: Any) -> bool:
    return isinstance(entries, list) and all(
        isinstance(entry, dict)
        and entry.get("operation") in (APPLY, UPDATE)
        and entry.get("fieldsType") == FIELDS_TYPE
        and is_valid(entry.get("fieldsV1"))
        for entry in entries
    )


def _record(entries: list[JSON], own: JSON, changed: FieldSet, removed: FieldSet, now: str) -> list[JSON]:
    if not entries:
        return [entry_of(own, changed, now)]
    before: JSON = next((entry for entry in entries if same_manager(entry, own)), {})
    fields = union(difference(before.get("fieldsV1") or {}, removed), changed)
    rest = take_from_others(entries, own, union(changed, removed))
    if fields:
        rest.append(entry_of(own, fields, now if changed else before.get("time")))
    return finish(rest)


def _place(entry: JSON) -> tuple[str, str, str, str, str]:
    return (
        entry.get("operation") or "",
        entry.get("time") or "",
        entry.get("manager") or "",
        entry.get("apiVersion") or "",
        entry.get("subresource") or "",
    )


def _capped(entries: list[JSON]) -> list[JSON]:
    """With the oldest updaters, those beyond MAX_UPDATERS, joined into one entry for each version."""
    updaters = sorted((entry for entry in entries if entry.get("operation") == UPDATE), key=_place)
    if (surplus := len(updaters) - MAX_UPDATERS) <= 0:
        return entries
    buckets: dict[str, list[JSON]] = {}
    for entry in updaters:
        bucket = buckets.setdefault(entry.get("apiVersion") or "", [])
        if bucket:
            surplus -= 1  # it joins others: one entry fewer
        bucket.append(entry)
        if surplus <= 0:
            break
    joined = [bucket for bucket in buckets.values() if len(bucket) > 1]
    gone = [id(entry) for bucket in joined for entry in bucket]
    return [entry for entry in entries if id(entry) not in gone] + [_joined(bucket) for bucket in joined]


def _joined(bucket: list[JSON]) -> JSON:
    fields: FieldSet = {}
    for entry in bucket:
        fields = union(fields, entry.get("fieldsV1") or {})
    own = {"manager": OLD_UPDATERS, "operation": UPDATE, "apiVersion": bucket[-1].get("apiVersion") or ""}
    return entry_of(own, fields, bucket[-1].get("time"))
