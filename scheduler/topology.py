"""Counting pods by topology domain: what pod affinity, anti-affinity and topology spread have in common.

A term selects classes of pods (see `PodClass`), never single pods, so its cost is the number of distinct label sets.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import orjson

from apimachinery import labels
from apimachinery.meta import JSON
from scheduler.cluster import Bools, Cluster, Ints
from scheduler.podinfo import PodInfo


@lru_cache(maxsize=1024)
def _parsed(selector: bytes) -> labels.Selector:
    return labels.from_label_selector(orjson.loads(selector))


def selector_of(term: JSON, pod: PodInfo) -> labels.Selector:
    """The label selector of an affinity term or spread constraint that belongs to `pod`, with its `matchLabelKeys`."""
    selector = term.get("labelSelector")
    keys = [key for key in term.get("matchLabelKeys") or () if key in pod.labels]
    if keys and selector is not None:
        more = [{"key": key, "operator": "In", "values": [pod.labels[key]]} for key in keys]
        selector = {**selector, "matchExpressions": [*(selector.get("matchExpressions") or ()), *more]}
    return _parsed(orjson.dumps(selector))


def in_namespaces(cluster: Cluster, term: JSON, owner: PodInfo, namespace: str) -> bool:
    """Whether an affinity term of `owner` looks at `namespace`: its own unless the term names or selects others."""
    named, selector = term.get("namespaces") or (), term.get("namespaceSelector")
    if namespace in named:
        return True
    if selector is None:
        return not named and namespace == owner.namespace
    return _parsed(orjson.dumps(selector)).matches(cluster.namespaces.get(namespace, {}))


def selects(cluster: Cluster, term: JSON, owner: PodInfo, other: PodInfo) -> bool:
    """Whether an affinity term of `owner` selects the pod `other`."""
    return in_namespaces(cluster, term, owner, other.namespace) and selector_of(term, owner).matches(other.labels)


def selected_counts(cluster: Cluster, term: JSON, owner: PodInfo) -> Ints:
    """For each row the pods that an affinity term of `owner` selects."""
    total = np.zeros(len(cluster.names), dtype=np.int64)
    for alike in cluster.classes.values():
        if selects(cluster, term, owner, alike.example):
            total += alike.counts(len(total))
    return total


def by_domain(cluster: Cluster, key: str, counts: Ints, among: Bools) -> tuple[Ints, Ints]:
    """Sums `counts` over the nodes `among` that carry the topology label `key`.

    Returns (sum for each domain, domain of each row: -1 without the label).
    """
    column = cluster.label_column(key)
    domains = column.codes.astype(np.int64)
    inside = among & (domains >= 0)
    sums = np.bincount(domains[inside], weights=counts[inside], minlength=len(column.values)).astype(np.int64)
    return sums, domains
