"""What scheduling reads of a pod, worked out once when the pod is first seen.

Everything that a filter or a score looks at is here, so that a plugin never walks the object, and the object needn't be
kept. Pods of one controller differ in little: what is worked out of the rest is made once and shared by all of them.
`signature` names pods that are alike in everything the node-only filters read: such pods share one evaluation of those
filters. `class_key` names pods that are alike to the selectors of others: same namespace, labels and pod
(anti-)affinity.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from sys import intern

import orjson

from apimachinery import meta
from apimachinery.meta import JSON
from apimachinery.placement import HostPort, effective_requests, host_ports
from apimachinery.volumes import claims_of

CPU, MEMORY, EPHEMERAL, PODS = "cpu", "memory", "ephemeral-storage", "pods"
# What a container that requests nothing is taken to use when nodes are scored (upstream's non-zero defaults).
UNREQUESTED_CPU_MILLI, UNREQUESTED_MEMORY_BYTES = 100, 200 * 1024 * 1024
# What is read of a spec and of its containers, beside the node and the claims.
_SPEC = (
    "affinity", "nodeSelector", "overhead", "priority", "resources", "schedulerName", "schedulingGates", "tolerations",
    "topologySpreadConstraints",
)  # fmt: skip
_CONTAINER = ("image", "ports", "resources", "restartPolicy")
_TEMPLATES = 1024


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
    metadata, spec = pod["metadata"], pod["spec"]
    read: JSON = {name: spec[name] for name in _SPEC if name in spec}
    for name in ("containers", "initContainers"):
        if listed := spec.get(name):
            read[name] = [{key: one[key] for key in _CONTAINER if key in one} for one in listed]
    return replace(
        _template(orjson.dumps([meta.namespace(pod), metadata.get("labels"), read])),
        key=meta.key(pod),
        uid=meta.uid(pod),
        created=intern(metadata.get("creationTimestamp") or ""),
        node=intern(spec.get("nodeName") or ""),
        claims=claims_of(pod) if spec.get("volumes") else (),
    )


@lru_cache(maxsize=_TEMPLATES)
def _template(document: bytes) -> PodInfo:
    """What pods of one namespace, with these labels and this of their spec, have in common."""
    namespace, labels, spec = orjson.loads(document)
    requests = effective_requests(spec)
    affinity = spec.get("affinity") or {}
    node_affinity = affinity.get("nodeAffinity") or {}
    required = node_affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    tolerations = tuple(spec.get("tolerations") or ())
    selector = spec.get("nodeSelector") or {}
    return PodInfo(
        key="",
        uid="",
        namespace=intern(namespace),
        priority=spec.get("priority") or 0,
        created="",
        scheduler=spec.get("schedulerName") or "default-scheduler",
        node="",
        requests={**requests, PODS: 1},
        scored=_scored(spec, requests),
        node_selector=selector,
        required_terms=tuple(required.get("nodeSelectorTerms") or ()) if required else None,
        preferred_terms=tuple(node_affinity.get("preferredDuringSchedulingIgnoredDuringExecution") or ()),
        tolerations=tolerations,
        ports=host_ports(spec.get("containers") or ()),
        gates=tuple(gate["name"] for gate in spec.get("schedulingGates") or ()),
        images=tuple(container.get("image") or "" for container in spec.get("containers") or ()),
        labels=labels or {},
        affinity=affinity,
        spread=tuple(spec.get("topologySpreadConstraints") or ()),
        claims=(),
        signature=orjson.dumps([selector, node_affinity, tolerations], option=orjson.OPT_SORT_KEYS),
        class_key=orjson.dumps(
            [namespace, labels or {}, affinity.get("podAffinity"), affinity.get("podAntiAffinity")],
            option=orjson.OPT_SORT_KEYS,
        ),
    )
