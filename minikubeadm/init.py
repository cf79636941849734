"""`minikubeadm init`: this machine becomes a control plane. A phase is a row of one table, named as kubeadm names it.

All services start at once and find one another by retrying, as after a reboot; what is uploaded waits for the API
server only. Nothing here is needed again: what the cluster lives on is in /etc/kubernetes, in etcd and in the units.
"""

from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

from componentbase import defaults, pki
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


@dataclass
class Init:
    """What the phases share. In a dry run files go below `directory`, and nothing is started."""

    cluster: ClusterConfiguration
    node: NodeConfiguration
    token: tokens.Token
    certificate_key: str = ""
    ignore: Sequence[str] = ()
    directory: Path = DIRECTORY
    unit_directory: Path = units.UNIT_DIRECTORY
    stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def client(self) -> Client:
        """The super-administrator's client: only it may do anything before the administrators are bound."""
        config = controlplane.local_config(self.directory)
        return await self.stack.enter_async_context(Client(config, user_agent="minikubeadm"))

    @property
    def dry(self) -> bool:
        """Whether files only are made."""
        return self.directory != DIRECTORY


async def init(work: Init, *, progress: Progress, skip: Collection[str] = (), only: Collection[str] = ()) -> None:
    """Bring the control plane up; StepFailed says which step did not work. `only` and `skip` name phases."""
    if unknown := {*skip, *only} - set(PHASES):
        raise StepFailed(f"no such phase: {', '.join(sorted(unknown))}", hint=f"there are {', '.join(PHASES)}")
    if problems := work.cluster.problems() + work.node.problems():
        raise StepFailed("the configuration is not valid", output="\n".join(problems))
    async with work.stack:
        for name, (text, phase) in PHASES.items():
            if name in skip or (only and name not in only):
                continue
            if name == "upload-certs" and not work.certificate_key:
                continue
            if work.dry and name not in DRY:
                progress.line(f"- {text.format(work)}: not in a dry run")
                continue
            async with progress.step(text.format(work)):
                await phase(work)


async def _preflight(work: Init) -> None:
    await preflight.check(work.node, ignore=work.ignore)


async def _certs(work: Init) -> None:
    credentials.create_certificates(work.cluster, work.node, work.directory)


async def _kubeconfig(work: Init) -> None:
    credentials.create_kubeconfigs(work.cluster, work.node, work.directory)


async def _start(work: Init, services: Sequence[units.Unit]) -> None:
    units.write(services, directory=work.unit_directory)
    if not work.dry:
        await units.start(services)


async def _control_plane(work: Init) -> None:
    await _start(work, units.control_plane(work.cluster, work.node))


async def _agents(work: Init) -> None:
    if not work.dry:
        await host.configure()
    await _start(work, units.agents(work.cluster, work.node))


async def _wait(work: Init) -> None:
    client = await work.client()
    await controlplane.wait_for_api(client)
    await api.ensure(client, bootstrap.administrators())


async def _upload_config(work: Init) -> None:
    proxy = bootstrap.proxy_secret((work.directory / "proxy.conf").read_bytes())
    await api.ensure_all(await work.client(), [*bootstrap.node_roles(), bootstrap.configuration(work.cluster), proxy])


async def _upload_certs(work: Init) -> None:
    await sharedcertificates.upload(await work.client(), work.certificate_key, work.directory)


async def _bootstrap_token(work: Init) -> None:
    """The token, and what it is proven with; after what is read by those who find it."""
    ca_pem = (work.directory / "pki/ca.crt").read_bytes()
    info = bootstrap.cluster_info(work.cluster.endpoint, ca_pem, [work.token])
    await api.ensure_all(await work.client(), [tokens.secret_for(work.token), info])


async def _addon(work: Init) -> None:
    await api.ensure_all(await work.client(), [*addons.dns(work.cluster), *addons.storage()])


async def _mark(work: Init) -> None:
    await controlplane.mark(await work.client(), work.node)


PHASES: dict[str, tuple[str, Callable[[Init], Awaitable[None]]]] = {
    "preflight": ("preflight checks", _preflight),
    "certs": ("certificates in {0.directory}/pki", _certs),
    "kubeconfig": ("kubeconfigs in {0.directory}", _kubeconfig),
    "control-plane": ("etcd, API server, controllers and scheduler as systemd units", _control_plane),
    "kubelet-start": ("kubelet and proxy as systemd units", _agents),
    "wait-control-plane": ("API server ready", _wait),
    "upload-config": ("configuration and roles of joining nodes uploaded", _upload_config),
    "upload-certs": ("what control planes share uploaded for two hours", _upload_certs),
    "bootstrap-token": ("bootstrap token, cluster-info", _bootstrap_token),
    "addon": ("addons: cluster DNS, default StorageClass", _addon),
    "mark-control-plane": ("node {0.node.name} registered and marked as control plane", _mark),
}
DRY = ("preflight", "certs", "kubeconfig", "control-plane", "kubelet-start")


def join_command(cluster: ClusterConfiguration, token: tokens.Token, *, certificate_key: str = "") -> str:
    """What to run on a machine that shall join, with a certificate key as a control plane."""
    ca = pki.load_pair(DIRECTORY / "pki/ca.crt", DIRECTORY / "pki/ca.key")
    pin = pki.certificate_hash(ca.certificate)
    command = f"minikubeadm join {cluster.endpoint} --token {token.text} --discovery-token-ca-cert-hash {pin}"
    return f"{command} --control-plane --certificate-key {certificate_key}" if certificate_key else command
