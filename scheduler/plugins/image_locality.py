"""ImageLocality: prefers nodes that hold the pod's images already, by size, from 23 MB up to 1 GB a container."""

from __future__ import annotations

import numpy as np

from scheduler.cluster import Cluster
from scheduler.framework import MAX_SCORE, Plugin, Rows, Scores
from scheduler.podinfo import PodInfo

_SMALLEST_BYTES, _LARGEST_BYTES = 23 * 1024 * 1024, 1000 * 1024 * 1024


class ImageLocality(Plugin):
    """Scores by the bytes that a node would not have to pull."""

    name = "ImageLocality"

    def concerns(self, pod: PodInfo, cluster: Cluster) -> bool:
        return any(image in cluster.images for image in pod.images)

    def score(self, cluster: Cluster, pod: PodInfo, rows: Rows) -> Scores | None:
        everywhere = np.zeros(len(cluster.names))
        for image in pod.images:
            for row, size in cluster.images.get(image, {}).items():
                everywhere[row] += size
        present = everywhere[rows]
        largest = _LARGEST_BYTES * max(1, len(pod.images))
        clipped = np.clip(present, _SMALLEST_BYTES, largest) - _SMALLEST_BYTES
        return clipped * (MAX_SCORE / (largest - _SMALLEST_BYTES)) if clipped.any() else None
