"""NodeUnschedulable: a cordoned node takes only pods that tolerate its taint."""

from __future__ import annotations

from collections import Counter

from scheduler.cluster import Bools, Cluster
from scheduler.framework import Plugin, Rows
from scheduler.plugins.taint_toleration import tolerated
from scheduler.podinfo import PodInfo

_TAINT = ("node.kubernetes.io/unschedulable", "", "NoSchedule")


class NodeUnschedulable(Plugin):
    """Filters by `spec.unschedulable`."""

    name = "NodeUnschedulable"
    node_only = True

    def filter(self, cluster: Cluster, pod: PodInfo) -> Bools | None:
        if any(tolerated(_TAINT, toleration) for toleration in pod.tolerations):
            return None
        return ~cluster.unschedulable

    def reasons(self, cluster: Cluster, pod: PodInfo, refused: Rows) -> Counter[str]:
        return Counter({"node(s) were unschedulable": len(refused)})
