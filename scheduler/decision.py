"""One scheduling cycle, as a pure decision: from the columns and a pod to a node, or to why there is none."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from scheduler.cluster import Cluster
from scheduler.framework import Profile
from scheduler.podinfo import PodInfo


@dataclass(frozen=True, slots=True)
class Decision:
    """The chosen `node`, or the number of nodes that each reason refuses and the plugins that refused any.

    `everywhere` is a reason that does not depend on the node.
    """

    node: str | None
    node_count: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    refused_by: frozenset[str] = frozenset()
    everywhere: str = ""

    @property
    def message(self) -> str:
        """The FailedScheduling text, as upstream words it."""
        if not self.node_count:
            return "no nodes available to schedule pods"
        listed = self.everywhere or ", ".join(sorted(f"{count} {reason}" for reason, count in self.reasons.items()))
        return f"0/{self.node_count} nodes are available: {listed}."


def decide(cluster: Cluster, pod: PodInfo, profile: Profile, rng: random.Random) -> Decision:
    """Chooses the node with the highest score among those that every filter allows; ties fall by `rng`."""
    mask = profile.node_only_mask(cluster, pod)
    for plugin in profile.filters:
        if not plugin.node_only and plugin.concerns(pod, cluster):
            if reason := plugin.refuses_everywhere(cluster, pod):
                return Decision(None, cluster.node_count, Counter(), frozenset({plugin.name}), reason)
            allowed = plugin.filter(cluster, pod)
            if allowed is not None:
                mask = mask & allowed
    rows = np.flatnonzero(mask)
    if not len(rows):
        return explain(cluster, pod, profile)
    if len(rows) == 1:
        return Decision(cluster.names[rows[0]])
    total = np.zeros(len(rows))
    for plugin, weight in profile.scores:
        if plugin.concerns(pod, cluster):
            scores = plugin.score(cluster, pod, rows)
            if scores is not None:
                total += weight * scores
    best = rows[total >= total.max() - 1e-9]
    return Decision(cluster.names[best[rng.randrange(len(best))]])


def explain(cluster: Cluster, pod: PodInfo, profile: Profile) -> Decision:
    """Why no node does: each node is counted at the first filter that refuses it, in the profile's order."""
    left = cluster.live.copy()
    reasons: Counter[str] = Counter()
    refused_by = set()
    for plugin in profile.filters:
        allowed = plugin.filter(cluster, pod) if plugin.concerns(pod, cluster) else None
        if allowed is None:
            continue
        refused = np.flatnonzero(left & ~allowed)
        if len(refused):
            reasons += plugin.reasons(cluster, pod, refused)
            refused_by.add(plugin.name)
            left &= allowed
    return Decision(None, cluster.node_count, reasons, frozenset(refused_by))
