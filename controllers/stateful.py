"""The decisions of the StatefulSet controller as values: which pods to make and delete now, what the status is.

OrderedReady goes one pod at a time: none is made before all lower ordinals are available, none deleted before all
higher ones are gone. Parallel makes and deletes at once, and only updates in order. In both, an ordinal's next pod is
made when the object of the last one is gone, never before: two of an identity would write to one volume.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from apimachinery import meta
from controllers import history, objects, rollout
from controllers.rollout import share
from controllers.statefulpods import ordinal, start

JSON = dict[str, Any]


@dataclass(slots=True)
class Plan:
    """Ordinals to make, each with the revision of its template, and pods to delete."""

    create: list[tuple[int, JSON]] = field(default_factory=list)
    delete: list[JSON] = field(default_factory=list)


def identities(stateful_set: JSON) -> range:
    """The ordinals that are wanted."""
    first = start(stateful_set)
    return range(first, first + rollout.wanted(stateful_set))


def is_ordered(stateful_set: JSON) -> bool:
    """Whether pods are made and deleted one by one."""
    return bool(stateful_set["spec"].get("podManagementPolicy") != "Parallel")


def plan(stateful_set: JSON, pods: Sequence[JSON], *, current: JSON, update: JSON, now: datetime) -> Plan:
    """What to do now; called again when a pod has changed."""
    made, by_ordinal = Plan(), {ordinal(pod): pod for pod in pods}
    ordered, wanted = is_ordered(stateful_set), identities(stateful_set)
    healthy = {meta.uid(pod) for pod in pods if _is_healthy(stateful_set, pod, now=now)}
    ended = False
    for index in wanted:
        pod = by_ordinal.get(index)
        if pod is None:
            made.create.append((index, current if index in _kept_back(stateful_set) else update))
        elif objects.is_finished(pod):
            ended = True
            made.delete += [] if meta.is_deleting(pod) else [pod]
        if ordered and (pod is None or meta.uid(pod) not in healthy):
            return made
    if ended:
        return made
    condemned = sorted((pod for pod in pods if ordinal(pod) not in wanted), key=ordinal, reverse=True)
    if condemned and ordered:
        sick = [pod for pod in condemned if meta.uid(pod) not in healthy]
        if not meta.is_deleting(condemned[0]) and (condemned[0] not in sick or condemned[0] is sick[-1]):
            made.delete.append(condemned[0])
        return made
    made.delete += [pod for pod in condemned if not meta.is_deleting(pod)]
    made.delete += _outdated(stateful_set, by_ordinal, healthy, update)
    return made


def _kept_back(stateful_set: JSON) -> range:
    """The ordinals that a partition keeps at the old template."""
    strategy = stateful_set["spec"].get("updateStrategy") or {}
    partition = (strategy.get("rollingUpdate") or {}).get("partition") or 0
    first = start(stateful_set)
    return range(first, first + (int(partition) if strategy.get("type") != "OnDelete" else 0))


def _outdated(stateful_set: JSON, pods: dict[int, JSON], healthy: set[str], update: JSON) -> list[JSON]:
    """The pods to replace now, highest ordinal first; the unhealthy on the way count as unavailable."""
    strategy = stateful_set["spec"].get("updateStrategy") or {}
    if strategy.get("type") == "OnDelete":
        return []
    wanted, kept_back = identities(stateful_set), _kept_back(stateful_set)
    limit = (strategy.get("rollingUpdate") or {}).get("maxUnavailable")
    left = 1 if limit is None else max(1, share(limit, len(wanted)))
    found: list[JSON] = []
    for index in reversed(wanted):
        if index in kept_back or left <= 0:
            break
        pod = pods.get(index)
        old = pod is not None and not meta.is_deleting(pod) and not _is_of(pod, update)
        if pod is not None and old:
            found.append(pod)
        if pod is None or old or meta.uid(pod) not in healthy:
            left -= 1
    return found


def _is_of(pod: JSON, revision: JSON) -> bool:
    return meta.labels(pod).get(history.POD_LABEL) == meta.name(revision)


def _wait(stateful_set: JSON, pod: JSON, *, now: datetime) -> float | None:
    """Seconds until the pod is available, None if it isn't even running and ready."""
    if (pod.get("status") or {}).get("phase") != "Running":
        return None
    return objects.seconds_to_available(pod, stateful_set["spec"].get("minReadySeconds") or 0, now=now)


def _is_healthy(stateful_set: JSON, pod: JSON, *, now: datetime) -> bool:
    return not meta.is_deleting(pod) and _wait(stateful_set, pod, now=now) == 0


def status(
    stateful_set: JSON, pods: Sequence[JSON], *, current: JSON, update: JSON, now: datetime
) -> tuple[JSON, float | None]:
    """The status to write, and in how many seconds a ready pod becomes available."""
    waits = [_wait(stateful_set, pod, now=now) for pod in pods]
    alive = [pod for pod in pods if not meta.is_deleting(pod)]
    ready, updated = sum(wait is not None for wait in waits), sum(_is_of(pod, update) for pod in alive)
    old_style = (stateful_set["spec"].get("updateStrategy") or {}).get("type") == "OnDelete"
    if not old_style and {len(pods), ready, updated} == {rollout.wanted(stateful_set)}:
        current = update
    counts = {
        "replicas": len(pods),
        "readyReplicas": ready,
        "availableReplicas": sum(wait == 0 for wait in waits),
        "currentReplicas": sum(_is_of(pod, current) for pod in alive),
        "updatedReplicas": updated,
    }
    made: JSON = {key: count for key, count in counts.items() if count or key in ("replicas", "availableReplicas")}
    made["observedGeneration"] = stateful_set["metadata"].get("generation", 0)
    made["currentRevision"], made["updateRevision"] = meta.name(current), meta.name(update)
    made["collisionCount"] = (stateful_set.get("status") or {}).get("collisionCount") or 0
    return made, min(filter(None, waits), default=None)
