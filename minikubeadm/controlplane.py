"""A further control plane, and what it has in common with the first: waiting for the API server, the node's label.

The order is the point: the etcd member first, as a learner that cannot hurt the others, then the API server over it.
What has the certificate key's files may do everything, so nothing else is asked of the cluster for it.
"""

from dataclasses import replace
from pathlib import Path

from apimachinery import errors, kinds
from componentbase import defaults
from kubeclient.config import ClientConfig, load_kubeconfig
from kubeclient.errors import Unreachable
from kubeclient.rest import Client
from minikubeadm import api, credentials, etcdmembers, host, units
from minikubeadm.configuration import CONTROL_PLANE_TAINT, ClusterConfiguration, NodeConfiguration
from minikubeadm.process import StepFailed
from minikubeadm.progress import Progress

DIRECTORY = Path(defaults.KUBERNETES_DIRECTORY)
API_TIMEOUT_SECONDS = 90.0
NODE_TIMEOUT_SECONDS = 90.0
MAXIMUM_RESTARTS = 8  # of a service that never came up: waiting longer does not help
_HINT = "look at `journalctl -u {unit}`; after a change run `minikubeadm reset`, and this command again"


async def join(cluster: ClusterConfiguration, node: NodeConfiguration, *, progress: Progress) -> None:
    """Make this machine, which has the shared certificates, one more control plane."""
    async with progress.step(f"certificates and kubeconfigs in {DIRECTORY}"):
        credentials.create_certificates(cluster, node, DIRECTORY)
        credentials.create_kubeconfigs(cluster, node, DIRECTORY)
    config = load_kubeconfig(DIRECTORY / "super-admin.conf")
    async with progress.step("etcd member added, in step with the others, and voting"):
        async with Client(config, user_agent="minikubeadm") as client:
            members = [etcdmembers.client_url(ip) for ip in await _control_planes(client)]
        joining = await etcdmembers.add(members, node.name, node.ip)
        services = units.control_plane(cluster, node, joining=joining) + units.agents(cluster, node)
        units.write(services)
        await units.start(services[:1])
        await etcdmembers.promote(members, node.ip)
    async with progress.step("control plane, kubelet and proxy started as systemd units"):
        await host.configure()
        await units.start(services[1:])
    async with Client(local_config(), user_agent="minikubeadm") as client:
        async with progress.step("API server ready"):
            await wait_for_api(client)
        async with progress.step(f"node {node.name} registered and marked as control plane"):
            await mark(client, node)


def local_config(directory: Path = DIRECTORY) -> ClientConfig:
    """The super-administrator at this machine's own API server, of which a balancer may not have heard yet."""
    config = load_kubeconfig(directory / "super-admin.conf")
    return replace(config, server=f"https://127.0.0.1:{defaults.API_PORT}")


async def wait_for_api(client: Client) -> None:
    """Wait for this machine's API server; StepFailed with its log and etcd's."""
    unit = "mini-apiserver"
    what = "waiting for the API server's /readyz"

    async def ready() -> str:
        try:
            return await api.ready(client)
        except Unreachable:
            if (times := await units.restarts(unit)) >= MAXIMUM_RESTARTS:
                raise StepFailed(what, output=f"{unit} ended {times} times") from None
            raise

    async with units.told_by("mini-etcd", unit, hint=_HINT.format(unit=unit)):
        await api.until(ready, what=what, timeout_seconds=API_TIMEOUT_SECONDS)


async def mark(client: Client, node: NodeConfiguration) -> None:
    """Label the node: a kubelet may not give itself this label (NodeRestriction)."""

    async def registered() -> str:
        try:
            await client.get(kinds.NODE, node.name)
        except errors.NotFound:
            return f"node {node.name} has not registered"
        return ""

    async with units.told_by("mini-kubelet", hint=_HINT.format(unit="mini-kubelet")):
        await api.until(registered, what=f"waiting for node {node.name}", timeout_seconds=NODE_TIMEOUT_SECONDS)
    labels = {CONTROL_PLANE_TAINT: ""}
    if node.tainted:  # a control plane that runs pods may announce their addresses, too
        labels["node.kubernetes.io/exclude-from-external-load-balancers"] = ""
    await client.patch(kinds.NODE, node.name, {"metadata": {"labels": labels}})


async def _control_planes(client: Client) -> list[str]:
    """Addresses of the control planes whose API server is alive: there is an etcd member on each."""
    endpoints = await client.get(kinds.ENDPOINTS, "kubernetes", namespace="default")
    return [address["ip"] for subset in endpoints.get("subsets") or () for address in subset["addresses"]]
