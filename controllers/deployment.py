"""Deployments: one ReplicaSet for each pod template, and pods moved from the old ones to the new within bounds.

What to do next is decided by `rollout` from sizes alone; this module reads, writes one step, and is called again when
a ReplicaSet has changed. Every size is written against the version it was decided on: two steps decided from the same
state can't both happen.
"""

import logging
from typing import Any

from apimachinery import errors, kinds, labels, meta
from controllers import deploymentstatus, objects, rollout, templates
from controllers.adoption import Claimer
from controllers.context import Context, QueueController, enqueue_all
from controllers.rollout import Strategy

log = logging.getLogger(__name__)

JSON = dict[str, Any]


class DeploymentController(QueueController[str]):
    """ReplicaSets for Deployments."""

    name = "deployment"
    workers = 5

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._events = context.events.named("deployment-controller")
        self._claimer = Claimer(context.client, kinds.DEPLOYMENT, kinds.REPLICA_SET)
        self._deployments = context.informers.informer(kinds.DEPLOYMENT)
        self._sets = context.informers.informer(kinds.REPLICA_SET)
        self._pods = context.informers.informer(kinds.POD)
        self._deployments.add_index("uid", lambda obj: [meta.uid(obj)])
        self._sets.add_index("uid", lambda obj: [meta.uid(obj)])
        self._sets.add_index("controller", objects.controller_uid)
        self._sets.add_index("orphans", objects.orphan_namespace)
        self._pods.add_index("controller", objects.controller_uid)
        enqueue_all(self._deployments, self._queue)
        self._sets.add_handler(on_add=self._set_changed, on_update=self._set_updated, on_delete=self._set_changed)
        self._pods.add_handler(on_delete=self._pod_deleted)

    def _set_changed(self, replica_set: JSON) -> None:
        owner = meta.controller_of(replica_set)
        if owner:
            for deployment in self._deployments.by_index("uid", owner["uid"]):
                self._queue.add(meta.key(deployment))
            return
        for deployment in self._deployments.list(meta.namespace(replica_set)):
            if labels.from_label_selector(deployment["spec"].get("selector")).matches(meta.labels(replica_set)):
                self._queue.add(meta.key(deployment))

    def _set_updated(self, old: JSON, new: JSON) -> None:
        if meta.controller_of(old) != meta.controller_of(new):
            self._set_changed(old)
        self._set_changed(new)

    def _pod_deleted(self, pod: JSON) -> None:
        """Recreate waits for the last old pod to be gone."""
        owner = meta.controller_of(pod)
        for replica_set in self._sets.by_index("uid", owner["uid"]) if owner else ():
            self._set_changed(replica_set)

    async def _reconcile(self, key: str) -> float | None:
        deployment = self._deployments.get(key)
        if deployment is None:
            return None
        selector = labels.from_label_selector(deployment["spec"].get("selector"))
        if not selector.requirements:
            message = "This deployment is selecting all pods. A non-empty selector is required."
            self._events.event(deployment, "Warning", "SelectingAll", message)
            return None
        mine = self._sets.by_index("controller", meta.uid(deployment))
        orphans = self._sets.by_index("orphans", meta.namespace(deployment))
        every = await self._claimer.claim(deployment, selector, [*mine, *orphans])
        new = templates.newest(deployment, every)
        old = [each for each in every if each is not new]
        if meta.is_deleting(deployment):
            return await self._write_status(deployment, every, new, rolling=False)
        deployment = await self._note_pause(deployment)
        paused = bool(deployment["spec"].get("paused"))
        if paused or rollout.is_scaling(deployment, every):
            if new and not paused:
                new = await self._annotate(deployment, new, every)
                every = [*old, new]
            sizes = rollout.scaled(Strategy.of(deployment), new, old)
            every = await self._resize(deployment, every, sizes)
            if paused:
                await self._delete_history(deployment, old)
            return await self._write_status(deployment, every, _same(new, every), rolling=False)
        if Strategy.of(deployment).recreate:
            return await self._recreate(deployment, new, old)
        return await self._roll(deployment, new, old)

    async def _roll(self, deployment: JSON, new: JSON | None, old: list[JSON]) -> float | None:
        """One step of a rolling update: grow the new, else shrink the old."""
        strategy = Strategy.of(deployment)
        if new is None:
            new = await self._create(deployment, old, rollout.new_size(strategy, None, old))
            return await self._write_status(deployment, [*old, new], new, created=True)
        every = [*old, new]
        new = await self._annotate(deployment, new, every)
        size = rollout.new_size(strategy, new, every)
        sizes = {meta.name(new): size} if size != rollout.wanted(new) else rollout.old_sizes(strategy, new, old)
        every = await self._resize(deployment, [*old, new], sizes)
        new = _same(new, every)
        return await self._finish(deployment, every, new, old)

    async def _recreate(self, deployment: JSON, new: JSON | None, old: list[JSON]) -> float | None:
        """All old pods have to be gone before the first new one is made."""
        sizes = {meta.name(each): 0 for each in old if rollout.wanted(each)}
        if sizes or any(self._has_running(each) for each in old):
            old = await self._resize(deployment, old, sizes)
            every = [*old, *([new] if new else [])]
            return await self._write_status(deployment, every, new)
        wanted = rollout.wanted(deployment)
        if new is None:
            new = await self._create(deployment, old, wanted)
            return await self._write_status(deployment, [*old, new], new, created=True)
        new = await self._annotate(deployment, new, [*old, new])
        (new,) = await self._resize(deployment, [new], {meta.name(new): wanted})
        return await self._finish(deployment, [*old, new], new, old)

    def _has_running(self, replica_set: JSON) -> bool:
        pods = self._pods.by_index("controller", meta.uid(replica_set))
        return any(not objects.is_finished(pod) for pod in pods)

    async def _finish(self, deployment: JSON, every: list[JSON], new: JSON | None, old: list[JSON]) -> float | None:
        again = await self._write_status(deployment, every, new)
        status, _ = deploymentstatus.compute(deployment, every, new, now=self._context.clock())
        if deploymentstatus.is_complete(deployment, status):
            await self._delete_history(deployment, old)
        return again

    async def _create(self, deployment: JSON, old: list[JSON], size: int) -> JSON:
        """Make the new ReplicaSet; another one in its place that isn't ours is a hash collision."""
        revision = max(map(templates.revision, old), default=0) + 1
        surge = Strategy.of(deployment).max_surge
        body = templates.replica_set_for(deployment, replicas=size, revision=revision, surge=surge)
        try:
            made = await self._client.create(kinds.REPLICA_SET, body)
        except errors.AlreadyExists:
            return await self._existing(deployment, body)
        except errors.StatusError as error:
            message = f'Failed to create new replica set "{meta.name(body)}": {error}'
            await self._set_condition(deployment, "False", "ReplicaSetCreateError", message)
            self._events.event(deployment, "Warning", "ReplicaSetCreateError", message)
            raise
        if size:
            message = f"Scaled up replica set {meta.name(made)} from 0 to {size}"
            self._events.event(deployment, "Normal", "ScalingReplicaSet", message)
        await self._note_revision(deployment, revision)
        return made

    async def _existing(self, deployment: JSON, body: JSON) -> JSON:
        """What is there under the name of the ReplicaSet to be made, if the cache just hasn't shown it yet."""
        found = await self._client.get(kinds.REPLICA_SET, meta.name(body), namespace=meta.namespace(body))
        owner = meta.controller_of(found)
        if owner and owner["uid"] == meta.uid(deployment) and templates.newest(deployment, [found]):
            return found
        count = ((deployment.get("status") or {}).get("collisionCount") or 0) + 1
        await self._patch_status(deployment, {**(deployment.get("status") or {}), "collisionCount": count})
        raise errors.Conflict(f"replica set {meta.key(body)} is another template's: trying another hash")

    async def _annotate(self, deployment: JSON, new: JSON, every: list[JSON]) -> JSON:
        """Bring the new ReplicaSet's revision and annotations along, and the Deployment's revision."""
        others = [templates.revision(each) for each in every if meta.uid(each) != meta.uid(new)]
        revision = max(templates.revision(new), max(others, default=0) + 1)
        annotations = templates.annotations_for(deployment, meta.annotations(new), revision=revision)
        ready_seconds = deployment["spec"].get("minReadySeconds") or 0
        if annotations != meta.annotations(new) or ready_seconds != (new["spec"].get("minReadySeconds") or 0):
            changed = objects.copied(new)
            changed["metadata"]["annotations"] = annotations
            changed["spec"]["minReadySeconds"] = ready_seconds
            new = await self._client.update(kinds.REPLICA_SET, changed)
        await self._note_revision(deployment, templates.revision(new))
        return new

    async def _note_revision(self, deployment: JSON, revision: int) -> None:
        if meta.annotations(deployment).get(templates.REVISION) == str(revision):
            return
        body = {"metadata": {"uid": meta.uid(deployment), "annotations": {templates.REVISION: str(revision)}}}
        await self._client.patch(kinds.DEPLOYMENT, meta.name(deployment), body, namespace=meta.namespace(deployment))

    async def _resize(self, deployment: JSON, every: list[JSON], sizes: dict[str, int]) -> list[JSON]:
        """Give ReplicaSets new sizes; those in `every` that changed come back changed."""
        result = []
        surge = Strategy.of(deployment).max_surge
        noted = templates.size_annotations(rollout.wanted(deployment), surge)
        for each in every:
            before, after = rollout.wanted(each), sizes.get(meta.name(each), rollout.wanted(each))
            stale = before and not noted.items() <= meta.annotations(each).items()
            if before == after and not stale:
                result.append(each)
                continue
            changed = objects.copied(each)
            changed["spec"]["replicas"] = after
            changed["metadata"]["annotations"] = {**meta.annotations(each), **noted}
            result.append(await self._client.update(kinds.REPLICA_SET, changed))
            if before != after:
                direction = "up" if after > before else "down"
                message = f"Scaled {direction} replica set {meta.name(each)} from {before} to {after}"
                self._events.event(deployment, "Normal", "ScalingReplicaSet", message)
        return result

    async def _delete_history(self, deployment: JSON, old: list[JSON]) -> None:
        for each in rollout.surplus_history(deployment, old):
            log.info("replica set %s is beyond the revision history limit", meta.key(each))
            await objects.delete(self._client, kinds.REPLICA_SET, each)

    async def _note_pause(self, deployment: JSON) -> JSON:
        """Say in Progressing that the Deployment was paused or resumed; gives it with that condition."""
        wanted = deploymentstatus.pause(deployment)
        if wanted is None:
            return deployment
        return await self._set_condition(deployment, *wanted)

    async def _set_condition(self, deployment: JSON, value: str, reason: str, message: str) -> JSON:
        now = self._context.clock()
        conditions = deploymentstatus.condition(deployment, "Progressing", value, reason, message, now=now)
        status = {**(deployment.get("status") or {}), "conditions": conditions}
        await self._patch_status(deployment, status)
        return {**deployment, "status": status}

    async def _write_status(
        self,
        deployment: JSON,
        every: list[JSON],
        new: JSON | None,
        *,
        rolling: bool = True,
        created: bool = False,
    ) -> float | None:
        """Write the status if it changed; gives the seconds until the progress deadline is due."""
        status, again = deploymentstatus.compute(
            deployment, every, new, now=self._context.clock(), rolling=rolling, created=created
        )
        await self._patch_status(deployment, status)
        return again

    async def _patch_status(self, deployment: JSON, status: JSON) -> None:
        await objects.patch_status(self._client, kinds.DEPLOYMENT, deployment, status)


def _same(replica_set: JSON | None, every: list[JSON]) -> JSON | None:
    """The ReplicaSet as it is among `every`, after some were written."""
    return next((each for each in every if replica_set and meta.uid(each) == meta.uid(replica_set)), None)
