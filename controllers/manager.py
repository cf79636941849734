"""The table of controllers, and how they run together: informers first, then each controller's loop.

Names are upstream's, so that `--controllers=*,-garbage-collector-controller` means what people expect; the short names
of older versions are understood too.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from functools import partial

from componentbase.health import Checks
from controllers.bootstrap import BootstrapSigner, TokenCleaner
from controllers.certificates import ApprovingController, CleaningController, SigningController
from controllers.context import Context, Controller
from controllers.cronjob import CronJobController
from controllers.daemonset import DaemonSetController
from controllers.deployment import DeploymentController
from controllers.disruption import DisruptionController
from controllers.endpoints import EndpointsController
from controllers.endpointslice import EndpointSliceController
from controllers.ephemeralvolumes import EphemeralVolumeController
from controllers.garbagecollector import GarbageCollector
from controllers.job import JobController
from controllers.loadbalancer import LoadBalancerController
from controllers.mirroring import EndpointSliceMirroringController
from controllers.namespace import NamespaceController
from controllers.nodeipam import NodeIpamController
from controllers.nodelifecycle import NodeLifecycleController
from controllers.nodelocal import NodeLocalProvisioner
from controllers.podgc import PodGarbageCollector
from controllers.replicaset import ReplicaSetController, ReplicationController
from controllers.resourcequota import ResourceQuotaController
from controllers.serviceaccount import RootCAPublisher, ServiceAccountController
from controllers.statefulset import StatefulSetController
from controllers.tainteviction import TaintEvictionController
from controllers.ttlafterfinished import TTLAfterFinishedController
from controllers.volumebinder import PersistentVolumeBinder
from controllers.volumeprotection import ClaimProtection, VolumeProtection

log = logging.getLogger(__name__)

CONTROLLERS: dict[str, Callable[[Context], Controller]] = {
    "serviceaccount-controller": ServiceAccountController,
    "root-ca-certificate-publisher-controller": RootCAPublisher,
    "node-ipam-controller": NodeIpamController,
    "replicaset-controller": ReplicaSetController,
    "replicationcontroller-controller": ReplicationController,
    "deployment-controller": DeploymentController,
    "statefulset-controller": StatefulSetController,
    "daemonset-controller": DaemonSetController,
    "job-controller": JobController,
    "cronjob-controller": CronJobController,
    "ttl-after-finished-controller": TTLAfterFinishedController,
    "endpointslice-controller": EndpointSliceController,
    "endpoints-controller": EndpointsController,
    "endpointslice-mirroring-controller": EndpointSliceMirroringController,
    "service-lb-controller": LoadBalancerController,
    "certificatesigningrequest-approving-controller": ApprovingController,
    "certificatesigningrequest-signing-controller": SigningController,
    "certificatesigningrequest-cleaner-controller": CleaningController,
    "bootstrap-signer-controller": BootstrapSigner,
    "token-cleaner-controller": TokenCleaner,
    "node-lifecycle-controller": NodeLifecycleController,
    "taint-eviction-controller": TaintEvictionController,
    "pod-garbage-collector-controller": PodGarbageCollector,
    "disruption-controller": DisruptionController,
    "persistentvolume-binder-controller": PersistentVolumeBinder,
    "persistentvolumeclaim-protection-controller": ClaimProtection,
    "persistentvolume-protection-controller": VolumeProtection,
    "ephemeral-volume-controller": EphemeralVolumeController,
    "node-local-provisioner-controller": NodeLocalProvisioner,  # ours: directories for the default StorageClass
    "namespace-controller": NamespaceController,
    "resourcequota-controller": ResourceQuotaController,
    "garbage-collector-controller": GarbageCollector,  # the last: it shares the informers that the others made
}
ALIASES = {
    "serviceaccount": "serviceaccount-controller",
    "root-ca-cert-publisher": "root-ca-certificate-publisher-controller",
    "nodeipam": "node-ipam-controller",
    "replicaset": "replicaset-controller",
    "replicationcontroller": "replicationcontroller-controller",
    "deployment": "deployment-controller",
    "statefulset": "statefulset-controller",
    "daemonset": "daemonset-controller",
    "job": "job-controller",
    "cronjob": "cronjob-controller",
    "ttl-after-finished": "ttl-after-finished-controller",
    "endpointslice": "endpointslice-controller",
    "endpoint": "endpoints-controller",
    "endpointslicemirroring": "endpointslice-mirroring-controller",
    "service": "service-lb-controller",
    "csrapproving": "certificatesigningrequest-approving-controller",
    "csrsigning": "certificatesigningrequest-signing-controller",
    "csrcleaner": "certificatesigningrequest-cleaner-controller",
    "bootstrapsigner": "bootstrap-signer-controller",
    "tokencleaner": "token-cleaner-controller",
    "nodelifecycle": "node-lifecycle-controller",
    "disruption": "disruption-controller",
    "persistentvolume-binder": "persistentvolume-binder-controller",
    "pvc-protection": "persistentvolumeclaim-protection-controller",
    "pv-protection": "persistentvolume-protection-controller",
    "ephemeral-volume": "ephemeral-volume-controller",
    "namespace": "namespace-controller",
    "resourcequota": "resourcequota-controller",
    "podgc": "pod-garbage-collector-controller",
    "garbagecollector": "garbage-collector-controller",
}


def chosen(selection: Sequence[str]) -> list[str]:
    """The controllers that `--controllers` enables: `*` is all, `name` one, `-name` not this one.

    Raises ValueError for a name that there is none of.
    """
    named = {ALIASES.get(each.lstrip("-"), each.lstrip("-")): not each.startswith("-") for each in selection}
    if unknown := [name for name in named if name != "*" and name not in CONTROLLERS]:
        raise ValueError(f"unknown controllers: {', '.join(sorted(unknown))} (there are: {', '.join(CONTROLLERS)})")
    return [name for name in CONTROLLERS if named.get(name, "*" in named)]


async def run(context: Context, names: Sequence[str], *, checks: Checks | None = None) -> None:
    """Run controllers until cancelled. One that ends or fails takes all along: the process starts again."""
    controllers = {name: CONTROLLERS[name](context) for name in names}
    async with asyncio.TaskGroup() as group:
        group.create_task(context.informers.run(), name="informers")
        group.create_task(context.events.run(), name="events")
        await context.informers.wait_synced()
        log.info("caches are synced, running %d controllers", len(controllers))
        for name, controller in controllers.items():
            task = group.create_task(controller.run(), name=name)
            if checks:
                checks.add(name, partial(_alive, task), endpoints=("healthz",))


def _alive(task: asyncio.Task[None]) -> None:
    if task.done() and (task.cancelled() or task.exception()):
        raise RuntimeError(f"{task.get_name()} has ended")
