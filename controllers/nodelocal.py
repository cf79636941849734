"""Volumes that are a directory of one node: the provisioner behind the default StorageClass.

The work is split by what each side can know. This controller writes the PersistentVolume, pinned to the node that the
scheduler has chosen for the claim's first pod, and deletes it when the claim is gone. That node's kubelet makes the
directory when a pod first mounts it, and takes the finalizer off a deleted volume once the directory is removed: so
nothing is left behind where the node was away meanwhile. Only for a node that is gone for good is the finalizer taken
off here.
"""

import logging
from typing import Any

from apimachinery import errors, kinds, meta, volumes
from componentbase import defaults
from controllers.context import Context, QueueController

log = logging.getLogger(__name__)

JSON = dict[str, Any]
ACCESS_MODES = {"ReadWriteOnce", "ReadWriteOncePod"}


def refusal(claim: JSON) -> str:
    """Why no directory can be made for a claim; "" if one can."""
    spec = claim["spec"]
    if volumes.SELECTED_NODE not in meta.annotations(claim):
        return f'a directory of a node needs volumeBindingMode "{volumes.WAIT_FOR_FIRST_CONSUMER}" in its StorageClass'
    if others := sorted(set(spec.get("accessModes") or ()) - ACCESS_MODES):
        return f"only access modes ReadWriteOnce and ReadWriteOncePod are supported, not {', '.join(others)}"
    if (spec.get("volumeMode") or "Filesystem") != "Filesystem":
        return f"only volumeMode Filesystem is supported, not {spec['volumeMode']}"
    if spec.get("selector") is not None:
        return "claim.spec.selector is not supported by a class that provisions"
    if spec.get("dataSource") or spec.get("dataSourceRef"):
        return "claim.spec.dataSource is not supported"
    return ""


def volume_for(claim: JSON, klass: JSON, node: JSON) -> JSON:
    """The PersistentVolume of a claim on a node."""
    name = f"pvc-{meta.uid(claim)}"
    hostname = meta.labels(node).get(volumes.HOSTNAME_LABEL) or meta.name(node)
    here = {"key": volumes.HOSTNAME_LABEL, "operator": "In", "values": [hostname]}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {
            "name": name,
            "labels": {volumes.NODE_LABEL: meta.name(node)},
            "annotations": {volumes.PROVISIONED_BY: volumes.NODE_LOCAL},
            "finalizers": [volumes.VOLUME_PROTECTION, volumes.NODE_LOCAL_FINALIZER],
        },
        "spec": {
            "capacity": {"storage": claim["spec"]["resources"]["requests"]["storage"]},
            "accessModes": claim["spec"]["accessModes"],
            "volumeMode": "Filesystem",
            "persistentVolumeReclaimPolicy": klass.get("reclaimPolicy") or "Delete",
            "storageClassName": meta.name(klass),
            "claimRef": volumes.claim_reference(claim),
            "local": {"path": f"{defaults.NODE_LOCAL_DIRECTORY}/{name}"},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [here]}]}},
        },
    }


class NodeLocalProvisioner(QueueController[tuple[str, str]]):
    """Makes volumes for claims, and lets go of those whose claim is gone."""

    name = "nodelocal"
    workers = 4

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._events = context.events.named(volumes.NODE_LOCAL)
        self._claims = context.informers.informer(kinds.PERSISTENT_VOLUME_CLAIM)
        self._volumes = context.informers.informer(kinds.PERSISTENT_VOLUME)
        self._classes = context.informers.informer(kinds.STORAGE_CLASS)
        self._nodes = context.informers.informer(kinds.NODE)
        self._claims.add_handler(on_add=self._claim, on_update=lambda _, new: self._claim(new))
        self._volumes.add_handler(on_add=self._volume, on_update=lambda _, new: self._volume(new))
        self._nodes.add_handler(on_delete=self._node_gone)

    def _claim(self, claim: JSON) -> None:
        if meta.annotations(claim).get(volumes.STORAGE_PROVISIONER) == volumes.NODE_LOCAL:
            self._queue.add(("claim", meta.key(claim)))

    def _volume(self, volume: JSON) -> None:
        if meta.annotations(volume).get(volumes.PROVISIONED_BY) == volumes.NODE_LOCAL:
            self._queue.add(("volume", meta.name(volume)))

    def _node_gone(self, node: JSON) -> None:
        for volume in self._volumes.list():
            if meta.labels(volume).get(volumes.NODE_LABEL) == meta.name(node):
                self._volume(volume)

    async def _reconcile(self, item: tuple[str, str]) -> None:
        what, key = item
        await (self._provision(key) if what == "claim" else self._reclaim(key))

    async def _provision(self, key: str) -> None:
        claim = self._claims.get(key)
        if claim is None or claim["spec"].get("volumeName") or meta.is_deleting(claim):
            return
        klass = self._classes.get(volumes.class_of(claim))
        if klass is None or klass.get("provisioner") != volumes.NODE_LOCAL:
            return
        if reason := refusal(claim):
            message = f'failed to provision volume with StorageClass "{meta.name(klass)}": {reason}'
            self._events.event(claim, "Warning", "ProvisioningFailed", message)
            return
        node = await self._node(meta.annotations(claim)[volumes.SELECTED_NODE])
        if node is None:  # gone since it was chosen: the scheduler chooses anew
            metadata = {"uid": meta.uid(claim), "annotations": {volumes.SELECTED_NODE: None}}
            await self._client.patch(
                kinds.PERSISTENT_VOLUME_CLAIM,
                meta.name(claim),
                {"metadata": metadata},
                namespace=meta.namespace(claim),
            )
            return
        message = f'External provisioner is provisioning volume for claim "{key}"'
        self._events.event(claim, "Normal", "Provisioning", message)
        try:
            made = await self._client.create(kinds.PERSISTENT_VOLUME, volume_for(claim, klass, node))
        except errors.AlreadyExists:
            return
        log.info("volume %s made for claim %s on node %s", meta.name(made), key, meta.name(node))
        message = f"Successfully provisioned volume {meta.name(made)}"
        self._events.event(claim, "Normal", "ProvisioningSucceeded", message)

    async def _node(self, name: str) -> JSON | None:
        if (node := self._nodes.get(name)) is not None:
            return node
        try:
            return await self._client.get(kinds.NODE, name)
        except errors.NotFound:
            return None

    async def _reclaim(self, name: str) -> None:
        volume = self._volumes.get(name)
        if volume is None:
            return
        finalizers = meta.metadata(volume).get("finalizers") or ()
        if not meta.is_deleting(volume):
            policy = volume["spec"].get("persistentVolumeReclaimPolicy")
            if volumes.phase(volume) == "Released" and policy == "Delete":
                version = meta.metadata(volume)["resourceVersion"]
                await self._client.delete(kinds.PERSISTENT_VOLUME, name, uid=meta.uid(volume), resource_version=version)
        elif volumes.NODE_LOCAL_FINALIZER in finalizers and volumes.VOLUME_PROTECTION not in finalizers:
            node = meta.labels(volume).get(volumes.NODE_LABEL, "")
            if not node or await self._node(node) is None:
                log.warning("volume %s: its node %s is gone, and its directory with it", name, node)
                body = volumes.without_finalizer(volume, volumes.NODE_LOCAL_FINALIZER)
                await self._client.patch(kinds.PERSISTENT_VOLUME, name, body)
