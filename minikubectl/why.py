"""`why`: what keeps a pod from running, or a workload from having its pods, and what would have to change."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final

import click

from apimachinery import kinds, meta, volumes
from apimachinery.errors import NotFound, StatusError
from apimachinery.kinds import GVK, Kind, by_gvk
from apimachinery.printers.cells import since
from minikubectl.cli import cli
from minikubectl.describing import last_seen
from minikubectl.getting import objects_of
from minikubectl.mutating import find
from minikubectl.options import RESOURCES
from minikubectl.placing import Refusal, World, refusals
from minikubectl.pods import selector_of
from minikubectl.readiness import state_of
from minikubectl.resources import Target, shown
from minikubectl.session import Session, command
from minikubectl.troubles import Trouble, event_troubles, object_troubles, pod_troubles, workload_troubles

JSON = dict[str, Any]

_PODS_SHOWN: Final = 3
_DEFAULT_SCHEDULER: Final = "default-scheduler"
_REPLICA_SET: Final = by_gvk(GVK("apps", "v1", "ReplicaSet"))
_LEASE: Final = by_gvk(GVK("coordination.k8s.io", "v1", "Lease"))
_CLAIM: Final = by_gvk(GVK("", "v1", "PersistentVolumeClaim"))
_VOLUME: Final = by_gvk(GVK("", "v1", "PersistentVolume"))
_CLASS: Final = by_gvk(GVK("storage.k8s.io", "v1", "StorageClass"))
_NAMESPACE: Final = by_gvk(GVK("", "v1", "Namespace"))


@command(cli, "why")
@RESOURCES
async def why(session: Session, resources: tuple[str, ...]) -> int:
    """Say why a pod doesn't run, or a workload has no pods, and what would have to change. Exit code 1: something is.

    For a pod without a node: node by node, which of the scheduler's filters refuse it.

    \b
    minikubectl why web-1
    minikubectl why deployment/web
    minikubectl why pvc/data
    """
    words = ("pods", *resources) if len(resources) == 1 and "/" not in resources[0] else resources
    troubled = False
    for kind, obj in await find(session, words, all_=True):
        troubled |= await _explain(session.inside(meta.namespace(obj)), kind, obj, depth=0)
    return session.code or int(troubled)


def _say(text: str, depth: int, *, colour: str = "") -> None:
    click.echo("  " * depth + (click.style(text, fg=colour) if colour else text))


def _tell(troubles: Iterable[Trouble | Refusal], depth: int) -> None:
    for each in troubles:
        prefix = f"{each.plugin}: " if isinstance(each, Refusal) else ""
        _say(f"{prefix}{each.what}", depth, colour="yellow")
        if each.remedy:
            _say(f"→ {each.remedy}", depth + 1)


async def _explain(session: Session, kind: Kind, obj: JSON, *, depth: int) -> bool:
    """Say what is wrong with an object and what belongs to it; whether anything is."""
    name = shown(kind, meta.name(obj))
    if kind == kinds.POD:
        return await _explain_pod(session, name, obj, depth)
    events = await _events(session, obj)
    pods = await _pods_of(session, obj)
    judge = workload_troubles if "template" in (obj.get("spec") or {}) else object_troubles
    troubles = judge(obj, events, len(pods))
    unready = [pod for pod in pods if not state_of(pod).done]
    state = state_of(obj)
    if state.done and not troubles and not unready:
        _say(f"{name}: nothing is known against it ({state.text})", depth, colour="green")
        return False
    _say(f"{name}: {state.text}", depth)
    _tell(troubles, depth + 1)
    if kind.kind == "Deployment":
        for replica_set in await _owned(session, _REPLICA_SET, obj):
            if (replica_set.get("spec") or {}).get("replicas"):
                more = event_troubles(await _events(session, replica_set))
                told = {each.what.partition(":")[0] for each in troubles}
                _tell([each for each in more if each.what.partition(":")[0] not in told], depth + 1)
    for pod in unready[:_PODS_SHOWN]:
        await _explain_pod(session, f"pod/{meta.name(pod)}", pod, depth + 1)
    if len(unready) > _PODS_SHOWN:
        _say(f"and {len(unready) - _PODS_SHOWN} more pods that are not ready", depth + 1)
    return True


async def _explain_pod(session: Session, name: str, pod: JSON, depth: int) -> bool:
    if not pod["spec"].get("nodeName"):
        await _explain_pending(session, name, pod, depth)
        return True
    try:
        node: JSON | None = await session.client.get(kinds.NODE, pod["spec"]["nodeName"])
    except NotFound:
        node = None
    troubles = pod_troubles(pod, await _events(session, pod), node)
    state = state_of(pod)
    if state.done and not troubles:
        _say(f"{name} is well: {state.text} on node {pod['spec']['nodeName']}", depth, colour="green")
        return False
    phase = str((pod.get("status") or {}).get("phase") or "Pending").lower()
    _say(f"{name} on node {pod['spec']['nodeName']} is {phase}{', not ready' if phase == 'running' else ''}", depth)
    _tell(troubles or [Trouble("nothing is said against it yet", "wait, or `minikubectl events`")], depth + 1)
    return True


async def _explain_pending(session: Session, name: str, pod: JSON, depth: int) -> None:
    gates = [gate["name"] for gate in pod["spec"].get("schedulingGates") or ()]
    if gates:
        _say(f"{name} is held back by scheduling gates: {', '.join(gates)}", depth)
        _tell([Trouble("it is not looked at until they are removed", "whoever set them removes them")], depth + 1)
        return
    world = await _world(session, pod)
    verdicts = [(node, refusals(pod, node, world)) for node in sorted(world.nodes, key=meta.name)]
    willing = [meta.name(node) for node, refused in verdicts if not refused]
    if not verdicts:
        _say(f"{name} has no node: there is none", depth)
        _tell([Trouble("no node has joined", "`minikubeadm join` one")], depth + 1)
        return
    if willing:
        _say(f"{name} has no node yet, though {', '.join(willing)} would do", depth)
        _tell([await _scheduler(session, pod)], depth + 1)
        return
    _say(f"{name} has no node: none of {len(verdicts)} will do", depth)
    for node, refused in verdicts:
        _say(f"node/{meta.name(node)}", depth + 1)
        _tell(refused, depth + 2)
    if said := (meta.condition(pod, "PodScheduled") or {}).get("message"):
        _say(f"the scheduler says: {said}", depth + 1)


async def _scheduler(session: Session, pod: JSON) -> Trouble:
    """Why nobody has bound a pod that has somewhere to go."""
    chosen = pod["spec"].get("schedulerName") or _DEFAULT_SCHEDULER
    if chosen != _DEFAULT_SCHEDULER:
        return Trouble(f"it waits for the scheduler {chosen}", "a scheduler of that name must run")
    try:
        lease = await session.client.get(_LEASE, "kube-scheduler", namespace="kube-system")
    except StatusError:
        return Trouble("no scheduler has ever run", "start it")
    renewed = since(lease["spec"].get("renewTime"), datetime.now(UTC))
    return Trouble(f"the scheduler was last heard of {renewed} ago", "wait a moment; if that grows, it is not running")


async def _world(session: Session, pod: JSON) -> World:
    client = session.client
    running = await client.list(kinds.POD, field_selector="status.phase!=Succeeded,status.phase!=Failed")
    nodes = await client.list(kinds.NODE)
    spaces = await client.list(_NAMESPACE)
    claims = volumes_ = classes = {}
    if volumes.claims_of(pod):
        claims = {meta.key(each): each for each in (await client.list(_CLAIM, namespace=session.namespace))["items"]}
        volumes_ = {meta.name(each): each for each in (await client.list(_VOLUME))["items"]}
        classes = {meta.name(each): each for each in (await client.list(_CLASS))["items"]}
    return World(
        nodes["items"],
        [each for each in running["items"] if each["spec"].get("nodeName")],
        {meta.name(each): meta.labels(each) for each in spaces["items"]},
        claims, volumes_, classes,
    )  # fmt: skip


async def _events(session: Session, obj: JSON) -> list[JSON]:
    selector = f"involvedObject.uid={meta.uid(obj)}"
    listed = await session.client.list(kinds.CORE_EVENT, namespace=meta.namespace(obj), field_selector=selector)
    return sorted(listed["items"], key=last_seen)


async def _pods_of(session: Session, owner: JSON) -> list[JSON]:
    selector = selector_of(owner)
    return await objects_of(session, Target(kinds.POD), label_selector=selector) if selector else []


async def _owned(session: Session, kind: Kind, owner: JSON) -> list[JSON]:
    listed = await objects_of(session, Target(kind))
    return [each for each in listed if (meta.controller_of(each) or {}).get("uid") == meta.uid(owner)]
