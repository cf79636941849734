"""`apply`: read all, check all, then send; each object's answer is said, and at the end whether anything was left out.

By default from the client's side, as kubectl does: a three-way patch between what was applied last (an annotation), the
manifest, and what the server has. With --server-side the server does the merging.
"""

import copy
from dataclasses import dataclass
from typing import Any, Final

import click
import orjson

from apimachinery import labels, meta
from apimachinery.errors import Conflict, NotFound, StatusError
from apimachinery.kinds import GVK, Kind
from apimachinery.threeway import three_way
from kubeclient.errors import Unreachable
from kubeclient.rest import APPLY_PATCH, MERGE_PATCH, STRATEGIC_MERGE_PATCH
from minikubectl import pruning
from minikubectl.checking import check
from minikubectl.cli import cli
from minikubectl.durations import parse_duration
from minikubectl.manifests import Manifest, Problem, read
from minikubectl.mutating import schema_of
from minikubectl.options import FILES, LABEL_SELECTOR, SENDING, Sending
from minikubectl.output import bare, print_objects
from minikubectl.progress import wait_for
from minikubectl.resources import shown
from minikubectl.session import Failed, Session, command, complain

JSON = dict[str, Any]

LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"
_ATTEMPTS: Final = 5


@dataclass(frozen=True, slots=True)
class Way:
    """How to apply."""

    server_side: bool
    force: bool
    sending: Sending
    validate: str
    annotate: bool = True  # with the manifest itself, for the next apply to compare with

    def params(self) -> dict[str, str]:
        manager = "kubectl" if self.server_side else "kubectl-client-side-apply"
        return {**self.sending.params(manager), "fieldValidation": self.validate}


@command(cli, "apply")
@FILES
@LABEL_SELECTOR
@click.option("--prune", is_flag=True, help="Delete what was applied before and is no longer in the manifests.")
@click.option("--all", "all_", is_flag=True, help="Prune without a selector.")
@click.option("--prune-allowlist", "allowed", multiple=True, help="GROUP/VERSION/KIND: prune only these.")
@click.option("--server-side", is_flag=True, help="Let the server merge, with field ownership.")
@click.option("--force-conflicts", "force", is_flag=True, help="Take fields from other managers (--server-side).")
@SENDING
@click.option("--validate", type=click.Choice(["true", "strict", "warn", "ignore", "false"]), default="strict")
@click.option("--wait", is_flag=True, help="Wait until all is in effect, showing what is still missing.")
@click.option("--timeout", default="5m", help="How long to wait.")
async def apply(
    session: Session, files: tuple[str, ...], recursive: bool, label_selector: str, prune: bool, all_: bool,
    allowed: tuple[str, ...], wait: bool, timeout: str, validate: str, server_side: bool, force: bool, **flags: Any,
) -> int:  # fmt: skip
    """Bring the cluster to what manifests say. Nothing is sent unless all of them pass the official schemas.

    \b
    minikubectl apply -f shop/ --wait                 and show what is still missing
    minikubectl apply -f shop/ --dry-run=server       what would come of it
    minikubectl apply -f shop/ --prune -l app=shop    and delete what is no longer there
    """
    if not files:
        raise Failed("must specify one of -f and -k")
    pruning.check_flags(prune, all_, label_selector)
    sending = Sending.taken(flags)
    level = {"true": "Strict", "false": "Ignore"}.get(validate, validate.capitalize())
    how = Way(server_side, force, sending, level)
    plan, problems = await prepare(
        session, files, recursive=recursive, checked=level != "Ignore", label_selector=label_selector
    )
    if problems:
        for problem in problems:
            complain(f"error: {problem}")
        complain(f"error: {_several(len(problems), 'problem')} found, nothing was applied")
        return 1
    done: list[tuple[Kind, JSON]] = []
    for kind, manifest in plan:
        try:
            answer, verb = await apply_one(session, kind, manifest.object, how)
        except (StatusError, Unreachable) as error:
            click.echo(f"{manifest.source}, document {manifest.document}: ", err=True, nl=False)
            session.fail(error)
            continue
        done.append((kind, answer))
        if not sending.form:
            click.echo(f"{shown(kind, meta.name(answer))} {verb}{sending.suffix}")
    if sending.form:
        print_objects([(kind, bare(obj)) for kind, obj in done], sending.form, single=len(done) == 1)
    if session.failures and done:
        complain(f"error: {session.failures} of {_several(len(plan), 'object')} not applied")
    if prune and not session.failures:
        left = await pruning.to_prune(
            session, done, label_selector=label_selector, allowed=allowed, annotation=LAST_APPLIED
        )
        await pruning.prune(session, left, sending)
    if wait and sending.dry_run == "none" and done:
        in_effect = await wait_for(session, done, timeout_seconds=parse_duration(timeout))
        return session.code or int(not in_effect)
    return session.code


def _several(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


async def prepare(
    session: Session,
    files: tuple[str, ...],
    *,
    recursive: bool,
    checked: bool = True,
    label_selector: str = "",
    generated: bool = False,
) -> tuple[list[tuple[Kind, Manifest]], list[Problem]]:
    """Every object (that the selector matches) with its kind, and everything that is wrong with any."""
    manifests, problems = read(files, recursive=recursive, generated=generated)
    selector = labels.parse(label_selector)
    manifests = [each for each in manifests if selector.matches(meta.labels(each.object))]
    if not manifests and not problems:
        raise Failed("no objects passed to apply")
    defined = {_defines(manifest.object) for manifest in manifests}
    plan: list[tuple[Kind, Manifest]] = []
    for manifest in manifests:
        obj = manifest.object
        if checked:
            problems += check(manifest)
        kind = await session.catalog.of(obj["apiVersion"], obj["kind"])
        group = GVK.of(obj["apiVersion"], obj["kind"]).group
        if kind is None and (own := defined & {(group, obj["kind"])}):
            kind = await _to_be_defined(manifests, own.pop(), obj["apiVersion"])
        if kind is None:
            text = f'no matches for kind "{obj["kind"]}" in version "{obj["apiVersion"]}"'
            problems.append(manifest.problem("kind", text))
            continue
        problem = _placed(session, kind, manifest)
        if problem:
            problems.append(problem)
        plan.append((kind, manifest))
    return plan, problems


async def prepared(session: Session, files: tuple[str, ...], **how: Any) -> list[tuple[Kind, Manifest]]:
    """The same, for commands that do nothing when anything is wrong. Raises Failed."""
    if not files:
        raise Failed("must specify one of -f and -k")
    plan, problems = await prepare(session, files, **how)
    if problems:
        raise Failed("\nerror: ".join(map(str, problems)))
    return plan


def _defines(obj: JSON) -> tuple[str, str]:
    spec = obj.get("spec") if obj["kind"] == "CustomResourceDefinition" else None
    names = (spec or {}).get("names") or {}
    return (str((spec or {}).get("group")), str(names.get("kind")))


async def _to_be_defined(manifests: list[Manifest], own: tuple[str, str], api_version: str) -> Kind:
    """The kind that a definition among the manifests themselves is going to make."""
    spec = next(each.object["spec"] for each in manifests if _defines(each.object) == own)
    names = spec["names"]
    return Kind(
        group=own[0],
        versions=(api_version.rpartition("/")[2],),
        kind=own[1],
        plural=names.get("plural") or "",
        singular=names.get("singular") or own[1].lower(),
        namespaced=spec.get("scope") == "Namespaced",
    )


def _placed(session: Session, kind: Kind, manifest: Manifest) -> Problem | None:
    """Put the object into its namespace, unless it says another one than the command line."""
    metadata = manifest.object["metadata"]
    if not kind.namespaced:
        metadata.pop("namespace", None)
        return None
    given = metadata.get("namespace")
    if given and session.namespace_given and given != session.namespace:
        text = (
            f'the namespace from the provided object "{given}" does not match the namespace "{session.namespace}". '
            f"You must pass '--namespace={given}' to perform this operation."
        )
        return manifest.problem("metadata.namespace", text)
    metadata["namespace"] = given or session.namespace
    return None


async def apply_one(session: Session, kind: Kind, obj: JSON, how: Way) -> tuple[JSON, str]:
    """(the object as it now is, what was done to it)."""
    name, namespace, client = meta.name(obj), meta.namespace(obj) or None, session.client
    if how.server_side:
        params = {**how.params(), "force": str(how.force).lower()}
        answer = await client.patch(kind, name, obj, namespace=namespace, content_type=APPLY_PATCH, params=params)
        return answer, "serverside-applied"
    wanted = annotated(obj) if how.annotate else {**obj, "metadata": {"annotations": {}, **obj["metadata"]}}
    for attempt in range(_ATTEMPTS):
        try:
            live = await client.get(kind, name, namespace=namespace)
        except NotFound as error:
            if error.details.get("kind") not in (kind.plural, None):
                raise
            if how.sending.dry_run == "client":
                return wanted, "created"
            return await client.create(kind, wanted, params=how.params()), "created"
        type_ = schema_of(obj)
        patch = three_way(_last_applied(live), wanted, live, type_)
        if not patch:
            return live, "unchanged"
        if how.sending.dry_run == "client":
            return live, "configured"
        content_type = STRATEGIC_MERGE_PATCH if type_ else MERGE_PATCH
        try:
            answer = await client.patch(
                kind, name, patch, namespace=namespace, content_type=content_type, params=how.params()
            )
        except Conflict:
            if attempt == _ATTEMPTS - 1:
                raise
            continue
        same = meta.metadata(answer).get("resourceVersion") == meta.metadata(live).get("resourceVersion")
        return answer, "unchanged" if same and how.sending.dry_run == "none" else "configured"
    raise AssertionError("the last attempt returns or raises")


def annotated(obj: JSON) -> JSON:
    """The manifest with itself as the annotation that the next apply compares with."""
    plain = copy.deepcopy(obj)
    annotations = dict(plain["metadata"].get("annotations") or {})
    annotations.pop(LAST_APPLIED, None)
    plain["metadata"]["annotations"] = annotations
    text = orjson.dumps(plain, option=orjson.OPT_SORT_KEYS).decode() + "\n"
    plain["metadata"]["annotations"] = {**annotations, LAST_APPLIED: text}
    return plain


def _last_applied(live: JSON) -> JSON:
    text = meta.annotations(live).get(LAST_APPLIED)
    try:
        last = orjson.loads(text) if text else {}
    except orjson.JSONDecodeError:
        last = {}
    return last if isinstance(last, dict) else {}
