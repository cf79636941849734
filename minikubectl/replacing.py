"""`replace`: objects become what manifests say, whole; nothing of what they were is kept."""

from typing import Any

import click

from apimachinery import meta
from apimachinery.errors import NotFound, StatusError
from apimachinery.kinds import Kind
from minikubectl.applying import annotated, prepared
from minikubectl.cli import cli
from minikubectl.getting import until_gone
from minikubectl.mutating import each
from minikubectl.options import FILES, SENDING, Sending
from minikubectl.resources import quoted
from minikubectl.session import Session, command

JSON = dict[str, Any]


@command(cli, "replace")
@FILES
@SENDING
@click.option("--save-config", is_flag=True, help="Keep what was sent, for a later apply.")
@click.option("--force", is_flag=True, help="Delete what is there and create it anew.")
async def replace(
    session: Session, files: tuple[str, ...], recursive: bool, save_config: bool, force: bool, **flags: Any
) -> int:
    """Replace objects by what manifests say, whole: what a manifest leaves out is gone. See apply, which merges.

    \b
    minikubectl replace -f web.yaml
    minikubectl replace -f pod.yaml --force     a pod's fields that can't be changed
    """
    plan = await prepared(session, files, recursive=recursive)
    sending = Sending.taken(flags)
    sources = {id(manifest.object): manifest.source.replace("stdin", "STDIN") for _, manifest in plan}

    async def act(kind: Kind, obj: JSON) -> tuple[JSON, str]:
        source = sources[id(obj)]
        obj = annotated(obj) if save_config else obj
        params = sending.params("kubectl-replace")
        if sending.dry_run == "client":
            return obj, "replaced"
        if force:
            await _remove(session, kind, obj)
            return await session.client.create(kind, obj, params=params), "replaced"
        try:
            if not obj["metadata"].get("resourceVersion"):
                there = await session.client.get(kind, meta.name(obj), namespace=meta.namespace(obj) or None)
                obj["metadata"]["resourceVersion"] = there["metadata"]["resourceVersion"]
            return await session.client.update(kind, obj, params=params), "replaced"
        except StatusError as error:
            error.status["message"] = f'error when replacing "{source}": {error.message}'
            raise

    return await each(session, [(kind, manifest.object) for kind, manifest in plan], act, sending=sending)


async def _remove(session: Session, kind: Kind, obj: JSON) -> None:
    name, space = meta.name(obj), meta.namespace(obj) or None
    try:
        answer = await session.client.delete(kind, name, namespace=space, propagation_policy="Background")
    except NotFound:
        return
    click.echo(f"{quoted(kind, name)} deleted")
    uid = meta.uid(answer) or str((answer.get("details") or {}).get("uid") or "")
    await until_gone(session, kind, obj, uid)
