"""A pod's volumes as directories below /var/lib/kubelet/pods/<uid>/volumes, and their removal.

Volumes of files (ConfigMap, Secret, projected, downward API) are written again whenever the pod is looked at: an
unchanged payload costs a comparison. Those that may hold secrets are in memory (tmpfs).
"""

import asyncio
import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

from apimachinery import errors, kinds, meta, quantity, volumes
from apimachinery.meta import JSON
from kubeclient.rest import Client

from ..environment import Sources
from ..settings import Settings
from . import mounts, nodelocal, ownership, payloads, writer
from .payloads import VolumeError
from .tokens import Tokens

PLUGINS = {
    "emptyDir": "kubernetes.io~empty-dir",
    "configMap": "kubernetes.io~configmap",
    "secret": "kubernetes.io~secret",
    "projected": "kubernetes.io~projected",
    "downwardAPI": "kubernetes.io~downward-api",
}
IN_MEMORY = ("secret", "projected")
HOST_PATH_CHECKS: dict[str, tuple[Callable[[int], bool], str]] = {
    "Directory": (stat.S_ISDIR, "a directory"),
    "File": (stat.S_ISREG, "a file"),
    "Socket": (stat.S_ISSOCK, "a socket file"),
    "CharDevice": (stat.S_ISCHR, "a character device"),
    "BlockDevice": (stat.S_ISBLK, "a block device"),
}


class Volumes:
    """The volumes of this node's pods."""

    def __init__(self, client: Client, settings: Settings, tokens: Tokens) -> None:
        self._client = client
        self._settings = settings
        self._tokens = tokens

    async def ensure(self, pod: JSON, sources: Sources) -> dict[str, str]:
        """Set up, or bring up to date, every volume: name -> path on the node. Raises VolumeError."""
        paths = {}
        for volume in pod["spec"].get("volumes") or []:
            try:
                paths[volume["name"]] = await self._ensure_one(pod, volume, sources)
            except (VolumeError, OSError, ValueError, errors.StatusError) as error:
                raise VolumeError(str(error), volume=volume["name"]) from error
        return paths

    def tear_down(self, uid: str) -> None:
        """Unmount and delete everything of a pod. Blocking: call it in a thread."""
        folder = self._settings.pod_dir(uid)
        while mounted := mounts.mounted_below(folder):  # one may lie upon another; nothing of them may be deleted
            for target in mounted:
                mounts.unmount(target)
        shutil.rmtree(folder, ignore_errors=True)
        self._tokens.forget(uid)

    async def _ensure_one(self, pod: JSON, volume: JSON, sources: Sources) -> str:
        if "hostPath" in volume:
            return host_path(volume["hostPath"])
        if "persistentVolumeClaim" in volume:
            return await self._claim(pod, volume["persistentVolumeClaim"]["claimName"])
        if "ephemeral" in volume:
            return await self._claim(pod, f"{meta.name(pod)}-{volume['name']}")
        for field, plugin in PLUGINS.items():
            if field in volume:
                folder = self._settings.pod_dir(meta.uid(pod)) / "volumes" / plugin / volume["name"]
                if field == "emptyDir":
                    self._empty_dir(pod, volume["emptyDir"] or {}, folder)
                else:
                    await self._files(pod, volume, folder, sources)
                return str(folder)
        raise VolumeError(f"no volume plugin matched: {', '.join(k for k in volume if k != 'name')}")

    def _empty_dir(self, pod: JSON, source: JSON, folder: Path) -> None:
        made = not folder.exists()
        folder.mkdir(parents=True, exist_ok=True)
        if source.get("medium") == "Memory" and not mounts.is_mounted(folder):
            mounts.mount_tmpfs(folder, size_bytes=quantity.value(source.get("sizeLimit") or 0))
            made = True
        if made:
            os.chmod(folder, 0o777)
            if (group := fs_group(pod)) is not None:
                os.chown(folder, -1, group)
                os.chmod(folder, 0o2777)

    async def _files(self, pod: JSON, volume: JSON, folder: Path, sources: Sources) -> None:
        requests = payloads.token_requests(volume)
        tokens = {request: await self._tokens.get(pod, request) for request in requests}
        payload = payloads.build(pod, volume, sources, tokens)
        _write(folder, payload, in_memory=any(field in volume for field in IN_MEMORY), group=fs_group(pod))

    async def _claim(self, pod: JSON, name: str) -> str:
        claim = await self._client.get(kinds.PERSISTENT_VOLUME_CLAIM, name, namespace=meta.namespace(pod))
        if meta.is_deleting(claim) and (pod.get("status") or {}).get("phase", "Pending") == "Pending":
            raise VolumeError(f'persistentvolumeclaim "{name}" is being deleted')
        if not volumes.is_fully_bound(claim):
            raise VolumeError(f'PVC is not bound: "{name}"')
        volume = await self._client.get(kinds.PERSISTENT_VOLUME, claim["spec"]["volumeName"])
        spec = volume["spec"]
        if not volumes.is_bound_to(volume, claim):
            raise VolumeError(f'PersistentVolume {meta.name(volume)} is not bound to PVC "{name}"')
        if "hostPath" in spec:
            return host_path(spec["hostPath"])
        if "local" not in spec:
            raise VolumeError(f"no volume plugin matched PersistentVolume {meta.name(volume)}")
        if nodelocal.is_ours(volume):
            nodelocal.make(nodelocal.directory(volume, self._settings))
        path = host_path({"path": spec["local"]["path"], "type": "Directory"})
        await self._give_to_group(pod, path)
        return path

    async def _give_to_group(self, pod: JSON, path: str) -> None:
        """fsGroup, once in a pod's life: walking a volume is dear."""
        group, done = fs_group(pod), self._settings.pod_dir(meta.uid(pod)) / "volumes" / "owned"
        mark = done / path.strip("/").replace("/", "~")
        if group is None or mark.exists():
            return
        policy = pod["spec"]["securityContext"].get("fsGroupChangePolicy") or "Always"
        await asyncio.to_thread(ownership.set_group, Path(path), group, policy=policy)
        done.mkdir(parents=True, exist_ok=True)
        mark.touch()


def _write(folder: Path, payload: writer.Payload, *, in_memory: bool, group: int | None) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if in_memory and not mounts.is_mounted(folder):
        mounts.mount_tmpfs(folder)
    writer.write(folder, payload, group=group)


def fs_group(pod: JSON) -> int | None:
    """The pod's fsGroup."""
    group = (pod["spec"].get("securityContext") or {}).get("fsGroup")
    return int(group) if group is not None else None


def host_path(source: JSON) -> str:
    """A path of the node, checked or made as its type says."""
    path, wanted = str(source["path"]), source.get("type") or ""
    if wanted == "DirectoryOrCreate":
        os.makedirs(path, mode=0o755, exist_ok=True)
    elif wanted == "FileOrCreate" and not os.path.exists(path):
        Path(path).touch(mode=0o644)
    elif wanted in HOST_PATH_CHECKS:
        check, noun = HOST_PATH_CHECKS[wanted]
        if not os.path.exists(path) or not check(os.stat(path).st_mode):
            raise VolumeError(f"hostPath type check failed: {path} is not {noun}")
    elif wanted == "" and not os.path.exists(path):
        os.makedirs(path, mode=0o755)
    return path
