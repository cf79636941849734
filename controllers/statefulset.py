"""StatefulSets: pods with names, claims and an order that stay.

`stateful` decides, `statefulpods` says what an identity looks like, `history` keeps the templates; this module reads
and writes. The API server's unique names hold the promise that there is one pod of an identity: a pod is made under
its name and deleted by its UID, gracefully, so on a node that is lost it stays until the node or a user says it ended.
"""

import contextlib
from collections.abc import Sequence
from typing import Any

from apimachinery import errors, kinds, meta
from controllers import history, objects, stateful, statefulpods
from controllers.context import Context
from controllers.history import History
from controllers.podowner import PodOwnerController

JSON = dict[str, Any]
STALE_CLAIM_SECONDS = 1.0


class StatefulSetController(PodOwnerController):
    """Pods and claims for StatefulSets."""

    kind = kinds.STATEFUL_SET
    name = "statefulset"
    created_text = "create Pod {pod} in StatefulSet {owner} successful"
    refused_text = "create Pod {pod} in StatefulSet {owner} failed error: {error}"
    deleted_text = "delete Pod {pod} in StatefulSet {owner} successful"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._history = History(context, self.kind, self._queue)
        self._claims = context.informers.informer(kinds.PERSISTENT_VOLUME_CLAIM)

    def _may_own(self, owner: JSON, pod: JSON) -> bool:
        return statefulpods.is_member(owner, pod)

    async def _reconcile(self, key: str) -> float | None:
        stateful_set = self._owners.get(key)
        if stateful_set is None:
            self._expectations.forget(key)
            return None
        in_step = self._expectations.satisfied(key)
        pods = [pod for pod in await self._claimed(stateful_set) if statefulpods.is_member(stateful_set, pod)]
        revisions = await self._history.of(stateful_set)
        if meta.is_deleting(stateful_set):
            return None
        update = await self._history.newest(stateful_set, revisions)
        noted = (stateful_set.get("status") or {}).get("currentRevision")
        current = next((each for each in revisions if meta.name(each) == noted), update)
        now = self._context.clock()
        status, again = stateful.status(stateful_set, pods, current=current, update=update, now=now)
        await objects.patch_status(self._client, self.kind, stateful_set, status)
        if in_step:
            planned = stateful.plan(stateful_set, pods, current=current, update=update, now=now)
            waiting = await self._carry_out(key, stateful_set, pods, planned)
            again = min(filter(None, (again, waiting)), default=None)
        labels = (meta.labels(pod).get(history.POD_LABEL, "") for pod in pods)
        await self._history.truncate(stateful_set, revisions, {meta.name(current), meta.name(update), *labels})
        return again

    async def _carry_out(
        self, key: str, stateful_set: JSON, pods: Sequence[JSON], planned: stateful.Plan
    ) -> float | None:
        """Do it; gives the seconds to wait for claims that are going away."""
        wanted, waiting = stateful.identities(stateful_set), None
        for pod in pods:
            await self._settle_claims(stateful_set, pod, condemned=statefulpods.ordinal(pod) not in wanted)
        bodies = []
        for index, revision in planned.create:
            body = statefulpods.pod_for(stateful_set, index, revision)
            if await self._make_claims(stateful_set, index, meta.name(body)):
                bodies.append(body)
            else:
                waiting = STALE_CLAIM_SECONDS
        for pod in planned.delete:
            if objects.is_finished(pod):
                self._tell_recreating(stateful_set, pod)
        if bodies:
            await self._create_pods(key, stateful_set, bodies)
        if planned.delete:
            await self._delete_pods(key, stateful_set, planned.delete)
        return waiting

    def _tell_recreating(self, stateful_set: JSON, pod: JSON) -> None:
        failed = pod["status"]["phase"] == "Failed"
        word, type_ = ("failed", "Warning") if failed else ("terminated", "Normal")
        message = f"StatefulSet {meta.key(stateful_set)} is recreating {word} Pod {meta.name(pod)}"
        self._events.event(stateful_set, type_, f"Recreating{word.title()}Pod", message)

    async def _make_claims(self, stateful_set: JSON, index: int, pod: str) -> bool:
        """Make the claims of an ordinal that aren't there; false while one has yet to go away with an earlier pod."""
        owner = statefulpods.claim_owner(stateful_set, None, condemned=False)
        for claim in statefulpods.claims(stateful_set, index):
            found = self._claims.get(meta.key(claim))
            if found is not None:
                if statefulpods.is_stale(found, pod):
                    return False
                continue
            if owner:
                claim["metadata"]["ownerReferences"] = [meta.owner_reference(owner)]
            with contextlib.suppress(errors.AlreadyExists):
                await self._client.create(kinds.PERSISTENT_VOLUME_CLAIM, claim)
                message = f"create Claim {meta.name(claim)} Pod {pod} in StatefulSet {meta.name(stateful_set)} success"
                self._events.event(stateful_set, "Normal", "SuccessfulCreate", message)
        return True

    async def _settle_claims(self, stateful_set: JSON, pod: JSON, *, condemned: bool) -> None:
        """Give a pod's claims the owner that the retention policy says, and those a pending pod lacks."""
        for claim in statefulpods.claims(stateful_set, statefulpods.ordinal(pod)):
            found = self._claims.get(meta.key(claim))
            if found is None:
                continue
            references = statefulpods.owned_claim(stateful_set, found, pod, condemned=condemned)
            if references is not None:
                changed = objects.copied(found)
                changed["metadata"]["ownerReferences"] = references
                await self._client.update(kinds.PERSISTENT_VOLUME_CLAIM, changed)
        pending = (pod.get("status") or {}).get("phase") == "Pending" and not meta.is_deleting(pod)
        if pending and not condemned:
            await self._make_claims(stateful_set, statefulpods.ordinal(pod), meta.name(pod))
