"""`scale` and `autoscale`: how many."""

from typing import Any

import click

from apimachinery import meta
from apimachinery.kinds import Kind
from minikubectl.cli import cli
from minikubectl.mutating import each, find
from minikubectl.options import DRY_RUN, OUTPUT, RESOURCES, SELECTION, Sending
from minikubectl.session import Failed, Session, command

JSON = dict[str, Any]


@command(cli, "scale")
@RESOURCES
@SELECTION
@click.option("--replicas", type=click.IntRange(min=0), required=True, help="The new number of replicas.")
@click.option("--current-replicas", type=int, default=-1, help="Only if there are this many now.")
@DRY_RUN
@OUTPUT
async def scale(
    session: Session, resources: tuple[str, ...], replicas: int, current_replicas: int, form: str, dry_run: str,
    **chosen: Any,
) -> int:  # fmt: skip
    """Set the number of replicas of a Deployment, ReplicaSet, StatefulSet, ...

    \b
    minikubectl scale deploy/web --replicas=3
    minikubectl scale deploy --all --replicas=0
    """
    sending = Sending(dry_run, form)

    async def act(kind: Kind, obj: JSON) -> tuple[JSON, str]:
        name, space = meta.name(obj), meta.namespace(obj) or None
        if current_replicas >= 0:
            now = await session.client.get(kind, name, namespace=space, subresource="scale")
            if (count := int((now.get("spec") or {}).get("replicas") or 0)) != current_replicas:
                raise Failed(f"Expected replicas to be {current_replicas}, was {count}")
        body = {"spec": {"replicas": replicas}}
        if dry_run != "client":
            params = sending.params()
            await session.client.patch(kind, name, body, namespace=space, subresource="scale", params=params)
        return {**obj, "spec": {**obj["spec"], **body["spec"]}}, "scaled"

    return await each(session, await find(session, resources, **chosen), act, sending=sending)
