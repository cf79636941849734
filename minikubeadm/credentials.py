"""The kubeconfigs of a control plane, one per service, each with its own user and no more rights than its role gives.

What is there already is kept: running `init` again, or after a user put files of their own in place, changes nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from componentbase import defaults, pki, pkilayout
from kubeclient.config import write_kubeconfig
from minikubeadm.configuration import ClusterConfiguration, NodeConfiguration


@dataclass(frozen=True, slots=True)
class Credential:
    """One kubeconfig file and the user that it is for."""

    file: str
    user: str
    groups: tuple[str, ...] = ()
    local: bool = False  # talks to the API server of its own machine: it is of no use when that is down
    lifetime: timedelta = defaults.CERTIFICATE_LIFETIME


def of_control_plane(node: NodeConfiguration) -> Sequence[Credential]:
    """Who gets a kubeconfig on a control plane."""
    return (
        Credential("admin.conf", "kubernetes-admin", (defaults.ADMINS_GROUP,)),
        Credential("super-admin.conf", "kubernetes-super-admin", (defaults.MASTERS_GROUP,)),
        Credential("controller-manager.conf", defaults.CONTROLLER_MANAGER_USER, local=True),
        Credential("scheduler.conf", defaults.SCHEDULER_USER, local=True),
        # Every node has a copy, which nobody renews there: it lives as long as the authority.
        Credential("proxy.conf", defaults.PROXY_USER, lifetime=defaults.AUTHORITY_LIFETIME),
        Credential("kubelet.conf", f"{defaults.NODE_USER_PREFIX}{node.name}", (defaults.NODES_GROUP,)),
    )


def create_certificates(cluster: ClusterConfiguration, node: NodeConfiguration, directory: Path) -> list[str]:
    """The missing certificates of kubeadm's layout below `directory`; which were made."""
    names = pkilayout.Names(
        node.name,
        ips=(node.ip,),
        extra=(*cluster.extra_names, cluster.endpoint.rpartition(":")[0]),
        cluster_domain=cluster.domain,
        api_service_ip=cluster.api_service_ip,
    )
    return pkilayout.create(directory / "pki", names)


def create_kubeconfigs(
    cluster: ClusterConfiguration, node: NodeConfiguration, directory: Path, *, local_port: int = defaults.API_PORT
) -> list[str]:
    """The missing kubeconfigs below `directory`; which were made. `local_port` is that of this machine's API server."""
    ca = pki.load_pair(directory / "pki/ca.crt", directory / "pki/ca.key")
    made = []
    for credential in of_control_plane(node):
        if (directory / credential.file).exists():
            continue
        days = credential.lifetime / timedelta(days=1)
        pair = pki.issue(ca, credential.user, organizations=credential.groups, client=True, days=days)
        write_kubeconfig(
            directory / credential.file,
            server=f"https://{node.ip}:{local_port}" if credential.local else f"https://{cluster.endpoint}",
            ca_data=ca.certificate_pem,
            user=credential.user,
            cluster=cluster.name,
            certificate_data=pair.certificate_pem,
            key_data=pair.key_pem,
        )
        made.append(credential.file)
    return made
