"""The decisions of a rollout, as values: from the sizes of a Deployment's ReplicaSets to the sizes they should have.

The bounds hold at every step: never more than `replicas + maxSurge` pods in all, never fewer than
`replicas - maxUnavailable` available ones by our doing.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from apimachinery import meta
from controllers import objects, templates

JSON = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Strategy:
    """How a Deployment replaces its pods, in numbers of pods."""

    replicas: int
    max_surge: int = 0
    max_unavailable: int = 0
    recreate: bool = False

    @classmethod
    def of(cls, deployment: JSON) -> "Strategy":
        """Percentages count of `replicas`: surge rounds up, unavailable down, and both 0 means one unavailable."""
        replicas = wanted(deployment)
        strategy = deployment["spec"].get("strategy") or {}
        if strategy.get("type") == "Recreate":
            return cls(replicas, recreate=True)
        rolling = strategy.get("rollingUpdate") or {}
        surge = share(rolling.get("maxSurge", "25%"), replicas)
        unavailable = share(rolling.get("maxUnavailable", "25%"), replicas, round_up=False)
        if not surge and not unavailable:
            unavailable = 1
        return cls(replicas, surge, min(unavailable, replicas) if replicas else 0)


def wanted(obj: JSON) -> int:
    """`spec.replicas`, which defaults to one."""
    replicas = obj["spec"].get("replicas")
    return 1 if replicas is None else int(replicas)


def available(replica_set: JSON) -> int:
    """How many of its pods are available."""
    return int((replica_set.get("status") or {}).get("availableReplicas") or 0)


def new_size(strategy: Strategy, new: JSON | None, every: Sequence[JSON]) -> int:
    """How large the new ReplicaSet (None: not made yet) may be now; `every` are all of them, it too."""
    present = wanted(new) if new else 0
    if strategy.recreate:
        return strategy.replicas
    if present > strategy.replicas:
        return strategy.replicas
    room = strategy.replicas + strategy.max_surge - sum(map(wanted, every))
    return present + max(0, min(room, strategy.replicas - present))


def old_sizes(strategy: Strategy, new: JSON, old: Sequence[JSON]) -> dict[str, int]:
    """New sizes, by name, of the old ReplicaSets that can shrink now: first pods that aren't available anyhow."""
    every = [*old, new]
    least = strategy.replicas - strategy.max_unavailable
    budget = sum(map(wanted, every)) - least - (wanted(new) - available(new))
    if budget <= 0:
        return {}
    sizes = {meta.name(each): wanted(each) for each in old if wanted(each)}
    in_order = sorted((each for each in old if wanted(each)), key=objects.creation_order)
    for each in in_order:
        drop = min(budget, max(0, wanted(each) - available(each)))
        sizes[meta.name(each)] -= drop
        budget -= drop
    spare = min(budget, sum(map(available, every)) - least)
    for each in in_order:
        drop = max(0, min(spare, sizes[meta.name(each)]))
        sizes[meta.name(each)] -= drop
        spare -= drop
    return {meta.name(each): sizes[meta.name(each)] for each in in_order if sizes[meta.name(each)] != wanted(each)}


def scaled(strategy: Strategy, new: JSON | None, old: Sequence[JSON]) -> dict[str, int]:
    """Sizes after the Deployment itself was resized: of the one ReplicaSet that is active, or each in proportion."""
    every = [*old, *([new] if new else [])]
    active = [each for each in every if wanted(each)]
    only = active[0] if len(active) == 1 else new if not active else None
    if not active and new is None and every:
        only = max(every, key=objects.creation_order)
    if only is not None:
        return {meta.name(only): strategy.replicas} if wanted(only) != strategy.replicas else {}
    if new is not None and _is_saturated(strategy, new):
        return {meta.name(each): 0 for each in old if wanted(each)}
    if strategy.recreate:
        return {}
    return _in_proportion(strategy, active)


def _in_proportion(strategy: Strategy, active: Sequence[JSON]) -> dict[str, int]:
    allowed = strategy.replicas + strategy.max_surge if strategy.replicas else 0
    missing = allowed - sum(map(wanted, active))
    if not missing:
        return {}
    youngest = sorted(active, key=objects.creation_order, reverse=True)
    by_size = sorted(youngest, key=lambda each: wanted(each) if missing < 0 else -wanted(each))
    sizes: dict[str, int] = {}
    left = missing
    for each in by_size:
        part = _fraction(each, strategy, allowed)
        part = min(part, left) if missing > 0 else max(part, left)
        sizes[meta.name(each)] = wanted(each) + part
        left -= part
    first = meta.name(by_size[0])
    sizes[first] = max(0, sizes[first] + left)
    return {meta.name(each): sizes[meta.name(each)] for each in active if sizes[meta.name(each)] != wanted(each)}


def _fraction(replica_set: JSON, strategy: Strategy, allowed: int) -> int:
    """By how much a ReplicaSet grows when the whole goes from what it was annotated with to `allowed`."""
    if not strategy.replicas:
        return -wanted(replica_set)
    text = meta.annotations(replica_set).get(templates.MAX_REPLICAS, "")
    before = int(text) if text.isdigit() and int(text) else strategy.replicas
    return math.floor(wanted(replica_set) * allowed / before + 0.5) - wanted(replica_set)


def _is_saturated(strategy: Strategy, new: JSON) -> bool:
    noted = meta.annotations(new).get(templates.DESIRED_REPLICAS)
    everywhere = strategy.replicas == wanted(new) == available(new)
    return everywhere and noted is not None and noted.isdigit() and int(noted) == strategy.replicas


def is_scaling(deployment: JSON, replica_sets: Sequence[JSON]) -> bool:
    """Whether the Deployment was resized since its active ReplicaSets were."""
    for each in replica_sets:
        noted = meta.annotations(each).get(templates.DESIRED_REPLICAS)
        if wanted(each) and noted is not None and noted != str(wanted(deployment)):
            return True
    return False


def surplus_history(deployment: JSON, old: Sequence[JSON]) -> list[JSON]:
    """Old ReplicaSets beyond the revision history limit that are empty for certain, oldest revision first."""
    limit = deployment["spec"].get("revisionHistoryLimit")
    if limit is None:
        return []
    alive = [each for each in old if not meta.is_deleting(each)]
    ordered = sorted(alive, key=lambda each: (templates.revision(each), objects.creation_order(each)))
    return [each for each in ordered[: max(0, len(alive) - int(limit))] if _is_empty(each)]


def _is_empty(replica_set: JSON) -> bool:
    status = replica_set.get("status") or {}
    seen = status.get("observedGeneration", 0) >= replica_set["metadata"].get("generation", 0)
    return seen and not status.get("replicas") and not wanted(replica_set)


def share(value: int | str, of: int, *, round_up: bool = True) -> int:
    """A number of pods, or a percentage of `of`."""
    if isinstance(value, int):
        return value
    part = int(value.rstrip("%")) * of / 100 if value.endswith("%") else float(value)
    return math.ceil(part) if round_up else math.floor(part)
