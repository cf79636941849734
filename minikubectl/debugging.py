"""`debug`: one more container in a running pod, with tools of its own, attached to."""

import secrets
from typing import Any

import click

from apimachinery import kinds, meta
from kubeclient.rest import STRATEGIC_MERGE_PATCH
from minikubectl import pods
from minikubectl.cli import cli
from minikubectl.executing import attach_to
from minikubectl.options import POD
from minikubectl.session import Failed, Session, command

JSON = dict[str, Any]


@command(cli, "debug")
@POD
@click.argument("line", nargs=-1, type=click.UNPROCESSED)
@click.option("--image", required=True, help="Image of the container to add.")
@click.option("--image-pull-policy", "policy", default="", help="Always, IfNotPresent, Never.")
@click.option("-c", "--container", default="", help="Its name.")
@click.option("--target", default="", help="See the processes of this container.")
@click.option("--env", "variables", multiple=True, help="NAME=VALUE.")
@click.option("-i", "--stdin", is_flag=True, help="Pass standard input, and attach.")
@click.option("-t", "--tty", "terminal", is_flag=True, help="Standard input is a terminal.")
@click.option("--attach", is_flag=True, help="Show what it prints.")
@click.option("-q", "--quiet", is_flag=True, help="Print only what the container prints.")
async def debug(
    session: Session, what: str, line: tuple[str, ...], image: str, policy: str, container: str, target: str,
    variables: tuple[str, ...], stdin: bool, terminal: bool, attach: bool, quiet: bool,
) -> int:  # fmt: skip
    """Add a container to a running pod (an ephemeral one: it stays until the pod goes).

    \b
    minikubectl debug -it web-1 --image=busybox --target=web -- sh
    """
    pod = await pods.pick(session, what, quiet=True)
    if target and target not in pods.containers(pod):
        raise Failed(f"container {target} not found in pod {meta.name(pod)}")
    name = container or f"debugger-{secrets.token_hex(3)[:5]}"
    more: JSON = {
        "command": list(line),
        "imagePullPolicy": policy,
        "env": [{"name": key, "value": value} for key, _, value in (each.partition("=") for each in variables)],
        "targetContainerName": target,
        "stdin": stdin,
        "tty": terminal,
    }
    added = {"name": name, "image": image, **{key: each for key, each in more.items() if each}}
    if not (quiet or container):
        click.echo(f"Defaulting debug container name to {name}.", err=True)
    await session.client.patch(
        kinds.POD, meta.name(pod), {"spec": {"ephemeralContainers": [added]}}, namespace=meta.namespace(pod),
        content_type=STRATEGIC_MERGE_PATCH, subresource="ephemeralcontainers",
    )  # fmt: skip
    if not (attach or stdin):
        return 0
    return await attach_to(session, meta.name(pod), stdin=stdin, terminal=terminal, quiet=quiet, container=name)
