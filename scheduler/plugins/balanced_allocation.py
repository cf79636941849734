"""NodeResourcesBalancedAllocation: prefers nodes whose cpu and memory fill up evenly."""

from __future__ import annotations

import numpy as np

from scheduler.cluster import Cluster
from scheduler.framework import MAX_SCORE, Plugin, Rows, Scores
from scheduler.plugins.node_resources_fit import used_fractions
from scheduler.podinfo import PodInfo


class BalancedAllocation(Plugin):
    """Scores by how close the used shares of cpu and memory are."""

    name = "NodeResourcesBalancedAllocation"

    def score(self, cluster: Cluster, pod: PodInfo, rows: Rows) -> Scores | None:
        fractions = used_fractions(cluster, pod, rows)
        return np.asarray((1.0 - np.abs(fractions[:, 0] - fractions[:, 1]) / 2) * MAX_SCORE, dtype=np.float64)
