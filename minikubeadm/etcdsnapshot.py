"""`minikubeadm etcd snapshot restore`: this control plane's etcd becomes what it was when the snapshot was taken.

Revisions go back with it, and resource versions must not, or clients would go on from a version that means something
else now, and never hear of what differs. etcd 3.4 can't raise its revisions (`--bump-revision` is newer). So a shift is
stored in it, which the API servers add to every revision (`apimachinery/resourceversion.py`). It grows with the wall
clock, faster than etcd can count: it is beyond every version that was given out, though nobody knows which was the
last. A watch from before is told 410 and lists anew.
"""

import re
import shutil
import time
from pathlib import Path

from componentbase import defaults
from kubeclient.rest import Client
from minikubeadm import api, controlplane, etcdmembers, process, units
from minikubeadm.process import StepFailed
from minikubeadm.progress import Progress

DATA = Path("/var/lib/etcd")
LOCAL = [etcdmembers.client_url("127.0.0.1")]
REVISIONS_PER_SECOND = 10_000  # more than etcd can commit; 3,800 were measured
SHIFT_EPOCH_SECONDS = 1_700_000_000
_BACKWARDS_CLOCK = 1_000_000_000  # revisions to add where the clock shows less than at the restore before
_HEALTHY_TIMEOUT_SECONDS = 60.0


def shift_after(existing: int, now_seconds: float) -> int:
    """The shift of a restore now, of a snapshot that has one already."""
    by_clock = int((now_seconds - SHIFT_EPOCH_SECONDS) * REVISIONS_PER_SECOND)
    return max(by_clock, existing + _BACKWARDS_CLOCK if existing >= by_clock else 0)


async def save(file: Path) -> None:
    """Write what etcd holds now into a file (0600: it holds every Secret)."""
    await etcdmembers.etcdctl(
        LOCAL, "snapshot", "save", str(file), what=f"saving a snapshot to {file}", hint="systemctl status mini-etcd"
    )
    file.chmod(0o600)


async def status(file: Path) -> str:
    """What is in a snapshot, as a table."""
    return await process.run(
        *("env", "ETCDCTL_API=3", "etcdctl", "snapshot", "status", str(file), "--write-out=table"),
        what=f"reading the snapshot {file}",
    )


async def restore(file: Path, *, force: bool, progress: Progress) -> None:
    """Make this machine the only member of an etcd that holds the snapshot, and the API server serve it."""
    async with progress.step("snapshot and etcd's members checked"):
        await status(file)
        if not force:
            await _check_alone()
    flags = _flags((units.UNIT_DIRECTORY / "mini-etcd.service").read_text())
    restored, aside = DATA / ".restored", DATA / f"member.before-{int(time.time())}"
    async with progress.step("snapshot unpacked"):
        shutil.rmtree(restored, ignore_errors=True)
        await process.run(
            *("env", "ETCDCTL_API=3", "etcdctl", "snapshot", "restore", str(file), f"--data-dir={restored}"),
            f"--name={flags['name']}",
            f"--initial-cluster={flags['name']}={flags['initial-advertise-peer-urls']}",
            f"--initial-advertise-peer-urls={flags['initial-advertise-peer-urls']}",
            what=f"restoring {file}",
            timeout_seconds=600,
        )
    async with progress.step("API server stopped, etcd's data replaced"):
        # Not enabled until the shift is in etcd: a reboot in between must not serve versions that went back.
        await process.run("systemctl", "disable", "-q", "--now", "mini-apiserver", what="stopping the API server")
        await process.run("systemctl", "stop", "mini-etcd", what="stopping etcd")
        if (DATA / "member").exists():
            (DATA / "member").rename(aside)
        (restored / "member").rename(DATA / "member")
        shutil.rmtree(restored)
    async with progress.step("etcd started, resource versions moved on"):
        await process.run("systemctl", "start", "mini-etcd", what="starting etcd", hint="journalctl -u mini-etcd")
        await _shift()
    async with progress.step("API server ready"):
        await process.run("systemctl", "enable", "-q", "mini-apiserver", what="enabling the API server")
        await process.run("systemctl", "start", "--no-block", "mini-apiserver", what="starting the API server")
        async with Client(controlplane.local_config(), user_agent="minikubeadm") as client:
            await controlplane.wait_for_api(client)
    if aside.exists():
        progress.line(f"the data of before are in {aside}: remove them when all is well")


async def _check_alone() -> None:
    """Members that go on with the newer data would be a second cluster."""
    try:
        own, members = await etcdmembers.own(LOCAL)
    except StepFailed:
        return  # etcd doesn't answer: perhaps that is why it is to be restored
    if others := [one.name for one in members if one.id != own.id]:
        raise StepFailed(
            f"etcd has other members: {', '.join(others)}",
            hint="run `minikubeadm reset` on those machines, restore, then `minikubeadm join --control-plane` there",
        )


async def _shift() -> None:
    async def stored() -> str:
        try:
            shown = await etcdmembers.etcdctl(
                LOCAL, "get", defaults.ETCD_SHIFT_KEY, "--print-value-only", what="reading the shift of versions"
            )
            value = str(shift_after(int(shown.strip() or 0), time.time()))
            await etcdmembers.etcdctl(
                LOCAL, "put", defaults.ETCD_SHIFT_KEY, value, what="storing the shift of versions"
            )
        except StepFailed as failure:
            return failure.output
        return ""

    what, hint = "waiting for etcd", "look at `journalctl -u mini-etcd`, then run the command again"
    await api.until(stored, what=what, timeout_seconds=_HEALTHY_TIMEOUT_SECONDS, hint=hint)


def _flags(unit: str) -> dict[str, str]:
    """The flags in a unit file."""
    return dict(re.findall(r"--([\w-]+)=(\S+)", unit))
