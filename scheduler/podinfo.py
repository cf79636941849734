"""What scheduling reads of a pod, worked out once when the pod is first seen.

Everything that a filter or a score looks at is here, so that a plugin never walks the object. `signature` names pods
that are alike in everything the node-only filters read: such pods share one evaluation of those filters. `class_key`
names pods that are alike to the selectors of others: same namespace, labels and pod (anti-)affinity.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from apimachinery import meta
from apimachinery.meta import JSON
from apimachinery.placement import HostPort, effective_requests, host_ports
from apimachinery.volumes import claims_of

CPU, MEMORY, EPHEMERAL, PODS = "cpu", "memory", "ephemeral-storage", "pods"
# What a container that requests nothing is taken to use when nodes are scored (upstream's non-zero defaults).
UNREQUESTED_CPU_MILLI, UNREQUESTED_MEMORY_BYTES = 100, 200 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class PodInfo:
    """A pod as scheduling sees it. `requests` maps resource names to integers: cpu in milli, the others in units."""

    key: str
    uid: str
    namespace: str
    priority: int
    created: str
    scheduler: str
    node: str
    requests: Mapping[str, int]
    scored: tuple[int, int]
    node_selector: Mapping[str, str]
    required_terms: tuple[JSON, ...] | None
    preferred_terms: tuple[JSON, ...]
    tolerations: tuple[JSON, ...]
    ports: tuple[HostPort, ...]
    gates: tuple[str, ...]
    images: tuple[str, ...]
    labels: Mapping[str, str]
    affinity: JSON
    spread: tuple[JSON, ...]
    claims: tuple[str, ...]
    signature: bytes
    class_key: bytes


def _scored(spec: JSON, requests: Mapping[str, int]) -> tuple[int, int]:
    cpu, memory = requests.get(CPU, 0), requests.get(MEMORY, 0)
    for container in spec.get("containers") or ():
        listed = (container.get("resources") or {}).get("requests") or {}
        cpu += 0 if CPU in listed else UNREQUESTED_CPU_MILLI
        memory += 0 if MEMORY in listed else UNREQUESTED_MEMORY_BYTES
    return cpu, memory


def pod_info(pod: JSON) -> PodInfo:
    """Reads `pod` (a Pod as on the wire)."""
    spec: dict[str, Any] = pod["spec"]
    requests = effective_requests(spec)
    affinity = spec.get("affinity") or {}
    node_affinity = affinity.get("nodeAffinity") or {}
    required = node_affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    terms = tuple(required.get("nodeSelectorTerms") or ()) if required else None
    ports = host_ports(spec.get("containers") or ())
    tolerations = tuple(spec.get("tolerations") or ())
    selector = spec.get("nodeSelector") or {}
    return PodInfo(
        key=meta.key(pod),
        uid=meta.uid(pod),
        namespace=meta.namespace(pod),
        priority=spec.get("priority") or 0,
        created=pod["metadata"].get("creationTimestamp") or "",
        scheduler=spec.get("schedulerName") or "default-scheduler",
        node=spec.get("nodeName") or "",
        requests={**requests, PODS: 1},
        scored=_scored(spec, requests),
        node_selector=selector,
        required_terms=terms,
        preferred_terms=tuple(node_affinity.get("preferredDuringSchedulingIgnoredDuringExecution") or ()),
        tolerations=tolerations,
        ports=ports,
        gates=tuple(gate["name"] for gate in spec.get("schedulingGates") or ()),
        images=tuple(container.get("image") or "" for container in spec.get("containers") or ()),
        labels=meta.labels(pod),
        affinity=affinity,
        spread=tuple(spec.get("topologySpreadConstraints") or ()),
        claims=claims_of(pod) if spec.get("volumes") else (),
        signature=orjson.dumps([selector, node_affinity, tolerations], option=orjson.OPT_SORT_KEYS),
        class_key=orjson.dumps(
            [meta.namespace(pod), meta.labels(pod), affinity.get("podAffinity"), affinity.get("podAntiAffinity")],
            option=orjson.OPT_SORT_KEYS,
        ),
    )
