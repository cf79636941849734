"""A Deployment's status, computed from its ReplicaSets: counts, and the conditions Available and Progressing."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from apimachinery import meta
from controllers import rollout

JSON = dict[str, Any]
NO_DEADLINE = 2**31 - 1
_SUMMED = ("replicas", "readyReplicas", "availableReplicas", "terminatingReplicas")


def compute(
    deployment: JSON,
    every: Sequence[JSON],
    new: JSON | None,
    *,
    now: datetime,
    rolling: bool = True,
    created: bool = False,
) -> tuple[JSON, float | None]:
    """The status to write, and in how many seconds the progress deadline is to be looked at.

    `rolling` is false while the Deployment is paused or being resized: Progressing then stays as it is. `created` says
    that the new ReplicaSet has just been made, from which moment the deadline counts.
    """
    status = _counted(deployment, every, new)
    old_status = deployment.get("status") or {}
    conditions = {each["type"]: each for each in old_status.get("conditions") or ()}
    _put(conditions, now, "Available", *_availability(deployment, status))
    if rolling:
        _begin(deployment, conditions, new, now=now, created=created)
        _progress(deployment, status, conditions, new, now=now)
        _failure(conditions, every, new)
    status["conditions"] = list(conditions.values())
    if old_status.get("collisionCount"):
        status["collisionCount"] = old_status["collisionCount"]
    return status, _deadline(deployment, status, conditions, now=now) if rolling else None


def condition(deployment: JSON, type_: str, value: str, reason: str, message: str, *, now: datetime) -> list[JSON]:
    """The Deployment's conditions with one of them set."""
    conditions = {each["type"]: each for each in (deployment.get("status") or {}).get("conditions") or ()}
    _put(conditions, now, type_, value, reason, message)
    return list(conditions.values())


def is_complete(deployment: JSON, status: JSON) -> bool:
    """Whether every pod is of the new template, available, and nothing is left of the old."""
    replicas = rollout.wanted(deployment)
    counts = [status.get(count) or 0 for count in ("updatedReplicas", "replicas", "availableReplicas")]
    seen = status.get("observedGeneration", 0) >= deployment["metadata"].get("generation", 0)
    return counts == [replicas] * 3 and bool(seen)


def _counted(deployment: JSON, every: Sequence[JSON], new: JSON | None) -> JSON:
    status: JSON = {"observedGeneration": deployment["metadata"].get("generation", 0)}
    for count in _SUMMED:
        total = sum((each.get("status") or {}).get(count) or 0 for each in every)
        if total or count == "terminatingReplicas":
            status[count] = total
    updated = ((new or {}).get("status") or {}).get("replicas")
    if updated:
        status["updatedReplicas"] = updated
    unavailable = max(0, sum(map(rollout.wanted, every)) - (status.get("availableReplicas") or 0))
    if unavailable:
        status["unavailableReplicas"] = unavailable
    return status


def _availability(deployment: JSON, status: JSON) -> tuple[str, str, str]:
    strategy = rollout.Strategy.of(deployment)
    if (status.get("availableReplicas") or 0) >= strategy.replicas - strategy.max_unavailable:
        return "True", "MinimumReplicasAvailable", "Deployment has minimum availability."
    return "False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability."


def pause(deployment: JSON) -> tuple[str, str, str] | None:
    """Status, reason and message of Progressing when the Deployment was just paused or resumed."""
    current = meta.condition(deployment, "Progressing") or {}
    paused, noted = bool(deployment["spec"].get("paused")), current.get("reason") == "DeploymentPaused"
    if _limit(deployment) is None or current.get("reason") == "ProgressDeadlineExceeded" or paused == noted:
        return None
    if paused:
        return "Unknown", "DeploymentPaused", "Deployment is paused"
    return "Unknown", "DeploymentResumed", "Deployment is resumed"


def _begin(deployment: JSON, conditions: dict[str, JSON], new: JSON | None, *, now: datetime, created: bool) -> None:
    """A ReplicaSet that was made, or found when nothing was said yet, starts the progress."""
    if _limit(deployment) is None or new is None:
        return
    name = meta.name(new)
    if created:
        message = f'Created new replica set "{name}"'
        _put(conditions, now, "Progressing", "True", "NewReplicaSetCreated", message, touch=True)
    elif "Progressing" not in conditions:
        _put(conditions, now, "Progressing", "True", "FoundNewReplicaSet", f'Found new replica set "{name}"')


def _progress(deployment: JSON, status: JSON, conditions: dict[str, JSON], new: JSON | None, *, now: datetime) -> None:
    """Progressing: complete, in progress, or past its deadline; while it is complete nothing is to be said."""
    current = conditions.get("Progressing")
    reason = (current or {}).get("reason")
    settled = (status.get("replicas") or 0) == (status.get("updatedReplicas") or 0)
    if _limit(deployment) is None or (settled and reason == "NewReplicaSetAvailable"):
        return
    what = f'ReplicaSet "{meta.name(new)}"' if new else f'Deployment "{meta.name(deployment)}"'
    if is_complete(deployment, status):
        _put(conditions, now, "Progressing", "True", "NewReplicaSetAvailable", f"{what} has successfully progressed.")
    elif _has_progressed(deployment.get("status") or {}, status):
        _put(conditions, now, "Progressing", "True", "ReplicaSetUpdated", f"{what} is progressing.", touch=True)
    elif current is not None and _is_late(deployment, current, now=now):
        _put(conditions, now, "Progressing", "False", "ProgressDeadlineExceeded", f"{what} has timed out progressing.")


def _has_progressed(old: JSON, new: JSON) -> bool:
    def outdated(status: JSON) -> int:
        return int(status.get("replicas") or 0) - int(status.get("updatedReplicas") or 0)

    grew = any(
        (new.get(count) or 0) > (old.get(count) or 0)
        for count in ("updatedReplicas", "readyReplicas", "availableReplicas")
    )
    return grew or outdated(new) < outdated(old)


def _is_late(deployment: JSON, progressing: JSON, *, now: datetime) -> bool:
    if progressing.get("reason") == "NewReplicaSetAvailable":
        return False
    if progressing.get("reason") == "ProgressDeadlineExceeded":
        return True
    limit = _limit(deployment)
    since = progressing.get("lastUpdateTime") or progressing.get("lastTransitionTime")
    return bool(limit and since) and (now - meta.parse_time(str(since))).total_seconds() > float(limit or 0)


def _deadline(deployment: JSON, status: JSON, conditions: dict[str, JSON], *, now: datetime) -> float | None:
    progressing, limit = conditions.get("Progressing"), _limit(deployment)
    if not progressing or limit is None or is_complete(deployment, status):
        return None
    if progressing["reason"] in ("NewReplicaSetAvailable", "ProgressDeadlineExceeded"):
        return None
    spent = (now - meta.parse_time(progressing["lastUpdateTime"])).total_seconds()
    return max(0.0, limit - spent) + 1.0


def _failure(conditions: dict[str, JSON], every: Sequence[JSON], new: JSON | None) -> None:
    """ReplicaFailure is the new ReplicaSet's, or else any's."""
    conditions.pop("ReplicaFailure", None)
    for each in [*([new] if new else []), *every]:
        found = meta.condition(each, "ReplicaFailure")
        if found:
            moment = found.get("lastTransitionTime") or meta.now()
            conditions["ReplicaFailure"] = {**found, "lastUpdateTime": moment, "lastTransitionTime": moment}
            return


def _limit(deployment: JSON) -> int | None:
    seconds = deployment["spec"].get("progressDeadlineSeconds")
    return None if seconds is None or seconds == NO_DEADLINE else int(seconds)


def _put(
    conditions: dict[str, JSON],
    now: datetime,
    type_: str,
    status: str,
    reason: str,
    message: str,
    *,
    touch: bool = False,
) -> None:
    """Set a condition; the same one again changes nothing, unless it is to be touched."""
    old = conditions.get(type_)
    if old and (old["status"], old.get("reason")) == (status, reason) and not touch:
        return
    moment = meta.format_time(now)
    transition = old["lastTransitionTime"] if old and old["status"] == status else moment
    conditions[type_] = {
        "type": type_,
        "status": status,
        "lastUpdateTime": moment,
        "lastTransitionTime": transition,
        "reason": reason,
        "message": message,
    }
