"""`set image|env|resources|serviceaccount` and `patch`: one field, or a patch as it is given."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import click
import yaml

from apimachinery import meta, yamls
from apimachinery.kinds import KINDS, Kind
from apimachinery.patch import json_patch, merge_patch
from apimachinery.strategic import strategic_merge_patch
from kubeclient.rest import JSON_PATCH, MERGE_PATCH, STRATEGIC_MERGE_PATCH
from minikubectl.cli import cli
from minikubectl.labelling import Pairs, split
from minikubectl.mutating import Change, changing, each, find, pod_spec, schema_of
from minikubectl.options import RESOURCES, SELECTION, SENDING, Sending, together
from minikubectl.output import bare
from minikubectl.session import Failed, Session, command

JSON = dict[str, Any]

_TYPES: Final = {"json": JSON_PATCH, "merge": MERGE_PATCH, "strategic": STRATEGIC_MERGE_PATCH}
_LOCAL: Final = click.option("--local", is_flag=True, help="Without sending anything.")
_CONTAINERS: Final = click.option("-c", "--containers", default="*", help="Which container; * is all.")


@command(cli, "patch")
@RESOURCES
@SELECTION
@click.option("-p", "--patch", default="", help="The patch, YAML or JSON.")
@click.option("--patch-file", default="", help="The patch from a file.")
@click.option("--type", "type_", type=click.Choice(list(_TYPES)), default="strategic", help="How the patch is meant.")
@click.option("--subresource", default="", help="status, scale, ...: patch that.")
@SENDING
async def patch(
    session: Session,
    resources: tuple[str, ...],
    patch: str,
    patch_file: str,
    type_: str,
    subresource: str,
    **flags: Any,
) -> int:
    """Change fields of objects: TYPE NAME -p PATCH.

    \b
    minikubectl patch deploy web -p '{"spec": {"replicas": 3}}'
    minikubectl patch svc web --type=json -p '[{"op": "remove", "path": "/spec/selector"}]'
    """
    if bool(patch) == bool(patch_file):
        raise Failed("must specify --patch or --patch-file containing the contents of the patch")
    try:
        body = yamls.load(Path(patch_file).read_text() if patch_file else patch)
    except (yaml.YAMLError, ValueError) as error:
        raise Failed(f'unable to parse "{patch or patch_file}": {error}') from error
    sending = Sending.taken(flags)

    async def act(kind: Kind, before: JSON) -> tuple[JSON, str]:
        if type_ == "strategic" and schema_of(before) is None:
            raise Failed(
                "application/strategic-merge-patch+json is not supported by "
                f"{kind.api_version}, Kind={kind.kind}: use --type=merge"
            )
        if sending.dry_run == "client":
            answer = _patched(before, body, type_)
        else:
            answer = await session.client.patch(
                kind, meta.name(before), body, namespace=meta.namespace(before) or None,
                content_type=_TYPES[type_], subresource=subresource or None, params=sending.params("kubectl-patch"),
            )  # fmt: skip
        return answer, "patched" if bare(answer) != bare(before) else "patched (no change)"

    return await each(session, await find(session, resources, **flags), act, sending=sending)


def _patched(obj: JSON, body: Any, type_: str) -> JSON:
    if type_ == "json":
        return json_patch(obj, body)
    return merge_patch(obj, body) if type_ == "merge" else strategic_merge_patch(obj, body, schema_of(obj))


@cli.group("set")
def set_() -> None:
    """Change one thing of workloads: image, env, resources, serviceaccount."""


_FLAGS = together(RESOURCES, SELECTION, _LOCAL, SENDING)


async def _change(
    session: Session, resources: tuple[str, ...], change: Change, verb: str, *, local: bool, **flags: Any
) -> int:
    sending = Sending.taken(flags)
    act = changing(session, change, sending, lambda old, new: verb if old != new else "", local=local)
    return await each(session, await find(session, resources, **flags), act, sending=sending)


@command(set_, "image")
@_FLAGS
async def image(session: Session, resources: tuple[str, ...], **flags: Any) -> int:
    """Set images: TYPE NAME CONTAINER=IMAGE ..., * for all containers.

    \b
    minikubectl set image deploy/web web=shop/web:2
    """
    words, pairs = split(resources, "image")
    if not pairs:
        raise Failed("at least one image update is required")
    return await _change(session, words, lambda obj: with_images(obj, pairs), "image updated", **flags)


@command(set_, "env")
@_FLAGS
@_CONTAINERS
@click.option("--from", "source", default="", help="configmap/NAME or secret/NAME: all its keys.")
@click.option("--prefix", default="", help="Before the name of each key (--from).")
@click.option("--list", "list_", is_flag=True, help="Show the variables.")
async def env(
    session: Session, resources: tuple[str, ...], containers: str, source: str, prefix: str, list_: bool, **flags: Any
) -> int:
    """Set environment variables: TYPE NAME NAME=VALUE ... NAME- ...

    \b
    minikubectl set env deploy/web LOG=debug OLD-
    minikubectl set env deploy/web --from=configmap/settings
    minikubectl set env deploy/web --list
    """
    words, pairs = split(resources, "environment")
    references = await _references(session, source, prefix) if source else []
    if list_ or not (pairs or references):
        chosen = {key: flags[key] for key in ("files", "recursive", "label_selector", "all_")}
        for kind, obj in await find(session, words, **chosen):
            for each_ in _matching(obj, containers):
                click.echo(f"# {kind.kind} {meta.name(obj)}, container {each_['name']}")
                for variable in each_.get("env") or ():
                    click.echo(f"{variable['name']}={variable.get('value', '')}" if "valueFrom" not in variable
                               else f"# {variable['name']} from {variable['valueFrom']}")  # fmt: skip
        return session.code
    return await _change(
        session, words, lambda obj: with_variables(obj, pairs, references, containers), "env updated", **flags
    )


async def _references(session: Session, source: str, prefix: str) -> list[JSON]:
    (kind, obj), *_ = await find(session, (source,)) or [(KINDS[0], {})]
    if kind.kind not in ("ConfigMap", "Secret"):
        raise Failed(f"unsupported resource specified in --from: {source}")
    named = {key: key.upper().replace("-", "_").replace(".", "_") for key in sorted(obj.get("data") or ())}
    for key, variable in named.items():
        if variable != key.upper():
            click.echo(f"Warning: key {key} transferred to {variable}", err=True)
    name = "configMapKeyRef" if kind.kind == "ConfigMap" else "secretKeyRef"
    return [
        {"name": prefix + variable, "valueFrom": {name: {"name": meta.name(obj), "key": key}}}
        for key, variable in named.items()
    ]


@command(set_, "resources")
@_FLAGS
@_CONTAINERS
@click.option("--requests", default="", help="cpu=100m,memory=64Mi")
@click.option("--limits", default="", help="cpu=1,memory=256Mi")
async def resources_(
    session: Session, resources: tuple[str, ...], containers: str, requests: str, limits: str, **flags: Any
) -> int:
    """Set what containers request and may use at most.

    \b
    minikubectl set resources deploy/web --requests=cpu=100m --limits=cpu=1,memory=256Mi
    """
    chosen = {"requests": amounts(requests), "limits": amounts(limits)}
    if not any(chosen.values()):
        raise Failed("you must specify an update to requests or limits (in the form of --requests/--limits)")

    def change(obj: JSON) -> JSON:
        for container in _matching(obj, containers):
            held = container.setdefault("resources", {})
            for field, wanted in chosen.items():
                if wanted:
                    held[field] = {**(held.get(field) or {}), **wanted}
        return obj

    return await _change(session, resources, change, "resource requirements updated", **flags)


@command(set_, "serviceaccount")
@_FLAGS
async def serviceaccount(session: Session, resources: tuple[str, ...], **flags: Any) -> int:
    """Set the service account of workloads: TYPE NAME ACCOUNT."""
    *words, account = resources or ("",)
    if not words and not flags["files"]:
        raise Failed("serviceaccount is required")

    def change(obj: JSON) -> JSON:
        pod_spec(obj).update(serviceAccountName=account, serviceAccount=account)
        return obj

    return await _change(session, tuple(words), change, "serviceaccount updated", **flags)


def amounts(text: str) -> dict[str, str]:
    """ "cpu=100m,memory=1Gi" as a map. Raises Failed."""
    parts = [part.partition("=") for part in text.split(",") if part]
    for key, equals, value in parts:
        if not (key and equals and value):
            raise Failed(f"invalid argument syntax {text}, expected <resource>=<value>")
    return {key: value for key, _, value in parts}


def with_images(obj: JSON, pairs: Pairs) -> JSON:
    """The object with the images of the containers named. Raises Failed."""
    spec = pod_spec(obj)
    listed = [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
    for name, wanted in pairs.items():
        hit = [container for container in listed if name in ("*", container["name"])]
        if not hit:
            raise Failed(f'unable to find container named "{name}"')
        for container in hit:
            container["image"] = wanted
    return obj


def with_variables(obj: JSON, pairs: Pairs, references: Iterable[JSON], containers: str) -> JSON:
    """The object with variables set and removed."""
    wanted = [*references, *({"name": key, "value": value} for key, value in pairs.items() if value is not None)]
    for container in _matching(obj, containers):
        held = {each["name"]: each for each in container.get("env") or ()}
        held |= {each["name"]: each for each in wanted}
        container["env"] = [each for name, each in held.items() if pairs.get(name, "") is not None]
        if not container["env"]:
            del container["env"]
    return obj


def _matching(obj: JSON, containers: str) -> list[JSON]:
    listed = pod_spec(obj).get("containers") or ()
    found = [each for each in listed if containers in ("*", each["name"])]
    if not found:
        raise Failed(f'unable to find container named "{containers}"')
    return found
