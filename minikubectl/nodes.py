"""`cordon`, `uncordon`, `drain`: nodes out of use and back.

Draining evicts, so that DisruptionBudgets are honoured: a pod that may not go yet (429) is asked again until the
timeout. What would be lost for good, or would come straight back, is refused unless a flag says that it may.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import click

from apimachinery import kinds, meta
from apimachinery.errors import NotFound, TooManyRequests
from minikubectl import completing
from minikubectl.cli import cli
from minikubectl.durations import parse_duration
from minikubectl.getting import Found, until_gone
from minikubectl.mutating import changing, each, find
from minikubectl.options import DRY_RUN, LABEL_SELECTOR, Sending
from minikubectl.session import Failed, Session, command, complain

JSON = dict[str, Any]

_RETRY_SECONDS: Final = 5.0
_NODES: Final = click.argument("names", nargs=-1, shell_complete=completing.nodes)
_MIRROR: Final = "kubernetes.io/config.mirror"


async def _mark(session: Session, names: tuple[str, ...], selector: str, wanted: bool, sending: Sending) -> Found:
    if not (names or selector):
        raise Failed(f"USAGE: {'cordon' if wanted else 'uncordon'} NODE [flags]")
    found = await find(session, ("nodes", *names), label_selector=selector)
    verb = "cordoned" if wanted else "uncordoned"

    def change(node: JSON) -> JSON:
        spec = {key: value for key, value in (node.get("spec") or {}).items() if key != "unschedulable"}
        return {**node, "spec": {**spec, **({"unschedulable": True} if wanted else {})}}

    act = changing(session, change, sending, lambda old, new: verb if old != new else f"already {verb}")
    await each(session, found, act, sending=sending)
    return found


@command(cli, "cordon")
@_NODES
@LABEL_SELECTOR
@DRY_RUN
async def cordon(session: Session, names: tuple[str, ...], label_selector: str, dry_run: str) -> int:
    """Let no new pods come to a node.

    \b
    minikubectl cordon worker1
    """
    await _mark(session, names, label_selector, True, Sending(dry_run))
    return session.code


@command(cli, "uncordon")
@_NODES
@LABEL_SELECTOR
@DRY_RUN
async def uncordon(session: Session, names: tuple[str, ...], label_selector: str, dry_run: str) -> int:
    """Let pods come to a node again."""
    await _mark(session, names, label_selector, False, Sending(dry_run))
    return session.code


@dataclass(frozen=True, slots=True)
class Allowed:
    """What a drain may do beyond evicting what comes up elsewhere."""

    ignore_daemonsets: bool = False
    delete_emptydir_data: bool = False
    force: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """Which pods go; why others keep the drain from happening, and what is to be said about the rest."""

    evict: list[JSON]
    errors: list[str]
    warnings: list[str]


def plan_drain(pods: Iterable[JSON], allowed: Allowed) -> Plan:
    """What draining a node of these pods means, as kubectl judges."""
    evict: list[JSON] = []
    reasons: dict[str, tuple[str, str, list[str]]] = {
        "daemonset": ("DaemonSet-managed Pods", "ignore-daemonsets", []),
        "storage": ("Pods with local storage", "delete-emptydir-data", []),
        "bare": ("Pods that declare no controller", "force", []),
    }
    warnings: dict[str, list[str]] = {}
    for pod in pods:
        name, owner = meta.key(pod), meta.controller_of(pod) or {}
        ended = (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")
        local = any("emptyDir" in volume for volume in (pod.get("spec") or {}).get("volumes") or ())
        if _MIRROR in meta.annotations(pod):
            continue
        if owner.get("kind") == "DaemonSet" and not ended:
            if allowed.ignore_daemonsets:
                warnings.setdefault("ignoring DaemonSet-managed Pods", []).append(name)
            else:
                reasons["daemonset"][2].append(name)
            continue
        if local and not ended and not allowed.delete_emptydir_data:
            reasons["storage"][2].append(name)
            continue
        if not owner and not ended:
            if not allowed.force:
                reasons["bare"][2].append(name)
                continue
            warnings.setdefault("deleting Pods that declare no controller", []).append(name)
        evict.append(pod)
    errors = [
        f"cannot delete {what} (use --{flag} to {'ignore' if flag.startswith('ignore') else 'override'}): "
        + ", ".join(names)
        for what, flag, names in reasons.values()
        if names
    ]
    return Plan(evict, errors, [f"{what}: {', '.join(names)}" for what, names in warnings.items()])


@command(cli, "drain")
@_NODES
@LABEL_SELECTOR
@DRY_RUN
@click.option("--ignore-daemonsets", is_flag=True, help="Leave the pods of DaemonSets: they would come back.")
@click.option("--delete-emptydir-data", is_flag=True, help="Also pods whose emptyDir volumes go with them.")
@click.option("--force", is_flag=True, help="Also pods that nobody makes again.")
@click.option("--disable-eviction", is_flag=True, help="Delete, past all DisruptionBudgets.")
@click.option("--grace-period", type=int, default=-1, help="Seconds to let pods end; by default their own.")
@click.option("--timeout", default="0s", help="How long to try, 0 without end.")
@click.option("--pod-selector", default="", help="Only the pods with these labels.")
async def drain(
    session: Session, names: tuple[str, ...], label_selector: str, dry_run: str, ignore_daemonsets: bool,
    delete_emptydir_data: bool, force: bool, disable_eviction: bool, grace_period: int, timeout: str, pod_selector: str,
) -> int:  # fmt: skip
    """Cordon a node and evict its pods, as DisruptionBudgets allow, until they are gone.

    \b
    minikubectl drain worker1 --ignore-daemonsets --delete-emptydir-data
    """
    sending = Sending(dry_run)
    allowed = Allowed(ignore_daemonsets, delete_emptydir_data, force)
    for _, node in await _mark(session, names, label_selector, True, sending):
        listed = await session.client.list(
            kinds.POD, field_selector=f"spec.nodeName={meta.name(node)}", label_selector=pod_selector
        )
        plan = plan_drain(listed["items"], allowed)
        if plan.errors:
            said = plan.errors[0] if len(plan.errors) == 1 else f"[{', '.join(plan.errors)}]"
            complain(f"error: unable to drain node \"{meta.name(node)}\" due to error: {said}, "
                     f"continuing command...\nThere are pending nodes to be drained:\n {meta.name(node)}")  # fmt: skip
            for error in plan.errors:
                complain(error)
            session.failures += 1
            continue
        for warning in plan.warnings:
            click.echo(f"Warning: {warning}", err=True)
        try:
            async with asyncio.timeout(parse_duration(timeout) or None), asyncio.TaskGroup() as group:
                for pod in plan.evict:
                    click.echo(f"evicting pod {meta.key(pod)}{sending.suffix}")
                    if dry_run == "none":
                        group.create_task(_evict(session, pod, grace_period, disable_eviction))
        except TimeoutError:
            raise Failed(f'unable to drain node "{meta.name(node)}": global timeout reached: {timeout}') from None
        click.echo(f"node/{meta.name(node)} drained{sending.suffix}")
    return session.code


async def _evict(session: Session, pod: JSON, grace_period: int, delete: bool) -> None:
    """Evict one pod, again and again while a budget forbids it, and wait until it is gone."""
    name, space, uid = meta.name(pod), meta.namespace(pod), meta.uid(pod)
    options: JSON = {"preconditions": {"uid": uid}}
    if grace_period >= 0:
        options["gracePeriodSeconds"] = grace_period
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": space}}
    while True:
        try:
            if delete:
                grace = grace_period if grace_period >= 0 else None
                await session.client.delete(kinds.POD, name, namespace=space, grace_period_seconds=grace, uid=uid)
            else:
                await session.client.create(
                    kinds.POD, {**body, "deleteOptions": options}, name=name, namespace=space, subresource="eviction"
                )
            break
        except TooManyRequests as error:
            complain(f'error when evicting pods/"{name}" -n "{space}" (will retry after 5s): {error.message}')
            await asyncio.sleep(_RETRY_SECONDS)
        except NotFound:
            return
    await until_gone(session, kinds.POD, pod, uid)
    click.echo(f"pod/{name} {'deleted' if delete else 'evicted'}")
