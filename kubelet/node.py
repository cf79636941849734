"""The Node object: what this machine is, what it has, how it is; pure but for reading /proc and asking Docker.

`NodeReporter` registers the node and keeps its status true: at once when something changed, every few minutes
otherwise; that the node lives is the lease's business.
"""

import asyncio
import logging
import os
import platform
import shutil
from collections.abc import Callable

from apimachinery import errors, kinds, meta, quantity
from apimachinery.meta import JSON
from componentbase import defaults
from kubeclient.errors import Unreachable
from kubeclient.rest import STRATEGIC_MERGE_PATCH, Client

from . import pressure
from .engine import Engine, EngineError
from .machine import memory_bytes, read
from .pressure import Shortage
from .settings import Settings

log = logging.getLogger(__name__)

IMAGES_SHOWN_MAX = 50
HOST_NAME_LABEL = "kubernetes.io/hostname"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
REGISTER_RETRY_SECONDS_MAX = 7.0
TURNS = {
    ("Ready", "True"): "NodeReady",
    ("Ready", "False"): "NodeNotReady",
    ("MemoryPressure", "True"): "NodeHasInsufficientMemory",
    ("MemoryPressure", "False"): "NodeHasSufficientMemory",
    ("DiskPressure", "True"): "NodeHasDiskPressure",
    ("DiskPressure", "False"): "NodeHasNoDiskPressure",
    ("PIDPressure", "True"): "NodeHasInsufficientPID",
    ("PIDPressure", "False"): "NodeHasSufficientPID",
}
ENGINE_SECONDS = 5.0  # the node's state is told also while its Docker hangs
SETTLE_SECONDS = 5.0  # a kubelet that starts has this long to be ready before it says that it isn't


def architecture() -> str:
    """As Go names it."""
    return ARCHITECTURES.get(platform.machine(), platform.machine())


def new_node(settings: Settings) -> JSON:
    """The object to register."""
    labels = {
        HOST_NAME_LABEL: settings.node_name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": architecture(),
        "beta.kubernetes.io/os": "linux",
        "beta.kubernetes.io/arch": architecture(),
        **settings.node_labels,
    }
    node: JSON = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": settings.node_name, "labels": labels},
        "spec": {},
    }
    if settings.register_with_taints:
        node["spec"]["taints"] = [dict(taint) for taint in settings.register_with_taints]
    return node


def capacity(settings: Settings) -> dict[str, str]:
    """What the machine has."""
    disk = shutil.disk_usage(settings.root_dir if settings.root_dir.exists() else "/")
    return {
        "cpu": str(os.cpu_count() or 1),
        "memory": f"{memory_bytes() // 1024}Ki",
        "ephemeral-storage": f"{disk.total // 1024}Ki",
        "hugepages-1Gi": "0",
        "hugepages-2Mi": "0",
        "pods": str(settings.max_pods),
    }


def allocatable(whole: dict[str, str], reserved: dict[str, str]) -> dict[str, str]:
    """What of it pods may have."""
    left = dict(whole)
    for name, amount in reserved.items():
        if name == "cpu":
            left[name] = f"{quantity.milli(whole[name]) - quantity.milli(amount)}m"
        elif name in left:
            left[name] = f"{(quantity.value(whole[name]) - quantity.value(amount)) // 1024}Ki"
    return left


def node_info(runtime_version: str) -> JSON:
    """nodeInfo of the status."""
    release = dict(
        line.strip().split("=", 1) for line in read("/etc/os-release").splitlines() if "=" in line and line[0] != "#"
    )
    own_id = read("/etc/machine-id").strip()
    return {
        "machineID": own_id,
        "systemUUID": read("/sys/class/dmi/id/product_uuid").strip() or own_id,
        "bootID": read("/proc/sys/kernel/random/boot_id").strip(),
        "kernelVersion": platform.release(),
        "osImage": release.get("PRETTY_NAME", "Linux").strip('"'),
        "containerRuntimeVersion": f"docker://{runtime_version}",
        "kubeletVersion": defaults.GIT_VERSION,
        "kubeProxyVersion": "",
        "operatingSystem": "linux",
        "architecture": architecture(),
    }


def conditions(
    old: list[JSON], under_pressure: list[tuple[str, bool, str, str]], problem: str, *, now: str
) -> list[JSON]:
    """The kubelet's four conditions put into the old ones; `problem` is why the node is not ready, "" if it is."""
    found = [dict(condition) for condition in old]
    rows = [(name, "True" if bad else "False", reason, text) for name, bad, reason, text in under_pressure]
    if problem:
        rows.append(("Ready", "False", "KubeletNotReady", problem))
    else:
        rows.append(("Ready", "True", "KubeletReady", "kubelet is posting ready status"))
    for name, value, reason, text in rows:
        meta.set_condition(found, type=name, status=value, reason=reason, message=text, now=now)
        for condition in found:
            if condition["type"] == name:
                condition["lastHeartbeatTime"] = now
    return found


class NodeReporter:
    """Registers the node and keeps its status."""

    def __init__(
        self,
        client: Client,
        engine: Engine,
        settings: Settings,
        *,
        current: Callable[[], JSON | None],
        problem: Callable[[], str],
        record: Callable[[str, str], None],
        shortages: Callable[[], list[Shortage]],
    ) -> None:
        self._client = client
        self._engine = engine
        self._settings = settings
        self._current = current
        self._problem = problem
        self._record = record  # of an event: reason, message
        self._shortages = shortages
        self._changed = asyncio.Event()
        self._reported_at = 0.0
        self._runtime: JSON = {"version": "", "images": []}  # as of the last time Docker answered

    def poke(self) -> None:
        """Readiness may have changed: report now rather than at the next turn."""
        self._changed.set()

    async def register(self) -> JSON:
        """Create the node, or take the one that is there; retried until it works."""
        delay = 0.2
        while True:
            try:
                try:
                    wanted = new_node(self._settings)
                    wanted["status"] = await self._status({})
                    return await self._client.create(kinds.NODE, wanted)
                except errors.AlreadyExists:
                    return await self._reconcile(await self._client.get(kinds.NODE, self._settings.node_name))
            except (errors.StatusError, Unreachable, EngineError) as error:
                log.info("unable to register node %s: %s", self._settings.node_name, error)
            await asyncio.sleep(delay)
            delay = min(REGISTER_RETRY_SECONDS_MAX, delay * 2)

    async def _reconcile(self, node: JSON) -> JSON:
        """Labels that the kubelet sets may have changed with its flags; taints stay as they are."""
        wanted = new_node(self._settings)["metadata"]["labels"]
        missing = {key: value for key, value in wanted.items() if meta.labels(node).get(key) != value}
        if not missing:
            return node
        return await self._client.patch(kinds.NODE, meta.name(node), {"metadata": {"labels": missing}})

    async def run(self) -> None:
        """Until cancelled: report every few seconds what changed, every few minutes anyway."""
        loop = asyncio.get_running_loop()
        settled = loop.time() + SETTLE_SECONDS
        while self._problem() and loop.time() < settled:
            self._changed.clear()
            await self._wait(settled - loop.time())
        while True:
            self._changed.clear()
            try:
                await self._report(loop.time())
            except errors.NotFound:
                log.warning("node %s is gone from the API server: registering again", self._settings.node_name)
                await self.register()
            except (errors.StatusError, Unreachable, EngineError, OSError) as error:
                log.warning("node status: %s", error)
            await self._wait(self._settings.node_status_update_seconds)

    async def _wait(self, seconds: float) -> None:
        """Until something changed, or for so long."""
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            pass

    async def _report(self, now: float) -> None:
        node = self._current() or await self._client.get(kinds.NODE, self._settings.node_name)
        old = node.get("status") or {}
        new = await self._status(old)
        due = now - self._reported_at >= self._settings.node_status_report_seconds
        if not due and self._reported_at and not _differs(old, new):
            return
        body = {"status": {**new, "addresses": [{"$patch": "replace"}, *new["addresses"]]}}
        await self._client.patch(
            kinds.NODE,
            self._settings.node_name,
            body,
            content_type=STRATEGIC_MERGE_PATCH,
            subresource="status",
        )
        self._reported_at = now
        for reason in turns(old.get("conditions") or [], new["conditions"]):
            self._record(reason, f"Node {self._settings.node_name} status is now: {reason}")

    async def _status(self, old: JSON) -> JSON:
        settings = self._settings
        whole = capacity(settings)
        try:
            version = (await self._engine.call("GET", "/version", timeout_seconds=ENGINE_SECONDS))["Version"]
            self._runtime = {"version": version, "images": await self._images()}
        except EngineError as error:
            log.warning("node status: %s", error)
        addresses = [{"type": "InternalIP", "address": ip} for ip in settings.node_ips]
        addresses.append({"type": "Hostname", "address": settings.node_name})
        return {
            "addresses": addresses,
            "capacity": whole,
            "allocatable": allocatable(whole, settings.system_reserved),
            "conditions": conditions(
                old.get("conditions") or [],
                pressure.conditions(self._shortages()),
                self._problem(),
                now=meta.now(),
            ),
            "daemonEndpoints": {"kubeletEndpoint": {"Port": settings.port}},
            "images": self._runtime["images"],
            "nodeInfo": node_info(self._runtime["version"]),
        }

    async def _images(self) -> list[JSON]:
        listed = await self._engine.call("GET", "/images/json", timeout_seconds=ENGINE_SECONDS) or []
        shown = []
        for image in sorted(listed, key=lambda i: int(i["Size"]), reverse=True):
            references = [*(image.get("RepoDigests") or []), *(image.get("RepoTags") or [])]
            if names := [name for name in references if "<none>" not in name]:
                shown.append({"names": names, "sizeBytes": image["Size"]})
        return shown[:IMAGES_SHOWN_MAX]


def turns(old: list[JSON], new: list[JSON]) -> list[str]:
    """Reasons of the events that tell which conditions have turned, as upstream names them."""
    before = {(condition["type"], condition["status"]) for condition in old}
    now = [(condition["type"], condition["status"]) for condition in new]
    return [TURNS[each] for each in now if each in TURNS and each not in before]


def _differs(old: JSON, new: JSON) -> bool:
    """Whether anything but the time of the report differs."""

    def essence(status: JSON) -> JSON:
        shown = {key: status.get(key) for key in ("addresses", "capacity", "allocatable", "images", "nodeInfo")}
        shown["conditions"] = sorted(
            (c["type"], c["status"], c.get("reason"), c.get("message")) for c in status.get("conditions") or []
        )
        return shown

    return essence(old) != essence(new)
