"""Starting what a plan says: sandbox, network, volumes, containers, as much at the same time as order allows.

A sandbox is created while volumes are set up; while it starts and gets its network, the first containers are already
created. Only a container whose environment shows the pod's address waits for that. What keeps a container from starting
is left in `waiting`, by container, with the reason that users see.
"""

import asyncio
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any, TypeVar

from apimachinery import meta

from . import abilities, environment, files
from .container_config import PROPAGATION, Bind, container_body, docker_name, effective_security
from .engine import EngineError
from .environment import ConfigError, Sources
from .handlers import Target
from .images import ImageError
from .network.cni import CNIError
from .observed import CREATED, Container, PodState
from .parts import Parts
from .volumes.payloads import VolumeError, references, sources_of
from .volumes.subpaths import bind

JSON = dict[str, Any]
A = TypeVar("A")
B = TypeVar("B")

HOOK_TIMEOUT_SECONDS = 60.0


class LaunchError(Exception):
    """The pod as a whole can't be started now; the event has been recorded."""


class Launcher:
    """Starts the containers of one pod."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self.waiting: dict[str, tuple[str, str]] = {}
        self.paths: dict[str, str] = {}  # volume -> path, of the last set-up

    async def sources(self, pod: JSON, pod_ips: Sequence[str]) -> Sources:
        """What variables and volumes refer to, read."""
        namespace, objects = meta.namespace(pod), self._parts.sources
        await objects.use(meta.uid(pod), ((kind, namespace, name) for kind, name in references(pod)))
        return Sources(
            config_map=lambda name: objects.get("ConfigMap", namespace, name),
            secret=lambda name: objects.get("Secret", namespace, name),
            services=self._parts.services(),
            pod_ips=tuple(pod_ips),
            host_ips=self._parts.settings.node_ips,
            node_allocatable=(self._parts.node().get("status") or {}).get("allocatable") or {},
        )

    async def volumes(self, pod: JSON, pod_ips: Sequence[str]) -> None:
        """Set up or bring up to date; LaunchError with a FailedMount event if that fails."""
        try:
            self.paths = await self._parts.volumes.ensure(pod, await self.sources(pod, pod_ips))
        except VolumeError as error:
            message = f'MountVolume.SetUp failed for volume "{error.volume}" : {error}'
            self._parts.record(pod, "Warning", "FailedMount", message, "")
            raise LaunchError(message) from error

    async def in_new_sandbox(self, pod: JSON, attempt: int, containers: list[JSON], state: PodState) -> None:
        """A sandbox and the first containers in it."""
        runtime = self._parts.runtime
        domain = self._parts.settings.cluster_domain
        creation = self._sandbox(pod, runtime.create_sandbox(pod, attempt, cluster_domain=domain))
        (sandbox, _), _ = await _both(_both(creation, self.volumes(pod, ())), runtime.cgroups.ensure(pod))
        early = [c for c in containers if not environment.needs_pod_ip(c)]
        late = [c for c in containers if environment.needs_pod_ip(c)]
        self._write_files(pod, ())
        network = self._sandbox(pod, runtime.start_sandbox(pod, sandbox))
        addresses, created = await _both(network, self._create_all(pod, early, sandbox, state, ips=()))
        ips = self._parts.settings.node_ips if pod["spec"].get("hostNetwork") else tuple(addresses)
        self._write_files(pod, ips)
        created += await self._create_all(pod, late, sandbox, state, ips=ips)
        await self._start_all(pod, created, ips)

    async def in_sandbox(
        self, pod: JSON, containers: list[JSON], sandbox: str, *, state: PodState, ips: tuple[str, ...]
    ) -> None:
        """Further containers beside the ones that run."""
        await self.volumes(pod, ips)
        self._write_files(pod, ips)
        await self._start_all(pod, await self._create_all(pod, containers, sandbox, state, ips=ips), ips)

    async def _sandbox(self, pod: JSON, work: Coroutine[Any, Any, A]) -> A:
        try:
            return await work
        except (EngineError, CNIError, ConfigError) as error:
            message = f"Failed to create pod sandbox: {error}"
            self._parts.record(pod, "Warning", "FailedCreatePodSandBox", message, "")
            raise LaunchError(message) from error

    async def _create_all(
        self, pod: JSON, containers: list[JSON], sandbox: str, state: PodState, *, ips: tuple[str, ...]
    ) -> list[tuple[JSON, str]]:
        made = await asyncio.gather(*(self._create(pod, c, sandbox, state, ips=ips) for c in containers))
        return [(container, cid) for container, cid in zip(containers, made, strict=True) if cid is not None]

    async def _create(
        self, pod: JSON, container: JSON, sandbox: str, state: PodState, *, ips: tuple[str, ...]
    ) -> str | None:
        """A container, not yet started; None when it can't be created, the reason being in `waiting`."""
        parts, name = self._parts, container["name"]
        try:
            sources = await self.sources(pod, ips)
            image = await parts.images.ensure(
                meta.uid(pod),
                container,
                lambda type_, reason, message: parts.record(pod, type_, reason, message, name),
                secrets=self._pull_secrets(pod, sources),
            )
            async with parts.runtime.launches:
                attempt = max((run.attempt + 1 for run in state.runs.get(name, []) if run.state != CREATED), default=0)
                variables = environment.build(pod, container, sources)
                message_file = self._message_file(pod, container, attempt)
                body = container_body(
                    pod,
                    container,
                    sandbox=sandbox,
                    attempt=attempt,
                    environment=variables,
                    binds=self._binds(pod, container, variables, message_file),
                    image=image,
                    message_file=message_file,
                    node=parts.runtime.node,
                    devices=_devices(container),
                    cgroup_parent=await parts.runtime.cgroups.parent(pod),
                    seccomp=_seccomp(effective_security(pod, container), parts.settings.root_dir),
                )
                target = state.newest(container.get("targetContainerName") or "")
                if target is not None:  # an ephemeral container that looks at another one's processes
                    body["HostConfig"]["PidMode"] = f"container:{target.id}"
                cid = await parts.runtime.create(docker_name(pod, name, attempt), body)
        except ImageError as error:
            self._failed(pod, name, error.reason, error.message)
        except (ConfigError, VolumeError) as error:
            self._failed(pod, name, "CreateContainerConfigError", str(error))
        except EngineError as error:
            self._failed(pod, name, "CreateContainerError", error.message)
        else:
            parts.record(pod, "Normal", "Created", f"Created container: {name}", name)
            return cid
        return None

    def _failed(self, pod: JSON, name: str, reason: str, message: str) -> None:
        self.waiting[name] = (reason, message)
        shown = message if reason.startswith("CreateContainer") else reason
        self._parts.record(pod, "Warning", "Failed", f"Error: {shown}", name)

    def _pull_secrets(self, pod: JSON, sources: Sources) -> list[JSON]:
        names = [reference.get("name", "") for reference in pod["spec"].get("imagePullSecrets") or []]
        found = {name: sources.secret(name) for name in names}
        if missing := [name for name, secret in found.items() if secret is None]:
            text = f"Unable to retrieve some image pull secrets ({', '.join(missing)}); "
            text += "attempting to pull the image may not succeed."
            self._parts.record(pod, "Warning", "FailedToRetrieveImagePullSecret", text, "")
        return [secret for secret in found.values() if secret is not None]

    async def _start_all(self, pod: JSON, created: list[tuple[JSON, str]], ips: tuple[str, ...]) -> None:
        await asyncio.gather(*(self._start(pod, container, cid, ips) for container, cid in created))

    async def _start(self, pod: JSON, container: JSON, cid: str, ips: tuple[str, ...]) -> None:
        parts, name = self._parts, container["name"]
        try:
            async with parts.runtime.launches:
                await parts.runtime.engine.start(cid)
        except EngineError as error:
            self.waiting[name] = ("RunContainerError", error.message)
            parts.record(pod, "Warning", "Failed", f'Error: failed to start container "{name}": {error.message}', name)
            return
        self.waiting.pop(name, None)
        parts.record(pod, "Normal", "Started", f"Started container {name}", name)
        hook = (container.get("lifecycle") or {}).get("postStart")
        if hook:
            target = Target(container=container, run_id=cid, ip=ips[0] if ips else "")
            outcome = await parts.handlers.perform(hook, target, timeout_seconds=HOOK_TIMEOUT_SECONDS)
            if not outcome.ok:
                # What a hook prints can hold secrets: upstream leaves it out of events.
                parts.record(pod, "Warning", "FailedPostStartHook", "PostStartHook failed", name)
                self.waiting[name] = ("PostStartHookError", outcome.output)
                await parts.runtime.engine.kill(cid, "SIGKILL")

    def _message_file(self, pod: JSON, container: JSON, attempt: int) -> str:
        folder = self._parts.settings.pod_dir(meta.uid(pod)) / "containers" / container["name"]
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / str(attempt)
        path.touch()
        path.chmod(0o666)
        return str(path)

    def _binds(self, pod: JSON, container: JSON, variables: dict[str, str], message_file: str) -> list[Bind]:
        binds = [Bind(source=message_file, target=container.get("terminationMessagePath") or "/dev/termination-log")]
        folder = self._parts.settings.pod_dir(meta.uid(pod))
        mounted = {mount["mountPath"].rstrip("/") for mount in container.get("volumeMounts") or []}
        for name, target in (("etc-hosts", "/etc/hosts"), ("resolv.conf", "/etc/resolv.conf")):
            if target not in mounted:
                binds.append(Bind(source=str(folder / name), target=target))
        protected = {v["name"] for v in pod["spec"].get("volumes") or [] if _read_only(v)}
        for number, mount in enumerate(container.get("volumeMounts") or []):
            if mount["name"] not in self.paths:
                raise ConfigError(f'volumeMounts: volume "{mount["name"]}" is not there')
            source = self.paths[mount["name"]]
            if relative := mount.get("subPath") or environment.expand(mount.get("subPathExpr") or "", variables):
                target = folder / "volume-subpaths" / mount["name"] / container["name"] / str(number)
                source = _sub_path(source, relative, target, container)
            binds.append(
                Bind(
                    source=source,
                    target=mount["mountPath"],
                    read_only=bool(mount.get("readOnly")) or mount["name"] in protected,
                    propagation=PROPAGATION[mount.get("mountPropagation") or "None"],
                )
            )
        return binds

    def _write_files(self, pod: JSON, ips: tuple[str, ...]) -> None:
        """/etc/hosts and resolv.conf, in place: running containers see them through their mounts."""
        settings = self._parts.settings
        folder = settings.pod_dir(meta.uid(pod))
        folder.mkdir(parents=True, exist_ok=True)
        if pod["spec"].get("hostNetwork"):
            hosts = files.host_network_hosts(pod, _read(Path("/etc/hosts")))
        else:
            hosts = files.hosts(pod, ips, cluster_domain=settings.cluster_domain)
        resolv = files.resolv_conf(
            pod,
            _read(settings.resolv_conf),
            cluster_dns=settings.cluster_dns,
            cluster_domain=settings.cluster_domain,
        )
        for name, content in (("etc-hosts", hosts), ("resolv.conf", resolv)):
            path = folder / name
            if _read(path) != content:
                path.write_text(content)
                path.chmod(0o644)


def termination_message(run: Container) -> str:
    """What a run left in its message file."""
    return _read(Path(run.message_file))[:4096] if run.message_file else ""


def _sub_path(volume: str, relative: str, target: Path, container: JSON) -> str:
    try:
        return bind(volume, relative, target)
    except (VolumeError, OSError) as error:
        where = f'volumeMount "{target.parents[1].name}" of container "{container["name"]}"'
        raise ConfigError(f"failed to prepare subPath for {where}: {error}") from error


def _seccomp(security: JSON, root: Path) -> str:
    """The content of a Localhost profile, which is named relative to <root>/seccomp; "" for other types."""
    profile = security.get("seccompProfile") or {}
    if profile.get("type") != "Localhost":
        return ""
    path = root / "seccomp" / str(profile.get("localhostProfile") or "")
    if ".." in path.parts:
        raise ConfigError(f'seccomp profile "{path}" must not contain ".."')
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f'cannot load seccomp profile "{path}": {error}') from error


def _read_only(volume: JSON) -> bool:
    """Whether no container may write to a volume: the kubelet writes its files, or the claim is used for reading."""
    return sources_of(volume) is not None or bool((volume.get("persistentVolumeClaim") or {}).get("readOnly"))


def _devices(container: JSON) -> list[str]:
    return abilities.devices() if (container.get("securityContext") or {}).get("privileged") else []


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


async def _both(first: Coroutine[Any, Any, A], second: Coroutine[Any, Any, B]) -> tuple[A, B]:
    """Run both to their end, then raise what the first of them raised, if any."""
    one, two = await asyncio.gather(first, second, return_exceptions=True)
    if isinstance(one, BaseException):
        raise one
    if isinstance(two, BaseException):
        raise two
    return one, two
