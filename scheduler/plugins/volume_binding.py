"""VolumeBinding: a pod goes where its volumes are, or where volumes can be found or made for it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from apimachinery import meta, volumes
from scheduler.cluster import Bools, Cluster
from scheduler.framework import RefusingPlugin
from scheduler.podinfo import PodInfo
from scheduler.volumeplans import reachable, served

NO_VOLUME = "node(s) didn't find available persistent volumes to bind"
ELSEWHERE = "node(s) didn't match PersistentVolume's node affinity"
LOST = "node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)"


class VolumeBinding(RefusingPlugin):
    """Filters by claims."""

    name = "VolumeBinding"

    def concerns(self, pod: PodInfo, cluster: Cluster) -> bool:
        return bool(pod.claims)

    def refuses_everywhere(self, cluster: Cluster, pod: PodInfo) -> str:
        unbound = False
        for key in cluster.volumes.keys_of(pod):
            claim, name = cluster.volumes.claims.get(key), key.partition("/")[2]
            if claim is None:
                return f'persistentvolumeclaim "{name}" not found'
            if volumes.phase(claim) == "Lost":
                missing = claim["spec"].get("volumeName")
                return f'persistentvolumeclaim "{name}" bound to non-existent persistentvolume "{missing}"'
            if meta.is_deleting(claim):
                return f'persistentvolumeclaim "{name}" is being deleted'
            unbound |= not volumes.is_fully_bound(claim) and not cluster.volumes.waits(claim)
        return "pod has unbound immediate PersistentVolumeClaims" if unbound else ""

    def refusals(self, cluster: Cluster, pod: PodInfo) -> Iterator[tuple[str, Bools]]:
        there = np.ones(len(cluster.names), dtype=np.bool_)
        waiting = False
        for claim in cluster.volumes.claims_of(pod):
            if not volumes.is_fully_bound(claim):
                waiting = True
                continue
            volume = cluster.volumes.volumes.get(claim["spec"]["volumeName"])
            if volume is None:
                yield LOST, np.ones(len(cluster.names), dtype=np.bool_)
                return
            there &= reachable(cluster, volume)
        yield ELSEWHERE, ~there
        if waiting:
            yield NO_VOLUME, ~served(cluster, pod, there & cluster.live)
