"""Claims and volumes as the scheduler sees them, and what it does for a pod's claims once a node is chosen.

Invariants: a volume that is planned for a claim is planned for no other, until the plan is seen done or given up; a
claim of class WaitForFirstConsumer is bound, or provisioned for, only after its pod has a node, and the pod is bound
only after all its claims are. Nothing here is touched by pods without claims.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from apimachinery import kinds, meta, volumes
from apimachinery.meta import JSON
from kubeclient.rest import Client
from scheduler.podinfo import PodInfo

BIND_TIMEOUT_SECONDS = 600.0


class BindingFailed(Exception):
    """The claims of a pod were not bound for its node; it is tried again."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a pod's claims need on the chosen node: free volumes reserved, others provisioned there.

    `await_only` are claims that another pod's plan is already being carried out for.
    """

    node: str
    reserve: tuple[tuple[JSON, JSON], ...] = ()  # volume, claim
    provision: tuple[JSON, ...] = ()
    await_only: tuple[JSON, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.reserve or self.provision or self.await_only)

    @property
    def own(self) -> list[JSON]:
        """The claims that this plan is for."""
        return [claim for _, claim in self.reserve] + list(self.provision)


@dataclass(slots=True)
class Volumes:
    """Claims by namespace/name, volumes and classes by name; what is promised by plans under way."""

    claims: dict[str, JSON] = field(default_factory=dict)
    volumes: dict[str, JSON] = field(default_factory=dict)
    classes: dict[str, JSON] = field(default_factory=dict)
    planned: dict[str, str] = field(default_factory=dict)  # volume -> claim
    assumed: dict[str, str] = field(default_factory=dict)  # claim -> the node that a plan has chosen for it
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def keys_of(self, pod: PodInfo) -> list[str]:
        """The keys of a pod's claims."""
        return [f"{pod.namespace}/{name}" for name in pod.claims]

    def claims_of(self, pod: PodInfo) -> list[JSON]:
        """A pod's claims that are there."""
        return [claim for key in self.keys_of(pod) if (claim := self.claims.get(key)) is not None]

    def class_of(self, claim: JSON) -> JSON:
        """A claim's class, {} if there is none."""
        return self.classes.get(volumes.class_of(claim)) or {}

    def waits(self, claim: JSON) -> bool:
        """Whether a claim's class waits for the first consumer, so that its binding is the scheduler's to begin."""
        mode = self.class_of(claim).get("volumeBindingMode")
        return bool(mode == volumes.WAIT_FOR_FIRST_CONSUMER and not claim["spec"].get("volumeName"))

    def node_of(self, claim: JSON) -> str | None:
        """The node that is already chosen for a claim, by a plan under way or one of former days."""
        return self.assumed.get(meta.key(claim)) or meta.annotations(claim).get(volumes.SELECTED_NODE)

    def can_provision(self, claim: JSON) -> bool:
        """Whether a volume can be made for a claim."""
        provisioner: str = self.class_of(claim).get("provisioner") or volumes.NO_PROVISIONER
        return provisioner != volumes.NO_PROVISIONER

    def options(self, claim: JSON) -> list[JSON]:
        """The volumes for a claim that nobody else is promised, the best first."""
        key = meta.key(claim)
        unpromised = (each for name, each in self.volumes.items() if self.planned.get(name, key) == key)
        return volumes.candidates(unpromised, claim)


def assume(state: Volumes, wanted: Plan) -> None:
    """Promise what a plan needs."""
    state.assumed.update((meta.key(claim), wanted.node) for claim in wanted.own)
    for volume, claim in wanted.reserve:
        state.planned[meta.name(volume)] = meta.key(claim)


def give_up(state: Volumes, wanted: Plan) -> None:
    """Take the promises back: the plan is done, or has failed."""
    for volume, claim in wanted.reserve:
        if state.planned.get(meta.name(volume)) == meta.key(claim):
            del state.planned[meta.name(volume)]
    for claim in wanted.own:
        state.assumed.pop(meta.key(claim), None)
    state.changed.set()  # others may wait for these claims


async def carry_out(client: Client, state: Volumes, wanted: Plan, *, alive: Callable[[], bool]) -> None:
    """Write a plan and wait until the controllers have bound every claim. `alive` says whether the pod is still there.

    Raises BindingFailed, StatusError, Unreachable, TimeoutError (after BIND_TIMEOUT_SECONDS).
    """
    for volume, claim in wanted.reserve:
        metadata = {
            "uid": meta.uid(volume),
            "resourceVersion": volume["metadata"]["resourceVersion"],
            "annotations": {volumes.BOUND_BY_CONTROLLER: "yes"},
        }
        body = {"metadata": metadata, "spec": {"claimRef": volumes.claim_reference(claim)}}
        await client.patch(kinds.PERSISTENT_VOLUME, meta.name(volume), body)
    written: dict[str, str] = {}
    for claim in wanted.provision:
        metadata = {"uid": meta.uid(claim), "annotations": {volumes.SELECTED_NODE: wanted.node}}
        made = await client.patch(
            kinds.PERSISTENT_VOLUME_CLAIM, meta.name(claim), {"metadata": metadata}, namespace=meta.namespace(claim)
        )
        written[meta.key(claim)] = made["metadata"]["resourceVersion"]
    keys = [meta.key(claim) for claim in (*wanted.own, *wanted.await_only)]
    async with asyncio.timeout(BIND_TIMEOUT_SECONDS):
        while not all([_is_done(state, key, wanted.node, written.get(key)) for key in keys]):
            if not alive():
                raise BindingFailed("the pod is gone")
            state.changed.clear()
            await state.changed.wait()


def _is_done(state: Volumes, key: str, node: str, written: str | None) -> bool:
    """Whether a claim is bound. Raises BindingFailed where it never will be, for this node.

    `written` is the version of the claim that got the node's name: older ones in the cache don't know it yet.
    """
    claim = state.claims.get(key)
    if claim is None or meta.is_deleting(claim):
        raise BindingFailed(f'persistentvolumeclaim "{key}" is gone')
    if volumes.is_fully_bound(claim):
        return True
    if state.assumed.get(key) != node:
        raise BindingFailed(f'binding of PVC "{key}" was given up')
    seen = written is not None and int(claim["metadata"]["resourceVersion"]) >= int(written)
    if seen and meta.annotations(claim).get(volumes.SELECTED_NODE) != node:
        raise BindingFailed(f'selectedNode annotation reset for PVC "{key}"')
    return False
