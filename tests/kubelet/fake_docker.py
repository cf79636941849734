"""A Docker in memory, and a pod's worker on it: everything of the kubelet is real but containers and network."""

import asyncio
import itertools
import time
from pathlib import Path
from typing import Any

from apimachinery import errors
from kubelet import observed
from kubelet.backoff import Backoff
from kubelet.container_config import NodeAbilities
from kubelet.engine import EngineError
from kubelet.handlers import Handlers
from kubelet.images import Images
from kubelet.parts import Parts
from kubelet.pod_worker import PodWorker
from kubelet.probes import Probes
from kubelet.runtime import Runtime
from kubelet.settings import Settings
from kubelet.sources import ObjectSources
from kubelet.status_manager import StatusManager
from kubelet.volumes.manager import Volumes
from kubelet.volumes.tokens import Tokens

JSON = dict[str, Any]

NODE = {"metadata": {"name": "n1"}, "status": {"allocatable": {"cpu": "4", "memory": "8Gi", "pods": "110"}}}
ABILITIES = NodeAbilities(
    capabilities=(), fully_privileged=True, oom_scores_lowerable=True, memory_bytes=8 << 30, log_max_size="1m",
    log_max_files=1,
)  # fmt: skip


class Docker:
    """The part of Engine that the runtime uses. `stubborn` containers ignore signals but SIGKILL."""

    def __init__(self, *, images: tuple[str, ...] = ("img:1",), stubborn: bool = False) -> None:
        self.held: dict[str, JSON] = {}
        self.images = set(images)
        self.stubborn = stubborn
        self.pulling = asyncio.Event()
        self.signals: list[tuple[str, str]] = []
        self._ids = itertools.count(1)
        self._ends: dict[str, asyncio.Event] = {}

    def names(self) -> list[str]:
        """Containers that run, by their name in the pod, with the run's number."""
        running = (c["Config"]["Labels"] for c in self.held.values() if c["State"]["Status"] == "running")
        return sorted(f"{x[observed.LABEL_CONTAINER]}-{x[observed.LABEL_ATTEMPT]}" for x in running)

    def find(self, name: str) -> str:
        """The id of the container that runs under this name."""
        for cid, container in self.held.items():
            running = container["State"]["Status"] == "running"
            if running and container["Config"]["Labels"][observed.LABEL_CONTAINER] == name:
                return cid
        raise KeyError(name)

    def end(self, name: str, code: int = 0) -> None:
        """Its process ends by itself."""
        self._exit(self.find(name), code)

    def _exit(self, cid: str, code: int) -> None:
        self.held[cid]["State"] |= {"Status": "exited", "ExitCode": code, "FinishedAt": _now()}
        self._ends[cid].set()

    async def call(self, method: str, path: str, **options: Any) -> JSON:
        raise EngineError(f"{method} {path}: not here")

    async def containers(self, labels: list[str]) -> list[JSON]:
        wanted = dict(label.split("=") for label in labels if "=" in label)
        return [
            {"Id": cid, "State": c["State"]["Status"], "Labels": c["Config"]["Labels"]}
            for cid, c in self.held.items()
            if all(c["Config"]["Labels"].get(key) == value for key, value in wanted.items())
        ]

    async def inspect(self, cid: str) -> JSON:
        return self.held[cid]

    async def create(self, name: str, body: JSON) -> str:
        cid = f"id{next(self._ids)}"
        state = {"Status": "created", "StartedAt": observed.NEVER, "ExitCode": 0, "Pid": 0}
        self.held[cid] = {"Id": cid, "Created": _now(), "Image": "sha256:1", "Config": body, "State": state}
        self._ends[cid] = asyncio.Event()
        return cid

    async def start(self, cid: str) -> None:
        self.held[cid]["State"] |= {"Status": "running", "StartedAt": _now(), "Pid": 4242}

    async def kill(self, cid: str, signal: str) -> None:
        self.signals.append((self.held[cid]["Config"]["Labels"][observed.LABEL_CONTAINER], signal))
        if signal == "SIGKILL" or not self.stubborn:
            self._exit(cid, 137 if signal == "SIGKILL" else 0)

    async def wait(self, cid: str) -> None:
        await self._ends[cid].wait()

    async def remove(self, cid: str) -> None:
        self.held.pop(cid, None)

    async def image(self, reference: str) -> JSON | None:
        return {"Id": reference} if reference in self.images else None

    async def pull(self, repository: str, tag: str, *, auth: str = "") -> None:
        self.pulling.set()
        await asyncio.Event().wait()


class Network:
    """Gives out addresses; those given are known by sandbox."""

    def __init__(self) -> None:
        self.given: dict[str, str] = {}
        self._numbers = itertools.count(2)

    async def add(self, attachment: Any) -> list[str]:
        self.given[attachment.sandbox] = f"10.244.1.{next(self._numbers)}"
        return [self.given[attachment.sandbox]]

    async def delete(self, attachment: Any) -> None:
        self.given.pop(attachment.sandbox, None)

    def addresses(self, sandbox: str) -> list[str]:
        return [self.given[sandbox]] if sandbox in self.given else []


class Api:
    """Holds one pod; `changed` is set by every write."""

    def __init__(self, pod: JSON) -> None:
        self.pod: JSON | None = pod
        self.changed = asyncio.Event()
        self._versions = itertools.count(1)

    async def patch(self, kind: Any, name: str, body: JSON, **options: Any) -> JSON:
        if self.pod is None:
            raise errors.NotFound(name)
        status = {**(self.pod.get("status") or {}), **body["status"]}
        before = {c["type"]: c for c in (self.pod.get("status") or {}).get("conditions", [])}
        status["conditions"] = list({**before, **{c["type"]: c for c in status.get("conditions", [])}}.values())
        metadata = {**self.pod["metadata"], "resourceVersion": str(next(self._versions))}
        self.pod = {**self.pod, "metadata": metadata, "status": status}
        self.changed.set()
        return self.pod

    async def delete(self, kind: Any, name: str, **options: Any) -> None:
        self.pod = None
        self.changed.set()

    def ready(self) -> bool:
        """The Ready condition."""
        conditions = ((self.pod or {}).get("status") or {}).get("conditions", [])
        return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


class World:
    """A worker with its parts; enter it to have the worker run."""

    def __init__(
        self, pod: JSON, folder: Path, *, docker: Docker | None = None, network: Network | None = None
    ) -> None:
        self.api = Api(pod)
        self.docker = docker or Docker()
        self.network = network or Network()
        self.events: list[str] = []
        self._folder = folder
        self._group = asyncio.TaskGroup()

    async def __aenter__(self) -> "World":
        await self._group.__aenter__()
        settings = Settings(node_name="n1", node_ips=("10.0.0.1",), kubeconfig=Path("/x"), root_dir=self._folder)
        runtime = Runtime(self.docker, self.network, pause_image="pause", node=ABILITIES)  # type: ignore[arg-type]
        client: Any = self.api
        handlers = Handlers(runtime)

        def record(pod: JSON, type_: str, reason: str, message: str, container: str) -> None:
            self.events.append(reason)
            self.api.changed.set()

        parts = Parts(
            settings=settings,
            client=client,
            runtime=runtime,
            images=Images(self.docker, clock=time.monotonic),  # type: ignore[arg-type]
            volumes=Volumes(client, settings, Tokens(client, clock=time.time)),
            sources=ObjectSources(client, on_change=lambda uid: None),
            statuses=StatusManager(client, self._group, current=lambda pod: self.api.pod),
            probes=Probes(self._group, handlers, wake=lambda uid: self.worker.wake(), record=record),
            handlers=handlers,
            restarts=Backoff(initial=10, longest=300, clock=time.time),
            services=lambda: (),
            node=lambda: NODE,
            admitted=lambda: (),
            network_ready=lambda: True,
            record=record,
            clock=time.time,
        )
        assert self.api.pod is not None
        self.worker = PodWorker(self.api.pod, parts)
        self.task = self._group.create_task(self.worker.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self.task.cancel()
        await self._group.__aexit__(None, None, None)

    async def until(self, condition: Any, *, seconds: float = 10.0) -> None:
        """Wait for a condition on the API's pod."""
        async with asyncio.timeout(seconds):
            while not condition():
                self.api.changed.clear()
                if not condition():
                    await self.api.changed.wait()

    def delete(self, grace: int) -> None:
        """As the API server does: mark the pod, tell the worker."""
        assert self.api.pod is not None
        mark = {"deletionTimestamp": "2026-01-01T00:00:00Z", "deletionGracePeriodSeconds": grace}
        metadata = {**self.api.pod["metadata"], **mark}
        self.api.pod = {**self.api.pod, "metadata": metadata}
        self.worker.update(self.api.pod)


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime()) + f".{time.time_ns() % 10**9:09d}Z"
