"""`minikubeadm init`: this machine becomes a control plane. Steps in order, each its own function with a line.

All services start at once and find one another by retrying, as after a reboot; what is uploaded waits for the API
server only. Nothing here is needed again: what the cluster lives on is in /etc/kubernetes, in etcd and in the units.
"""

from collections.abc import Sequence
from pathlib import Path

from componentbase import defaults, pki
from kubeclient.config import load_kubeconfig
from kubeclient.rest import Client
from minikubeadm import (
    addons,
    api,
    bootstrap,
    controlplane,
    credentials,
    host,
    preflight,
    sharedcertificates,
    tokens,
    units,
)
from minikubeadm.configuration import ClusterConfiguration, NodeConfiguration
from minikubeadm.process import StepFailed
from minikubeadm.progress import Progress

DIRECTORY = Path(defaults.KUBERNETES_DIRECTORY)


async def init(
    cluster: ClusterConfiguration,
    node: NodeConfiguration,
    token: tokens.Token,
    *,
    certificate_key: str = "",
    progress: Progress,
    ignore: Sequence[str] = (),
) -> None:
    """Bring the control plane up; StepFailed says which step did not work.

    With a certificate key, what further control planes need is uploaded under it.
    """
    if problems := cluster.problems() + node.problems():
        raise StepFailed("the configuration is not valid", output="\n".join(problems))
    async with progress.step("preflight checks"):
        await preflight.check(node, ignore=ignore)
    async with progress.step(f"certificates and kubeconfigs in {DIRECTORY}"):
        credentials.create_certificates(cluster, node, DIRECTORY)
        credentials.create_kubeconfigs(cluster, node, DIRECTORY)
    async with progress.step("etcd, control plane, kubelet and proxy started as systemd units"):
        await host.configure()
        services = units.control_plane(cluster, node) + units.agents(cluster, node)
        units.write(services)
        await units.start(services)
    async with Client(load_kubeconfig(DIRECTORY / "super-admin.conf"), user_agent="minikubeadm") as client:
        async with progress.step("API server ready"):
            await controlplane.wait_for_api(client)
        async with progress.step("administrators, roles of joining nodes, bootstrap token, cluster-info"):
            await api.ensure(client, bootstrap.administrators())
            await _upload(client, cluster, token)
            if certificate_key:
                await sharedcertificates.upload(client, certificate_key, DIRECTORY)
        async with progress.step("addon: cluster DNS"):
            await api.ensure_all(client, addons.dns(cluster))
        async with progress.step("addon: default StorageClass"):
            await api.ensure_all(client, addons.storage())
        async with progress.step(f"node {node.name} registered and marked as control plane"):
            await controlplane.mark(client, node)


def join_command(cluster: ClusterConfiguration, token: tokens.Token, *, certificate_key: str = "") -> str:
    """What to run on a machine that shall join, with a certificate key as a control plane."""
    ca = pki.load_pair(DIRECTORY / "pki/ca.crt", DIRECTORY / "pki/ca.key")
    pin = pki.certificate_hash(ca.certificate)
    command = f"minikubeadm join {cluster.endpoint} --token {token.text} --discovery-token-ca-cert-hash {pin}"
    return f"{command} --control-plane --certificate-key {certificate_key}" if certificate_key else command


async def _upload(client: Client, cluster: ClusterConfiguration, token: tokens.Token) -> None:
    """Everything that a joining node reads; the namespaces are the API server's own doing."""
    ca_pem = (DIRECTORY / "pki/ca.crt").read_bytes()
    bodies = [
        *bootstrap.node_roles(),
        bootstrap.configuration(cluster),
        bootstrap.proxy_secret((DIRECTORY / "proxy.conf").read_bytes()),
        tokens.secret_for(token),
    ]
    await api.ensure_all(client, bodies)
    # Last: who finds this one reads the others.
    await api.ensure(client, bootstrap.cluster_info(cluster.endpoint, ca_pem, [token]))
