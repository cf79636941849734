"""DaemonSets: a pod on every node that is eligible.

`daemonpods` says which nodes are and what the pod looks like, `daemons` what to do, `history` keeps the templates; this
module reads and writes. A pod that failed on a node is replaced after a delay that doubles each time: a kubelet that
refuses it would be asked again without end.
"""

from typing import Any

from apimachinery import kinds, meta
from controllers import daemonpods, daemons, history, objects
from controllers.context import Context
from controllers.daemons import State
from controllers.history import History
from controllers.podowner import PodOwnerController
from kubeclient.workqueue import RateLimiter

JSON = dict[str, Any]
FAILED_DELAY_SECONDS = (1.0, 900.0)


class DaemonSetController(PodOwnerController):
    """Pods for DaemonSets."""

    kind = kinds.DAEMON_SET
    name = "daemonset"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._history = History(context, self.kind, self._queue)
        self._nodes = context.informers.informer(kinds.NODE)
        self._nodes.add_handler(on_add=self._node, on_update=self._node_updated, on_delete=self._node)
        self._delays: RateLimiter[str] = RateLimiter(
            base_seconds=FAILED_DELAY_SECONDS[0], max_seconds=FAILED_DELAY_SECONDS[1]
        )
        self._due: dict[str, dict[str, float]] = {}  # by DaemonSet: when failed pods may be replaced, by their UID

    def _node(self, node: JSON) -> None:
        for daemon_set in self._owners.list():
            self._queue.add(meta.key(daemon_set))

    def _node_updated(self, old: JSON, new: JSON) -> None:
        """Heartbeats change nothing about where pods belong."""
        if meta.labels(old) != meta.labels(new) or (old.get("spec") or {}) != (new.get("spec") or {}):
            self._node(new)

    async def _reconcile(self, key: str) -> float | None:
        daemon_set = self._owners.get(key)
        if daemon_set is None:
            self._expectations.forget(key)
            self._due.pop(key, None)
            return None
        in_step = self._expectations.satisfied(key)
        pods = await self._claimed(daemon_set)
        revisions = await self._history.of(daemon_set)
        if meta.is_deleting(daemon_set):
            return None
        revision = await self._history.newest(daemon_set, revisions)
        hashed = meta.labels(revision)[history.POD_LABEL]
        fitness = {meta.name(node): daemonpods.fitness(daemon_set, node) for node in self._nodes.list()}
        state = State(daemon_set, fitness, pods, hashed, self._context.clock())
        status, again = daemons.status(state)
        await objects.patch_status(self._client, self.kind, daemon_set, status)
        if in_step:
            waiting = self._waiting(key, state)
            again = min(filter(None, (again, *waiting.values())), default=None)
            await self._carry_out(key, state, daemons.plan(state, {uid for uid, left in waiting.items() if left > 0}))
        live = {meta.labels(pod).get(history.POD_LABEL) for pod in pods}
        kept = {meta.name(each) for each in revisions if meta.labels(each).get(history.POD_LABEL) in live}
        await self._history.truncate(daemon_set, revisions, kept | {meta.name(revision)})
        return again

    async def _carry_out(self, key: str, state: State, planned: daemons.Plan) -> None:
        for pod in planned.delete:
            if objects.is_finished(pod):
                self._tell_finished(state.daemon_set, pod)
        if planned.delete:
            await self._delete_pods(key, state.daemon_set, planned.delete)
        if planned.create:
            bodies = [daemonpods.pod_for(state.daemon_set, node, state.hashed) for node in planned.create]
            await self._create_pods(key, state.daemon_set, bodies)

    def _tell_finished(self, daemon_set: JSON, pod: JSON) -> None:
        failed = pod["status"]["phase"] == "Failed"
        word, verb, type_ = ("failed", "kill", "Warning") if failed else ("succeeded", "delete", "Normal")
        message = f"Found {word} daemon pod {meta.key(pod)} on node {daemonpods.node_of(pod)}, will try to {verb} it"
        self._events.event(daemon_set, type_, f"{word.title()}DaemonPod", message)

    def _waiting(self, key: str, state: State) -> dict[str, float]:
        """Seconds that failed pods have to stay for, by UID; 0 for one whose time is over."""
        now, known = state.now.timestamp(), self._due.get(key, {})
        due: dict[str, float] = {}
        for pod in state.pods:
            place = f"{key} {daemonpods.node_of(pod)}"
            if state.is_available(pod):
                self._delays.forget(place)
            elif (pod.get("status") or {}).get("phase") == "Failed" and not meta.is_deleting(pod):
                uid = meta.uid(pod)
                due[uid] = known[uid] if uid in known else now + self._delays.delay(place)
        self._due[key] = due
        return {uid: max(0.0, moment - now) for uid, moment in due.items()}
