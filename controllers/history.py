"""ControllerRevisions: the pod templates that a StatefulSet or DaemonSet has had, which `kubectl rollout undo` reads.

A revision holds a strategic merge patch that gives the template back (`kubectl` applies it as it is). Its name is the
owner's and a hash of the template, so one that the cache doesn't show yet can't be made twice. Going back to an old
template gives its revision the highest number again.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from apimachinery import errors, kinds, labels, meta
from apimachinery.kinds import Kind
from controllers import objects, templates
from controllers.adoption import Claimer
from controllers.context import Context
from kubeclient.workqueue import WorkQueue

JSON = dict[str, Any]
HASH_LABEL = "controller.kubernetes.io/hash"
POD_LABEL = "controller-revision-hash"
_PREFIX_LENGTH = 223
_NOT_COPIED = "kubectl.kubernetes.io/last-applied-configuration"


def template_of(revision: JSON) -> JSON:
    """The pod template that a revision holds."""
    template = dict(revision["data"]["spec"]["template"])
    template.pop("$patch", None)
    return template


def revision_for(owner: JSON, number: int) -> JSON:
    """The revision of the owner's template; its hash is in the labels under both names."""
    template = owner["spec"]["template"]
    hashed = templates.hash_of(template, (owner.get("status") or {}).get("collisionCount"))
    annotations = {key: value for key, value in meta.annotations(owner).items() if key != _NOT_COPIED}
    return {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": {
            "name": f"{meta.name(owner)[:_PREFIX_LENGTH]}-{hashed}",
            "namespace": meta.namespace(owner),
            "labels": {**meta.labels(template), HASH_LABEL: hashed, POD_LABEL: hashed},
            "annotations": annotations,
            "ownerReferences": [meta.owner_reference(owner)],
        },
        "data": {"spec": {"template": {**template, "$patch": "replace"}}},
        "revision": number,
    }


def equal(owner: JSON, revisions: Iterable[JSON]) -> JSON | None:
    """The latest of the revisions that hold the owner's template."""
    wanted = templates.bare(owner["spec"]["template"])
    found = [each for each in revisions if templates.bare(template_of(each)) == wanted]
    return max(found, key=_order, default=None)


def surplus(owner: JSON, revisions: Sequence[JSON], live: Collection[str]) -> list[JSON]:
    """The revisions beyond `revisionHistoryLimit`, oldest first; those whose names are live don't count."""
    limit = owner["spec"].get("revisionHistoryLimit")
    dead = sorted((each for each in revisions if meta.name(each) not in live), key=_order)
    return dead[: max(0, len(dead) - (10 if limit is None else int(limit)))]


def _order(revision: JSON) -> tuple[int, str, str]:
    return int(revision["revision"]), *objects.creation_order(revision)


class History:
    """The revisions of one kind's objects."""

    def __init__(self, context: Context, owners: Kind, queue: WorkQueue[str]) -> None:
        self._client = context.client
        self._owners = owners
        self._claimer = Claimer(context.client, owners, kinds.CONTROLLER_REVISION)
        self._revisions = context.informers.informer(kinds.CONTROLLER_REVISION)
        self._revisions.add_index("controller", objects.controller_uid)
        self._revisions.add_index("orphans", objects.orphan_namespace)

        def enqueue(revision: JSON) -> None:
            owner = meta.controller_of(revision)
            if owner and owner["kind"] == owners.kind:
                queue.add(f"{meta.namespace(revision)}/{owner['name']}")

        self._revisions.add_handler(on_delete=enqueue)

    async def of(self, owner: JSON) -> list[JSON]:
        """The owner's revisions, orphans adopted."""
        mine = self._revisions.by_index("controller", meta.uid(owner))
        orphans = self._revisions.by_index("orphans", meta.namespace(owner))
        selector = labels.from_label_selector(owner["spec"].get("selector"))
        return await self._claimer.claim(owner, selector, [*mine, *orphans])

    async def newest(self, owner: JSON, revisions: Sequence[JSON]) -> JSON:
        """The revision of the owner's template, made or renumbered so that it is the last.

        Raises Conflict when another template has its name: the owner's collisionCount was raised, and the next try
        finds another name.
        """
        found, last = equal(owner, revisions), max((int(each["revision"]) for each in revisions), default=0)
        if found is None:
            return await self._create(owner, revision_for(owner, last + 1))
        if int(found["revision"]) == last:
            return found
        return await self._client.update(kinds.CONTROLLER_REVISION, {**found, "revision": last + 1})

    async def _create(self, owner: JSON, body: JSON) -> JSON:
        try:
            return await self._client.create(kinds.CONTROLLER_REVISION, body)
        except errors.AlreadyExists:
            found = await self._client.get(kinds.CONTROLLER_REVISION, meta.name(body), namespace=meta.namespace(body))
        if (meta.controller_of(found) or {}).get("uid") == meta.uid(owner) and equal(owner, [found]):
            return found
        status = owner.get("status") or {}
        changed = {**status, "collisionCount": (status.get("collisionCount") or 0) + 1}
        await objects.patch_status(self._client, self._owners, owner, changed)
        raise errors.Conflict(f"controller revision {meta.key(body)} is another template's: trying another hash")

    async def truncate(self, owner: JSON, revisions: Sequence[JSON], live: Collection[str]) -> None:
        """Delete what is beyond the limit."""
        for each in surplus(owner, revisions, live):
            await objects.delete(self._client, kinds.CONTROLLER_REVISION, each)
