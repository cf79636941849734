"""What runs on this node, as Docker tells it: containers with their pod, kind and state, grouped by pod.

Names and labels are those the dockershim used (k8s_<container>_<pod>_<namespace>_<uid>_<attempt>, io.kubernetes.*), so
that everything the kubelet ever started is found again after it restarts, and by the tools people know.
"""

from dataclasses import dataclass, field

from apimachinery.meta import JSON

LABEL_POD_NAME = "io.kubernetes.pod.name"
LABEL_POD_NAMESPACE = "io.kubernetes.pod.namespace"
LABEL_POD_UID = "io.kubernetes.pod.uid"
LABEL_CONTAINER = "io.kubernetes.container.name"
LABEL_TYPE = "io.kubernetes.docker.type"
LABEL_SANDBOX = "io.kubernetes.sandbox.id"
LABEL_ATTEMPT = "annotation.io.kubernetes.container.restartCount"
LABEL_MESSAGE_FILE = "io.kubernetes.container.terminationMessageFile"
TYPE_SANDBOX, TYPE_CONTAINER = "podsandbox", "container"

CREATED, RUNNING, EXITED = "created", "running", "exited"
START_ERROR_CODE = 128
NEVER = "0001-01-01T00:00:00Z"


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """One Docker container of a pod: the sandbox, or one run of one of its containers."""

    id: str
    name: str  # of the container in the pod; "POD" for the sandbox
    pod_uid: str
    pod_name: str
    pod_namespace: str
    sandbox: str
    attempt: int
    state: str  # created, running, exited
    created_at: str
    started_at: str
    finished_at: str
    exit_code: int
    pid: int
    oom_killed: bool
    error: str
    image: str
    image_id: str
    stop_signal: str
    message_file: str
    tty: bool
    host_network: bool  # of a sandbox: it lives in the node's own network namespace

    @property
    def is_sandbox(self) -> bool:
        """The pause container that holds the pod's namespaces."""
        return self.name == "POD"

    @property
    def running(self) -> bool:
        """Its process runs."""
        return self.state == RUNNING

    @property
    def failed_to_start(self) -> bool:
        """Docker could not run its process at all."""
        return self.state == EXITED and bool(self.error) and self.started_at == NEVER


@dataclass(slots=True)
class PodState:
    """All containers of one pod, each container's runs with the newest first."""

    uid: str
    sandboxes: list[Container] = field(default_factory=list)
    runs: dict[str, list[Container]] = field(default_factory=dict)

    @property
    def sandbox(self) -> Container | None:
        """The newest sandbox, whether it runs or not."""
        return self.sandboxes[0] if self.sandboxes else None

    def newest(self, name: str) -> Container | None:
        """The latest run of a container."""
        runs = self.runs.get(name)
        return runs[0] if runs else None

    def all(self) -> list[Container]:
        """App containers, then sandboxes."""
        return [run for runs in self.runs.values() for run in runs] + self.sandboxes

    def running(self) -> list[Container]:
        """The app containers that run."""
        return [run for runs in self.runs.values() for run in runs if run.running]


def group(containers: list[Container]) -> dict[str, PodState]:
    """By pod UID, newest runs first."""
    pods: dict[str, PodState] = {}
    for container in sorted(containers, key=lambda c: (c.attempt, c.created_at), reverse=True):
        pod = pods.setdefault(container.pod_uid, PodState(container.pod_uid))
        if container.is_sandbox:
            pod.sandboxes.append(container)
        else:
            pod.runs.setdefault(container.name, []).append(container)
    return pods


def from_inspect(data: JSON) -> Container:
    """A Container out of Docker's full description."""
    config, state = data["Config"], data["State"]
    labels = config.get("Labels") or {}
    status = state["Status"]
    started = state.get("StartedAt") or NEVER
    error = state.get("Error") or ""
    if status in (RUNNING, "paused", "restarting"):
        seen = RUNNING
    elif status == CREATED and not error and state.get("ExitCode", 0) == 0:
        seen = CREATED
    else:
        seen = EXITED
    unstarted = seen == EXITED and started == NEVER
    return Container(
        id=data["Id"],
        name="POD" if labels.get(LABEL_TYPE) == TYPE_SANDBOX else labels.get(LABEL_CONTAINER, ""),
        pod_uid=labels.get(LABEL_POD_UID, ""),
        pod_name=labels.get(LABEL_POD_NAME, ""),
        pod_namespace=labels.get(LABEL_POD_NAMESPACE, ""),
        sandbox=labels.get(LABEL_SANDBOX, ""),
        attempt=int(labels.get(LABEL_ATTEMPT, "0") or 0),
        state=seen,
        created_at=data["Created"],
        started_at=started,
        finished_at=state.get("FinishedAt") or NEVER,
        exit_code=START_ERROR_CODE if unstarted else int(state.get("ExitCode", 0)),
        pid=int(state.get("Pid", 0)),
        oom_killed=bool(state.get("OOMKilled")),
        error=error or ("container could not be started" if unstarted else ""),
        image=config.get("Image", ""),
        image_id=data.get("Image", ""),
        stop_signal=config.get("StopSignal") or "SIGTERM",
        message_file=labels.get(LABEL_MESSAGE_FILE, ""),
        tty=bool(config.get("Tty")),
        host_network=(data.get("HostConfig") or {}).get("NetworkMode") == "host",
    )
