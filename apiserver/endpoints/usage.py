"""metrics.k8s.io: what nodes and pods use, worked out when asked for.

It is here until servers can be aggregated; the shape is the metrics server's. An object stands for the Node or Pod of
its name, carries its labels, and is there if the kubelet had figures for it (`outbound.usage`).
"""

from __future__ import annotations

from collections.abc import Iterable

import orjson

from apimachinery import errors, kinds, meta
from apimachinery.meta import JSON
from apiserver.endpoints import negotiation, output, parameters
from apiserver.outbound.usage import NodeUsage, Used
from apiserver.parts import Parts
from apiserver.replies import Reply
from apiserver.request import Call
from apiserver.resources import Resource
from apiserver.storage import Entry

_BYTES = 1024


async def answer(call: Call, resource: Resource, parts: Parts) -> Reply:
    """GET of one object or of a list."""
    info = call.info
    if info.verb not in resource.kind.verbs:
        raise errors.MethodNotAllowed("the server does not allow this method on the requested resource")
    shape = negotiation.representation(call)
    entries = await _entries(call, resource, parts)
    if info.verb == "list":
        return await output.collection(resource, entries, {}, shape)
    if not entries:
        raise errors.not_found(info.group, info.resource, info.name)
    return output.single(resource, entries[0].body, shape)


async def _entries(call: Call, resource: Resource, parts: Parts) -> list[Entry]:
    nodes = [entry.parsed() for entry in parts.storage.cached(kinds.NODE)]
    usage = await parts.usage.of(nodes)
    if resource.kind is kinds.NODE_METRICS:
        shown: Iterable[JSON | None] = (node_metrics(node, usage) for node in nodes)
    else:
        pods = parts.storage.cached(kinds.POD, namespace=call.info.namespace or None)
        shown = (pod_metrics(entry.parsed(), usage) for entry in pods)
    labels, fields = parameters.labels(call), parameters.fields(call, resource.kind)
    found = []
    for each in shown:
        if each is None or (call.info.name and call.info.name != meta.name(each)):
            continue
        named = {"metadata.name": meta.name(each), "metadata.namespace": meta.namespace(each)}
        if (labels is None or labels.matches(meta.labels(each))) and (fields is None or fields.matches(named)):
            found.append(Entry(meta.key(each), 0, orjson.dumps(each), meta.labels(each), named))
    return found


def _object(kind: kinds.Kind, of: JSON, usage: NodeUsage) -> JSON:
    metadata = {key: of["metadata"][key] for key in ("name", "namespace", "labels") if key in of["metadata"]}
    return {
        "kind": kind.kind,
        "apiVersion": kind.api_version,
        "metadata": {**metadata, "creationTimestamp": usage.timestamp},
        "timestamp": usage.timestamp,
        "window": f"{usage.window:.3f}s",
    }


def _quantities(used: Used) -> JSON:
    return {"cpu": f"{used.cpu_nanocores}n", "memory": f"{used.memory_bytes // _BYTES}Ki"}


def node_metrics(node: JSON, usage: dict[str, NodeUsage]) -> JSON | None:
    """The NodeMetrics of a Node, None without figures."""
    known = usage.get(meta.name(node))
    if known is None or () not in known.used:
        return None
    return {**_object(kinds.NODE_METRICS, node, known), "usage": _quantities(known.used[()])}


def pod_metrics(pod: JSON, usage: dict[str, NodeUsage]) -> JSON | None:
    """The PodMetrics of a Pod, None unless there are figures for all its containers."""
    spec = pod.get("spec") or {}
    known = usage.get(spec.get("nodeName") or "")
    if known is None or (pod.get("status") or {}).get("phase") != "Running":
        return None
    names = [each["name"] for each in spec.get("containers") or ()]
    sidecars = [each["name"] for each in spec.get("initContainers") or () if each.get("restartPolicy") == "Always"]
    found = {name: known.used.get((meta.namespace(pod), meta.name(pod), name)) for name in (*names, *sidecars)}
    if not all(found[name] for name in names):
        return None
    containers = [{"name": name, "usage": _quantities(used)} for name, used in found.items() if used]
    return {**_object(kinds.POD_METRICS, pod, known), "containers": containers}
