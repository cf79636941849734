"""What the kernel of a node must allow, set now and at every boot, and put back by `reset`."""

from pathlib import Path

from componentbase.files import write_file
from minikubeadm import process

SYSCTL_FILE = Path("/etc/sysctl.d/99-mini-kubernetes.conf")
SETTINGS = {
    "net.ipv4.ip_forward": "1",  # pods of other nodes and Services are reached through this one
    "net.bridge.bridge-nf-call-iptables": "1",  # a Service whose back end is on the client's own bridge
    "net.ipv4.conf.all.rp_filter": "0",  # answers that take the overlay while requests took the uplink
    "fs.inotify.max_user_instances": "1024",
    "fs.inotify.max_user_watches": "524288",
}
_BEFORE = "# before: "
_PROC = Path("/proc/sys")


async def configure(*, file: Path = SYSCTL_FILE) -> None:
    """Write the settings (a leading `-`: one that this kernel lacks is passed over) and apply them.

    The file also says what they were before, in comments, which stay when it is written again.
    """
    lines = [f"-{name} = {value}" for name, value in SETTINGS.items()]
    before = _before(file) or {name: value for name in SETTINGS if (value := _current(name))}
    lines += [f"{_BEFORE}{name} = {value}" for name, value in before.items()]
    write_file(file, ("\n".join(lines) + "\n").encode())
    await process.run("sysctl", "-q", "-e", "-p", str(file), what="setting kernel parameters")


async def restore(*, file: Path = SYSCTL_FILE) -> None:
    """Put the values back that were there before, and remove the file."""
    for name, value in _before(file).items():
        if _current(name) != value:
            await process.run("sysctl", "-q", "-e", "-w", f"{name}={value}", what=f"putting {name} back")
    file.unlink(missing_ok=True)


def _current(name: str) -> str:
    file = _PROC / name.replace(".", "/")
    return file.read_text().strip() if file.exists() else ""


def _before(file: Path) -> dict[str, str]:
    if not file.exists():
        return {}
    lines = [line.removeprefix(_BEFORE) for line in file.read_text().splitlines() if line.startswith(_BEFORE)]
    return dict(line.split(" = ", 1) for line in lines)
