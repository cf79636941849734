"""`minikubeadm join`: this machine becomes a node of a cluster that it knows only by address, token and pin.

Discovery trusts nobody at first: `cluster-info` is read from whoever answers at the address; it counts only if it is
signed with the token's secret, and only if the authority in it has the pinned key. Then the connection is made again
with that authority, and nothing unverified was used.
"""

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from cryptography import x509

from apimachinery import errors, kinds
from componentbase import defaults, pki
from componentbase.files import write_file
from kubeclient.config import ClientConfig, write_kubeconfig
from kubeclient.errors import Unreachable
from kubeclient.rest import Client
from minikubeadm import api, bootstrap, controlplane, host, preflight, sharedcertificates, tokens, units
from minikubeadm.configuration import ClusterConfiguration, NodeConfiguration
from minikubeadm.process import StepFailed
from minikubeadm.progress import Progress

JSON = dict[str, Any]
DIRECTORY = Path(defaults.KUBERNETES_DIRECTORY)
DISCOVERY_TIMEOUT_SECONDS = 60.0
BOOTSTRAP_TIMEOUT_SECONDS = 90.0


async def join(
    endpoint: str,
    token: tokens.Token,
    pins: Sequence[str],
    node: NodeConfiguration,
    *,
    certificate_key: str = "",
    progress: Progress,
    ignore: Sequence[str] = (),
) -> None:
    """Bring the node up, as a control plane with the key of the certificates that those share.

    StepFailed says which step did not work.
    """
    if problems := node.problems():
        raise StepFailed("the configuration is not valid", output="\n".join(problems))
    async with progress.step("preflight checks"):
        await preflight.check(node, ignore=ignore)
    async with progress.step(f"cluster found at {endpoint}, its authority verified"):
        ca_pem = await discover(endpoint, token, pins)
        client_config = ClientConfig(f"https://{endpoint}", ca_data=ca_pem, token=token.text)
        async with Client(client_config, user_agent="minikubeadm") as client:
            cluster, proxy_kubeconfig = await _read(client)
            if node.control_plane:
                await sharedcertificates.download(client, certificate_key, DIRECTORY)
    if node.control_plane:
        await controlplane.join(cluster, node, progress=progress)
        return
    async with progress.step("kubelet and proxy started as systemd units"):
        _write(endpoint, ca_pem, token, cluster, proxy_kubeconfig)
        await host.configure()
        services = units.agents(cluster, node)
        units.write(services)
        await units.start(services)
    async with progress.step("kubelet has its certificate"):
        await _wait_for_kubelet()


async def discover(endpoint: str, token: tokens.Token, pins: Sequence[str]) -> bytes:
    """The cluster's authority as PEM, once it is proven to be the token's and to bear a pinned key."""
    found: list[bytes] = []

    async with Client(ClientConfig(f"https://{endpoint}", insecure=True), user_agent="minikubeadm") as client:

        async def signed() -> str:
            try:
                info = await client.get(kinds.CONFIG_MAP, bootstrap.CLUSTER_INFO, namespace=defaults.PUBLIC_NAMESPACE)
            except Unreachable as error:
                return f"nothing answers at {endpoint}: {error}"
            except (errors.NotFound, errors.Forbidden):
                return "the control plane has not published cluster-info"
            found[:] = [authority(info, token)]
            return "" if found[0] else f"cluster-info is not signed with token {token.id}"

        await api.until(
            signed,
            what=f"finding the cluster at {endpoint}",
            timeout_seconds=DISCOVERY_TIMEOUT_SECONDS,
            hint="is the address right? has the token expired? `minikubeadm token create --print-join-command` there",
        )
    pin = pki.certificate_hash(x509.load_pem_x509_certificate(found[0]))
    if pins and pin not in pins:
        raise StepFailed(
            "the cluster's authority is not the pinned one",
            output=f"it has    {pin}\npinned is {', '.join(pins)}",
            hint="take the hash from the control plane; if it is the same there, somebody answers in its place",
        )
    return found[0]


def authority(info: JSON, token: tokens.Token) -> bytes:
    """The authority in cluster-info as PEM, b"" while it bears no valid signature by the token."""
    data = info.get("data") or {}
    kubeconfig = data.get("kubeconfig", "")
    if not tokens.verify(kubeconfig, data.get(f"jws-kubeconfig-{token.id}", ""), token):
        return b""
    cluster = yaml.safe_load(kubeconfig)["clusters"][0]["cluster"]
    return base64.b64decode(cluster["certificate-authority-data"])


async def _read(client: Client) -> tuple[ClusterConfiguration, bytes]:
    """The cluster's configuration and the proxies' kubeconfig, with the token's rights."""
    namespace = defaults.SYSTEM_NAMESPACE
    try:
        config_map = await client.get(kinds.CONFIG_MAP, bootstrap.CONFIG_MAP, namespace=namespace)
        secret = await client.get(kinds.SECRET, bootstrap.PROXY_SECRET, namespace=namespace)
    except (errors.StatusError, Unreachable) as error:
        raise StepFailed("reading the cluster's configuration", output=str(error)) from error
    cluster = ClusterConfiguration.decode(config_map["data"]["ClusterConfiguration"])
    return cluster, base64.b64decode(secret["data"]["proxy.conf"])


def _write(
    endpoint: str, ca_pem: bytes, token: tokens.Token, cluster: ClusterConfiguration, proxy_kubeconfig: bytes
) -> None:
    write_file(DIRECTORY / "pki/ca.crt", ca_pem)
    write_file(DIRECTORY / "proxy.conf", proxy_kubeconfig, mode=0o600)
    write_kubeconfig(
        DIRECTORY / "bootstrap-kubelet.conf",
        server=f"https://{endpoint}",
        ca_data=ca_pem,
        user="tls-bootstrap-token-user",
        cluster=cluster.name,
        token=token.text,
    )


async def _wait_for_kubelet() -> None:
    """The kubelet writes kubelet.conf when its request was approved and signed; the token's copy goes then."""

    async def bootstrapped() -> str:
        return "" if (DIRECTORY / "kubelet.conf").exists() else "the kubelet has no certificate"

    hint = "look at `minikubectl get csr` on the control plane and at `journalctl -u mini-kubelet` here"
    what = "waiting for the kubelet's certificate"
    async with units.told_by("mini-kubelet", hint=hint):
        await api.until(bootstrapped, what=what, timeout_seconds=BOOTSTRAP_TIMEOUT_SECONDS)
    (DIRECTORY / "bootstrap-kubelet.conf").unlink(missing_ok=True)
