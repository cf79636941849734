"""NodePorts: two pods can't take the same host port of one node."""

from __future__ import annotations

import numpy as np

from scheduler.cluster import Bools, Cluster
from scheduler.framework import Plugin
from scheduler.podinfo import PodInfo


class NodePorts(Plugin):
    """Filters by `hostPort`."""

    name = "NodePorts"
    reason = "node(s) didn't have free ports for the requested pod ports"

    def concerns(self, pod: PodInfo, cluster: Cluster) -> bool:
        return bool(pod.ports)

    def filter(self, cluster: Cluster, pod: PodInfo) -> Bools | None:
        mask = np.ones(len(cluster.names), dtype=np.bool_)
        for row, taken in cluster.ports.items():
            if any(wanted.clashes(port) for ports in taken.values() for port in ports for wanted in pod.ports):
                mask[row] = False
        return mask
