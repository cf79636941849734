"""One pod's worker: it observes, plans, applies, reports, and begins again, until the pod is gone.

The latest state of the pod wins: an update wakes the worker, and a deletion interrupts whatever it was starting. From
then on it only stops: containers within the pod's grace, sandbox and network, volumes, and at last the API object.
"""

import asyncio
import logging
import random
from collections.abc import Coroutine
from typing import Any

from apimachinery import errors, kinds, meta
from kubeclient.errors import Unreachable

from . import node_admission, plan, status
from .backoff import duration
from .engine import EngineError
from .handlers import Target
from .launching import Launcher, LaunchError, termination_message
from .metrics import POD_START_SECONDS
from .observed import NEVER, Container, PodState
from .parts import Parts
from .plan import Actions, Circumstances, Kill
from .resources import is_sidecar
from .runtime import Grace

JSON = dict[str, Any]

log = logging.getLogger(__name__)

RESYNC_SECONDS = 60.0
RETRY_SECONDS = 2.0
RETRY_SECONDS_MAX = 60.0
GRACE_AFTER_HOOK_SECONDS = 2.0
EVICTION_GRACE_SECONDS = 1.0
RUNS_KEPT = 2  # the present one, and the one before it for `logs --previous`
TERMINAL = ("Succeeded", "Failed")


class PodWorker:
    """The worker of one pod, by UID."""

    def __init__(self, pod: JSON, parts: Parts) -> None:
        self.pod = pod
        self.uid = meta.uid(pod)
        self.gone = False  # the API server has it no more
        self.holds_resources = False
        self.ended = asyncio.Event()  # nothing of it runs any more, nor will
        self._parts = parts
        self._launcher = Launcher(parts)
        self._woken = asyncio.Event()
        self._ending = asyncio.Event()
        self._grace: Grace | None = None
        self._rejected: tuple[str, str] | None = None
        self._failed: tuple[str, str] | None = None  # reason, message: why the kubelet ends it
        self._failures = 0
        self._first_seen: float | None = None if (pod.get("status") or {}).get("startTime") else parts.clock()

    # What others tell it

    def update(self, pod: JSON) -> None:
        """The pod as the API server has it now; the echo of the own status write changes nothing."""
        self.pod = pod
        if self._parts.statuses.wrote(pod) and not meta.is_deleting(pod):
            return
        if meta.is_deleting(pod):
            self._ending.set()
            if self._grace is not None:
                self._grace.shorten(self._grace_seconds())
        self._woken.set()

    def vanish(self) -> None:
        """The API server has it no more: stop it, there is nobody left to report to."""
        self.gone = True
        self._ending.set()
        self._woken.set()

    def wake(self) -> None:
        """Something of it may have changed on the node."""
        self._woken.set()

    def evict(self, message: str) -> None:
        """The node is short of something: end it now, as failed."""
        if self._failed is None:
            self._failed = status.EVICTED, message
            self._parts.record(self.pod, "Warning", status.EVICTED, message, "")
        self._woken.set()

    # Its life

    async def run(self) -> None:
        """Until the pod has ended and is gone from the API server."""
        if meta.is_deleting(self.pod):
            self._ending.set()
        while not self._ending.is_set():
            delay = await self._interruptible(self._sync_safely())
            if delay is not None and not self._ending.is_set():
                await self._sleep(delay)
        while not await self._terminate_safely():
            self._woken.clear()
            await self._sleep(RETRY_SECONDS)
        self._parts.sources.release(self.uid)
        self._parts.images.forget(self.uid)
        self._parts.statuses.forget(self.uid)

    async def _interruptible(self, work: Coroutine[Any, Any, float]) -> float | None:
        """Run a sync, cancelled when the pod is to end; None then."""
        task = asyncio.create_task(work)
        ending = asyncio.create_task(self._ending.wait())
        try:
            await asyncio.wait({task, ending}, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                delay: float = task.result()
                return delay
        finally:
            ending.cancel()
            if not task.done():
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        return None

    async def _sleep(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        except TimeoutError:
            pass

    async def _sync_safely(self) -> float:
        self._woken.clear()
        try:
            delay = await self._sync()
            self._failures = 0
            return delay
        except LaunchError:
            pass
        except (EngineError, errors.StatusError, Unreachable, OSError) as error:
            log.warning("pod %s: %s", meta.key(self.pod), error)
            self._parts.record(self.pod, "Warning", "FailedSync", f"error determining status: {error}", "")
        self._failures += 1
        delay = min(RETRY_SECONDS_MAX, RETRY_SECONDS * 2.0 ** min(self._failures - 1, 8))
        return delay * random.uniform(0.8, 1.2)

    async def _sync(self) -> float:
        """Bring the pod on as far as it goes; seconds until it should be looked at again."""
        if self.ended.is_set():
            return RESYNC_SECONDS
        if (self.pod.get("status") or {}).get("phase") in TERMINAL:
            await self._finish()
            return RESYNC_SECONDS
        if not self._admit():
            return RESYNC_SECONDS
        while True:
            pod = self.pod
            state = await self._observe()
            ips = self._ips(state)
            self._parts.probes.sync(pod, state, ips)
            actions = plan.compute(pod, state, self._circumstances())
            self._note_held(actions)
            if actions.finished or self._failed or self._expires():
                await self._finish()  # which reports the end once nothing runs any more
                return RESYNC_SECONDS
            self._publish(state, ips)
            if actions.empty:
                self._note_start(state)
                await self._maintain(state, ips)
                return self._next_look(actions)
            if not await self._apply(actions, state, ips):
                self._publish(await self._parts.runtime.pod_state(self.uid), ips)
                return self._next_look(actions, retry=True)

    async def _observe(self) -> PodState:
        """What runs; a run that failed and left no message gets its log's end as one, where the spec says so."""
        state = await self._parts.runtime.pod_state(self.uid)
        for container in plan.all_containers(self.pod["spec"]):
            run = state.newest(container["name"])
            wanted = container.get("terminationMessagePolicy") == "FallbackToLogsOnError"
            failed = run is not None and run.state == "exited" and run.exit_code != 0
            if wanted and failed and run is not None and not termination_message(run):
                await self._parts.runtime.keep_log_end(run)
        return state

    def _admit(self) -> bool:
        """Check once whether the node takes the pod; a pod that already runs here was taken."""
        if self.holds_resources or self._rejected:
            return self._rejected is None
        if not (self.pod.get("status") or {}).get("startTime"):
            refusal = node_admission.check(
                self.pod,
                self._parts.node(),
                self._parts.admitted(),
                unsafe_sysctls=self._parts.settings.allowed_unsafe_sysctls,
                apparmor=self._parts.runtime.node.apparmor,
            )
            if refusal is not None:
                self._rejected = refusal
                self._parts.record(self.pod, "Warning", refusal[0], refusal[1], "")
                self._publish(PodState(self.uid), ())
                return False
        self.holds_resources = True
        return True

    def _circumstances(self) -> Circumstances:
        probes, parts = self._parts.probes, self._parts

        def holdoff(container: JSON, run: Container) -> float:
            return parts.restarts.remaining(f"{self.uid}/{container['name']}", _ended_at(run))

        def networked(sandbox: Container) -> bool:
            return sandbox.host_network or bool(parts.runtime.cni.addresses(sandbox.id))

        return Circumstances(unhealthy=probes.unhealthy, started=probes.started, holdoff=holdoff, networked=networked)

    def _note_start(self, state: PodState) -> None:
        """The first time that all containers of a new pod run."""
        if self._first_seen is not None and len(state.running()) >= len(self.pod["spec"]["containers"]):
            POD_START_SECONDS.observe(self._parts.clock() - self._first_seen)
            self._first_seen = None

    def _expires(self) -> bool:
        """Whether the pod has been active for longer than it may."""
        deadline = status.deadline_of(self._parts.statuses.latest(self.pod))
        if deadline is None or self._parts.clock() < deadline:
            return False
        if not self._failed:
            self._failed = status.DEADLINE_EXCEEDED
            self._parts.record(self.pod, "Normal", *self._failed, "")
        return True

    def _note_held(self, actions: Actions) -> None:
        for name in actions.held:
            delay = duration(self._parts.restarts.delay(f"{self.uid}/{name}"))
            where = f"{meta.name(self.pod)}_{meta.namespace(self.pod)}({self.uid})"
            message = f"back-off {delay} restarting failed container={name} pod={where}"
            if self._launcher.waiting.get(name, ("", ""))[0] != "CrashLoopBackOff":
                text = f"Back-off restarting failed container {name} in pod {where}"
                self._parts.record(self.pod, "Warning", "BackOff", text, name)
            self._launcher.waiting[name] = ("CrashLoopBackOff", message)

    async def _apply(self, actions: Actions, state: PodState, ips: tuple[str, ...]) -> bool:
        """Carry out a plan; False when nothing of it could be done."""
        parts, pod = self._parts, self.pod
        await asyncio.gather(*(parts.runtime.engine.remove(run.id) for run in actions.discard))
        await asyncio.gather(*(self._kill(kill, Grace(self._spec_grace())) for kill in actions.kill))
        if not actions.create_sandbox and not actions.start:
            return bool(actions.kill)
        if actions.create_sandbox and not pod["spec"].get("hostNetwork") and not parts.network_ready():
            parts.record(pod, "Warning", "NetworkNotReady", "network is not ready: cni plugin not initialized", "")
            raise LaunchError("network is not ready")
        for container in actions.start:
            previous = state.newest(container["name"])
            if previous is not None and previous.state == "exited":
                parts.restarts.failed(f"{self.uid}/{container['name']}", _ended_at(previous))
        if actions.create_sandbox:
            for sandbox in state.sandboxes:
                await parts.runtime.remove_sandbox(sandbox)
            await self._launcher.in_new_sandbox(pod, actions.sandbox_attempt, actions.start, state)
        else:
            assert state.sandbox is not None, "containers are planned only beside a sandbox that runs"
            await self._launcher.in_sandbox(pod, actions.start, state.sandbox.id, state=state, ips=ips)
        return all(container["name"] not in self._launcher.waiting for container in actions.start)

    def _next_look(self, actions: Actions, *, retry: bool = False) -> float:
        delays = [RESYNC_SECONDS * random.uniform(0.9, 1.1), *actions.held.values()]
        if (deadline := status.deadline_of(self._parts.statuses.latest(self.pod))) is not None:
            delays.append(deadline - self._parts.clock())
        if retry:
            images = self._parts.images
            for container in actions.start:
                reason = self._launcher.waiting.get(container["name"], ("", ""))[0]
                if reason == "ErrImagePull":
                    delays.append(RETRY_SECONDS)
                elif reason == "ImagePullBackOff":
                    delays.append(max(1.0, images.seconds_to_next_try(self.uid, container["image"])))
                else:
                    delays.append(10.0)
        return max(0.05, min(delays))

    async def _maintain(self, state: PodState, ips: tuple[str, ...]) -> None:
        """A pod as it should be: its files brought up to date, old runs removed."""
        await self._launcher.volumes(self.pod, ips)
        old = [run for runs in state.runs.values() for run in runs[RUNS_KEPT:]]
        await asyncio.gather(*(self._parts.runtime.engine.remove(run.id) for run in old))

    # Its end

    async def _finish(self) -> None:
        """The pod's work is done: stop what is left, keep the containers for their logs until it is deleted."""
        evicted = self._failed is not None and self._failed[0] == status.EVICTED
        state = await self._stop_all(Grace(EVICTION_GRACE_SECONDS if evicted else self._spec_grace()))
        ips = self._ips(state)
        for sandbox in state.sandboxes:
            await self._parts.runtime.remove_sandbox(sandbox)
        await asyncio.to_thread(self._parts.runtime.cgroups.remove, self.uid)
        self.ended.set()
        self.holds_resources = False
        self._parts.probes.stop(self.uid)
        self._publish(state, ips)
        self._parts.sources.release(self.uid)

    async def _terminate_safely(self) -> bool:
        try:
            await self._terminate()
        except (EngineError, errors.StatusError, Unreachable, OSError) as error:
            log.warning("pod %s: terminating: %s", meta.key(self.pod), error)
            return False
        return True

    async def _terminate(self) -> None:
        parts = self._parts
        if self._grace is None:
            self._grace = Grace(self._grace_seconds())
        state = await self._stop_all(self._grace)
        parts.probes.stop(self.uid)
        ips = self._ips(state)
        self.ended.set()
        self._publish(state, ips)
        await parts.runtime.remove_all(state)
        await asyncio.to_thread(parts.volumes.tear_down, self.uid)
        await asyncio.to_thread(parts.runtime.cgroups.remove, self.uid)
        self.holds_resources = False
        await parts.statuses.flush(self.uid)
        if self.gone:
            return
        try:
            await parts.client.delete(
                kinds.POD, meta.name(self.pod), namespace=meta.namespace(self.pod), grace_period_seconds=0, uid=self.uid
            )
        except (errors.NotFound, errors.Conflict):
            pass

    async def _stop_all(self, grace: Grace) -> PodState:
        """Stop app containers together, then sidecars one by one in reverse order; the state afterwards."""
        state = await self._parts.runtime.pod_state(self.uid)
        self._parts.probes.stop(self.uid, keep_readiness=True)
        sidecars = [c["name"] for c in self.pod["spec"].get("initContainers") or [] if is_sidecar(c)]
        apps = [run for run in state.running() if run.name not in sidecars]
        if state.running():
            self._publish(state, self._ips(state))
        await asyncio.gather(*(self._kill(Kill(run, f"Stopping container {run.name}"), grace) for run in apps))
        for name in reversed(sidecars):
            run = state.newest(name)
            if run is not None and run.running:
                await self._kill(Kill(run, f"Stopping container {name}"), grace)
        return await self._observe() if state.running() else state

    async def _kill(self, kill: Kill, grace: Grace) -> None:
        run, parts = kill.run, self._parts
        parts.record(self.pod, "Normal", "Killing", kill.why, run.name)
        container = next((c for c in plan.all_containers(self.pod["spec"]) if c["name"] == run.name), None)
        hook = ((container or {}).get("lifecycle") or {}).get("preStop")
        if container is not None and hook and grace.remaining() > 0:
            ips = parts.runtime.cni.addresses(run.sandbox)
            target = Target(container=container, run_id=run.id, ip=ips[0] if ips else parts.settings.node_ips[0])
            work = asyncio.create_task(parts.handlers.perform(hook, target, timeout_seconds=grace.remaining()))
            await grace.wait_for(work)
            if not work.done():
                work.cancel()
            elif not work.result().ok:
                parts.record(self.pod, "Warning", "FailedPreStopHook", "PreStopHook failed", run.name)
            if grace.remaining() < GRACE_AFTER_HOOK_SECONDS:  # a hook that took it all leaves time for a signal
                grace = Grace(GRACE_AFTER_HOOK_SECONDS)
        await parts.runtime.stop(run, grace)

    def _grace_seconds(self) -> float:
        given = meta.metadata(self.pod).get("deletionGracePeriodSeconds")
        return float(given) if given is not None else self._spec_grace()

    def _spec_grace(self) -> float:
        given = self.pod["spec"].get("terminationGracePeriodSeconds")
        return float(given) if given is not None else 30.0

    # What it reports

    def _ips(self, state: PodState) -> tuple[str, ...]:
        if self.pod["spec"].get("hostNetwork"):
            return self._parts.settings.node_ips
        sandbox = state.sandbox
        if sandbox is not None and sandbox.running:
            return tuple(self._parts.runtime.cni.addresses(sandbox.id))
        return ()

    def _publish(self, state: PodState, ips: tuple[str, ...]) -> None:
        if self.gone:
            return
        parts = self._parts
        latest = parts.statuses.latest(self.pod)
        if self.ended.is_set() and (latest.get("status") or {}).get("phase") in TERMINAL:
            return  # what a pod ended as is said once
        pod = {**self.pod, "status": latest.get("status") or {}}
        ending = self.ended.is_set() or self._ending.is_set()
        shown = ips or (tuple(e["ip"] for e in pod["status"].get("podIPs") or []) if ending else ())
        waiting = self._launcher.waiting
        facts = status.Facts(
            waiting=waiting,
            messages=termination_message,
            started=parts.probes.started,
            ready=parts.probes.ready,
            pod_ips=shown,
            host_ips=parts.settings.node_ips,
            network_ready=bool(ips) and state.sandbox is not None and state.sandbox.running,
            terminating=self._ending.is_set(),
            ended=self.ended.is_set(),
            rejected=self._rejected,
            failed=self._failed,
            now=meta.now(),
        )
        parts.statuses.set(pod, status.generate(pod, state, facts))


def _ended_at(run: Container) -> float:
    """When a run ended, in seconds; one that never started ended when it was created."""
    return meta.parse_time(run.created_at if run.finished_at == NEVER else run.finished_at).timestamp()
