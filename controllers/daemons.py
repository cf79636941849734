"""The decisions of the DaemonSet controller as values: the pods to make and delete now, and the status.

A node that has a pod, even one that is still ending, gets no other, unless `maxSurge` lets the new one overlap the old.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from apimachinery import meta
from controllers import history, objects
from controllers.daemonpods import Fitness, node_of
from controllers.rollout import share

JSON = dict[str, Any]
BURST = 250


@dataclass(slots=True)
class Plan:
    """Names of nodes that get a pod, and pods to delete."""

    create: list[str] = field(default_factory=list)
    delete: list[JSON] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.create or self.delete)


@dataclass(frozen=True, slots=True)
class State:
    """A DaemonSet as it is: the nodes' fitness by name, its pods, and the hash of its template."""

    daemon_set: JSON
    fitness: Mapping[str, Fitness]
    pods: Sequence[JSON]
    hashed: str
    now: datetime

    def on_nodes(self) -> dict[str, list[JSON]]:
        """By node the pods that aren't over and gone, oldest first; every node is in it."""
        found: dict[str, list[JSON]] = {name: [] for name in self.fitness}
        for pod in sorted(self.pods, key=objects.creation_order):
            if not (meta.is_deleting(pod) and objects.is_finished(pod)):
                found.get(node_of(pod), []).append(pod)
        return found

    def desired(self) -> int:
        """How many nodes are to have a pod."""
        return sum(each.run for each in self.fitness.values())

    def is_updated(self, pod: JSON) -> bool:
        """Whether the pod is of the template of now."""
        return meta.labels(pod).get(history.POD_LABEL) == self.hashed

    def is_available(self, pod: JSON) -> bool:
        """Whether the pod has been ready for long enough."""
        return self.wait(pod) == 0

    def wait(self, pod: JSON) -> float | None:
        """Seconds until the pod is available, None if it isn't ready."""
        least = self.daemon_set["spec"].get("minReadySeconds") or 0
        return objects.seconds_to_available(pod, least, now=self.now)

    def limit(self, name: str, default: int) -> int:
        """`maxSurge` or `maxUnavailable` in pods; a percentage counts of the nodes and rounds up."""
        strategy = self.daemon_set["spec"].get("updateStrategy") or {}
        value = (strategy.get("rollingUpdate") or {}).get(name)
        return share(default if value is None else value, self.desired())

    def rolls(self) -> bool:
        """Whether pods of an old template are replaced without being asked."""
        return (self.daemon_set["spec"].get("updateStrategy") or {}).get("type") != "OnDelete"


def plan(state: State, waiting: Collection[str] = ()) -> Plan:
    """What to do now: first a pod for each node, then the update; `waiting` are UIDs of failed pods to leave."""
    made, surge = Plan(), state.rolls() and state.limit("maxSurge", 0) > 0
    for name, pods in state.on_nodes().items():
        fitness, alive = state.fitness[name], [pod for pod in pods if not meta.is_deleting(pod)]
        if not pods:
            made.create += [name] if fitness.run else []
        elif not fitness.stay:
            made.delete += alive
        else:
            made.delete += [pod for pod in alive if objects.is_finished(pod) and meta.uid(pod) not in waiting]
            made.delete += _doubles(state, [pod for pod in alive if not objects.is_finished(pod)], surge=surge)
    made.delete += [
        pod
        for pod in state.pods
        if node_of(pod) not in state.fitness and not pod["spec"].get("nodeName") and not meta.is_deleting(pod)
    ]
    if not made and state.rolls():
        made = _surge(state) if surge else _replace(state)
    return Plan(made.create[:BURST], made.delete[:BURST])


def _doubles(state: State, pods: Sequence[JSON], *, surge: bool) -> list[JSON]:
    """What is too many on a node: all but the oldest, or while surging the oldest of each template."""
    if not surge:
        return list(pods[1:])
    new, old = [pod for pod in pods if state.is_updated(pod)], [pod for pod in pods if not state.is_updated(pod)]
    replaced = bool(new) and state.is_available(new[0])
    return [*new[1:], *(old if replaced else old[1:])]


def _pair(state: State, pods: Sequence[JSON]) -> tuple[JSON | None, JSON | None]:
    """(pod of the template of now, pod of an older one) among those of a node that aren't ending."""
    alive = [pod for pod in pods if not meta.is_deleting(pod)]
    new = next((pod for pod in alive if state.is_updated(pod)), None)
    return new, next((pod for pod in alive if not state.is_updated(pod)), None)


def _replace(state: State) -> Plan:
    """Delete old pods, those that aren't available anyhow first, as long as enough are available."""
    down, broken, candidates = 0, list[JSON](), list[JSON]()
    for pods in state.on_nodes().values():
        new, old = _pair(state, pods)
        if old and not new and state.is_available(old):
            candidates.append(old)
        elif pods and not (new and not old and state.is_available(new)):
            down += 1
            broken += [old] if old and not new else []
    return Plan(delete=[*broken, *candidates[: max(0, state.limit("maxUnavailable", 1) - down)]])


def _surge(state: State) -> Plan:
    """Give nodes a new pod beside the old one; the old one goes when the new one is available."""
    surging, broken, candidates = 0, list[str](), list[str]()
    for name, pods in state.on_nodes().items():
        new, old = _pair(state, pods)
        if new and old:
            surging += not state.is_available(new)
        elif old and state.fitness[name].run:
            (candidates if state.is_available(old) else broken).append(name)
    return Plan(create=[*broken, *candidates[: max(0, state.limit("maxSurge", 0) - surging)]])


def status(state: State) -> tuple[JSON, float | None]:
    """The status to write, and in how many seconds a ready pod becomes available."""
    on_nodes = state.on_nodes()
    first = [pods[0] for name, pods in on_nodes.items() if pods and state.fitness[name].run]
    waits = [state.wait(pod) for pod in first]
    available = sum(wait == 0 for wait in waits)
    made: JSON = {
        "currentNumberScheduled": len(first),
        "numberMisscheduled": sum(bool(pods) and not state.fitness[name].run for name, pods in on_nodes.items()),
        "desiredNumberScheduled": state.desired(),
        "numberReady": sum(wait is not None for wait in waits),
        "observedGeneration": state.daemon_set["metadata"].get("generation", 0),
    }
    optional = {
        "updatedNumberScheduled": sum(map(state.is_updated, first)),
        "numberAvailable": available,
        "numberUnavailable": state.desired() - available,
        "collisionCount": (state.daemon_set.get("status") or {}).get("collisionCount"),
    }
    made |= {key: value for key, value in optional.items() if value}
    return made, min(filter(None, waits), default=None)
