"""What the kernel of a node must allow, set now and at every boot."""

from pathlib import Path

from componentbase import pki
from minikubeadm import process

SYSCTL_FILE = Path("/etc/sysctl.d/99-mini-kubernetes.conf")
SETTINGS = {
    "net.ipv4.ip_forward": "1",  # pods of other nodes and Services are reached through this one
    "net.bridge.bridge-nf-call-iptables": "1",  # a Service whose back end is on the client's own bridge
    "net.ipv4.conf.all.rp_filter": "0",  # answers that take the overlay while requests took the uplink
    "fs.inotify.max_user_instances": "1024",
    "fs.inotify.max_user_watches": "524288",
}


async def configure(*, file: Path = SYSCTL_FILE) -> None:
    """Write the settings (a leading `-`: one that this kernel lacks is passed over) and apply them."""
    lines = [f"-{name} = {value}" for name, value in SETTINGS.items()]
    pki.write_file(file, ("\n".join(lines) + "\n").encode())
    await process.run("sysctl", "-q", "-e", "-p", str(file), what="setting kernel parameters")
