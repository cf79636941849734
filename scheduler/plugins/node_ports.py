"""NodePorts: two pods can't take the same host port of one node."""

from __future__ import annotations

from collections import Counter

import numpy as np

from scheduler.cluster import Bools, Cluster
from scheduler.framework import Plugin, Rows
from scheduler.podinfo import PodInfo


class NodePorts(Plugin):
    """Filters by `hostPort`."""

    name = "NodePorts"

    def concerns(self, pod: PodInfo, cluster: Cluster) -> bool:
        return bool(pod.ports)

    def filter(self, cluster: Cluster, pod: PodInfo) -> Bools | None:
        mask = np.ones(len(cluster.names), dtype=np.bool_)
        for row, taken in cluster.ports.items():
            if any(wanted.clashes(port) for ports in taken.values() for port in ports for wanted in pod.ports):
                mask[row] = False
        return mask

    def reasons(self, cluster: Cluster, pod: PodInfo, refused: Rows) -> Counter[str]:
        return Counter({"node(s) didn't have free ports for the requested pod ports": len(refused)})
