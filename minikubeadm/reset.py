"""`minikubeadm reset`: undo `init` or `join` on this machine, as far as it got. Each step may be run again.

What is removed is what we made: the other containers, firewall rules and files of the machine stay, and so do images,
which somebody may have loaded by hand.
"""

import contextlib
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from componentbase import defaults
from minikubeadm import etcdmembers, host, process, units
from minikubeadm.process import StepFailed
from minikubeadm.progress import Progress

UNIT_NAMES = ("mini-proxy", "mini-kubelet", "mini-scheduler", "mini-controller-manager", "mini-apiserver")
ETCD = "mini-etcd"
FOLDERS = (
    defaults.KUBERNETES_DIRECTORY, "/var/lib/etcd", defaults.KUBELET_DIRECTORY, "/var/lib/cni", "/etc/cni/net.d",
)  # fmt: skip
KEPT_FOLDERS = ("/etc/cni/net.d",)  # the package of the CNI plugins has it
DEVICES = ("cni0", "mini.1", "flannel.1", "kube-lb")
_OURS = re.compile(r"(^:|^-A |\s-[jg] )(KUBE|MINI|CNI)-")  # chains of the proxy, the kubelet, CNI plugins
_POD_CONTAINERS = "label=io.kubernetes.pod.uid"
_CGROUPS = Path("/sys/fs/cgroup")


async def reset(*, progress: Progress) -> None:
    """Stop our units, leave etcd, remove the pods' containers and networks, and what was written."""
    async with progress.step("units stopped and removed"):
        await _remove_units(UNIT_NAMES)
    if (units.UNIT_DIRECTORY / f"{ETCD}.service").exists():
        async with progress.step("this machine's member taken out of etcd, if there are others"):
            await _leave_etcd(progress)
            await _remove_units([ETCD])
    async with progress.step("pods' containers removed"):
        await _remove_containers()
    async with progress.step("mounts, files, data and cgroups removed, kernel parameters put back"):
        await _unmount(Path(defaults.KUBELET_DIRECTORY))
        for folder in FOLDERS:
            _remove(Path(folder))
        _remove_cgroups()
        await host.restore()
    async with progress.step("pod network removed"):
        await _remove_network()


async def _remove_units(names: Sequence[str]) -> None:
    written = [name for name in names if (units.UNIT_DIRECTORY / f"{name}.service").exists()]
    if written:
        await process.run("systemctl", "disable", "-q", "--now", *written, what="stopping units")
    for name in written:
        (units.UNIT_DIRECTORY / f"{name}.service").unlink()
    await process.run("systemctl", "daemon-reload", what="reading the units again")
    await process.succeeds("systemctl", "reset-failed", "mini-*")


async def _leave_etcd(progress: Progress) -> None:
    """Others would count a member that is gone for their quorum. If etcd doesn't answer, it says what is left to do."""
    try:
        own, members = await etcdmembers.own([etcdmembers.client_url("127.0.0.1")])
        if others := [one.client for one in members if one.id != own.id and one.client]:
            await etcdmembers.remove(others, own)
    except StepFailed as failure:
        progress.line(f"  etcd did not answer ({failure.what}). Has the cluster other control planes? Then there:")
        progress.line("  `etcdctl member list`, and `etcdctl member remove` with this machine's id")


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


def _remove(folder: Path) -> None:
    """Remove what is in a folder, and the folder, where it isn't a mount or another's."""
    if not folder.is_dir():
        return
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
    if not folder.is_mount() and str(folder) not in KEPT_FOLDERS:
        folder.rmdir()


def _remove_cgroups() -> None:
    """Pods' cgroups, the deepest first: one that is in use stays."""
    for folder in sorted(_CGROUPS.glob("**/kubepods*/"), reverse=True):
        for below in sorted((path for path in folder.glob("**/") if path.is_dir()), reverse=True):
            with contextlib.suppress(OSError):
                below.rmdir()


async def _remove_network() -> None:
    """Our bridge, overlay device and firewall chains: the other rules of the machine stay."""
    for device in DEVICES:
        if Path("/sys/class/net", device).exists():
            await process.run("ip", "link", "delete", device, what=f"removing the device {device}")
    for table in ("nat", "filter", "mangle", "raw"):
        saved = await process.run("iptables-save", "-t", table, what="reading the firewall's rules")
        kept = without_our_chains(saved)
        if kept != saved:
            await process.run("iptables-restore", "-T", table, stdin=kept.encode(), what="restoring the others' rules")


def without_our_chains(saved: str) -> str:
    """What `iptables-save` printed, without our chains and the rules that lead to them."""
    lines = saved.splitlines(keepends=True)
    return "".join(line for line in lines if not _OURS.search(line))
