"""The cluster as columns: one row a node, numpy arrays over all nodes.

A filter over 5,000 nodes is a handful of array operations instead of 5,000 calls. Informer events change rows in
place; a row of a deleted node is reused. Two things invalidate what plugins remember: `node_generation` counts changes
of what nodes are (labels, taints, `unschedulable`), never of what runs on them.

Invariants: `requested[i]` is the sum of the requests of the pods in `pods` whose node is row i, whether the node's
object has been seen or not; a pod is counted once, assumed or confirmed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apimachinery import meta
from apimachinery.meta import JSON
from apimachinery.placement import HostPort, amount
from scheduler.podinfo import CPU, EPHEMERAL, MEMORY, PODS, PodInfo
from scheduler.volumes import Volumes

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]
Taint = tuple[str, str, str]  # key, value, effect
_FIRST_RESOURCES = (CPU, MEMORY, EPHEMERAL, PODS)


@dataclass(slots=True)
class LabelColumn:
    """The values of one label key: a code for each node, -1 where the node has no such label."""

    codes: NDArray[np.int32]
    values: dict[str, int] = field(default_factory=dict)

    def code(self, value: str) -> int:
        """The code of `value`, made if it is new."""
        return self.values.setdefault(value, len(self.values))


@dataclass(slots=True)
class PodClass:
    """Pods on nodes that look alike to selectors: how many run on which row. Few classes stand for many pods."""

    example: PodInfo
    rows: dict[int, int] = field(default_factory=dict)

    def counts(self, size: int) -> Ints:
        """Pods of this class for each row, shape (size,)."""
        counts = np.zeros(size, dtype=np.int64)
        if self.rows:
            counts[np.fromiter(self.rows, dtype=np.intp)] = np.fromiter(self.rows.values(), dtype=np.int64)
        return counts


def _image_sizes(status: JSON) -> dict[str, int]:
    """Bytes of each image that a node's status lists, under every name it has there."""
    listed = status.get("images") or ()
    return {name: image.get("sizeBytes") or 0 for image in listed for name in image.get("names") or ()}


def _counted(pod: PodInfo) -> tuple[Any, ...]:
    """All that the columns hold of a pod."""
    return pod.requests, pod.scored, pod.class_key, pod.ports


class Cluster:
    """Nodes, the pods on them, and the columns that filters and scores read."""

    def __init__(self) -> None:
        self.resources: dict[str, int] = {name: i for i, name in enumerate(_FIRST_RESOURCES)}
        self.names: list[str] = []
        self.index: dict[str, int] = {}
        self.labels: list[Mapping[str, str]] = []
        self.live: Bools = np.zeros(0, dtype=np.bool_)
        self.unschedulable: Bools = np.zeros(0, dtype=np.bool_)
        self.allocatable: Ints = np.zeros((0, 8), dtype=np.int64)
        self.requested: Ints = np.zeros((0, 8), dtype=np.int64)
        self.scored: Ints = np.zeros((0, 2), dtype=np.int64)
        self.taint_codes: NDArray[np.int32] = np.zeros(0, dtype=np.int32)
        self.taint_sets: list[tuple[Taint, ...]] = [()]
        self.images: dict[str, dict[int, int]] = {}  # image name → row → bytes there
        self.ports: dict[int, dict[str, tuple[HostPort, ...]]] = defaultdict(dict)
        self.pods: dict[str, PodInfo] = {}
        self.pods_on: dict[int, set[str]] = defaultdict(set)
        self.classes: dict[bytes, PodClass] = {}
        self.namespaces: dict[str, Mapping[str, str]] = {}
        self.volumes = Volumes()
        self.node_generation = 0
        self._label_columns: dict[str, LabelColumn] = {}
        self._taint_index: dict[tuple[Taint, ...], int] = {(): 0}
        self._where: dict[str, int] = {}
        self._images_on: list[Mapping[str, int]] = []
        self._free: list[int] = []

    @property
    def node_count(self) -> int:
        """How many nodes there are."""
        return int(self.live.sum())

    # Nodes

    def set_node(self, node: JSON) -> None:
        """Adds or replaces a node (a Node as on the wire)."""
        row = self._row(meta.name(node))
        spec, status = node.get("spec") or {}, node.get("status") or {}
        self.allocatable[row] = 0
        for name, value in (status.get("allocatable") or {}).items():
            self.allocatable[row, self.resource(name)] = amount(name, str(value))
        self._set_images(row, _image_sizes(status))
        taints = tuple((t["key"], t.get("value") or "", t["effect"]) for t in spec.get("taints") or ())
        before = (self.live[row], self.unschedulable[row], self.taint_codes[row], self.labels[row])
        self.live[row] = True
        self.unschedulable[row] = bool(spec.get("unschedulable"))
        self.taint_codes[row] = self._taint_code(taints)
        self._set_labels(row, dict(meta.labels(node)))
        if before != (self.live[row], self.unschedulable[row], self.taint_codes[row], self.labels[row]):
            self.node_generation += 1

    def remove_node(self, name: str) -> None:
        """Forgets a node; its pods stay counted until they are removed themselves."""
        row = self.index.get(name)
        if row is None or not self.live[row]:
            return
        self.live[row] = False
        self.node_generation += 1
        self._release_if_unused(row)

    def label_column(self, key: str) -> LabelColumn:
        """The column of one label key, made when a selector first asks for it."""
        column = self._label_columns.get(key)
        if column is None:
            column = LabelColumn(np.full(len(self.names), -1, dtype=np.int32))
            for row, labels in enumerate(self.labels):
                if key in labels:
                    column.codes[row] = column.code(labels[key])
            self._label_columns[key] = column
        return column

    def resource(self, name: str) -> int:
        """The column of a resource, made when it is first named."""
        column = self.resources.get(name)
        if column is None:
            column = self.resources[name] = len(self.resources)
            if column >= self.allocatable.shape[1]:
                more = np.zeros((len(self.names), 8), dtype=np.int64)
                self.allocatable = np.concatenate([self.allocatable, more], axis=1)
                self.requested = np.concatenate([self.requested, more], axis=1)
        return column

    # Pods

    def add_pod(self, pod: PodInfo, node: str) -> None:
        """Counts `pod` on `node`; a pod that is counted already is replaced."""
        row, before = self._row(node), self.pods.get(pod.uid)
        if before is not None and self._where[pod.uid] == row and _counted(before) == _counted(pod):
            self.pods[pod.uid] = pod
            return
        self.remove_pod(pod.uid)
        row = self._row(node)  # which may have been released with the pod
        self._count(row, pod, 1)
        self.pods[pod.uid] = pod
        self._where[pod.uid] = row
        self.pods_on[row].add(pod.uid)
        if pod.ports:
            self.ports[row][pod.uid] = pod.ports

    def remove_pod(self, uid: str) -> bool:
        """Stops counting a pod; says whether it was counted."""
        pod = self.pods.pop(uid, None)
        if pod is None:
            return False
        row = self._where.pop(uid)
        self._count(row, pod, -1)
        self.pods_on[row].discard(uid)
        self.ports[row].pop(uid, None)
        self._release_if_unused(row)
        return True

    def _count(self, row: int, pod: PodInfo, sign: int) -> None:
        for name, value in pod.requests.items():
            self.requested[row, self.resource(name)] += sign * value
        self.scored[row] += (sign * pod.scored[0], sign * pod.scored[1])
        alike = self.classes.setdefault(pod.class_key, PodClass(pod))
        alike.rows[row] = alike.rows.get(row, 0) + sign
        if not alike.rows[row]:
            del alike.rows[row]
            if not alike.rows:
                del self.classes[pod.class_key]

    # Rows

    def _row(self, name: str) -> int:
        row = self.index.get(name)
        if row is not None:
            return row
        if not self._free:
            self._grow()
        row = self._free.pop()
        self.index[name] = row
        self.names[row] = name
        return row

    def _grow(self) -> None:
        size = len(self.names)
        more = max(16, size)

        def extended(array: NDArray[Any], fill: int = 0) -> NDArray[Any]:
            return np.concatenate([array, np.full((more, *array.shape[1:]), fill, dtype=array.dtype)])

        self.live, self.unschedulable = extended(self.live), extended(self.unschedulable)
        self.allocatable, self.requested = extended(self.allocatable), extended(self.requested)
        self.scored, self.taint_codes = extended(self.scored), extended(self.taint_codes)
        for column in self._label_columns.values():
            column.codes = extended(column.codes, -1)
        self.names += [""] * more
        self.labels += [{}] * more
        self._images_on += [{}] * more
        self._free = list(range(size + more - 1, size - 1, -1))

    def _release_if_unused(self, row: int) -> None:
        if self.live[row] or self.pods_on[row]:
            return
        self.index.pop(self.names[row], None)
        self.names[row] = ""
        self._set_labels(row, {})
        self._set_images(row, {})
        self.taint_codes[row] = 0
        self.allocatable[row] = 0
        self._free.append(row)

    def _set_labels(self, row: int, labels: Mapping[str, str]) -> None:
        if labels == self.labels[row]:
            return
        self.labels[row] = labels
        for key, column in self._label_columns.items():
            column.codes[row] = column.code(labels[key]) if key in labels else -1

    def _set_images(self, row: int, images: Mapping[str, int]) -> None:
        if images == self._images_on[row]:
            return
        for name in self._images_on[row]:
            self.images[name].pop(row, None)
            if not self.images[name]:
                del self.images[name]
        for name, size in images.items():
            self.images.setdefault(name, {})[row] = size
        self._images_on[row] = images

    def _taint_code(self, taints: tuple[Taint, ...]) -> int:
        code = self._taint_index.get(taints)
        if code is None:
            code = self._taint_index[taints] = len(self.taint_sets)
            self.taint_sets.append(taints)
        return code
