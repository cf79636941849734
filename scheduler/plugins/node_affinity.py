"""NodeAffinity: `nodeSelector`, required and preferred node affinity."""

from __future__ import annotations

import numpy as np

from scheduler.cluster import Bools, Cluster
from scheduler.framework import Plugin, Rows, Scores, normalised
from scheduler.nodeselector import matches_expression, matches_term
from scheduler.podinfo import PodInfo


class NodeAffinity(Plugin):
    """Filters by `nodeSelector` and required terms, scores by preferred ones."""

    name = "NodeAffinity"
    node_only = True
    reason = "node(s) didn't match Pod's node affinity/selector"

    def filter(self, cluster: Cluster, pod: PodInfo) -> Bools | None:
        if not pod.node_selector and pod.required_terms is None:
            return None
        mask = np.ones(len(cluster.names), dtype=np.bool_)
        for key, value in pod.node_selector.items():
            mask &= matches_expression(cluster, {"key": key, "operator": "In", "values": [value]})
        if pod.required_terms is not None:
            any_term = np.zeros(len(cluster.names), dtype=np.bool_)
            for term in pod.required_terms:
                any_term |= matches_term(cluster, term)
            mask &= any_term
        return mask

    def score(self, cluster: Cluster, pod: PodInfo, rows: Rows) -> Scores | None:
        if not pod.preferred_terms:
            return None
        total = np.zeros(len(rows))
        for preferred in pod.preferred_terms:
            total += preferred.get("weight", 0) * matches_term(cluster, preferred.get("preference") or {})[rows]
        return normalised(total)
