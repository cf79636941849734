"""VolumeRestrictions: a claim with access mode ReadWriteOncePod is one pod's at a time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from scheduler.cluster import Bools, Cluster
from scheduler.framework import RefusingPlugin
from scheduler.podinfo import PodInfo

TAKEN = "node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode"


class VolumeRestrictions(RefusingPlugin):
    """Filters by ReadWriteOncePod."""

    name = "VolumeRestrictions"

    def concerns(self, pod: PodInfo, cluster: Cluster) -> bool:
        return bool(pod.claims)

    def refusals(self, cluster: Cluster, pod: PodInfo) -> Iterator[tuple[str, Bools]]:
        state = cluster.volumes
        claims = ((key, state.claims.get(key)) for key in state.keys_of(pod))
        exclusive = {key for key, claim in claims if claim and "ReadWriteOncePod" in claim["spec"]["accessModes"]}
        users = (other for other in cluster.pods.values() if other.claims and other.uid != pod.uid) if exclusive else ()
        if any(exclusive.intersection(state.keys_of(other)) for other in users):
            yield TAKEN, np.ones(len(cluster.names), dtype=np.bool_)
