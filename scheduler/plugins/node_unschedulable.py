"""NodeUnschedulable: a cordoned node takes only pods that tolerate its taint."""

from __future__ import annotations

from scheduler.cluster import Bools, Cluster
from scheduler.framework import Plugin
from scheduler.plugins.taint_toleration import tolerated
from scheduler.podinfo import PodInfo

_TAINT = ("node.kubernetes.io/unschedulable", "", "NoSchedule")


class NodeUnschedulable(Plugin):
    """Filters by `spec.unschedulable`."""

    name = "NodeUnschedulable"
    node_only = True
    reason = "node(s) were unschedulable"

    def filter(self, cluster: Cluster, pod: PodInfo) -> Bools | None:
        if any(tolerated(_TAINT, toleration) for toleration in pod.tolerations):
            return None
        return ~cluster.unschedulable
