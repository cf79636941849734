"""Which pod and which container a command means: a pod's name, or a workload with one of its pods picked."""

import asyncio
import time
from typing import Any, Final

import click

from apimachinery import kinds, labels, meta
from minikubectl.getting import find_targets, space_of
from minikubectl.session import Failed, Session

JSON = dict[str, Any]

_POLL_SECONDS: Final = 0.3
_START_SECONDS: Final = 60.0
DEFAULT_CONTAINER: Final = "kubectl.kubernetes.io/default-container"


async def pods_of(session: Session, word: str) -> list[JSON]:
    """The pods of `NAME`, `pod/NAME`, `deploy/NAME`, ...; those that run first. Raises Failed, NotFound."""
    if "/" not in word:
        return [await session.client.get(kinds.POD, word, namespace=session.namespace)]
    (target,) = await find_targets(session, (word,))
    owner = await session.client.get(target.kind, target.names[0], namespace=space_of(session, target.kind))
    if target.kind == kinds.POD:
        return [owner]
    selector = selector_of(owner)
    if not selector:
        raise Failed(f"cannot get pods from {target.kind.kind} {target.names[0]}: it has no selector")
    found = await selected(session, selector)
    if not found:
        raise Failed(f"no pods found for {word}")
    return found


def selector_of(owner: JSON) -> str:
    """What selects the pods of a workload, a Service or a budget, as text; "" where nothing does."""
    selector = (owner.get("spec") or {}).get("selector")
    if not selector or not isinstance(selector, dict) or owner.get("kind") == "PersistentVolumeClaim":
        return ""
    is_map = owner.get("kind") in ("Service", "ReplicationController")
    return str(labels.from_label_selector({"matchLabels": selector} if is_map else selector))


async def selected(session: Session, selector: str) -> list[JSON]:
    """The pods that labels select, those that are ready first."""
    listed = await session.client.list(kinds.POD, namespace=session.namespace, label_selector=selector)
    return sorted(listed["items"], key=lambda pod: (not meta.is_condition_true(pod, "Ready"), meta.name(pod)))


async def pick(session: Session, word: str, *, quiet: bool = False) -> JSON:
    """One pod of what a word names, said on stderr if there were several."""
    found = await pods_of(session, word)
    if len(found) > 1 and not quiet:
        click.echo(f"Found {len(found)} pods, using pod/{meta.name(found[0])}", err=True)
    return found[0]


def containers(pod: JSON) -> list[str]:
    """Names of all containers, the ordinary ones first."""
    spec = pod.get("spec") or {}
    groups = ("containers", "initContainers", "ephemeralContainers")
    return [str(each["name"]) for group in groups for each in spec.get(group) or ()]


def state_of(pod: JSON, container: str) -> JSON:
    """The container's state as the pod's status has it; {} if it says nothing yet."""
    status = pod.get("status") or {}
    groups = ("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses")
    found = (each for group in groups for each in status.get(group) or () if each.get("name") == container)
    return next((each.get("state") or {} for each in found), {})


def is_running(pod: JSON, container: str) -> bool:
    """Whether the pod's status says that this container runs."""
    return "running" in state_of(pod, container)


def ended_with(pod: JSON, container: str) -> int:
    """The exit code of a container that has ended."""
    return int((state_of(pod, container).get("terminated") or {}).get("exitCode") or 0)


async def until_started(session: Session, pod: JSON, container: str) -> JSON:
    """The pod once the container runs, or has. Raises Failed."""
    deadline = time.monotonic() + _START_SECONDS
    while not ({"running", "terminated"} & state_of(pod, container).keys()):
        if time.monotonic() > deadline:
            waiting = state_of(pod, container).get("waiting") or {}
            why = ": ".join(filter(None, (waiting.get("reason"), waiting.get("message")))) or "nothing is said yet"
            raise Failed(f"timed out waiting for container {container} of pod {meta.name(pod)} to start: {why}")
        if (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
            raise Failed(f"pod {meta.name(pod)} has ended before container {container} ran")
        await asyncio.sleep(_POLL_SECONDS)
        pod = await session.client.get(kinds.POD, meta.name(pod), namespace=meta.namespace(pod))
    return pod


def container_of(pod: JSON, wanted: str) -> str:
    """The container asked for, or the default one, said on stderr if there are several. Raises Failed."""
    names = containers(pod)
    if wanted:
        if wanted not in names:
            raise Failed(f"container {wanted} is not valid for pod {meta.name(pod)}")
        return wanted
    default = meta.annotations(pod).get(DEFAULT_CONTAINER, "")
    if default in names:
        return default
    ordinary = [each["name"] for each in (pod.get("spec") or {}).get("containers") or ()]
    if len(names) > 1:
        init = [name for name in names if name not in ordinary]
        said = ", ".join([*ordinary, *(f"{name} (init)" for name in init)])
        click.echo(f'Defaulted container "{ordinary[0]}" out of: {said}', err=True)
    return str(ordinary[0])
