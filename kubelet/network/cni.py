"""CNI plugins called as the CNI spec says: one process per plugin, the configuration on stdin, the result on stdout.

The result of an ADD is kept in a file per sandbox, for two reasons: a DEL wants it back as prevResult, and after a
restart of the kubelet it is where the address of a running pod is found again. A portmap plugin is run only for pods
that map ports: its DEL would run iptables a dozen times to find nothing. What the files say of sandboxes that no
longer run is released (`collect`): after a restart of the node host-local still holds their addresses.
"""

import asyncio
import os
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import orjson

from apimachinery.meta import JSON

INTERFACE = "eth0"
PLUGIN_TIMEOUT_SECONDS = 60
HOST_LOCAL_DATA = Path("/var/lib/cni/networks")


class CNIError(Exception):
    """A plugin failed; the message is the plugin's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """One sandbox to be attached: its id, its network namespace ("" when already gone), what the plugins may know."""

    sandbox: str
    netns: str
    namespace: str
    name: str
    uid: str
    port_mappings: tuple[JSON, ...] = ()


class CNI:
    """The first network configured in `conf_dir`, run with the plugins found in `bin_dirs`."""

    def __init__(self, conf_dir: Path, bin_dirs: Sequence[str], *, results_dir: Path) -> None:
        self.conf_dir = conf_dir
        self.bin_dirs = tuple(bin_dirs)
        self.results_dir = results_dir

    def configuration(self) -> JSON | None:
        """The conflist in force, the first by name as container runtimes choose it; None while there is none."""
        for path in sorted(self.conf_dir.glob("*.conf*")):
            try:
                config: JSON = orjson.loads(path.read_bytes())
            except (OSError, orjson.JSONDecodeError) as error:
                raise CNIError(f"cni config {path}: {error}") from error
            if "plugins" not in config:
                config = {"cniVersion": config["cniVersion"], "name": config["name"], "plugins": [config]}
            return config
        return None

    async def add(self, attachment: Attachment) -> list[str]:
        """Attach, keep the result, and return the pod's addresses; what was done is undone on failure."""
        config = self.configuration()
        if config is None:
            raise CNIError(f"no networks found in {self.conf_dir}")
        previous: JSON = {}
        try:
            for plugin in needed(config, attachment):
                previous = await self._run("ADD", config, plugin, attachment, previous) or previous
        except CNIError:
            await self.delete(attachment)
            raise
        self.results_dir.mkdir(parents=True, exist_ok=True)
        kept = {"result": previous, "portMappings": attachment.port_mappings}
        self._result_path(attachment.sandbox).write_bytes(orjson.dumps(kept))
        return addresses(previous)

    async def delete(self, attachment: Attachment) -> None:
        """Detach; plugins run in reverse order, and a second DEL is harmless."""
        config = self.configuration()
        if config is None:
            return
        if attachment.netns and _is_own(attachment.netns):
            raise CNIError("refused: this is the node's own network namespace")
        kept = self._kept(attachment.sandbox)
        if kept is None:
            plugins = config["plugins"]  # nothing is known of it, so whatever may have been done is undone
        else:
            attachment = replace(attachment, port_mappings=tuple(kept["portMappings"]))
            plugins = needed(config, attachment)
        for plugin in reversed(plugins):
            await self._run("DEL", config, plugin, attachment, (kept or {}).get("result") or {})
        self._result_path(attachment.sandbox).unlink(missing_ok=True)

    def _kept(self, sandbox: str) -> JSON | None:
        """What ADD answered for a sandbox, and the ports it mapped."""
        try:
            kept: JSON = orjson.loads(self._result_path(sandbox).read_bytes())
        except (OSError, orjson.JSONDecodeError):
            return None
        return kept if "result" in kept else None

    def addresses(self, sandbox: str) -> list[str]:
        """The addresses ADD gave to a sandbox."""
        return addresses((self._kept(sandbox) or {}).get("result") or {})

    async def collect(self, running: Iterable[str]) -> list[str]:
        """Release what is held for sandboxes that are not in `running`; their ids."""
        config = self.configuration()
        if config is None:
            return []
        held = {path.stem for path in self.results_dir.glob("*.json")} | reservations(config["name"])
        stale = sorted(held - set(running))
        for sandbox in stale:
            await self.delete(Attachment(sandbox=sandbox, netns="", namespace="", name="", uid=""))
        return stale

    def _result_path(self, sandbox: str) -> Path:
        return self.results_dir / f"{sandbox}.json"

    async def _run(self, command: str, config: JSON, plugin: JSON, attachment: Attachment, previous: JSON) -> JSON:
        request = plugin_request(config, plugin, attachment, previous)
        environment = {
            "PATH": os.environ.get("PATH", ""),
            "CNI_COMMAND": command,
            "CNI_CONTAINERID": attachment.sandbox,
            "CNI_NETNS": attachment.netns,
            "CNI_IFNAME": INTERFACE,
            "CNI_PATH": ":".join(self.bin_dirs),
            "CNI_ARGS": f"IgnoreUnknown=1;K8S_POD_NAMESPACE={attachment.namespace};K8S_POD_NAME={attachment.name};"
            f"K8S_POD_INFRA_CONTAINER_ID={attachment.sandbox};K8S_POD_UID={attachment.uid}",
        }
        binary = self._binary(plugin["type"])
        try:
            done = await asyncio.to_thread(_call, binary, orjson.dumps(request), environment)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise CNIError(f'plugin type="{plugin["type"]}" failed ({command.lower()}): {error}') from error
        if done.returncode != 0:
            problem = _error(done.stdout, done.stderr)
            raise CNIError(f'plugin type="{plugin["type"]}" failed ({command.lower()}): {problem}')
        answer: JSON = orjson.loads(done.stdout) if done.stdout.strip() else {}
        return answer

    def _binary(self, name: str) -> str:
        for folder in self.bin_dirs:
            if os.access(path := os.path.join(folder, name), os.X_OK):
                return path
        raise CNIError(f'failed to find plugin "{name}" in path [{" ".join(self.bin_dirs)}]')


def _call(binary: str, request: bytes, environment: dict[str, str]) -> "subprocess.CompletedProcess[bytes]":
    """In a thread: subprocess starts by vfork, while uvloop forks the whole process (17 ms of a stalled loop each)."""
    return subprocess.run(
        [binary], input=request, capture_output=True, env=environment, timeout=PLUGIN_TIMEOUT_SECONDS, check=False
    )


def needed(config: JSON, attachment: Attachment) -> list[JSON]:
    """The plugins that have something to do for a pod."""
    return [p for p in config["plugins"] if p["type"] != "portmap" or attachment.port_mappings]


def _is_own(netns: str) -> bool:
    """Whether this is the network namespace of the node itself, in which plugins would undo its own interfaces."""
    try:
        return os.stat(netns).st_ino == os.stat("/proc/self/ns/net").st_ino
    except OSError:
        return False


def plugin_request(config: JSON, plugin: JSON, attachment: Attachment, previous: JSON) -> JSON:
    """A plugin's stdin: its own part of the list, the list's name and version, runtime data it is able to use."""
    request = {**plugin, "name": config["name"], "cniVersion": config["cniVersion"]}
    if previous:
        request["prevResult"] = previous
    if (plugin.get("capabilities") or {}).get("portMappings") and attachment.port_mappings:
        request["runtimeConfig"] = {"portMappings": list(attachment.port_mappings)}
    return request


def addresses(result: JSON) -> list[str]:
    """The addresses of a result, without their prefix lengths."""
    return [entry["address"].split("/")[0] for entry in result.get("ips") or []]


def reservations(network: str) -> set[str]:
    """The container ids for which host-local holds an address."""
    held = set()
    for path in (HOST_LOCAL_DATA / network).glob("*"):
        if path.name[0].isdigit():
            held.add(path.read_text().split("\n")[0].strip())
    return held - {""}


def bridge_conflist(*, name: str, pod_cidr: str, mtu: int, bridge: str) -> JSON:
    """The default network: a bridge with the node's range, no NAT inside the cluster, host ports by portmap."""
    return {
        "cniVersion": "1.0.0",
        "name": name,
        "plugins": [
            {
                "type": "bridge",
                "bridge": bridge,
                "mtu": mtu,
                "isGateway": True,
                "ipMasq": False,
                "hairpinMode": True,
                "ipam": {
                    "type": "host-local",
                    "ranges": [[{"subnet": pod_cidr}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": True}},
        ],
    }


def _error(out: bytes, err: bytes) -> str:
    try:
        answer = orjson.loads(out)
        return f"{answer.get('msg', '')} {answer.get('details', '')}".strip()
    except (orjson.JSONDecodeError, AttributeError):
        return (out + err).decode(errors="replace").strip() or "no output"
