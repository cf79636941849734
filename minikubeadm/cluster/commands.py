"""`minikubeadm cluster create | delete | start | list | load-image | kubeconfig`."""

import ipaddress
import json
import re
from pathlib import Path
from typing import Any

import click

from componentbase import defaults
from componentbase.files import write_file
from minikubeadm import process
from minikubeadm.cli import run
from minikubeadm.progress import Progress

BUILT = Path(__file__).resolve().parents[2] / ".build/images.json"
NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?")


def _name(ctx: click.Context, param: click.Parameter, value: str) -> str:
    if not NAME.fullmatch(value):
        raise click.BadParameter(f"{value!r} is not a DNS label of at most 40 characters")
    return value


def _range(ctx: click.Context, param: click.Parameter, value: str) -> str:
    try:
        network = ipaddress.IPv4Network(value)
    except ValueError as error:
        raise click.BadParameter(f"{value!r} is not an IPv4 range like {param.default}: {error}") from error
    if network.prefixlen > defaults.NODE_CIDR_MASK_BITS:
        raise click.BadParameter(f"{value} must be at least a /{defaults.NODE_CIDR_MASK_BITS}")
    return value


name_option = click.option("--name", default="mini", show_default=True, callback=_name, help="Name of the cluster")


@click.group()
def cluster() -> None:
    """Clusters of node containers on this machine."""


@cluster.command()
@name_option
@click.option("--control-planes", default=1, show_default=True, type=click.IntRange(1, 7), help="Odd: etcd's members")
@click.option("--workers", default=2, show_default=True, type=click.IntRange(0, 100))
@click.option("--image", default="", help="Node image [the newest one that was built]")
@click.option("--pod-network-cidr", "pod_cidr", default=defaults.POD_CIDR, show_default=True, callback=_range)
@click.option("--service-cidr", default=defaults.SERVICE_CIDR, show_default=True, callback=_range)
@click.option("--api-port", default=0, type=click.IntRange(0, 65535), help="Port of the API server on 127.0.0.1 [free]")
@click.option("--wait", "wait_seconds", default=120.0, show_default=True, help="Seconds for nodes to be Ready; 0: none")
@click.option("--kubeconfig", type=click.Path(path_type=Path), help="Write the cluster's kubeconfig to this file")
@click.option("--retain", is_flag=True, help="Keep the nodes when a step fails, to look at them")
def create(kubeconfig: Path | None, image: str, **options: Any) -> None:
    """Make control planes and workers as containers, and run init and join in them."""
    from minikubeadm.cluster import create as module

    async def work() -> None:
        progress = Progress()
        plan = module.Plan(image=image or await newest_image(), **options)
        await module.create(plan, progress=progress)
        if kubeconfig:
            write_file(kubeconfig, (await module.kubeconfig(plan.name)).encode(), mode=0o600)
        click.echo(f"cluster {plan.name} is up: {plan.control_planes + plan.workers} nodes in {progress.seconds:.1f} s")
        if not kubeconfig:
            click.echo(f"  minikubeadm cluster kubeconfig --name {plan.name} > {plan.name}.conf")
            click.echo(f"  export KUBECONFIG=$PWD/{plan.name}.conf; minikubectl get nodes")

    run(work())


@cluster.command()
@name_option
def delete(name: str) -> None:
    """Remove a cluster: containers, volumes, network, routes."""
    from minikubeadm.cluster import create as module

    run(module.delete(name, progress=Progress()))


@cluster.command()
@name_option
def start(name: str) -> None:
    """Start the stopped nodes of a cluster, after a reboot, too."""
    from minikubeadm.cluster import create as module

    run(module.start(name, progress=Progress()))


@cluster.command("list")
def list_() -> None:
    """List clusters with their nodes."""
    from minikubeadm.cluster import networks, nodes

    async def work() -> None:
        subnets = {one["cluster"]: one["subnet"] for one in await networks.listed()}
        row = "{:<16}{:<28}{:<16}{:<12}{}"
        click.echo(row.format("CLUSTER", "NODE", "ROLE", "STATE", "NETWORK"))
        for node in await nodes.listed():
            subnet = subnets.get(node["cluster"], "<none>")
            click.echo(row.format(node["cluster"], node["name"], node["role"], node["state"], subnet))

    run(work())


@cluster.command("load-image")
@click.argument("image")
@name_option
def load_image(image: str, name: str) -> None:
    """Copy IMAGE of this machine's Docker into every node of a cluster."""
    from minikubeadm.cluster import create as module

    run(module.load_image(name, image, progress=Progress()))


@cluster.command()
@name_option
def kubeconfig(name: str) -> None:
    """Print an administrator's kubeconfig of a cluster."""
    from minikubeadm.cluster import create as module

    async def work() -> None:
        click.echo(await module.kubeconfig(name), nl=False)

    run(work())


async def newest_image() -> str:
    """The node image of this checkout's last `make images`; elsewhere the one that was built last."""
    if BUILT.exists():
        return str(json.loads(BUILT.read_text())["node"])  # never another state's, should this one be gone
    argv = ["docker", "images", f"{defaults.IMAGE_PREFIX}/node", "--format", "{{.Repository}}:{{.Tag}}"]
    printed = await process.run(
        *argv, what="asking Docker for node images", hint="is Docker running, and may you use it?"
    )
    tags = [line for line in printed.splitlines() if not line.endswith(":<none>")]
    if not tags:
        raise process.StepFailed("no node image was built", hint="`make images` builds it")
    return tags[0]
