"""One node container: how it is started so that systemd, Docker and the kernel's network work in it.

`--privileged` asks for every capability that the kernel has, and fails where this machine itself lacks one. So each is
asked for by name: those that this process could pass on (its bounding set) and that the Docker daemon knows, without
three that reach past the container.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from componentbase import defaults
from minikubeadm import process

CLUSTER_LABEL = "mini-kubernetes.cluster"
ROLE_LABEL = "mini-kubernetes.role"
CONTROL_PLANE, WORKER, BALANCER = "control-plane", "worker", "external-load-balancer"
# By number, as in linux/capability.h.
CAPABILITIES = (
    "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP",
    "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER",
    "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE",
    "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP",
    "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF",
    "CHECKPOINT_RESTORE",
)  # fmt: skip
_NEW_IN_DOCKER_23 = {"PERFMON", "BPF", "CHECKPOINT_RESTORE"}
_REACH_PAST_THE_CONTAINER = {"SYS_TIME", "SYS_MODULE", "SYS_RAWIO"}  # the clock, the kernel, its memory


@dataclass(frozen=True, slots=True)
class Node:
    """What a node container is made from."""

    name: str
    cluster: str
    role: str
    network: str
    ip: str
    image: str
    pod_cidr: str
    service_cidr: str
    api_port: int = 0  # published on 127.0.0.1, of the container that clients talk to only


def names(cluster: str, *, control_planes: int, workers: int) -> list[tuple[str, str]]:
    """(name, role) of every container: `<cluster>-control-plane`, `<cluster>-worker`, `<cluster>-worker2`, ...

    With several control planes there is one more, their balancer, named as kind names it.
    """
    counts = ((CONTROL_PLANE, control_planes), (WORKER, workers), (BALANCER, int(control_planes > 1)))
    numbered = ((role, number) for role, count in counts for number in range(1, count + 1))
    return [(f"{cluster}-{role}{number if number > 1 else ''}", role) for role, number in numbered]


def capabilities(bounding_set: int, docker_version: str) -> list[str]:
    """The capabilities to ask for, given this process's bounding set and the daemon's version."""
    left_out = set(_REACH_PAST_THE_CONTAINER)
    major = re.match(r"\d+", docker_version)
    if not major or int(major[0]) < 23:
        left_out |= _NEW_IN_DOCKER_23
    return [name for bit, name in enumerate(CAPABILITIES) if bounding_set >> bit & 1 and name not in left_out]


def bounding_set(status: str) -> int:
    """CapBnd of a /proc/<pid>/status."""
    match = re.search(r"^CapBnd:\s*([0-9a-f]+)", status, re.MULTILINE)
    return int(match[1], 16) if match else 0


async def allowed_capabilities() -> list[str]:
    """`capabilities` of this machine."""
    version = await process.run("docker", "version", "--format", "{{.Server.Version}}", what="asking Docker's version")
    return capabilities(bounding_set(Path("/proc/self/status").read_text()), version)


def command(node: Node, capabilities: Sequence[str]) -> list[str]:
    """The `docker run` that starts a node."""
    argv = ["docker", "run", "--detach", "--name", node.name, "--hostname", node.name, *confinement(capabilities)]
    argv += ["--env", f"MINI_CLUSTER_RANGES={node.pod_cidr} {node.service_cidr}"]
    return [*argv, *placement(node), node.image]


def confinement(capabilities: Sequence[str]) -> list[str]:
    """The options of `docker run` with which systemd, Docker and the kernel's network work in a container."""
    argv = [part for name in capabilities for part in ("--cap-add", name)]
    for option in ("seccomp=unconfined", "apparmor=unconfined", "systempaths=unconfined"):
        argv += ["--security-opt", option]
    argv += ["--device-cgroup-rule", "a *:* rwm", "--cgroupns", "private"]
    argv += ["--tmpfs", "/run:exec", "--tmpfs", "/tmp:exec", "--volume", "/var/lib/docker", "--volume", "/var/lib/etcd"]
    return [*argv, "--volume", "/var/lib/kubelet", "--env", "container=docker", "--stop-signal", "SIGRTMIN+3"]


def placement(node: Node) -> list[str]:
    """The options of `docker run` that say where a container of a cluster is, and whose."""
    argv = ["--restart", "unless-stopped", "--network", node.network, "--ip", node.ip]
    argv += ["--label", f"{CLUSTER_LABEL}={node.cluster}", "--label", f"{ROLE_LABEL}={node.role}"]
    return [*argv, "--publish", f"127.0.0.1:{node.api_port}:{defaults.API_PORT}"] if node.api_port else argv


async def start(node: Node, capabilities: Sequence[str]) -> None:
    """Start a node container and wait until its systemd answers; its Docker takes a second more."""
    hint = "`docker logs` shows what systemd said; --retain keeps the nodes to look at"
    await process.run(*command(node, capabilities), what=f"starting node {node.name}", hint=hint)
    booted = "command -v systemctl >/dev/null || { echo 'no systemctl: not a node image?'; exit 1; }; "
    booted += "until systemctl is-active -q docker.socket; do sleep 0.1; done"
    argv = ["docker", "exec", node.name, "timeout", "60", "sh", "-c", booted]
    await process.run(*argv, what=f"waiting for systemd in {node.name}", hint=hint)


async def remove(names: Sequence[str]) -> None:
    """Remove node containers with their volumes."""
    if names:
        await process.run("docker", "rm", "--force", "--volumes", *names, what="removing nodes")


async def read(node: str, path: str) -> str:
    """A file's content in a node."""
    return await process.run("docker", "exec", node, "cat", path, what=f"reading {path} in {node}")


async def listed(cluster: str = "") -> list[dict[str, str]]:
    """The node containers that exist, of one cluster or of all: cluster, name, role, state, and so on."""
    label = f"label={CLUSTER_LABEL}" + (f"={cluster}" if cluster else "")
    labels = [f'{{{{.Label "{one}"}}}}' for one in (CLUSTER_LABEL, ROLE_LABEL)]
    template = "\t".join([*labels, "{{.Names}}", "{{.State}}", "{{.Image}}"])
    printed = await process.run(
        "docker", "ps", "--all", "--filter", label, "--format", template, what="listing node containers"
    )
    keys = ("cluster", "role", "name", "state", "image")
    rows = [dict(zip(keys, line.split("\t"), strict=True)) for line in printed.splitlines() if line]
    return sorted(rows, key=lambda row: (row["cluster"], row["role"], row["name"]))
