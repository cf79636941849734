"""What every object has: names, owners, conditions, timestamps.

An object is the plain JSON dict that is on the wire, so these are functions, not methods. They read without
inserting anything, and tolerate the nulls and absences the API allows.
"""

from datetime import UTC, datetime
from typing import Any

from apimachinery.kinds import GVK

JSON = dict[str, Any]


def metadata(obj: JSON) -> JSON:
    """The object's metadata, or an empty dict that is not part of it."""
    return obj.get("metadata") or {}


def name(obj: JSON) -> str:
    return str(metadata(obj).get("name") or "")


def namespace(obj: JSON) -> str:
    """The namespace, "" for what is cluster-scoped."""
    return str(metadata(obj).get("namespace") or "")


def uid(obj: JSON) -> str:
    return str(metadata(obj).get("uid") or "")


def labels(obj: JSON) -> dict[str, str]:
    return metadata(obj).get("labels") or {}


def annotations(obj: JSON) -> dict[str, str]:
    return metadata(obj).get("annotations") or {}


def key(obj: JSON) -> str:
    """ "namespace/name", or "name" for what is cluster-scoped: the key of caches and work queues."""
    space = namespace(obj)
    return f"{space}/{name(obj)}" if space else name(obj)


def gvk(obj: JSON) -> GVK:
    return GVK.of(obj.get("apiVersion") or "", obj.get("kind") or "")


def is_deleting(obj: JSON) -> bool:
    return bool(metadata(obj).get("deletionTimestamp"))


def controller_of(obj: JSON) -> JSON | None:
    """The owner reference with `controller: true`; the API allows at most one."""
    for reference in metadata(obj).get("ownerReferences") or ():
        if reference.get("controller"):
            return dict(reference)
    return None


def owner_reference(owner: JSON, *, controller: bool = True, block: bool = True) -> JSON:
    """A reference to `owner`, which must carry apiVersion and kind (list items may not)."""
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": name(owner),
        "uid": uid(owner),
        "controller": controller,
        "blockOwnerDeletion": block,
    }


def condition(obj: JSON, type_: str) -> JSON | None:
    """The status condition of that type, as it is in the object."""
    for entry in (obj.get("status") or {}).get("conditions") or ():
        if entry.get("type") == type_:
            found: JSON = entry
            return found
    return None


def is_condition_true(obj: JSON, type_: str) -> bool:
    entry = condition(obj, type_)
    return entry is not None and entry.get("status") == "True"


def set_condition(
    conditions: list[JSON], *, type: str, status: str, reason: str = "", message: str = "", now: str
) -> bool:
    """Set one condition in place; the transition time moves only with the status. True if anything changed."""
    wanted = {"type": type, "status": status}
    if reason:
        wanted["reason"] = reason
    if message:
        wanted["message"] = message
    for entry in conditions:
        if entry.get("type") != type:
            continue
        flipped = entry.get("status") != status
        if not flipped and (entry.get("reason") or "", entry.get("message") or "") == (reason, message):
            return False
        for stale in ("reason", "message"):
            entry.pop(stale, None)
        entry.update(wanted)
        if flipped:
            entry["lastTransitionTime"] = now
        return True
    conditions.append({**wanted, "lastTransitionTime": now})
    return True


def now() -> str:
    """The time as metav1.Time writes it: UTC, whole seconds."""
    return format_time(datetime.now(UTC))


def now_micro() -> str:
    """The time as metav1.MicroTime writes it: leases and events have microseconds."""
    return format_micro_time(datetime.now(UTC))


def format_time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def format_micro_time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse_time(text: str) -> datetime:
    """An aware datetime of an RFC 3339 time, nanoseconds cut to microseconds. Raises ValueError."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"time without a zone: {text!r}")
    return moment
