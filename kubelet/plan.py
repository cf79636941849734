"""What to do for a pod next: from its spec and what runs, a value that says which containers to kill and start.

Nothing here has side effects. A worker observes, plans, applies, and begins again, until the plan is empty; a kubelet
that restarts anywhere in between sees the same pod and makes the same plan.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from apimachinery.meta import JSON

from .observed import CREATED, EXITED, Container, PodState
from .resources import is_sidecar


@dataclass(frozen=True, slots=True)
class Kill:
    """One run to be stopped, and why (the end of the event's sentence)."""

    run: Container
    why: str


@dataclass(slots=True)
class Actions:
    """The next step. `finished` means the pod's work is done: everything of it is to be stopped, for good."""

    finished: bool = False
    create_sandbox: bool = False
    sandbox_attempt: int = 0
    kill: list[Kill] = field(default_factory=list)
    start: list[JSON] = field(default_factory=list)  # container specs, init or regular
    discard: list[Container] = field(default_factory=list)  # created and never started: left by a kubelet that died
    held: dict[str, float] = field(default_factory=dict)  # container -> seconds of crash-loop back-off left

    @property
    def empty(self) -> bool:
        """Nothing to be done now."""
        return not (self.finished or self.create_sandbox or self.kill or self.start)


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """What planning needs besides spec and state."""

    unhealthy: Mapping[str, str]  # container id -> why its liveness or startup probe wants it killed
    started: Callable[[Container], bool]  # its startup probe has passed, or it has none
    holdoff: Callable[[JSON, Container], float]  # seconds until an exited run may be followed by another
    networked: Callable[[Container], bool] = lambda sandbox: True  # its network was set up to the end


def all_containers(spec: JSON) -> list[JSON]:
    """Init, regular and ephemeral containers, in this order."""
    return [
        *(spec.get("initContainers") or []),
        *(spec.get("containers") or []),
        *(spec.get("ephemeralContainers") or []),
    ]


def restart_policy(spec: JSON, container: JSON) -> str:
    """A container's own policy, else the pod's."""
    return str(container.get("restartPolicy") or spec.get("restartPolicy") or "Always")


def to_be_restarted(spec: JSON, container: JSON, run: Container | None) -> bool:
    """Whether the policy wants another run."""
    if run is None or run.state == CREATED:
        return True
    if run.running:
        return False
    policy = restart_policy(spec, container)
    return policy == "Always" or (policy == "OnFailure" and run.exit_code != 0)


def compute(pod: JSON, state: PodState, circumstances: Circumstances) -> Actions:
    """The next step for a pod that should run."""
    spec = pod["spec"]
    actions = Actions()
    actions.discard = [run for runs in state.runs.values() for run in runs if run.state == CREATED]
    sandbox = state.sandbox
    if _finished(spec, state):
        actions.finished = True
        return actions
    if sandbox is None or not sandbox.running or not circumstances.networked(sandbox):
        return _renew(spec, state, actions)
    has_run = any(
        run.sandbox == sandbox.id and run.state != CREATED
        for container in spec["containers"]
        if (run := state.newest(container["name"])) is not None
    )
    if not _advance_init(spec, state, circumstances, actions, sandbox.id, blocking=not has_run):
        return actions
    for container in spec["containers"]:
        _keep(spec, container, state.newest(container["name"]), circumstances, actions)
    for container in spec.get("ephemeralContainers") or []:
        if state.newest(container["name"]) is None:
            actions.start.append(container)
    return actions


def _finished(spec: JSON, state: PodState) -> bool:
    """All regular containers have ended for good, or an init container has failed for good."""
    regular = [(c, state.newest(c["name"])) for c in spec["containers"]]
    if all(run is not None and run.state == EXITED and not to_be_restarted(spec, c, run) for c, run in regular):
        return True
    for container in spec.get("initContainers") or []:
        run = state.newest(container["name"])
        if is_sidecar(container) or run is None or run.state != EXITED or run.exit_code == 0:
            continue
        if restart_policy(spec, container) == "Never":
            return True
    return False


def _renew(spec: JSON, state: PodState, actions: Actions) -> Actions:
    """Without its sandbox a pod has lost its network and namespaces: a new one, and everything in it again."""
    ran = any(state.newest(c["name"]) is not None for c in spec["containers"])
    if spec.get("restartPolicy") == "Never" and ran:
        actions.finished = True
        return actions
    actions.kill = [Kill(run, "the pod sandbox changed") for run in state.running()]
    actions.create_sandbox = True
    actions.sandbox_attempt = state.sandbox.attempt + 1 if state.sandbox else 0
    init = spec.get("initContainers") or []
    if init:
        actions.start = [init[0]]
    else:
        actions.start = [c for c in spec["containers"] if to_be_restarted(spec, c, _ended(state.newest(c["name"])))]
    return actions


def _ended(run: Container | None) -> Container | None:
    """A run that still runs in a dead sandbox is about to be killed: its container starts anew."""
    return None if run is not None and run.running else run


def _advance_init(
    spec: JSON, state: PodState, circumstances: Circumstances, actions: Actions, sandbox: str, *, blocking: bool
) -> bool:
    """Go on with the init containers in order; True once the regular ones may run.

    Not `blocking`: regular containers have run in this sandbox already, so init containers are past, and only sidecars
    are looked after.
    """
    for container in spec.get("initContainers") or []:
        run = state.newest(container["name"])
        if run is not None and run.sandbox != sandbox:
            run = None
        if is_sidecar(container):
            _keep(spec, container, run, circumstances, actions)
            if blocking and (run is None or not run.running or not circumstances.started(run)):
                return False
        elif blocking:
            if run is not None and run.state == EXITED and run.exit_code == 0:
                continue
            _keep(spec, container, run, circumstances, actions)
            return False
    return True


def _keep(spec: JSON, container: JSON, run: Container | None, circumstances: Circumstances, actions: Actions) -> None:
    """One container: kill what is unhealthy or out of date, start what should run and does not."""
    name = container["name"]
    if run is not None and run.running:
        if why := circumstances.unhealthy.get(run.id):
            actions.kill.append(Kill(run, why))
        elif run.image != container["image"]:
            actions.kill.append(Kill(run, f"Container {name} definition changed, will be restarted"))
        return
    if not to_be_restarted(spec, container, run):
        return
    if run is not None and run.state == EXITED and (left := circumstances.holdoff(container, run)) > 0:
        actions.held[name] = left
        return
    actions.start.append(container)
