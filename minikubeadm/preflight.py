"""What must hold before a machine becomes a node. Every check runs, every problem is reported at once with its cure."""

import ipaddress
import os
import shutil
import socket
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from componentbase import defaults
from minikubeadm import process
from minikubeadm.configuration import NodeConfiguration
from minikubeadm.process import StepFailed

Check = Callable[[NodeConfiguration], Awaitable[list[str]]]
APPARMOR = Path("/sys/kernel/security/apparmor")
MINIMUM_FREE_BYTES = 1 << 30
_PROGRAMS = ("docker", "iptables", "iptables-restore", "ip", "conntrack", "systemctl")
_AGENT_PORTS = (
    defaults.KUBELET_PORT,
    defaults.KUBELET_HEALTH_PORT,
    defaults.PROXY_HEALTH_PORT,
    defaults.PROXY_METRICS_PORT,
)
_CONTROL_PLANE_PORTS = (
    defaults.API_PORT,
    defaults.CONTROLLER_MANAGER_PORT,
    defaults.SCHEDULER_PORT,
    defaults.ETCD_CLIENT_PORT,
    defaults.ETCD_PEER_PORT,
)


async def check(node: NodeConfiguration, *, ignore: Sequence[str] = ()) -> None:
    """Run every check; StepFailed with all problems. `ignore` names checks whose problems don't count, or is `all`."""
    if "all" in ignore:
        return
    found = [f"[{name}] {problem}" for name, one in CHECKS.items() if name not in ignore for problem in await one(node)]
    if found:
        raise StepFailed(
            "this machine cannot become a node yet",
            output="\n".join(found),
            hint="mend these, or pass --ignore-preflight-errors=NAME[,NAME] for those that you know better",
        )


async def root(node: NodeConfiguration) -> list[str]:
    """Only root writes units and programs the kernel."""
    return [] if os.geteuid() == 0 else ["not run as root: run it with sudo"]


async def systemd(node: NodeConfiguration) -> list[str]:
    """Services are systemd units."""
    return [] if Path("/run/systemd/system").is_dir() else ["this machine does not run systemd, our services do"]


async def programs(node: NodeConfiguration) -> list[str]:
    """What our services call must be installed."""
    wanted = (*_PROGRAMS, "etcd", "etcdctl") if node.control_plane else _PROGRAMS
    missing = [name for name in wanted if not shutil.which(name)]
    if not missing:
        return []
    packages = "docker.io iptables iproute2 conntrack containernetworking-plugins etcd-server etcd-client"
    return [f"not found: {', '.join(missing)}; on Debian: apt-get install {packages}"]


async def plugins(node: NodeConfiguration) -> list[str]:
    """The CNI plugins that pods' networks are made with."""
    folders = [Path("/opt/cni/bin"), Path("/usr/lib/cni")]
    missing = [name for name in ("bridge", "host-local") if not any((folder / name).exists() for folder in folders)]
    return [f"CNI plugins not found: {', '.join(missing)}; on Debian: containernetworking-plugins"] if missing else []


async def apparmor(node: NodeConfiguration) -> list[str]:
    """Where the kernel confines by AppArmor, Docker starts no container without the program that loads its profile."""
    if not APPARMOR.exists() or shutil.which("apparmor_parser", path="/sbin:/usr/sbin"):
        return []
    return ["the kernel has AppArmor, and apparmor_parser is not there; on Debian: apt-get install apparmor"]


async def docker(node: NodeConfiguration) -> list[str]:
    """Docker runs the pods' containers."""
    try:
        await process.run("docker", "version", "--format", "{{.Server.Version}}", timeout_seconds=30)
    except StepFailed as failure:
        return [f"Docker does not answer: {failure.output.strip().splitlines()[-1]}; try: systemctl status docker"]
    return []


async def ports(node: NodeConfiguration) -> list[str]:
    """The ports of our services must be free."""
    wanted = _AGENT_PORTS + (_CONTROL_PLANE_PORTS if node.control_plane else ())
    return [f"port {port} is in use: see `ss -ltnp sport = :{port}`" for port in wanted if not _free(port)]


async def address(node: NodeConfiguration) -> list[str]:
    """The node's address must be one of this machine's, or services could not listen there."""
    family = socket.AF_INET6 if ipaddress.ip_address(node.ip).version == 6 else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        try:
            probe.bind((node.ip, 0))
        except OSError:
            return [f"--node-ip: {node.ip} is not an address of this machine (ip -brief address)"]
    return []


async def disk(node: NodeConfiguration) -> list[str]:
    """Room for images and for etcd."""
    found = []
    for folder in ("/var/lib", "/etc"):
        free = shutil.disk_usage(folder).free
        if free < MINIMUM_FREE_BYTES:
            found.append(f"{folder} has {free >> 20} MiB free; {MINIMUM_FREE_BYTES >> 20} MiB are needed")
    return found


async def unused(node: NodeConfiguration) -> list[str]:
    """A machine is one cluster's node at a time."""
    names = ["kubelet.conf", "bootstrap-kubelet.conf", *(["admin.conf"] if node.control_plane else ["pki/ca.crt"])]
    files = [Path(defaults.KUBERNETES_DIRECTORY, name) for name in names]
    found = [f"{file} is there already" for file in files if file.exists()]
    data = Path("/var/lib/etcd/member")
    if node.control_plane and data.exists():
        found.append(f"{data.parent} holds data already")
    return [f"{problem}: run `minikubeadm reset` first" for problem in found]


CHECKS: dict[str, Check] = {
    check.__name__: check
    for check in (root, systemd, programs, plugins, apparmor, docker, ports, address, disk, unused)
}


def _free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("0.0.0.0", port))
        except OSError:
            return False
    return True
