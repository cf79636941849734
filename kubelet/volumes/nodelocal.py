"""Volumes that are directories of this node: made when a pod first mounts one, removed when the volume is deleted.

What may be removed is never read from the object: the directory is named after the volume, below one folder of the
kubelet's own, and a volume that says another path is left alone, whatever its annotations claim. A deleted volume keeps
a finalizer until its directory is gone, so a node that was away finds out what to remove when it is back.
"""

import asyncio
import logging
import os
import shutil
from collections.abc import Collection
from pathlib import Path

from apimachinery import errors, kinds, meta, volumes
from apimachinery.meta import JSON
from kubeclient.events import EventRecorder
from kubeclient.informer import InformerFactory
from kubeclient.rest import Client
from kubeclient.workqueue import WorkQueue, work

from ..settings import Settings
from . import mounts
from .payloads import VolumeError

log = logging.getLogger(__name__)

RETRY_SECONDS = 10.0


def is_ours(volume: JSON) -> bool:
    """Whether a volume says that it is a directory which a kubelet made."""
    return meta.annotations(volume).get(volumes.PROVISIONED_BY) == volumes.NODE_LOCAL


def directory(volume: JSON, settings: Settings) -> Path:
    """The directory of a volume. Raises VolumeError where the volume says another one, or is another node's."""
    name = meta.name(volume)
    folder = settings.node_local_dir / name
    plain = not name.startswith(".") and "/" not in name
    if not plain or (volume["spec"].get("local") or {}).get("path") != str(folder):
        raise VolumeError(f"PersistentVolume {name}: its path is not {folder}, the only one that is provisioned for it")
    if (node := meta.labels(volume).get(volumes.NODE_LABEL)) != settings.node_name:
        raise VolumeError(f"PersistentVolume {name} is a directory of node {node}, not of {settings.node_name}")
    return folder


def make(folder: Path) -> None:
    """Make a volume's directory, open to whatever user a container runs as; what is there stays as it is."""
    folder.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
    if not folder.exists():
        folder.mkdir()
        os.chmod(folder, 0o777)


def remove(folder: Path) -> None:
    """Remove a volume's directory; gone already is success. Blocking. A symlink is removed, never followed.

    It is renamed first: what was removed in part can't be mistaken for a volume.
    """
    doomed = folder.with_name(f".{folder.name}.removed")
    if folder.is_symlink():
        folder.unlink()
    elif folder.exists() and not doomed.exists():
        folder.rename(doomed)
    for mounted in mounts.mounted_below(doomed):
        mounts.unmount(mounted)
    if doomed.exists():
        shutil.rmtree(doomed)
    if folder.exists():
        shutil.rmtree(folder)


def left_behind(folder: Path, names: Collection[str]) -> tuple[list[Path], list[Path]]:
    """(directories whose removal was begun, directories of no volume) below `folder`, given the volumes' names."""
    present = sorted(folder.iterdir()) if folder.is_dir() else []
    begun = [path for path in present if path.name.startswith(".") and path.name.endswith(".removed")]
    return begun, [path for path in present if path not in begun and path.name not in names]


class NodeLocalVolumes:
    """Removes the directories of this node's deleted volumes. Its informer is its own: no pod waits for that one."""

    def __init__(self, client: Client, settings: Settings, recorder: EventRecorder) -> None:
        self._client = client
        self._settings = settings
        self._recorder = recorder
        self._queue: WorkQueue[str] = WorkQueue("nodelocal")
        self._informers = InformerFactory(client)
        selector = f"{volumes.NODE_LABEL}={settings.node_name}"
        self._informer = self._informers.informer(kinds.PERSISTENT_VOLUME, label_selector=selector)
        self._informer.add_handler(on_add=self._changed, on_update=lambda _, new: self._changed(new))

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._informers.run(), name="informers of node-local volumes")
            group.create_task(work(self._queue, self._reconcile), name="node-local volumes")
            await self._informer.wait_synced()
            await asyncio.to_thread(self._look_for_leftovers, [meta.name(each) for each in self._informer.list()])

    def _look_for_leftovers(self, names: Collection[str]) -> None:
        """Of volumes that were let go while this node counted as gone. Data that nobody has given up is only named."""
        begun, unknown = left_behind(self._settings.node_local_dir, names)
        for path in begun:
            shutil.rmtree(path, ignore_errors=True)
        for path in unknown:
            log.warning("%s belongs to no volume of this cluster and is left alone: remove it if nobody needs it", path)

    def _changed(self, volume: JSON) -> None:
        if meta.is_deleting(volume):
            self._queue.add(meta.name(volume))

    async def _reconcile(self, name: str) -> float | None:
        volume = self._informer.get(name)
        finalizers = meta.metadata(volume or {}).get("finalizers") or ()
        if volume is None or not meta.is_deleting(volume) or not is_ours(volume):
            return None
        if volumes.NODE_LOCAL_FINALIZER not in finalizers or volumes.VOLUME_PROTECTION in finalizers:
            return None
        if volume["spec"].get("persistentVolumeReclaimPolicy") == "Delete":
            try:
                folder = directory(volume, self._settings)
                await asyncio.to_thread(remove, folder)
                log.info("volume %s is deleted: its directory %s is removed", name, folder)
            except VolumeError as error:
                log.warning("nothing is removed: %s", error)
            except OSError as error:
                log.warning("volume %s: trying again: %s", name, error)
                self._recorder.event(volume, "Warning", "VolumeFailedDelete", str(error))
                return RETRY_SECONDS
        body = volumes.without_finalizer(volume, volumes.NODE_LOCAL_FINALIZER)
        try:
            await self._client.patch(kinds.PERSISTENT_VOLUME, name, body)
        except errors.NotFound:
            pass  # someone else was quicker, and that was the last finalizer
        return None
