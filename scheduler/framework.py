"""What a plugin is: a filter (a boolean for each node), a score (a number for each node), or both.

A plugin is a small class with its upstream name. It reads the columns of `Cluster` and the `PodInfo`, and writes
nothing. A filter that depends only on what the nodes are (not on what runs there) says so with `node_only`; its answer
is then shared by all pods of one signature until a node changes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from scheduler.cluster import Bools, Cluster
from scheduler.podinfo import PodInfo

Rows = NDArray[np.intp]
Scores = NDArray[np.float64]
MAX_SCORE = 100.0
REMEMBERED_SIGNATURES = 512


class Plugin:
    """The base of all plugins; one without a filter (or score) of its own is skipped in that phase."""

    name: ClassVar[str]
    node_only: ClassVar[bool] = False
    reason: ClassVar[str] = ""  # of a filter that has only one

    def __init__(self, arguments: Mapping[str, Any] | None = None) -> None:
        self.arguments = dict(arguments or {})

    def concerns(self, pod: PodInfo, cluster: Cluster) -> bool:
        """Says whether the filter or score can make any difference to `pod`."""
        return True

    def refuses_everywhere(self, cluster: Cluster, pod: PodInfo) -> str:
        """Why no node at all can do, or ""; asked before the filter of a plugin that the pod concerns."""
        return ""

    def filter(self, cluster: Cluster, pod: PodInfo) -> Bools | None:
        """For each row whether `pod` may run there; None if the plugin filters nothing."""
        return None

    def reasons(self, cluster: Cluster, pod: PodInfo, refused: Rows) -> Counter[str]:
        """Why the nodes `refused` by this filter don't do, in upstream's words, with the number of nodes of each."""
        return Counter({self.reason: len(refused)})

    def score(self, cluster: Cluster, pod: PodInfo, rows: Rows) -> Scores | None:
        """0 to 100 for each of `rows`, higher is better; None if the plugin scores nothing."""
        return None


class RefusingPlugin(Plugin):
    """A plugin whose filter is a series of refusals, each with its own reason; a node is counted at the first."""

    def refusals(self, cluster: Cluster, pod: PodInfo) -> Iterator[tuple[str, Bools]]:
        """(reason in upstream's words, rows that it refuses), one after another."""
        raise NotImplementedError

    def filter(self, cluster: Cluster, pod: PodInfo) -> Bools | None:
        mask = np.ones(len(cluster.names), dtype=np.bool_)
        for _, refused in self.refusals(cluster, pod):
            mask &= ~refused
        return mask

    def reasons(self, cluster: Cluster, pod: PodInfo, refused: Rows) -> Counter[str]:
        reasons: Counter[str] = Counter()
        left = np.zeros(len(cluster.names), dtype=np.bool_)
        left[refused] = True
        for reason, rows in self.refusals(cluster, pod):
            reasons[reason] += int((rows & left).sum())
            left &= ~rows
        return +reasons


def normalised(raw: Scores, *, reverse: bool = False) -> Scores:
    """Scales so that the largest becomes 100 (with `reverse`, the largest becomes 0)."""
    largest = raw.max(initial=0.0)
    if largest <= 0:
        return np.full(len(raw), MAX_SCORE if reverse else 0.0)
    scaled: Scores = raw * (MAX_SCORE / largest)
    return MAX_SCORE - scaled if reverse else scaled


@dataclass(slots=True)
class Profile:
    """The filters, in order, and weighted scores of one scheduler name."""

    filters: list[Plugin]
    scores: list[tuple[Plugin, float]]
    _generation: int = -1
    _remembered: dict[bytes, Bools] = field(default_factory=dict)

    def node_only_mask(self, cluster: Cluster, pod: PodInfo) -> Bools:
        """The rows that all node-only filters allow, shared by pods of one signature until a node changes."""
        if self._generation != cluster.node_generation or len(self._remembered) >= REMEMBERED_SIGNATURES:
            self._remembered.clear()
            self._generation = cluster.node_generation
        mask = self._remembered.get(pod.signature)
        if mask is None or len(mask) != len(cluster.live):
            mask = cluster.live.copy()
            for plugin in self.filters:
                if plugin.node_only and (allowed := plugin.filter(cluster, pod)) is not None:
                    mask &= allowed
            self._remembered[pod.signature] = mask
        return mask
