"""InterPodAffinity: pods that want to be near others, or away from them, by topology domain.

Required terms filter, also those of pods that run already: nobody may join a domain that a running pod keeps itself
apart from. Preferred terms of the incoming pod score.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from apimachinery.meta import JSON
from scheduler.cluster import Bools, Cluster
from scheduler.framework import MAX_SCORE, RefusingPlugin, Rows, Scores
from scheduler.podinfo import PodInfo
from scheduler.topology import by_domain, selected_counts, selects

_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"


def _terms(pod: PodInfo, kind: str, strength: str) -> list[JSON]:
    return (pod.affinity.get(kind) or {}).get(strength) or []


def _present(cluster: Cluster, term: JSON, owner: PodInfo) -> tuple[Bools, Bools, bool]:
    """(rows in a domain with a selected pod, rows that have the topology label, whether any pod is selected)."""
    counts = selected_counts(cluster, term, owner)
    sums, domains = by_domain(cluster, term["topologyKey"], counts, cluster.live)
    labelled = domains >= 0
    return np.append(sums > 0, False)[domains], labelled, bool(counts.any())


class InterPodAffinity(RefusingPlugin):
    """Filters by required pod (anti-)affinity, scores by preferred."""

    name = "InterPodAffinity"

    def concerns(self, pod: PodInfo, cluster: Cluster) -> bool:
        own = "podAffinity" in pod.affinity or "podAntiAffinity" in pod.affinity
        return own or any("podAntiAffinity" in alike.example.affinity for alike in cluster.classes.values())

    def refusals(self, cluster: Cluster, pod: PodInfo) -> Iterator[tuple[str, Bools]]:
        for term in _terms(pod, "podAffinity", _REQUIRED):
            near, labelled, any_selected = _present(cluster, term, pod)
            first_of_its_group = not any_selected and selects(cluster, term, pod, pod)
            yield "node(s) didn't match pod affinity rules", ~labelled if first_of_its_group else ~near
        for term in _terms(pod, "podAntiAffinity", _REQUIRED):
            near, _, _ = _present(cluster, term, pod)
            yield "node(s) didn't match pod anti-affinity rules", near
        for alike in cluster.classes.values():
            for term in _terms(alike.example, "podAntiAffinity", _REQUIRED):
                if selects(cluster, term, alike.example, pod):
                    counts = alike.counts(len(cluster.names))
                    sums, domains = by_domain(cluster, term["topologyKey"], counts, cluster.live)
                    yield (
                        "node(s) didn't satisfy existing pods anti-affinity rules",
                        np.append(sums > 0, False)[domains],
                    )

    def score(self, cluster: Cluster, pod: PodInfo, rows: Rows) -> Scores | None:
        total = np.zeros(len(rows))
        for kind, sign in (("podAffinity", 1), ("podAntiAffinity", -1)):
            for preferred in _terms(pod, kind, _PREFERRED):
                term = preferred.get("podAffinityTerm") or {}
                sums, domains = by_domain(
                    cluster, term["topologyKey"], selected_counts(cluster, term, pod), cluster.live
                )
                total += sign * preferred.get("weight", 0) * np.append(sums, 0)[domains[rows]]
        low, high = total.min(initial=0.0), total.max(initial=0.0)
        return None if low == high else (total - low) * (MAX_SCORE / (high - low))
