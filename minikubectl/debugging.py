"""`debug`: one more container, with tools of its own, attached to: in a running pod, in a copy of it, or on a node.

The pods are what kubectl makes without `--profile`, each a function of what is looked at (`copied`, `on_node`).
"""

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
@click.option("--image", default="", help="Image of the container.")
@click.option("--image-pull-policy", "policy", default="", help="Always, IfNotPresent, Never.")
@click.option("-c", "--container", default="", help="Its name; with --copy-to also of one that the pod has.")
@click.option("--target", default="", help="See the processes of this container.")
@click.option("--copy-to", default="", help="Leave the pod alone: make a copy of this name.")
@click.option("--same-node", is_flag=True, help="Put the copy on the pod's node.")
@click.option("--share-processes/--no-share-processes", default=None, help="Containers of the copy see one another.")
@click.option("--env", "variables", multiple=True, help="NAME=VALUE.")
@click.option("-i", "--stdin", is_flag=True, help="Pass standard input, and attach.")
@click.option("-t", "--tty", "terminal", is_flag=True, help="Standard input is a terminal.")
@click.option("--attach", is_flag=True, help="Show what it prints.")
@click.option("-q", "--quiet", is_flag=True, help="Print only what the container prints.")
async def debug(
    session: Session, what: str, line: tuple[str, ...], image: str, policy: str, container: str, target: str,
    copy_to: str, same_node: bool, share_processes: bool | None, variables: tuple[str, ...], stdin: bool,
    terminal: bool, attach: bool, quiet: bool,
) -> int:  # fmt: skip
    """Add a container to a running pod (an ephemeral one: it stays until the pod goes), to a copy of it, or to a node.

    \b
    minikubectl debug -it web-1 --image=busybox --target=web -- sh
    minikubectl debug -it web-1 --image=busybox --copy-to=web-debug
    minikubectl debug -it node/worker --image=busybox        its files are under /host
    """
    if not (image or (copy_to and container)):
        raise Failed("you must specify --image, or --copy-to with a --container that the pod has")
    more: JSON = {
        "image": image,
        "command": list(line),
        "imagePullPolicy": policy,
        "env": [{"name": key, "value": value} for key, _, value in (each.partition("=") for each in variables)],
        "stdin": stdin,
        "tty": terminal,
    }
    new = {key: each for key, each in more.items() if each}
    kind, _, node = what.partition("/")
    if kind in ("node", "nodes", "no"):
        await session.client.get(kinds.NODE, node)
        name = container or "debugger"
        made = on_node(node, {"name": name, **new})
        _say(f"Creating debugging pod {meta.name(made)} with container {name} on node {node}.", quiet)
        await session.client.create(kinds.POD, made, namespace=session.namespace)
    else:
        pod = made = await pods.pick(session, what, quiet=True)
        if target and target not in pods.containers(pod):
            raise Failed(f"container {target} not found in pod {meta.name(pod)}")
        name = container or f"debugger-{secrets.token_hex(3)[:5]}"
        if not container:
            _say(f"Defaulting debug container name to {name}.", quiet)
        new["name"] = name
        if copy_to:
            made = copied(pod, copy_to, new, same_node=same_node, share_processes=share_processes)
            await session.client.create(kinds.POD, made, namespace=session.namespace)
        else:
            added = {**new, **({"targetContainerName": target} if target else {})}
            await session.client.patch(
                kinds.POD, meta.name(pod), {"spec": {"ephemeralContainers": [added]}}, namespace=meta.namespace(pod),
                content_type=STRATEGIC_MERGE_PATCH, subresource="ephemeralcontainers",
            )  # fmt: skip
    if not (attach or stdin):
        return 0
    return await attach_to(session, meta.name(made), stdin=stdin, terminal=terminal, quiet=quiet, container=name)


def _say(text: str, quiet: bool) -> None:
    if not quiet:
        click.echo(text, err=True)


def on_node(node: str, container: JSON) -> JSON:
    """A pod in the node's own namespaces, with its files under /host. It stays until somebody deletes it."""
    mounted = {**container, "volumeMounts": [{"name": "host-root", "mountPath": "/host"}]}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"node-debugger-{node}-{secrets.token_hex(3)[:5]}"},
        "spec": {
            "nodeName": node,
            **dict.fromkeys(("hostIPC", "hostNetwork", "hostPID"), True),
            "restartPolicy": "Never",
            "tolerations": [{"operator": "Exists"}],
            "containers": [mounted],
            "volumes": [{"name": "host-root", "hostPath": {"path": "/"}}],
        },
    }


def copied(pod: JSON, name: str, container: JSON, *, same_node: bool, share_processes: bool | None) -> JSON:
    """A pod of its own, without the labels by which Services and owners would find it.

    `container` (name, and what is set of it) is one more, or changes the one of its name. Raises Failed.
    """
    containers = {each["name"]: each for each in pod["spec"]["containers"]}
    if container["name"] not in containers and "image" not in container:
        raise Failed(f"container {container['name']} not found in pod {meta.name(pod)}: a new one needs --image")
    containers[container["name"]] = {**containers.get(container["name"], {}), **container}
    spec = {key: each for key, each in pod["spec"].items() if key not in ("ephemeralContainers", "nodeName")}
    spec["containers"] = list(containers.values())
    if share_processes is not None:
        spec["shareProcessNamespace"] = share_processes
    if same_node:
        spec["nodeName"] = pod["spec"].get("nodeName", "")
    metadata = {"name": name, "annotations": meta.annotations(pod)}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
