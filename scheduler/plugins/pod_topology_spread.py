"""PodTopologySpread: keeps the numbers of matching pods in the topology domains within `maxSkew` of each other."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from apimachinery.meta import JSON
from scheduler.cluster import Bools, Cluster, Ints
from scheduler.framework import RefusingPlugin, Rows, Scores, normalised
from scheduler.plugins.node_affinity import NodeAffinity
from scheduler.plugins.taint_toleration import TaintToleration
from scheduler.podinfo import PodInfo
from scheduler.topology import by_domain, selector_of

_SKEW = "node(s) didn't match pod topology spread constraints"
_NO_LABEL = "node(s) didn't match pod topology spread constraints (missing required label)"


class PodTopologySpread(RefusingPlugin):
    """Filters by DoNotSchedule constraints, scores by ScheduleAnyway ones."""

    name = "PodTopologySpread"
    _affinity, _taints = NodeAffinity(), TaintToleration()

    def concerns(self, pod: PodInfo, cluster: Cluster) -> bool:
        return bool(pod.spread)

    def score(self, cluster: Cluster, pod: PodInfo, rows: Rows) -> Scores | None:
        soft = [constraint for constraint in pod.spread if constraint.get("whenUnsatisfiable") == "ScheduleAnyway"]
        if not soft:
            return None
        total = np.zeros(len(rows))
        for constraint in soft:
            sums, domains, _ = self._domains(cluster, pod, constraint)
            total += np.append(sums, sums.max(initial=0) + 1)[domains[rows]]
        return normalised(total, reverse=True)

    def refusals(self, cluster: Cluster, pod: PodInfo) -> Iterator[tuple[str, Bools]]:
        for constraint in pod.spread:
            if constraint.get("whenUnsatisfiable") == "ScheduleAnyway":
                continue
            sums, domains, eligible = self._domains(cluster, pod, constraint)
            yield _NO_LABEL, domains < 0
            present = np.unique(domains[eligible & (domains >= 0)])
            fewest = int(sums[present].min()) if len(present) >= (constraint.get("minDomains") or 1) else 0
            itself = int(selector_of(constraint, pod).matches(pod.labels))
            skew = np.append(sums, 0)[domains] + itself - fewest
            yield _SKEW, (domains >= 0) & (skew > constraint.get("maxSkew", 1))

    def _domains(self, cluster: Cluster, pod: PodInfo, constraint: JSON) -> tuple[Ints, Ints, Bools]:
        """(matching pods in each domain, domain of each row, rows that count by the constraint's node policies)."""
        eligible = cluster.live.copy()
        if constraint.get("nodeAffinityPolicy", "Honor") == "Honor":
            allowed = self._affinity.filter(cluster, pod)
            eligible &= True if allowed is None else allowed
        if constraint.get("nodeTaintsPolicy") == "Honor":
            allowed = self._taints.filter(cluster, pod)
            eligible &= True if allowed is None else allowed
        selector = selector_of(constraint, pod)
        counts = np.zeros(len(cluster.names), dtype=np.int64)
        for alike in cluster.classes.values():
            if alike.example.namespace == pod.namespace and selector.matches(alike.example.labels):
                counts += alike.counts(len(counts))
        sums, domains = by_domain(cluster, constraint["topologyKey"], counts, eligible)
        return sums, domains, eligible
