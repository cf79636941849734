"""Claims to volumes: binding, phases, what becomes of a volume when its claim is gone.

Upstream's persistentvolume-binder-controller. What a claim or a volume needs is decided by `claim_step` and
`volume_step`, from the objects alone; a binding is four writes (reference, phase, on either side), any of which may be
the last before a crash: the next look goes on from what is there. One worker: two claims never race for a volume.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from apimachinery import errors, kinds, meta, volumes
from controllers import objects
from controllers.context import Context, QueueController

log = logging.getLogger(__name__)

JSON = dict[str, Any]
PERIOD_SECONDS = 15.0  # a claim that waits is looked at again, and its event counted up
CLAIMS_INDEX = "claims"
_LOST = " Data on the volume is lost!"


@dataclass(frozen=True, slots=True)
class Event:
    """What a user is told."""

    type: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Step:
    """What a claim needs: to be bound to `volume`, or the `phase`; with a `provisioner`, one is asked for a volume."""

    phase: str = "Pending"
    volume: JSON | None = None
    event: Event | None = None
    provisioner: str = ""


def claim_step(
    claim: JSON,
    *,
    present: Sequence[JSON],
    classes: Callable[[str], JSON | None],
    waiting_pods: Callable[[], Sequence[str]] = tuple,
) -> Step:
    """Judge a claim. `present` are all volumes, `waiting_pods` names the pods that use the claim and have no node."""
    name = claim["spec"].get("volumeName")
    named = next((volume for volume in present if meta.name(volume) == name), None)
    if volumes.BIND_COMPLETED in meta.annotations(claim):
        return _bound_step(claim, name, named)
    if name:
        return _named_step(claim, named)
    klass = classes(volumes.class_of(claim))
    delayed = klass is not None and klass.get("volumeBindingMode") == volumes.WAIT_FOR_FIRST_CONSUMER
    found = volumes.candidates(present, claim)
    if found and (found[0]["spec"].get("claimRef") or not delayed):  # free ones are the scheduler's to choose from
        return Step("Bound", found[0])
    if delayed and volumes.SELECTED_NODE not in meta.annotations(claim):
        return Step(event=_waits(waiting_pods()))
    if not volumes.class_of(claim):
        message = "no persistent volumes available for this claim and no storage class is set"
        return Step(event=Event("Normal", "FailedBinding", message))
    return _provisioning_step(claim, klass)


def _bound_step(claim: JSON, name: str | None, volume: JSON | None) -> Step:
    if not name:
        return _lost("ClaimLost", "Bound claim has lost reference to PersistentVolume." + _LOST)
    if volume is None:
        return _lost("ClaimLost", "Bound claim has lost its PersistentVolume." + _LOST)
    reference = volume["spec"].get("claimRef")
    if reference and reference.get("uid") != meta.uid(claim):
        return _lost("ClaimMisbound", "Two claims are bound to the same volume, this one is bound incorrectly")
    return Step("Bound", volume)


def _lost(reason: str, message: str) -> Step:
    return Step("Lost", event=Event("Warning", reason, message))


def _named_step(claim: JSON, volume: JSON | None) -> Step:
    """A claim whose user has chosen the volume."""
    if volume is None:
        return Step()
    if not volume["spec"].get("claimRef"):
        if wrong := volumes.mismatch(volume, claim):
            message = f'Cannot bind to requested volume "{meta.name(volume)}": {wrong}'
            return Step(event=Event("Warning", "VolumeMismatch", message))
        return Step("Bound", volume)
    if volumes.is_bound_to(volume, claim):
        return Step("Bound", volume)
    message = f'volume "{meta.name(volume)}" already bound to a different claim.'
    return Step(event=Event("Warning", "FailedBinding", message))


def _waits(pods: Sequence[str]) -> Event:
    if not pods:
        return Event("Normal", "WaitForFirstConsumer", "waiting for first consumer to be created before binding")
    noun = "pod" if len(pods) == 1 else "pods"
    return Event("Normal", "WaitForPodScheduled", f"waiting for {noun} {','.join(sorted(pods))} to be scheduled")


def _provisioning_step(claim: JSON, klass: JSON | None) -> Step:
    if klass is None:
        message = f'storageclass.storage.k8s.io "{volumes.class_of(claim)}" not found'
        return Step(event=Event("Warning", "ProvisioningFailed", message))
    provisioner = str(klass["provisioner"])
    if provisioner.startswith("kubernetes.io/"):
        message = "no volume plugin matched"
        wanted = provisioner != volumes.NO_PROVISIONER
        return Step(event=Event("Warning", "ProvisioningFailed", message) if wanted else None)
    message = (
        f"Waiting for a volume to be created either by the external provisioner '{provisioner}' or manually by the "
        "system administrator. If volume creation is delayed, please verify that the provisioner is running and "
        "correctly registered."
    )
    return Step(event=Event("Normal", "ExternalProvisioning", message), provisioner=provisioner)


def volume_step(volume: JSON, claim: JSON | None) -> tuple[str, Event | None]:
    """The phase of a volume, given the claim that its claimRef names by UID (None when that is gone), and the event."""
    if not (volume["spec"].get("claimRef") or {}).get("uid"):
        return "Available", None
    if claim is not None:
        bound = claim["spec"].get("volumeName") == meta.name(volume)
        return ("Bound" if bound else volumes.phase(volume) or "Pending"), None
    policy = volume["spec"].get("persistentVolumeReclaimPolicy")
    if policy == "Recycle":
        return "Failed", Event("Warning", "VolumeFailedRecycle", "No recycler plugin found for the volume!")
    if policy == "Delete" and volumes.PROVISIONED_BY not in meta.annotations(volume):
        message = (
            f'error getting deleter volume plugin for volume "{meta.name(volume)}": no deletable volume plugin matched'
        )
        return "Failed", Event("Warning", "VolumeFailedDelete", message)
    return "Released", None


def default_class(classes: Iterable[JSON]) -> str:
    """The class that claims without one get: the newest of those marked as default; "" for none."""
    marked = [each for each in classes if meta.annotations(each).get(volumes.DEFAULT_CLASS) == "true"]
    return meta.name(max(marked, key=objects.creation_order)) if marked else ""


class PersistentVolumeBinder(QueueController[tuple[str, str]]):
    """Binds claims and volumes, and keeps their phases."""

    name = "persistentvolume"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._events = context.events.named("persistentvolume-controller")
        self._claims = context.informers.informer(kinds.PERSISTENT_VOLUME_CLAIM)
        self._volumes = context.informers.informer(kinds.PERSISTENT_VOLUME)
        self._classes = context.informers.informer(kinds.STORAGE_CLASS)
        self._pods = context.informers.informer(kinds.POD)
        self._pods.add_index(CLAIMS_INDEX, volumes.claim_keys)
        self._claims.add_handler(
            on_add=self._claim, on_update=lambda _, new: self._claim(new), on_delete=self._claim_gone
        )
        self._volumes.add_handler(
            on_add=self._volume, on_update=lambda _, new: self._volume(new), on_delete=self._volume_gone
        )
        self._classes.add_handler(on_add=self._class_changed, on_update=lambda _, new: self._class_changed(new))

    def _claim(self, claim: JSON) -> None:
        self._queue.add(("claim", meta.key(claim)))

    def _claim_gone(self, claim: JSON) -> None:
        if name := claim["spec"].get("volumeName"):
            self._queue.add(("volume", name))

    def _volume(self, volume: JSON) -> None:
        self._queue.add(("volume", meta.name(volume)))
        if reference := volume["spec"].get("claimRef"):
            self._queue.add(("claim", f"{reference.get('namespace')}/{reference.get('name')}"))
        elif volumes.phase(volume) == "Available":
            self._waiting_claims(volumes.class_of(volume))

    def _volume_gone(self, volume: JSON) -> None:
        if reference := volume["spec"].get("claimRef"):
            self._queue.add(("claim", f"{reference.get('namespace')}/{reference.get('name')}"))

    def _class_changed(self, klass: JSON) -> None:
        self._waiting_claims(meta.name(klass))
        self._waiting_claims("")  # it may have become the default

    def _waiting_claims(self, class_name: str) -> None:
        for claim in self._claims.list():
            if not volumes.is_fully_bound(claim) and volumes.class_of(claim) == class_name:
                self._claim(claim)

    async def _reconcile(self, item: tuple[str, str]) -> float | None:
        what, key = item
        return await (self._reconcile_claim(key) if what == "claim" else self._reconcile_volume(key))

    async def _reconcile_claim(self, key: str) -> float | None:
        claim = self._claims.get(key)
        if claim is None:
            return None
        if await self._give_default_class(claim):
            return None
        step = claim_step(
            claim, present=self._volumes.list(), classes=self._classes.get, waiting_pods=lambda: self._unscheduled(key)
        )
        if step.volume is not None:
            await self._bind(step.volume, claim)
            return None
        if step.event is not None and (step.phase != "Lost" or volumes.phase(claim) != "Lost"):
            self._events.event(claim, step.event.type, step.event.reason, step.event.message)
        await self._set_claim_status(claim, {"phase": step.phase})
        if step.provisioner and meta.annotations(claim).get(volumes.STORAGE_PROVISIONER) != step.provisioner:
            names = (volumes.STORAGE_PROVISIONER, "volume.beta.kubernetes.io/storage-provisioner")
            await self._patch_claim(claim, {"metadata": {"annotations": dict.fromkeys(names, step.provisioner)}})
        return PERIOD_SECONDS if step.phase == "Pending" and not meta.is_deleting(claim) else None

    def _unscheduled(self, key: str) -> list[str]:
        pods = self._pods.by_index(CLAIMS_INDEX, key)
        return [meta.name(pod) for pod in pods if not pod["spec"].get("nodeName") and objects.is_active(pod)]

    async def _give_default_class(self, claim: JSON) -> bool:
        """A claim made before there was a default class gets it once there is one."""
        spec = claim["spec"]
        named = spec.get("storageClassName") is not None or volumes.CLASS_ANNOTATION in meta.annotations(claim)
        if named or spec.get("volumeName") or not (default := default_class(self._classes.list())):
            return False
        await self._patch_claim(claim, {"spec": {"storageClassName": default}})
        return True

    async def _bind(self, volume: JSON, claim: JSON) -> None:
        reference = volumes.claim_reference(claim)
        if (volume["spec"].get("claimRef") or {}).get("uid") != reference["uid"]:
            body: JSON = {"metadata": _this_version(volume), "spec": {"claimRef": reference}}
            if not volume["spec"].get("claimRef"):
                body["metadata"]["annotations"] = {volumes.BOUND_BY_CONTROLLER: "yes"}
            volume = await self._client.patch(kinds.PERSISTENT_VOLUME, meta.name(volume), body)
        await self._set_volume_status(volume, {"phase": "Bound"})
        if not volumes.is_fully_bound(claim):
            marks = {volumes.BIND_COMPLETED: "yes"}
            if not claim["spec"].get("volumeName"):
                marks[volumes.BOUND_BY_CONTROLLER] = "yes"
            body = {"metadata": {"annotations": marks}, "spec": {"volumeName": meta.name(volume)}}
            claim = await self._patch_claim(claim, body)
            log.info("claim %s is bound to volume %s", meta.key(claim), meta.name(volume))
        spec = volume["spec"]
        status = {"phase": "Bound", "accessModes": spec.get("accessModes"), "capacity": spec.get("capacity")}
        await self._set_claim_status(claim, status)

    async def _reconcile_volume(self, name: str) -> None:
        volume = self._volumes.get(name)
        if volume is None:
            return
        claim = await self._claim_of(volume)
        if claim is not None and volumes.is_fully_bound(claim) and claim["spec"]["volumeName"] != name:
            await self._unbind(volume)
            return
        phase, event = volume_step(volume, claim)
        if event is not None and volumes.phase(volume) != phase:
            self._events.event(volume, event.type, event.reason, event.message)
        status = {"phase": phase}
        if event is not None:
            status |= {"message": event.message}
        await self._set_volume_status(volume, status)

    async def _claim_of(self, volume: JSON) -> JSON | None:
        """The claim that a volume is bound to; that it is gone is only believed when the API server says so."""
        reference = volume["spec"].get("claimRef") or {}
        if not reference.get("uid"):
            return None
        claim = self._claims.get(f"{reference['namespace']}/{reference['name']}")
        if claim is None or meta.uid(claim) != reference["uid"]:
            try:
                claim = await self._client.get(
                    kinds.PERSISTENT_VOLUME_CLAIM, reference["name"], namespace=reference["namespace"]
                )
            except errors.NotFound:
                return None
        return claim if meta.uid(claim) == reference["uid"] else None

    async def _unbind(self, volume: JSON) -> None:
        """The claim has another volume. One made for it goes its way as released; another is free again."""
        policy = volume["spec"].get("persistentVolumeReclaimPolicy")
        if volumes.PROVISIONED_BY in meta.annotations(volume) and policy == "Delete":
            await self._set_volume_status(volume, {"phase": "Released"})
            return
        ours = volumes.BOUND_BY_CONTROLLER in meta.annotations(volume)
        gone = None if ours else {"uid": None, "resourceVersion": None}
        body: JSON = {"metadata": _this_version(volume), "spec": {"claimRef": gone}}
        body["metadata"]["annotations"] = {volumes.BOUND_BY_CONTROLLER: None}
        await self._client.patch(kinds.PERSISTENT_VOLUME, meta.name(volume), body)

    async def _patch_claim(self, claim: JSON, body: JSON) -> JSON:
        body = {**body, "metadata": {**body.get("metadata", {}), **_this_version(claim)}}
        name, space = meta.name(claim), meta.namespace(claim)
        return await self._client.patch(kinds.PERSISTENT_VOLUME_CLAIM, name, body, namespace=space)

    async def _set_claim_status(self, claim: JSON, status: JSON) -> None:
        await objects.patch_status(self._client, kinds.PERSISTENT_VOLUME_CLAIM, claim, status)

    async def _set_volume_status(self, volume: JSON, status: JSON) -> None:
        """Write a phase, with the time of the change."""
        if volumes.phase(volume) == status["phase"]:
            return
        status = {**status, "lastPhaseTransitionTime": meta.now()}
        await objects.patch_status(self._client, kinds.PERSISTENT_VOLUME, volume, status)


def _this_version(obj: JSON) -> JSON:
    """Metadata that makes a patch fail where the object has changed since."""
    return {"uid": meta.uid(obj), "resourceVersion": meta.metadata(obj)["resourceVersion"]}
