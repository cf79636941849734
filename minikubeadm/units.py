"""The services of a node as systemd units: each a row of flags, written, enabled and started.

Units restart always and without a limit (`StartLimitIntervalSec=0`): services are crash-only, and after a reboot of
the machine they come up in any order. `python -P` keeps the working directory out of the import path.
"""

import contextlib
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from componentbase import defaults
from componentbase.files import write_file
from minikubeadm import etcdmembers, process
from minikubeadm.configuration import CONTROL_PLANE_TAINT, ClusterConfiguration, NodeConfiguration

UNIT_DIRECTORY = Path("/etc/systemd/system")
_KUBERNETES = defaults.KUBERNETES_DIRECTORY
_PKI = defaults.PKI_DIRECTORY
Flags = Mapping[str, str]

# On a machine that is overloaded a start that is cut off and begun again only adds to the load, and never ends.
START_SECONDS = 600


@dataclass(frozen=True, slots=True)
class Unit:
    """One service: its unit's name, what it runs, and with which flags."""

    name: str
    description: str
    program: tuple[str, ...]
    flags: Flags
    after: tuple[str, ...] = ()
    options: tuple[str, ...] = ()

    def render(self) -> str:
        """The unit file."""
        flags = (f"--{name}={value}" for name, value in self.flags.items())
        command = " \\\n    ".join([" ".join(self.program), *flags])
        lines = [
            "[Unit]",
            f"Description=Mini-Kubernetes {self.description}",
            f"After={' '.join(('network.target', *self.after))}",
            "StartLimitIntervalSec=0",
            "",
            "[Service]",
            "Type=notify",
            f"ExecStart={command}",
            "Restart=always",
            "RestartSec=1",
            f"TimeoutStartSec={START_SECONDS}",
            "LimitNOFILE=1048576",
            "TasksMax=infinity",
            "Environment=PYTHONUNBUFFERED=1",
            *self.options,
            "",
            "[Install]",
            "WantedBy=multi-user.target",
            "",
        ]
        return "\n".join(lines)


def _python(module: str) -> tuple[str, ...]:
    return (sys.executable, "-P", "-m", module)


def etcd(node: NodeConfiguration, *, joining: str = "") -> Unit:
    """etcd, for clients on this machine and peers elsewhere, both with certificates.

    `joining` names all members of a cluster that this one was added to. etcd looks at it only while it has no data.
    """
    client, peer = etcdmembers.client_url(node.ip), etcdmembers.peer_url(node.ip)
    flags = {
        "name": node.name,
        "data-dir": "/var/lib/etcd",
        "listen-client-urls": f"{etcdmembers.client_url('127.0.0.1')},{client}",
        "advertise-client-urls": client,
        "listen-peer-urls": peer,
        "initial-advertise-peer-urls": peer,
        "initial-cluster": joining or f"{node.name}={peer}",
        "initial-cluster-state": "existing" if joining else "new",
        "heartbeat-interval": "200",  # members on one loaded machine shall not take each other for dead
        "election-timeout": "2000",
        "client-cert-auth": "true",
        "cert-file": f"{_PKI}/etcd/server.crt",
        "key-file": f"{_PKI}/etcd/server.key",
        "trusted-ca-file": f"{_PKI}/etcd/ca.crt",
        "peer-client-cert-auth": "true",
        "peer-cert-file": f"{_PKI}/etcd/peer.crt",
        "peer-key-file": f"{_PKI}/etcd/peer.key",
        "peer-trusted-ca-file": f"{_PKI}/etcd/ca.crt",
        "max-request-bytes": "4194304",
        "quota-backend-bytes": str(8 << 30),
        "snapshot-count": "10000",
        "logger": "zap",
        "log-level": "warn",
    }
    # A member that has no quorum yet waits for the others, which may be away for longer than units usually are.
    return Unit("mini-etcd", "etcd", ("/usr/bin/etcd",), flags, options=("TimeoutStartSec=infinity",))


def apiserver(cluster: ClusterConfiguration, node: NodeConfiguration) -> Unit:
    """The API server over the etcd of the same machine."""
    flags = {
        "etcd-servers": etcdmembers.client_url("127.0.0.1"),
        "etcd-cafile": f"{_PKI}/etcd/ca.crt",
        "etcd-certfile": f"{_PKI}/apiserver-etcd-client.crt",
        "etcd-keyfile": f"{_PKI}/apiserver-etcd-client.key",
        "bind-address": "0.0.0.0",
        "advertise-address": node.ip,
        "secure-port": str(defaults.API_PORT),
        "tls-cert-file": f"{_PKI}/apiserver.crt",
        "tls-private-key-file": f"{_PKI}/apiserver.key",
        "client-ca-file": f"{_PKI}/ca.crt",
        "authorization-mode": "Node,RBAC",
        "enable-admission-plugins": "NodeRestriction",
        "enable-bootstrap-token-auth": "true",
        "service-cluster-ip-range": cluster.service_cidr,
        "service-account-issuer": f"https://kubernetes.default.svc.{cluster.domain}",
        "service-account-key-file": f"{_PKI}/sa.pub",
        "service-account-signing-key-file": f"{_PKI}/sa.key",
        "kubelet-client-certificate": f"{_PKI}/apiserver-kubelet-client.crt",
        "kubelet-client-key": f"{_PKI}/apiserver-kubelet-client.key",
        "kubelet-preferred-address-types": "InternalIP,Hostname",
        "proxy-client-cert-file": f"{_PKI}/front-proxy-client.crt",
        "proxy-client-key-file": f"{_PKI}/front-proxy-client.key",
        "requestheader-client-ca-file": f"{_PKI}/front-proxy-ca.crt",
        "requestheader-allowed-names": "front-proxy-client",
        "requestheader-extra-headers-prefix": "X-Remote-Extra-",
        "requestheader-group-headers": "X-Remote-Group",
        "requestheader-username-headers": "X-Remote-User",
    }
    return Unit("mini-apiserver", "API server", _python("apiserver"), flags, ("mini-etcd.service",))


def controller_manager(cluster: ClusterConfiguration) -> Unit:
    """The controllers, with the keys that sign certificates and service-account tokens."""
    kubeconfig = f"{_KUBERNETES}/controller-manager.conf"
    flags = {
        "kubeconfig": kubeconfig,
        "authentication-kubeconfig": kubeconfig,
        "authorization-kubeconfig": kubeconfig,
        "bind-address": "0.0.0.0",  # with TLS; /metrics asks the API server who may (docs/monitoring.md)
        "leader-elect": "true",
        "allocate-node-cidrs": "true",
        "cluster-cidr": cluster.pod_cidr,
        "service-cluster-ip-range": cluster.service_cidr,
        "cluster-name": cluster.name,
        "cluster-signing-cert-file": f"{_PKI}/ca.crt",
        "cluster-signing-key-file": f"{_PKI}/ca.key",
        "client-ca-file": f"{_PKI}/ca.crt",
        "root-ca-file": f"{_PKI}/ca.crt",
        "service-account-private-key-file": f"{_PKI}/sa.key",
        "use-service-account-credentials": "true",
    }
    if cluster.load_balancer_pool:
        flags["load-balancer-pool"] = cluster.load_balancer_pool
    return Unit("mini-controller-manager", "controllers", _python("controllers"), flags, ("mini-apiserver.service",))


def scheduler() -> Unit:
    """The scheduler."""
    flags = {"kubeconfig": f"{_KUBERNETES}/scheduler.conf", "bind-address": "0.0.0.0", "leader-elect": "true"}
    return Unit("mini-scheduler", "scheduler", _python("scheduler"), flags, ("mini-apiserver.service",))


def kubelet(cluster: ClusterConfiguration, node: NodeConfiguration) -> Unit:
    """The agent that runs pods; on a node that joins it asks for its certificate with the bootstrap kubeconfig."""
    flags = {
        "kubeconfig": f"{_KUBERNETES}/kubelet.conf",
        "bootstrap-kubeconfig": f"{_KUBERNETES}/bootstrap-kubelet.conf",
        "client-ca-file": f"{_PKI}/ca.crt",
        "hostname-override": node.name,
        "node-ip": node.ip,
        "cluster-dns": cluster.dns_service_ip,
        "cluster-domain": cluster.domain,
        "cluster-cidr": cluster.pod_cidr,
        "pod-infra-container-image": node.pause_image,
    }
    if node.control_plane and node.tainted:
        flags["register-with-taints"] = f"{CONTROL_PLANE_TAINT}=:NoSchedule"
    # A kubelet that ends leaves its pods' containers to the next one: they are Docker's, not its children.
    options = ("KillMode=process",)
    after = ("docker.service", "mini-images.service", "mini-apiserver.service")
    return Unit("mini-kubelet", "kubelet", _python("kubelet"), flags, after, options)


def proxy(cluster: ClusterConfiguration, node: NodeConfiguration) -> Unit:
    """The agent that programs the kernel for Services."""
    flags = {
        "kubeconfig": f"{_KUBERNETES}/proxy.conf",
        "hostname-override": node.name,
        "cluster-cidr": cluster.pod_cidr,
        "metrics-bind-address": "0.0.0.0",  # with TLS; asks the API server who may (docs/monitoring.md)
    }
    return Unit("mini-proxy", "proxy", _python("proxy"), flags, ("mini-apiserver.service",))


def control_plane(cluster: ClusterConfiguration, node: NodeConfiguration, *, joining: str = "") -> list[Unit]:
    """The services of the control plane, in the order in which they start."""
    return [etcd(node, joining=joining), apiserver(cluster, node), controller_manager(cluster), scheduler()]


def agents(cluster: ClusterConfiguration, node: NodeConfiguration) -> list[Unit]:
    """The services of every node."""
    return [kubelet(cluster, node), proxy(cluster, node)]


def write(units: Sequence[Unit], *, directory: Path = UNIT_DIRECTORY) -> None:
    """Write the unit files."""
    for unit in units:
        write_file(directory / f"{unit.name}.service", unit.render().encode())


async def start(units: Sequence[Unit]) -> None:
    """Enable units and start them (again, where they run), without waiting until they say that they are ready."""
    names = [f"{unit.name}.service" for unit in units]
    await process.run("systemctl", "daemon-reload", what="reading the new units")
    await process.run("systemctl", "enable", "-q", *names, what="enabling units")
    await process.run("systemctl", "restart", "--no-block", *names, what="starting units")


async def journal(name: str, *, lines: int = 25) -> str:
    """The end of a unit's log, for a failure's report."""
    try:
        return await process.run("journalctl", "-u", name, "-n", str(lines), "--no-pager", "-o", "cat")
    except process.StepFailed as failure:
        return failure.output


@contextlib.asynccontextmanager
async def told_by(*names: str, hint: str) -> AsyncIterator[None]:
    """A step whose failure ends with what these units logged last."""
    try:
        yield
    except process.StepFailed as failure:
        output = "\n".join([failure.output, *[await journal(name) for name in names]])
        raise process.StepFailed(failure.what, output=output, hint=hint) from failure


async def restarts(name: str) -> int:
    """How often systemd has started a unit anew because it ended."""
    shown = await process.run("systemctl", "show", "-p", "NRestarts", "--value", name)
    return int(shown.strip() or 0)
