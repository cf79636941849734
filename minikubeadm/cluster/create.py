"""`minikubeadm cluster create` and `delete`: node containers, and the very commands of real machines run in them.

Each step is its own action. When one fails, what exists is removed again, unless the user wants to look at it.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml
from cryptography import x509

from apimachinery import kinds, meta
from componentbase import defaults, pki
from kubeclient.config import ClientConfig, load_kubeconfig
from kubeclient.rest import Client
from minikubeadm import api, process, sharedcertificates, tokens
from minikubeadm.cluster import balancer, documents, networks, nodes
from minikubeadm.cluster.documents import Admission
from minikubeadm.process import StepFailed
from minikubeadm.progress import Progress

INIT_TIMEOUT_SECONDS = 240.0
ADMIN = f"{defaults.KUBERNETES_DIRECTORY}/admin.conf"
_INOTIFY = Path("/proc/sys/fs/inotify")
_INOTIFY_MINIMA = {"max_user_instances": 1024, "max_user_watches": 524288}


@dataclass(frozen=True, slots=True)
class Plan:
    """What the user asked for."""

    name: str
    workers: int
    image: str
    control_planes: int = 1
    pod_cidr: str = defaults.POD_CIDR
    service_cidr: str = defaults.SERVICE_CIDR
    api_port: int = 0
    wait_seconds: float = 120.0
    retain: bool = False

    @property
    def ranges(self) -> list[str]:
        """Pod and Service addresses."""
        return [self.pod_cidr, self.service_cidr]


async def create(plan: Plan, *, progress: Progress) -> None:
    """Bring a cluster up; on failure leave nothing behind, unless `retain`."""
    async with progress.step(f"Docker, node image {plan.image}, names and limits checked"):
        await _check(plan)
    # Not in the block that cleans up: where this fails, the network of that name is somebody else's.
    async with progress.step(f"network {networks.name_of(plan.name)}"):
        subnet = await networks.create(plan.name, plan.ranges)
    try:
        await _bring_up(plan, subnet, progress)
    except BaseException as error:
        if plan.retain:
            progress.line(f"the nodes are kept: `docker exec -it {plan.name}-control-plane bash`; remove them with")
            progress.line(f"`minikubeadm cluster delete --name {plan.name}`")
        else:
            async with progress.step("what was made is removed again (--retain keeps it)"):
                await asyncio.shield(_remove(plan.name))
        raise error


async def delete(name: str, *, progress: Progress) -> None:
    """Remove a cluster's containers, volumes, network, and the routes that no other cluster needs."""
    async with progress.step(f"cluster {name} removed: containers, volumes, network, routes"):
        if not await _remove(name):
            raise StepFailed(f"there is no cluster {name}", hint="`minikubeadm cluster list` shows them")


async def start(name: str, *, progress: Progress) -> None:
    """Start a cluster's stopped nodes, after a reboot, too: the host's routes are put back first."""
    there = await nodes.listed(name)
    network = [one for one in await networks.listed() if one["cluster"] == name]
    if not there or not network:
        raise StepFailed(f"there is no cluster {name}", hint="`minikubeadm cluster list` shows them")
    stopped = [node["name"] for node in there if node["state"] != "running"]
    async with progress.step(f"cluster {name}: routes put back, {len(stopped)} stopped nodes started"):
        await networks.guard(network[0]["ranges"].split(), there[0]["image"])
        if stopped:
            await process.run("docker", "start", *stopped, what="starting the stopped nodes")


async def kubeconfig(name: str, *, context: str = "") -> str:
    """admin.conf of a cluster for this machine, where its API server, or the balancer, is published on loopback."""
    there = await nodes.listed(name)
    control_planes = [node for node in there if node["role"] == nodes.CONTROL_PLANE]
    if not control_planes:
        raise StepFailed(f"there is no cluster {name}", hint="`minikubeadm cluster list` shows them")
    control_plane = next((node for node in control_planes if node["state"] == "running"), control_planes[0])["name"]
    published = next((node["name"] for node in there if node["role"] == nodes.BALANCER), control_plane)
    document = yaml.safe_load(await nodes.read(control_plane, ADMIN))
    argv = ["docker", "inspect", "--format", '{{(index (index .HostConfig.PortBindings "6443/tcp") 0).HostPort}}']
    port = (await process.run(*argv, published, what="asking for the API server's port")).strip()
    title = context or f"mini-{name}"
    user = f"{title}-admin"
    document["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{port}"
    document["clusters"][0]["name"] = title
    document["users"][0]["name"] = user
    document["contexts"][0] = {"name": title, "context": {"cluster": title, "user": user}}
    document["current-context"] = title
    return yaml.safe_dump(document, sort_keys=False)


async def load_image(name: str, image: str, *, progress: Progress) -> None:
    """Copy an image of this machine's Docker into every node, one stream for each."""
    listed = [node["name"] for node in await nodes.listed(name) if node["role"] != nodes.BALANCER]
    if not listed:
        raise StepFailed(f"there is no cluster {name}", hint="`minikubeadm cluster list` shows them")
    if not await process.succeeds("docker", "image", "inspect", image):
        raise StepFailed(f"this machine's Docker has no image {image}", hint="`docker images` lists them")

    async def load(node: str) -> None:
        pipe = 'set -o pipefail; docker save "$1" | docker exec --interactive "$2" docker load --quiet'
        argv = ["bash", "-c", pipe, "load", image, node]
        await process.run(*argv, what=f"loading {image} into {node}", timeout_seconds=600)

    async with progress.step(f"image {image} loaded into {', '.join(listed)}"):
        await together(load(node) for node in listed)


async def together(works: Iterable[Awaitable[object]]) -> None:
    """Run works at once; the first failure ends the others and is raised alone."""

    async def one(work: Awaitable[object]) -> None:
        await work

    try:
        async with asyncio.TaskGroup() as group:
            for work in works:
                group.create_task(one(work))
    except ExceptionGroup as several:
        raise several.exceptions[0] from None


async def _check(plan: Plan) -> None:
    await process.run(
        *("docker", "version", "--format", "{{.Server.Version}}"),
        what="asking Docker",
        hint="is Docker running, and may you use it? `deploy/dockerd.sh` starts one; group docker gives the right",
    )
    if not await process.succeeds("docker", "image", "inspect", plan.image):
        raise StepFailed(f"there is no node image {plan.image}", hint="`make images` builds it")
    if await nodes.listed(plan.name):
        raise StepFailed(f"a cluster {plan.name} is there", hint=f"`minikubeadm cluster delete --name {plan.name}`")
    if plan.api_port and not _free(plan.api_port):
        raise StepFailed(f"port {plan.api_port} of 127.0.0.1 is in use", hint="choose another --api-port, or none")
    for name, minimum in _INOTIFY_MINIMA.items():
        file = _INOTIFY / name
        if int(file.read_text()) < minimum:
            try:
                file.write_text(str(minimum))
            except OSError:
                continue  # three nodes fit into the usual limits; many don't, and only root may raise them


async def _bring_up(plan: Plan, subnet: networks.Network, progress: Progress) -> None:
    async with progress.step("routes that keep pod addresses on this machine"):
        await networks.guard(plan.ranges, plan.image)
    made = _nodes(plan, subnet)
    control_planes, workers, balancers = (
        [node for node in made if node.role == role] for role in (nodes.CONTROL_PLANE, nodes.WORKER, nodes.BALANCER)
    )
    async with progress.step(f"{len(made)} containers booted"):
        allowed = await nodes.allowed_capabilities()
        await together(
            [
                *(nodes.start(node, allowed) for node in control_planes + workers),
                *(balancer.start(node, control_planes) for node in balancers),
            ]
        )
    first = control_planes[0]
    admission = Admission(
        endpoint=f"{(*balancers, first)[0].ip}:{defaults.API_PORT}",
        token=tokens.new(),
        certificate_key=sharedcertificates.new_key() if balancers else "",
        tainted=bool(workers),  # pods need somewhere to run
    )
    # The others set out as soon as there is an authority to pin, and wait for the API server in their own discovery.
    certified = asyncio.Event()
    joining = [*control_planes[1:], *workers]
    async with progress.step(f"control plane up, {len(joining)} further nodes joined"):
        await together(
            [
                _init(first, admission, progress, certified),
                _join(first, joining, admission, progress, certified),
            ]
        )
    nodes_made = control_planes + workers
    document = await kubeconfig(plan.name)
    if plan.wait_seconds:
        async with progress.step(f"{len(nodes_made)} nodes Ready"):
            await wait_ready(document, [node.name for node in nodes_made], timeout_seconds=plan.wait_seconds)


def _nodes(plan: Plan, subnet: ipaddress.IPv4Network) -> list[nodes.Node]:
    """The containers with their addresses: Docker's gateway has the first, the first control plane the second."""
    made = []
    names = nodes.names(plan.name, control_planes=plan.control_planes, workers=plan.workers)
    published = nodes.BALANCER if plan.control_planes > 1 else nodes.CONTROL_PLANE
    for number, (name, role) in enumerate(names, start=2):
        port = (plan.api_port or _some_free_port()) if role == published else 0
        made.append(
            nodes.Node(
                name=name,
                cluster=plan.name,
                role=role,
                network=networks.name_of(plan.name),
                ip=str(subnet[number]),
                image=plan.image,
                pod_cidr=plan.pod_cidr,
                service_cidr=plan.service_cidr,
                api_port=port,
            )
        )
    return made


async def _init(node: nodes.Node, admission: Admission, progress: Progress, certified: asyncio.Event) -> None:
    show = _steps_only(progress, node.name)

    def on_line(line: str) -> None:
        show(line)
        if line.startswith("✓") and "certificates" in line:
            certified.set()

    argv = ["minikubeadm", "init", *(["--upload-certs"] if admission.certificate_key else [])]
    await _run_in(node, argv, documents.init(node, admission), on_line)


async def _join(
    first: nodes.Node,
    joining: Sequence[nodes.Node],
    admission: Admission,
    progress: Progress,
    certified: asyncio.Event,
) -> None:
    await certified.wait()
    authority = await nodes.read(first.name, f"{defaults.PKI_DIRECTORY}/ca.crt")
    pin = pki.certificate_hash(x509.load_pem_x509_certificate(authority.encode()))
    await together(
        _run_in(node, ["minikubeadm", "join"], documents.join(node, admission, pin), _steps_only(progress, node.name))
        for node in joining
    )


async def _run_in(node: nodes.Node, argv: list[str], config: str, on_line: Callable[[str], None]) -> None:
    await process.stream(
        *("docker", "exec", "--interactive", node.name, *argv, "--config", "-"),
        stdin=config.encode(),
        on_line=on_line,
        what=f"{' '.join(argv[:2])} in {node.name}",
        hint="--retain keeps the nodes to look at",
        timeout_seconds=INIT_TIMEOUT_SECONDS,
    )


async def wait_ready(document: str, names: Iterable[str], *, timeout_seconds: float) -> None:
    """Wait until every node says Ready."""
    expected = set(names)
    async with Client(config(document), user_agent="minikubeadm") as client:

        async def missing() -> str:
            listed = (await client.list(kinds.NODE, resource_version="0"))["items"]
            ready = {
                meta.name(node) for node in listed if (meta.condition(node, "Ready") or {}).get("status") == "True"
            }
            reasons = {
                meta.name(node): (meta.condition(node, "Ready") or {}).get("message", "no condition") for node in listed
            }
            waiting = sorted(expected - ready)
            return "; ".join(f"{name}: {reasons.get(name, 'not registered')}" for name in waiting)

        hint = "look at `minikubectl get nodes` and, in the node, at `journalctl -u mini-kubelet`"
        await api.until(missing, what="waiting for nodes to be Ready", timeout_seconds=timeout_seconds, hint=hint)


async def _remove(name: str) -> bool:
    """Remove all of a cluster that is there; whether there was anything."""
    there = [node["name"] for node in await nodes.listed(name)]
    network = [one for one in await networks.listed() if one["cluster"] == name]
    image = next((node["image"] for node in await nodes.listed(name)), "")
    await nodes.remove(there)
    await networks.remove(name)
    for one in network:
        await networks.unguard(one["ranges"].split(), image)
    return bool(there or network)


def config(document: str) -> ClientConfig:
    """A client's configuration from a kubeconfig's text."""
    import tempfile

    with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
        file.write(document)
        file.flush()
        return load_kubeconfig(file.name)


def _steps_only(progress: Progress, node: str) -> Callable[[str], None]:
    """Print the steps of a nested command, not what it says to a person who would run it by hand."""
    show = progress.nested(f"{node}:")
    return lambda line: show(line) if line.startswith(("✓", "✗")) else None


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _some_free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
