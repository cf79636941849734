"""PodDisruptionBudgets: how many pods may be evicted now, which is what the API server asks before it evicts one.

A budget that speaks in percents, or of the unavailable, counts of what the pods' controllers want to have, not of what
happens to be there: half-scaled-up workloads must not look complete.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from apimachinery import kinds, labels, meta
from controllers import objects, rollout
from controllers.context import Context, QueueController, enqueue_all
from controllers.rollout import share

JSON = dict[str, Any]
EVICTION_DEADLINE = timedelta(minutes=2)
_SCALED = (kinds.DEPLOYMENT, kinds.REPLICA_SET, kinds.REPLICATION_CONTROLLER, kinds.STATEFUL_SET)


def needed(budget: JSON, pods: int, wanted: Callable[[], int]) -> tuple[int, int]:
    """(expected pods, pods that must stay healthy); `wanted` gives what the pods' controllers want, if it matters."""
    spec = budget["spec"]
    if spec.get("maxUnavailable") is not None:
        expected = wanted()
        return expected, max(0, expected - share(spec["maxUnavailable"], expected))
    least = spec.get("minAvailable")
    if least is None or isinstance(least, int):
        return pods, least or 0
    expected = wanted()
    return expected, share(least, expected)


def status(
    budget: JSON, pods: Sequence[JSON], *, wanted: Callable[[], int], now: datetime
) -> tuple[JSON, float | None]:
    """The status to write, and in how many seconds an eviction that never happened stops counting."""
    old = budget.get("status") or {}
    present = {meta.name(pod): pod for pod in pods}
    evicted = {
        name: since
        for name, since in (old.get("disruptedPods") or {}).items()
        if name in present and not meta.is_deleting(present[name]) and now - meta.parse_time(since) < EVICTION_DEADLINE
    }
    healthy = sum(objects.is_ready(pod) and not meta.is_deleting(pod) and meta.name(pod) not in evicted for pod in pods)
    expected, least = needed(budget, len(pods), wanted)
    allowed = max(0, healthy - least) if expected else 0
    conditions = [dict(each) for each in old.get("conditions") or ()]
    meta.set_condition(
        conditions,
        type="DisruptionAllowed",
        status="True" if allowed else "False",
        reason="SufficientPods" if allowed else "InsufficientPods",
        now=meta.format_time(now),
    )
    generation = budget["metadata"].get("generation", 0)
    for each in conditions:
        each["observedGeneration"] = generation
        each.setdefault("message", "")
    made: JSON = {
        "disruptionsAllowed": allowed,
        "currentHealthy": healthy,
        "desiredHealthy": least,
        "expectedPods": expected,
        "observedGeneration": generation,
        "conditions": conditions,
    }
    if evicted:
        made["disruptedPods"] = evicted
    left = [(meta.parse_time(since) + EVICTION_DEADLINE - now).total_seconds() for since in evicted.values()]
    return made, min(left) + 1 if left else None


class DisruptionController(QueueController[str]):
    """Status for budgets."""

    name = "disruption"
    workers = 2

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._budgets = context.informers.informer(kinds.POD_DISRUPTION_BUDGET)
        self._pods = context.informers.informer(kinds.POD)
        self._owners = {kind.kind: context.informers.informer(kind) for kind in _SCALED}
        enqueue_all(self._budgets, self._queue)
        self._pods.add_handler(on_add=self._pod, on_update=self._pod_updated, on_delete=self._pod)
        for informer in self._owners.values():
            informer.add_handler(on_update=self._owner_updated)

    def _pod(self, pod: JSON) -> None:
        for budget in self._budgets.list(meta.namespace(pod)):
            if _selector(budget).matches(meta.labels(pod)):
                self._queue.add(meta.key(budget))

    def _pod_updated(self, old: JSON, new: JSON) -> None:
        if meta.labels(old) != meta.labels(new):
            self._pod(old)
        self._pod(new)

    def _owner_updated(self, old: JSON, new: JSON) -> None:
        if rollout.wanted(old) != rollout.wanted(new):
            for budget in self._budgets.list(meta.namespace(new)):
                self._queue.add(meta.key(budget))

    async def _reconcile(self, key: str) -> float | None:
        budget = self._budgets.get(key)
        if budget is None or meta.is_deleting(budget):
            return None
        found = self._pods.list(meta.namespace(budget), _selector(budget))
        pods = [pod for pod in found if not objects.is_finished(pod)]
        made, again = status(budget, pods, wanted=lambda: self._wanted(pods), now=self._context.clock())
        if made != budget.get("status"):  # by version: an eviction may just have taken its share
            kind, body = kinds.POD_DISRUPTION_BUDGET, {**budget, "status": made}
            await self._client.update(kind, body, subresource="status")
        return again

    def _wanted(self, pods: Sequence[JSON]) -> int:
        """The sizes of the pods' controllers; pods without one that has a size are never counted on, as upstream."""
        found = {meta.uid(owner): owner for pod in pods if (owner := self._sized(pod)) is not None}
        return sum(map(rollout.wanted, found.values()))

    def _sized(self, obj: JSON) -> JSON | None:
        """What says how many there are to be: of a Deployment's pods the Deployment, not its two sets of a rollout."""
        reference = meta.controller_of(obj)
        if reference is None or reference["kind"] not in self._owners:
            return None
        owner = self._owners[reference["kind"]].get(f"{meta.namespace(obj)}/{reference['name']}")
        if owner is None or meta.uid(owner) != reference["uid"]:
            return None
        return owner if meta.controller_of(owner) is None else self._sized(owner)


def _selector(budget: JSON) -> labels.Selector:
    return labels.from_label_selector(budget["spec"].get("selector"))
