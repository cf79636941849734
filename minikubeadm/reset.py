"""`minikubeadm reset`: undo `init` or `join` on this machine, as far as it got. Each step may be run again."""

import shutil
from pathlib import Path

from componentbase import defaults
from minikubeadm import host, process, units
from minikubeadm.process import StepFailed
from minikubeadm.progress import Progress

UNIT_NAMES = ("mini-proxy", "mini-kubelet", "mini-scheduler", "mini-controller-manager", "mini-apiserver", "mini-etcd")
FOLDERS = (defaults.KUBERNETES_DIRECTORY, "/var/lib/etcd", defaults.KUBELET_DIRECTORY, "/etc/cni/net.d", "/var/lib/cni")
_POD_CONTAINERS = "label=io.kubernetes.pod.uid"


async def reset(*, progress: Progress) -> None:
    """Stop our units, remove the pods' containers, and what was written."""
    async with progress.step("units stopped and removed"):
        written = [name for name in UNIT_NAMES if (units.UNIT_DIRECTORY / f"{name}.service").exists()]
        if written:
            await process.run("systemctl", "disable", "-q", "--now", *written, what="stopping units")
        for name in written:
            (units.UNIT_DIRECTORY / f"{name}.service").unlink()
        await process.run("systemctl", "daemon-reload", what="reading the units again")
    async with progress.step("pods' containers removed"):
        await _remove_containers()
    async with progress.step("mounts, files and data removed"):
        await _unmount(Path(defaults.KUBELET_DIRECTORY))
        for folder in FOLDERS:
            _empty(Path(folder))
        host.SYSCTL_FILE.unlink(missing_ok=True)
    async with progress.step("pod network removed"):
        await _remove_network()


async def _remove_containers() -> None:
    try:
        listed = await process.run("docker", "ps", "-aq", "--filter", _POD_CONTAINERS)
    except StepFailed:
        return  # no Docker, no containers
    if names := listed.split():
        await process.run("docker", "rm", "-f", "-v", *names, what="removing containers")


async def _unmount(folder: Path) -> None:
    """Volumes are mounts below the kubelet's folder, the deepest last in /proc/mounts."""
    mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for mount in reversed([one for one in mounts if one.startswith(f"{folder}/")]):
        await process.run("umount", mount, what=f"unmounting {mount}")


def _empty(folder: Path) -> None:
    """Remove what is in a folder; the folder itself may be a mount point."""
    if not folder.is_dir():
        return
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


async def _remove_network() -> None:
    """Our bridge, overlay device and firewall chains: the other rules of the machine stay."""
    for device in ("cni0", "mini.1", "flannel.1"):
        if Path("/sys/class/net", device).exists():
            await process.run("ip", "link", "delete", device)
    for table in ("nat", "filter", "mangle"):
        saved = await process.run("iptables-save", "-t", table)
        kept = [line for line in saved.splitlines() if "KUBE-" not in line]
        if len(kept) != len(saved.splitlines()):
            await process.run("iptables-restore", "-T", table, stdin=("\n".join(kept) + "\n").encode())
