"""What controllers share about objects: pod state, order, copies, and the writes that all of them make."""

import contextlib
from datetime import datetime
from typing import Any

import orjson

from apimachinery import errors, meta
from apimachinery.kinds import Kind
from kubeclient.rest import JSON_PATCH, Client

JSON = dict[str, Any]
FINISHED_PHASES = ("Succeeded", "Failed")


def copied(obj: JSON) -> JSON:
    """A copy to change: what informers hand out is shared (several times faster than copy.deepcopy)."""
    made: JSON = orjson.loads(orjson.dumps(obj))
    return made


def is_finished(pod: JSON) -> bool:
    """Whether no container of the pod will ever run again."""
    return (pod.get("status") or {}).get("phase") in FINISHED_PHASES


def is_active(pod: JSON) -> bool:
    """Whether the pod counts as a replica."""
    return not is_finished(pod) and not meta.is_deleting(pod)


def is_ready(pod: JSON) -> bool:
    """Whether the pod's Ready condition is true."""
    return meta.is_condition_true(pod, "Ready")


def seconds_to_available(pod: JSON, min_ready_seconds: int, *, now: datetime) -> float | None:
    """0 for a pod that has been ready long enough, the seconds it still needs, None for one that isn't ready."""
    ready = meta.condition(pod, "Ready")
    if ready is None or ready.get("status") != "True":
        return None
    if not min_ready_seconds:
        return 0.0
    since = meta.parse_time(ready.get("lastTransitionTime") or meta.format_time(now))
    return max(0.0, min_ready_seconds - (now - since).total_seconds())


def creation_order(obj: JSON) -> tuple[str, str]:
    """Sorts the oldest first, by name within a second."""
    return meta.metadata(obj).get("creationTimestamp") or "", meta.name(obj)


def controller_uid(obj: JSON) -> list[str]:
    """Index function: the UID of the controlling owner, or of none."""
    owner = meta.controller_of(obj)
    return [owner["uid"]] if owner else []


def orphan_namespace(obj: JSON) -> list[str]:
    """Index function: the namespace of an object that nothing controls."""
    return [] if meta.controller_of(obj) else [meta.namespace(obj)]


def is_ending_namespace(error: BaseException) -> bool:
    """Whether a creation was refused because its namespace is going away: nothing to tell anybody."""
    return isinstance(error, errors.Forbidden) and "is being terminated" in error.message


async def delete(client: Client, kind: Kind, obj: JSON, **options: Any) -> bool:
    """Delete this very object; False if it is gone, or not the one that was looked at any more, which is as good."""
    with contextlib.suppress(errors.NotFound, errors.Conflict):
        await client.delete(kind, meta.name(obj), namespace=meta.namespace(obj), uid=meta.uid(obj), **options)
        return True
    return False


async def patch_status(client: Client, kind: Kind, obj: JSON, status: JSON) -> None:
    """Make `status` the object's, if it isn't; a status has one writer, so no version is compared.

    It is replaced whole: `obj` may be a step behind, and what differs from that, merged into what is there, would be a
    mixture of two states. The object's UID goes along: another one that took over its name isn't to be hit.
    """
    if status == (obj.get("status") or {}):
        return
    body = [
        {"op": "test", "path": "/metadata/uid", "value": meta.uid(obj)},
        {"op": "add", "path": "/status", "value": status},
    ]
    await client.patch(
        kind, meta.name(obj), body, namespace=meta.namespace(obj), subresource="status", content_type=JSON_PATCH
    )
