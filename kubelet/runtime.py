"""Sandboxes and containers on Docker: observed, created, started, stopped, removed.

It keeps no state of its own but a cache of what Docker said about containers in a state they do not leave unnoticed.
What has to be done is decided elsewhere (`plan`); what a container looks like is `container_config`.
"""

import asyncio
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from apimachinery.meta import JSON

from . import observed
from .cgroups import Cgroups
from .container_config import NodeAbilities, docker_name, sandbox_body
from .engine import Engine, EngineError, demultiplex
from .network.cni import CNI, Attachment, CNIError
from .observed import Container, PodState

log = logging.getLogger(__name__)

CACHE_MAX = 20_000
LAUNCHES_MAX = 2 * (os.cpu_count() or 2)  # at a time; more would only hold memory and wait for one another
KILL_WAIT_SECONDS = 30.0
EXEC_OUTPUT_BYTES_MAX = 10_240
LOG_END_LINES, LOG_END_BYTES = 80, 2048


class Runtime:
    """Docker and the pod network of one node."""

    def __init__(self, engine: Engine, cni: CNI, *, pause_image: str, node: NodeAbilities) -> None:
        self.engine = engine
        self.cni = cni
        self.node = node
        self.cgroups = Cgroups(engine)
        self.launches = asyncio.Semaphore(LAUNCHES_MAX)
        self._pause_image = pause_image
        self._cache: dict[str, tuple[str, Container]] = {}
        self._died: set[str] = set()  # said to be dead by an event: Docker's listing may still say "running"

    # Observing

    async def pods(self) -> dict[str, PodState]:
        """Everything on the node, by pod UID."""
        listed = await self.engine.containers([observed.LABEL_POD_UID])
        present = {entry["Id"] for entry in listed}
        self._cache = {cid: entry for cid, entry in self._cache.items() if cid in present}
        self._died &= present
        return observed.group(await self._inspect(listed))

    async def pod_state(self, uid: str) -> PodState:
        """One pod's containers, as of now."""
        listed = await self.engine.containers([f"{observed.LABEL_POD_UID}={uid}"])
        return observed.group(await self._inspect(listed)).get(uid) or PodState(uid)

    async def states(self) -> dict[str, tuple[str, str]]:
        """Container id -> (pod UID, Docker's state): one cheap call, to see whether anything changed."""
        listed = await self.engine.containers([observed.LABEL_POD_UID])
        return {entry["Id"]: (entry["Labels"][observed.LABEL_POD_UID], entry["State"]) for entry in listed}

    def note_death(self, cid: str) -> None:
        """A container has died, whatever a listing says: Docker sends the event before it updates its listing."""
        self._died.add(cid)

    def running_count(self) -> int:
        """App containers that ran when last seen."""
        return sum(1 for _, container in self._cache.values() if container.running and not container.is_sandbox)

    async def _inspect(self, listed: list[JSON]) -> list[Container]:
        found = await asyncio.gather(*(self._one(entry["Id"], entry["State"]) for entry in listed))
        return [container for container in found if container is not None]

    async def _one(self, cid: str, state: str) -> Container | None:
        cached = self._cache.get(cid)
        if cached is not None and cached[0] == state and cid not in self._died:
            return cached[1]
        try:
            container = observed.from_inspect(await self.engine.inspect(cid))
        except EngineError as error:
            if error.not_found:
                return None
            raise
        if not container.running:
            self._died.discard(cid)
        settled = (state == "running" and container.running) or (state == "exited" and not container.running)
        if settled and len(self._cache) < CACHE_MAX:
            self._cache[cid] = (state, container)
        return container

    # Sandboxes

    async def create_sandbox(self, pod: JSON, attempt: int, *, cluster_domain: str) -> str:
        """A pause container, not yet started; its id. Raises ConfigError."""
        body = sandbox_body(
            pod,
            image=self._pause_image,
            attempt=attempt,
            node=self.node,
            cluster_domain=cluster_domain,
            cgroup_parent=await self.cgroups.parent(pod),
        )
        async with self.launches:
            return await self.create(docker_name(pod, "POD", attempt), body)

    async def start_sandbox(self, pod: JSON, sandbox: str) -> list[str]:
        """Start it and attach it to the pod network; its addresses (none of its own with hostNetwork)."""
        async with self.launches:
            await self.engine.start(sandbox)
        if pod["spec"].get("hostNetwork"):
            return []
        description = await self.engine.inspect(sandbox)
        return await self.cni.add(attachment(pod, sandbox, pid=int(description["State"]["Pid"])))

    async def remove_sandbox(self, container: Container) -> None:
        """Detach from the network and remove; safe to repeat."""
        netns = f"/proc/{container.pid}/ns/net" if container.running and container.pid else ""
        try:
            if not container.host_network:
                await self._detach(container, netns)
        except CNIError as error:
            log.warning("sandbox %s of pod %s: %s", container.id[:12], container.pod_name, error)
        await self.engine.remove(container.id)

    async def _detach(self, container: Container, netns: str) -> None:
        await self.cni.delete(
            Attachment(
                sandbox=container.id,
                netns=netns,
                namespace=container.pod_namespace,
                name=container.pod_name,
                uid=container.pod_uid,
            )
        )

    # Containers

    async def create(self, name: str, body: JSON) -> str:
        """Create; a container of that name that was left over (created, then the kubelet died) makes room."""
        try:
            return await self.engine.create(name, body)
        except EngineError as error:
            if error.code != 409:
                raise
        await self.engine.remove(name)
        return await self.engine.create(name, body)

    async def stop(self, run: Container, grace: "Grace") -> None:
        """Its stop signal, its grace, then SIGKILL; returns once it does not run."""
        waiting = asyncio.create_task(self.engine.wait(run.id))
        try:
            if grace.remaining() > 0:
                await self.engine.kill(run.id, run.stop_signal)
                await grace.wait_for(waiting)
            if not waiting.done():
                await self.engine.kill(run.id, "SIGKILL")
                async with asyncio.timeout(KILL_WAIT_SECONDS):
                    await asyncio.shield(waiting)
        except TimeoutError as error:
            raise EngineError(f"container {run.id[:12]} does not die") from error
        finally:
            self.note_death(run.id)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)

    async def remove_all(self, state: PodState) -> None:
        """Remove every container of a pod whose containers have stopped, the sandboxes last."""
        await asyncio.gather(*(self.engine.remove(run.id) for runs in state.runs.values() for run in runs))
        await asyncio.gather(*(self.remove_sandbox(sandbox) for sandbox in state.sandboxes))

    async def keep_log_end(self, run: Container) -> None:
        """Write the end of a run's log to its message file."""
        params = {"stdout": True, "stderr": True, "tail": str(LOG_END_LINES)}
        output = bytearray()
        async with self.engine.stream("GET", f"/containers/{run.id}/logs", params=params) as response:
            async for _channel, data in demultiplex(response.content):
                output += data
        if run.message_file and output:
            await asyncio.to_thread(Path(run.message_file).write_bytes, bytes(output[-LOG_END_BYTES:]))

    async def exec(self, container: str, command: list[str], *, timeout_seconds: float) -> tuple[int, bytes]:
        """Run a command in a container: (exit code, what it printed, bounded). Raises TimeoutError."""
        body = {"Cmd": command, "AttachStdout": True, "AttachStderr": True}
        async with asyncio.timeout(timeout_seconds):
            exec_id = await self.engine.exec_create(container, body)
            output = bytearray()
            path, start = f"/exec/{exec_id}/start", {"Detach": False, "Tty": False}
            async with self.engine.hijack(path, body=start) as (reader, _):
                async for _channel, data in demultiplex(reader):
                    if len(output) < EXEC_OUTPUT_BYTES_MAX:
                        output += data
            code = (await self.engine.exec_inspect(exec_id)).get("ExitCode")
        return int(code or 0), bytes(output[:EXEC_OUTPUT_BYTES_MAX])


class Grace:
    """A pod's time to stop in. A second deletion may shorten it while containers are being waited for.

    Its clock can't be set: one that jumps would kill at once, or let a pod hang on.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.deadline = clock() + seconds
        self._changed = asyncio.Event()

    def shorten(self, seconds: float) -> None:
        """End at the latest so many seconds from now."""
        deadline = self._clock() + seconds
        if deadline < self.deadline:
            self.deadline = deadline
            self._changed.set()

    def remaining(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self.deadline - self._clock())

    async def wait_for(self, task: "asyncio.Task[Any]") -> None:
        """Return when the task is done or the time is over, whichever comes first."""
        while not task.done() and (left := self.remaining()) > 0:
            self._changed.clear()
            change = asyncio.create_task(self._changed.wait())
            try:
                await asyncio.wait({task, change}, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            finally:
                change.cancel()


def attachment(pod: JSON, sandbox: str, *, pid: int) -> Attachment:
    """What the network plugins are told about a pod."""
    mappings = [
        {
            "hostPort": port["hostPort"],
            "containerPort": port["containerPort"],
            "protocol": port.get("protocol", "TCP").lower(),
            **({"hostIP": port["hostIP"]} if port.get("hostIP") else {}),
        }
        for container in pod["spec"]["containers"]
        for port in container.get("ports") or []
        if port.get("hostPort")
    ]
    metadata = pod["metadata"]
    return Attachment(
        sandbox=sandbox,
        netns=f"/proc/{pid}/ns/net",
        namespace=metadata.get("namespace", ""),
        name=metadata["name"],
        uid=metadata["uid"],
        port_mappings=tuple(mappings),
    )
