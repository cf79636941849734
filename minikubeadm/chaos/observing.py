"""What can be seen of a cluster from outside, as a value, and what changed between two looks, in words."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from apimachinery import errors, kinds, meta
from componentbase import defaults
from kubeclient.errors import Unreachable
from kubeclient.rest import Client
from minikubeadm import api

JSON = dict[str, Any]
LOOK_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod as far as a fault can change it."""

    name: str  # namespace/name
    node: str
    ready: bool
    leaving: bool


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One look. Where the API server doesn't answer, nodes and pods are those of the look before."""

    api: str = ""  # what is wrong with it, "" if it is ready
    nodes: dict[str, str] = field(default_factory=dict)  # why each is not well, "" if it is
    pods: dict[str, Pod] = field(default_factory=dict)  # by UID


async def look(client: Client, before: Snapshot) -> Snapshot:
    """Ask for readiness, nodes and pods; never raises for an API server that is in trouble."""
    try:
        async with asyncio.timeout(LOOK_SECONDS):
            problem = await api.ready(client)
            nodes = await client.list(kinds.NODE)
            pods = await client.list(kinds.POD)
    except (errors.StatusError, Unreachable, TimeoutError) as error:
        problem = str(error) or f"no answer within {LOOK_SECONDS:.0f} s"
    if problem:
        lines = problem.splitlines()  # of /readyz?verbose, or of an error
        return Snapshot(
            ", ".join(line for line in lines if line.startswith("[-]")) or lines[0], before.nodes, before.pods
        )
    return Snapshot(
        "",
        {meta.name(node): trouble(node) for node in nodes["items"]},
        {meta.uid(pod): seen(pod) for pod in pods["items"]},
    )


async def heard(client: Client, node: str) -> str:
    """When a node's kubelet last renewed its lease, as the API writes it (which sorts); "" if that can't be known."""
    try:
        lease = await client.get(kinds.LEASE, node, namespace=defaults.NODE_LEASE_NAMESPACE)
    except (errors.StatusError, Unreachable):
        return ""
    return str(lease["spec"].get("renewTime") or "")


def trouble(node: JSON) -> str:
    """What a node's conditions say is wrong with it."""
    said = []
    for condition in (node.get("status") or {}).get("conditions") or ():
        if condition["type"] == "Ready" and condition["status"] != "True":
            said.append(f"Ready is {condition['status']}: {condition.get('message', '')}")
        elif condition["type"] != "Ready" and condition["status"] == "True":
            said.append(f"{condition['type']}: {condition.get('message', '')}")
    return "; ".join(said)


def seen(pod: JSON) -> Pod:
    """A pod's part of a snapshot."""
    node = pod["spec"].get("nodeName") or ""
    return Pod(meta.key(pod), node, meta.is_condition_true(pod, "Ready"), meta.is_deleting(pod))


def changes(before: Snapshot, now: Snapshot) -> list[str]:
    """What happened between two looks."""
    told = []
    if before.api != now.api:
        told.append(f"API server: {now.api or 'ready'}")
    for name, why in now.nodes.items():
        if before.nodes.get(name, "") != why:
            told.append(f"node {name}: {why or 'Ready'}")
    for uid in {**before.pods, **now.pods}:
        told += _pod_changes(before.pods.get(uid), now.pods.get(uid))
    return told


def _pod_changes(old: Pod | None, new: Pod | None) -> Iterable[str]:
    if new is None:
        return [f"pod {old.name} on {old.node} is gone"] if old else []
    where = f"pod {new.name} on {new.node}" if new.node else f"pod {new.name}"
    if old is None:
        return [f"{where} is new" + (" and Ready" if new.ready else "")]
    told = []
    if new.leaving and not old.leaving:
        told.append(f"{where} is being deleted")
    if new.node != old.node:
        told.append(f"{where} is scheduled")
    if new.ready != old.ready:
        told.append(f"{where} is {'Ready' if new.ready else 'not Ready'}")
    return told


def lacking(wanted: Snapshot, now: Snapshot) -> list[str]:
    """What the cluster had and has not again: readiness, nodes, as many Ready pods on each namespace."""
    found = [f"API server: {now.api}"] if now.api else []
    found += [
        f"node {name}: {now.nodes.get(name) or 'gone'}"
        for name, why in wanted.nodes.items()
        if not why and now.nodes.get(name, "gone")
    ]
    before, after = _ready(wanted), _ready(now)
    found += [
        f"{count - after.get(name, 0)} pods of {name}" for name, count in before.items() if after.get(name, 0) < count
    ]
    return found


def _ready(snapshot: Snapshot) -> dict[str, int]:
    """Ready pods that are to stay, by namespace."""
    counts: dict[str, int] = {}
    for pod in snapshot.pods.values():
        if pod.ready and not pod.leaving:
            namespace = pod.name.partition("/")[0]
            counts[namespace] = counts.get(namespace, 0) + 1
    return counts


def replaced(before: Snapshot, now: Snapshot) -> int:
    """How many pods are Ready now that were not there before."""
    return sum(pod.ready and uid not in before.pods for uid, pod in now.pods.items())
