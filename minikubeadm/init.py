"""`minikubeadm init`: this machine becomes a control plane. Steps in order, each its own function with a line.

All services start at once and find one another by retrying, as after a reboot; what is uploaded waits for the API
server only. Nothing here is needed again: what the cluster lives on is in /etc/kubernetes, in etcd and in the units.
"""

from collections.abc import Sequence
from pathlib import Path

from apimachinery import errors, kinds
from componentbase import defaults, pki
from kubeclient.config import load_kubeconfig
from kubeclient.errors import Unreachable
from kubeclient.rest import Client
from minikubeadm import addons, api, bootstrap, credentials, host, preflight, tokens, units
from minikubeadm.configuration import CONTROL_PLANE_TAINT, ClusterConfiguration, NodeConfiguration
from minikubeadm.process import StepFailed
from minikubeadm.progress import Progress

DIRECTORY = Path(defaults.KUBERNETES_DIRECTORY)
API_TIMEOUT_SECONDS = 90.0
NODE_TIMEOUT_SECONDS = 90.0
MAXIMUM_RESTARTS = 8  # of a service that never came up: waiting longer does not help
_JOURNAL_HINT = "look at `journalctl -u {unit}`; after a change run `minikubeadm reset` and `minikubeadm init` again"


async def init(
    cluster: ClusterConfiguration,
    node: NodeConfiguration,
    token: tokens.Token,
    *,
    progress: Progress,
    ignore: Sequence[str] = (),
) -> None:
    """Bring the control plane up; StepFailed says which step did not work."""
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
            await _wait_for_api(client)
        async with progress.step("administrators, roles of joining nodes, bootstrap token, cluster-info"):
            await api.ensure(client, bootstrap.administrators())
            await _upload(client, cluster, token)
        async with progress.step("addon: cluster DNS"):
            await api.ensure_all(client, addons.dns(cluster))
        async with progress.step(f"node {node.name} registered and marked as control plane"):
            await _mark(client, node)


def join_command(cluster: ClusterConfiguration, token: tokens.Token) -> str:
    """What to run on a machine that shall join."""
    ca = pki.load_pair(DIRECTORY / "pki/ca.crt", DIRECTORY / "pki/ca.key")
    pin = pki.certificate_hash(ca.certificate)
    return f"minikubeadm join {cluster.endpoint} --token {token.text} --discovery-token-ca-cert-hash {pin}"


async def _wait_for_api(client: Client) -> None:
    unit = "mini-apiserver"
    what = "waiting for the API server's /readyz"

    async def ready() -> str:
        try:
            return await api.ready(client)
        except Unreachable:
            if (times := await units.restarts(unit)) >= MAXIMUM_RESTARTS:
                raise StepFailed(what, output=f"{unit} ended {times} times") from None
            raise

    try:
        await api.until(ready, what=what, timeout_seconds=API_TIMEOUT_SECONDS)
    except StepFailed as failure:
        log = "\n".join([await units.journal("mini-etcd"), await units.journal(unit)])
        hint = _JOURNAL_HINT.format(unit=unit)
        raise StepFailed(failure.what, output=f"{failure.output}\n{log}", hint=hint) from failure


async def _upload(client: Client, cluster: ClusterConfiguration, token: tokens.Token) -> None:
    """Everything that a joining node reads; the namespaces are the API server's own doing."""
    ca_pem = (DIRECTORY / "pki/ca.crt").read_bytes()
    bodies = [
        *bootstrap.node_roles(),
        bootstrap.configuration(cluster),
        bootstrap.proxy_secret((DIRECTORY / "proxy.conf").read_bytes()),
        bootstrap.cluster_info(cluster.endpoint, ca_pem, [token]),
        tokens.secret_for(token),
    ]
    await api.ensure_all(client, bodies)


async def _mark(client: Client, node: NodeConfiguration) -> None:
    """Label the node: a kubelet may not give itself this label (NodeRestriction)."""

    async def registered() -> str:
        try:
            await client.get(kinds.NODE, node.name)
        except errors.NotFound:
            return f"node {node.name} has not registered"
        return ""

    try:
        await api.until(registered, what=f"waiting for node {node.name}", timeout_seconds=NODE_TIMEOUT_SECONDS)
    except StepFailed as failure:
        log = await units.journal("mini-kubelet")
        hint = _JOURNAL_HINT.format(unit="mini-kubelet")
        raise StepFailed(failure.what, output=f"{failure.output}\n{log}", hint=hint) from failure
    labels = {CONTROL_PLANE_TAINT: ""}
    if node.tainted:  # a control plane that runs pods may announce their addresses, too
        labels["node.kubernetes.io/exclude-from-external-load-balancers"] = ""
    await client.patch(kinds.NODE, node.name, {"metadata": {"labels": labels}})
