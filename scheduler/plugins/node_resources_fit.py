"""NodeResourcesFit: what the pod requests must be free; by default the fullest node that fits wins (bin packing)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scheduler.cluster import Bools, Cluster
from scheduler.framework import MAX_SCORE, Plugin, Rows, Scores
from scheduler.podinfo import PODS, PodInfo

_DEFAULT_RESOURCES: list[dict[str, Any]] = [{"name": "cpu", "weight": 1}, {"name": "memory", "weight": 1}]


def used_fractions(cluster: Cluster, pod: PodInfo, rows: Rows) -> NDArray[np.float64]:
    """The share of cpu and memory in use on each of `rows` with `pod` there, shape (rows, 2), at most 1."""
    allocatable = np.maximum(cluster.allocatable[rows, :2], 1)
    used = cluster.scored[rows] + np.array(pod.scored, dtype=np.int64)
    return np.asarray(np.minimum(used / allocatable, 1.0), dtype=np.float64)


class NodeResourcesFit(Plugin):
    """Filters by requests; scores by `scoringStrategy`: MostAllocated (default here) or LeastAllocated."""

    name = "NodeResourcesFit"

    def __init__(self, arguments: Mapping[str, Any] | None = None) -> None:
        super().__init__(arguments)
        strategy = self.arguments.get("scoringStrategy") or {}
        self.strategy = strategy.get("type") or "MostAllocated"
        if self.strategy not in ("MostAllocated", "LeastAllocated"):
            raise ValueError(
                f"NodeResourcesFit: scoringStrategy.type {self.strategy!r} is not supported, "
                "use MostAllocated or LeastAllocated"
            )
        self.weights: dict[str, int] = {
            r["name"]: r.get("weight") or 1 for r in strategy.get("resources") or _DEFAULT_RESOURCES
        }

    def filter(self, cluster: Cluster, pod: PodInfo) -> Bools | None:
        columns, wanted = self._wanted(cluster, pod)
        free = cluster.allocatable[:, columns] - cluster.requested[:, columns]
        return np.asarray((free >= wanted).all(axis=1), dtype=np.bool_)

    def reasons(self, cluster: Cluster, pod: PodInfo, refused: Rows) -> Counter[str]:
        columns, wanted = self._wanted(cluster, pod)
        names = list(cluster.resources)
        lacking = (cluster.allocatable[refused] - cluster.requested[refused])[:, columns] < wanted
        counts = zip((names[column] for column in columns), lacking.sum(axis=0), strict=True)
        return Counter({"Too many pods" if n == PODS else f"Insufficient {n}": int(c) for n, c in counts if c})

    def score(self, cluster: Cluster, pod: PodInfo, rows: Rows) -> Scores | None:
        total, weights = np.zeros(len(rows)), 0
        fractions = used_fractions(cluster, pod, rows)
        for name, weight in self.weights.items():
            column = cluster.resource(name)
            if column < 2:
                used = fractions[:, column]
            else:
                allocatable = np.maximum(cluster.allocatable[rows, column], 1)
                used = np.minimum((cluster.requested[rows, column] + pod.requests.get(name, 0)) / allocatable, 1.0)
            total += weight * (used if self.strategy == "MostAllocated" else 1.0 - used)
            weights += weight
        return total * (MAX_SCORE / weights)

    @staticmethod
    def _wanted(cluster: Cluster, pod: PodInfo) -> tuple[list[int], NDArray[np.int64]]:
        asked = [(cluster.resource(name), value) for name, value in pod.requests.items() if value]
        return [column for column, _ in asked], np.array([value for _, value in asked], dtype=np.int64)
