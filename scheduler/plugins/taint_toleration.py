"""TaintToleration: NoSchedule and NoExecute taints need a toleration, PreferNoSchedule ones lower the score.

Nodes share few distinct sets of taints, so each set is judged once and the answer spread over the nodes by its code.
"""

from __future__ import annotations

import numpy as np

from apimachinery import placement
from apimachinery.meta import JSON
from scheduler.cluster import Bools, Cluster, Taint
from scheduler.framework import Plugin, Rows, Scores, normalised
from scheduler.podinfo import PodInfo

_HARD = ("NoSchedule", "NoExecute")


def tolerated(taint: Taint, toleration: JSON) -> bool:
    """Whether one toleration (of a PodSpec) tolerates one taint: an empty key or effect matches all."""
    key, value, effect = taint
    return placement.tolerates(toleration, {"key": key, "value": value, "effect": effect})


class TaintToleration(Plugin):
    """Filters by hard taints, scores by soft ones."""

    name = "TaintToleration"
    node_only = True
    reason = "node(s) had untolerated taint(s)"

    def filter(self, cluster: Cluster, pod: PodInfo) -> Bools | None:
        allowed = [self._intolerable(taints, pod, _HARD) == 0 for taints in cluster.taint_sets]
        return np.array(allowed, dtype=np.bool_)[cluster.taint_codes]

    def score(self, cluster: Cluster, pod: PodInfo, rows: Rows) -> Scores | None:
        soft = [self._intolerable(taints, pod, ("PreferNoSchedule",)) for taints in cluster.taint_sets]
        if not any(soft):
            return None
        return normalised(np.array(soft, dtype=np.float64)[cluster.taint_codes[rows]], reverse=True)

    @staticmethod
    def _intolerable(taints: tuple[Taint, ...], pod: PodInfo, effects: tuple[str, ...]) -> int:
        return sum(
            1
            for taint in taints
            if taint[2] in effects and not any(tolerated(taint, toleration) for toleration in pod.tolerations)
        )
