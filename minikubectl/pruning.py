"""`apply --prune`: what was applied before and is no longer in the manifests is deleted.

Deleting by mistake is worse than leaving something behind, so: only objects that apply made (they carry its
annotation), that the selector matches, in the namespaces of the manifests, of the kinds listed, owned by nobody, and by
UID, so that a newer one of the name stays; all are said before the first goes, and none goes if any object could not be
applied.
"""

from collections.abc import Iterable
from typing import Any, Final

import click

from apimachinery import meta
from apimachinery.errors import Conflict, NotFound
from apimachinery.kinds import GVK, Kind
from minikubectl.getting import Found
from minikubectl.options import Sending
from minikubectl.resources import shown
from minikubectl.session import Failed, Session

JSON = dict[str, Any]

_DEFAULT: Final = (
    *("core/v1/ConfigMap", "core/v1/Endpoints", "core/v1/Namespace", "core/v1/PersistentVolumeClaim"),
    *("core/v1/PersistentVolume", "core/v1/Pod", "core/v1/ReplicationController", "core/v1/Secret", "core/v1/Service"),
    *("batch/v1/Job", "batch/v1/CronJob", "networking.k8s.io/v1/Ingress", "apps/v1/DaemonSet", "apps/v1/Deployment"),
    *("apps/v1/ReplicaSet", "apps/v1/StatefulSet"),
)
_KEPT_NAMESPACES: Final = ("default", "kube-system", "kube-public", "kube-node-lease")


def check_flags(prune: bool, all_: bool, label_selector: str) -> None:
    """Raises Failed where --prune could take too much."""
    if prune and not all_ and not label_selector:
        raise Failed(
            "all resources selected for prune without explicitly passing --all. To prune all resources, pass the --all "
            "flag. If you did not mean to prune all resources, specify a label selector"
        )


async def to_prune(
    session: Session, applied: Found, *, label_selector: str, allowed: Iterable[str], annotation: str
) -> Found:
    """What an apply of all of `applied` leaves behind."""
    kept = {meta.uid(obj) for _, obj in applied}
    spaces = {meta.namespace(obj) for kind, obj in applied if kind.namespaced} or {session.namespace}
    found: Found = []
    for text in allowed or _DEFAULT:
        group, version, name = text.split("/") if text.count("/") == 2 else ("", "", text)
        gvk = GVK("" if group == "core" else group, version, name)
        kind = await session.catalog.of(gvk.api_version, gvk.kind)
        if kind is None:
            raise Failed(f"invalid GVK: {text}, expected GROUP/VERSION/KIND of a type that the server has")
        if not kind.namespaced and session.namespace_given:
            continue
        for space in sorted(spaces) if kind.namespaced else [None]:
            listed = await session.client.list(kind, namespace=space, label_selector=label_selector)
            found += [(kind, obj) for obj in listed["items"] if _is_left(kind, obj, kept, annotation)]
    return found


def _is_left(kind: Kind, obj: JSON, kept: set[str], annotation: str) -> bool:
    if meta.uid(obj) in kept or annotation not in meta.annotations(obj) or meta.is_deleting(obj):
        return False
    if kind.kind == "Namespace" and meta.name(obj) in _KEPT_NAMESPACES:
        return False
    return not meta.metadata(obj).get("ownerReferences")


async def prune(session: Session, left: Found, sending: Sending) -> None:
    """Delete them, having said so."""
    if left and not sending.form:
        names = ", ".join(shown(kind, meta.name(obj)) for kind, obj in left)
        click.echo(f"pruning {len(left)} no longer in the manifests: {names}", err=True)
    for kind, obj in left:
        if sending.dry_run == "none":
            try:
                await session.client.delete(
                    kind, meta.name(obj), namespace=meta.namespace(obj) or None, uid=meta.uid(obj),
                    propagation_policy="Background",
                )  # fmt: skip
            except (NotFound, Conflict):
                continue  # gone, or another of its name by now
        if not sending.form:
            click.echo(f"{shown(kind, meta.name(obj))} pruned{sending.suffix}")
