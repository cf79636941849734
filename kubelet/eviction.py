"""What is done about a shortage: unused images go first, then pods, one at a time, the greediest before the rest.

Which pod is upstream's rule: one that uses more than it asked for before one that does not, the lower priority before
the higher, the greater excess before the smaller. Pods that keep the cluster alive are never taken. A pod whose
emptyDir outgrows its limit goes without any shortage.
"""

import asyncio
import logging
import os
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from apimachinery import meta, quantity
from apimachinery.meta import JSON

from . import cgroupusage, pressure, resources
from .engine import Engine, EngineError
from .metrics import EVICTIONS
from .observed import LABEL_POD_UID, PodState
from .pod_workers import PodWorkers
from .pressure import Shortage
from .runtime import Runtime
from .settings import Settings

Record = Callable[[str, str, str], None]  # of the node: type, reason, message

log = logging.getLogger(__name__)

LOOK_SECONDS = 10.0
LASTING_SECONDS = 30.0  # memory can't wait; a disk that is full for a moment costs no pod
END_WAIT_SECONDS = 60.0
CRITICAL_PRIORITY = 2_000_000_000


def rank(pods: Iterable[JSON], usage: Mapping[str, int], resource: str) -> list[JSON]:
    """The pods that may be evicted, in the order in which they are; usage in bytes by UID."""

    def key(pod: JSON) -> tuple[bool, int, int]:
        excess = usage.get(meta.uid(pod), 0) - _request(pod["spec"], resource)
        return excess <= 0, pod["spec"].get("priority") or 0, -excess

    return sorted((p for p in pods if (p["spec"].get("priority") or 0) < CRITICAL_PRIORITY), key=key)


def _request(spec: JSON, resource: str) -> int:
    amounts = (resources.requests_of(container).get(resource, 0) for container in spec["containers"])
    return sum(quantity.value(amount) for amount in amounts)


def disk_limits(pod: JSON) -> list[tuple[str, str]]:
    """(volume, sizeLimit) of the emptyDirs on the disk that have one."""
    sources = [(volume["name"], volume.get("emptyDir") or {}) for volume in pod["spec"].get("volumes") or []]
    return [(name, s["sizeLimit"]) for name, s in sources if s.get("sizeLimit") and s.get("medium") != "Memory"]


def unused_images(images: Iterable[JSON], containers: Iterable[JSON]) -> list[str]:
    """What to remove: names of images that no container has and that a registry gave, so that they can be had again.

    An image may have other names beside, given on this node: those stay, and the image with them.
    """
    used = {container["ImageID"] for container in containers}
    found: list[str] = []
    for image in images:
        digests = [name for name in image.get("RepoDigests") or [] if "<none>" not in name]
        if image["Id"] in used or not digests:
            continue
        repositories = {name.partition("@")[0] for name in digests}
        tags = [tag for tag in image.get("RepoTags") or [] if tag.rpartition(":")[0] in repositories]
        found += tags or digests
    return found


class Evictor:
    """Looks every few seconds."""

    def __init__(
        self,
        settings: Settings,
        runtime: Runtime,
        workers: PodWorkers,
        *,
        record: Record,
        turned: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._runtime = runtime
        self._workers = workers
        self._record = record
        self._clock = clock
        self._turned = turned  # called when a shortage begins or ends
        self._since: dict[str, float] = {}  # condition -> when it began

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                await self.look(self.shortages())
                await self._hold_to_limits()
            except (EngineError, OSError) as error:
                log.warning("eviction: %s", error)
            await asyncio.sleep(LOOK_SECONDS)

    def shortages(self) -> list[Shortage]:
        """As of now."""
        settings = self._settings
        return pressure.shortages(pressure.observe(settings.root_dir, settings.image_dir), settings.eviction_hard)

    async def look(self, found: list[Shortage]) -> None:
        """Tell of what changed, and do one thing about what is short."""
        conditions, now = {shortage.condition for shortage in found}, self._clock()
        if conditions != set(self._since):
            self._since = {condition: self._since.get(condition, now) for condition in conditions}
            self._turned()
        if not found:
            return
        shortage = found[0]
        self._record("Warning", "EvictionThresholdMet", f"Attempting to reclaim {shortage.resource}")
        if shortage.condition == pressure.DISK and await self._remove_images():
            return  # the next look shows whether that was enough
        if shortage.condition != pressure.MEMORY and now - self._since[shortage.condition] < LASTING_SECONDS:
            return
        states = await self._runtime.pods()
        usage = await asyncio.to_thread(self._usage, shortage, states)
        if shortage.condition == pressure.DISK:
            for entry in await self._containers(size=True):
                uid = (entry.get("Labels") or {}).get(LABEL_POD_UID, "")
                usage[uid] = usage.get(uid, 0) + int(entry.get("SizeRw") or 0)
        victims = rank(self._workers.admitted(), usage, shortage.resource)
        if not victims:
            log.warning("eviction manager: no pods are active to evict (%s)", shortage.message())
            return
        EVICTIONS.labels(shortage.signal).inc()
        await self._workers.evict(meta.uid(victims[0]), shortage.message(), timeout_seconds=END_WAIT_SECONDS)

    async def _hold_to_limits(self) -> None:
        """Evict a pod whose emptyDir has outgrown its sizeLimit; one in memory is a file system of that size."""
        for pod in list(self._workers.admitted()):
            for name, limit in disk_limits(pod):
                folder = self._settings.pod_dir(meta.uid(pod)) / "volumes/kubernetes.io~empty-dir" / name
                if await asyncio.to_thread(_size, folder) > quantity.value(limit):
                    message = f'Usage of EmptyDir volume "{name}" exceeds the limit "{limit}". '
                    await self._workers.evict(meta.uid(pod), message, timeout_seconds=END_WAIT_SECONDS)
                    break

    def _usage(self, shortage: Shortage, states: Mapping[str, PodState]) -> dict[str, int]:
        if shortage.condition == pressure.DISK:
            return {uid: _size(self._settings.pod_dir(uid)) for uid in states}
        found = {}
        for uid, state in states.items():
            groups = [cgroupusage.of_process(run.pid) for run in state.running()]
            found[uid] = sum(group.working_set_bytes for group in groups if group)
        return found

    async def _containers(self, *, size: bool) -> list[JSON]:
        return await self._engine.call("GET", "/containers/json", params={"all": True, "size": size}) or []

    async def _remove_images(self) -> bool:
        images = await self._engine.call("GET", "/images/json") or []
        unused = unused_images(images, await self._containers(size=False))
        for name in unused:
            try:
                await self._engine.call("DELETE", f"/images/{name}")
                log.info("removed unused image %s", name)
            except EngineError as error:
                log.warning("image %s stays: %s", name, error)
        return bool(unused)

    @property
    def _engine(self) -> Engine:
        return self._runtime.engine


def _size(folder: Path) -> int:
    """Bytes on the disk below a folder, other file systems left out."""
    try:
        device = folder.lstat().st_dev
    except OSError:
        return 0
    total = 0
    for path, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if _on(device, os.path.join(path, name))]
        for name in files:
            try:
                total += os.lstat(os.path.join(path, name)).st_blocks * 512
            except OSError:
                continue
    return total


def _on(device: int, path: str) -> bool:
    try:
        return os.lstat(path).st_dev == device
    except OSError:
        return False
