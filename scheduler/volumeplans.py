"""Where a pod's claims can be served: the nodes that reach its volumes, and the plan for one node.

Pure, over the columns. The mask is worked out per claim over all nodes at once; node by node only where several claims
compete for the same free volumes.
"""

from __future__ import annotations

import numpy as np

from apimachinery import meta, volumes
from apimachinery.meta import JSON
from scheduler.cluster import Bools, Cluster
from scheduler.nodeselector import matches_term
from scheduler.podinfo import PodInfo
from scheduler.volumes import Plan


def reachable(cluster: Cluster, volume: JSON) -> Bools:
    """The rows whose nodes can mount a volume, by its node affinity."""
    required = (volume["spec"].get("nodeAffinity") or {}).get("required")
    if not required:
        return np.ones(len(cluster.names), dtype=np.bool_)
    found = np.zeros(len(cluster.names), dtype=np.bool_)
    for term in required.get("nodeSelectorTerms") or ():
        found |= matches_term(cluster, term)
    return found


def provisionable(cluster: Cluster, claim: JSON) -> Bools:
    """The rows for whose nodes a volume can be made: those of the class's `allowedTopologies`, all without."""
    if not cluster.volumes.can_provision(claim):
        return np.zeros(len(cluster.names), dtype=np.bool_)
    topologies = cluster.volumes.class_of(claim).get("allowedTopologies") or ()
    found = np.full(len(cluster.names), not topologies, dtype=np.bool_)
    for topology in topologies:
        expressions = [{**one, "operator": "In"} for one in topology.get("matchLabelExpressions") or ()]
        found |= matches_term(cluster, {"matchExpressions": expressions})
    return found


def waiting_claims(cluster: Cluster, pod: PodInfo) -> list[JSON]:
    """The pod's claims that are bound once it has a node, the smallest first."""
    state = cluster.volumes
    return sorted((each for each in state.claims_of(pod) if state.waits(each)), key=volumes.requested)


def plan(cluster: Cluster, pod: PodInfo, row: int) -> Plan | None:
    """How a pod's unbound claims would be served on one node; None if they can't be."""
    state, node = cluster.volumes, cluster.names[row]
    reserve: list[tuple[JSON, JSON]] = []
    provision: list[JSON] = []
    await_only: list[JSON] = []
    for claim in waiting_claims(cluster, pod):
        selected = state.node_of(claim)
        if meta.key(claim) in state.assumed and selected == node:
            await_only.append(claim)
            continue
        taken = {meta.name(volume) for volume, _ in reserve}
        options = [] if selected else [each for each in state.options(claim) if meta.name(each) not in taken]
        found = next((each for each in options if reachable(cluster, each)[row]), None)
        if found is not None:
            reserve.append((found, claim))
        elif selected in (None, node) and provisionable(cluster, claim)[row]:
            provision.append(claim)
        else:
            return None
    return Plan(node, tuple(reserve), tuple(provision), tuple(await_only))


def served(cluster: Cluster, pod: PodInfo, rows: Bools) -> Bools:
    """Those of `rows` on which there is a plan for the pod."""
    mask, competing = rows.copy(), 0
    for claim in waiting_claims(cluster, pod):
        selected = cluster.volumes.node_of(claim)
        if selected is not None:
            here = np.zeros(len(mask), dtype=np.bool_)
            here[[cluster.index[selected]] if selected in cluster.index else []] = True
            mask &= here
        elif not (makeable := provisionable(cluster, claim)).all():
            competing += 1
            reached = [reachable(cluster, each) for each in cluster.volumes.options(claim)]
            mask &= np.logical_or.reduce([makeable, *reached])
    if competing > 1:
        for row in np.flatnonzero(mask):
            mask[row] = plan(cluster, pod, int(row)) is not None
    return mask
