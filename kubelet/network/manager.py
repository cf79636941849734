"""The node's share of the pod network, kept as it should be: configuration, kernel switches, masquerading, overlay.

It begins when the node has a podCIDR; until it has been done once, the node is not Ready. Afterwards it follows the
other nodes as they come and go, and puts back now and then what somebody else removed.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from pathlib import Path

import orjson

from apimachinery.meta import JSON
from componentbase import host

from ..settings import Settings
from . import kernel
from .cni import bridge_conflist
from .overlay import VXLAN_OVERHEAD_BYTES, Overlay, Peer, wanted

log = logging.getLogger(__name__)

NETWORK_NAME = "mini"
BRIDGE = "cni0"
CONFLIST = "10-mini.conflist"
REASSERT_SECONDS = 30.0
RETRY_SECONDS = 2.0
NOT_READY = (
    "container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady "
    "message:Network plugin returns error: cni plugin not initialized"
)


class Network:
    """Runs the default network; with `manage_network` off only waits for somebody else's configuration."""

    def __init__(
        self,
        settings: Settings,
        *,
        node: Callable[[], JSON | None],
        nodes: Callable[[], Iterable[JSON]],
        on_ready: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._node = node
        self._nodes = nodes
        self._on_ready = on_ready
        self._changed = asyncio.Event()
        self._pod_cidr = ""
        self._unset: list[str] = []
        self.ready = False

    def poke(self) -> None:
        """A node was added, changed, or removed."""
        self._changed.set()

    @property
    def problem(self) -> str:
        """Why the network is not ready, "" if it is."""
        return "" if self.ready else NOT_READY

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._changed.clear()
            delay = REASSERT_SECONDS
            try:
                await self._sync()
            except (OSError, RuntimeError, ValueError) as error:
                log.warning("pod network: %s", error)
                delay = RETRY_SECONDS
            except Exception as error:
                if type(error).__name__ != "NetlinkError":  # pyroute2's, which is loaded only where it is used
                    raise
                log.warning("pod network: netlink: %s", error)
                delay = RETRY_SECONDS
            try:
                async with asyncio.timeout(delay):
                    await self._changed.wait()
            except TimeoutError:
                pass

    async def _sync(self) -> None:
        settings = self._settings
        if not settings.manage_network:
            if any(settings.cni_conf_dir.glob("*.conf*")):
                self._set_ready()
            return
        pod_cidr = settings.pod_cidr or ((self._node() or {}).get("spec") or {}).get("podCIDR") or ""
        if not pod_cidr:
            return
        if pod_cidr != self._pod_cidr or not self._unset:
            self._unset = host.set_sysctls(kernel.SYSCTLS)  # again and again, unless this node refuses some: said once
            self._pod_cidr = pod_cidr
        if mended := await kernel.ensure_bridge(settings.root_dir / "cni"):
            log.warning("the pods' bridge was removed: put back, %d pods on it", mended)
        await kernel.ensure_masquerade(pod_cidr=pod_cidr, cluster_cidr=settings.cluster_cidr)
        peers = wanted(self._nodes(), settings.node_name)
        if changed := await asyncio.to_thread(self._apply, pod_cidr, peers):
            log.info("overlay: %d entries changed, %d peers", changed, len(peers))
        self._set_ready()

    def _apply(self, pod_cidr: str, peers: set[Peer]) -> int:
        """In a thread, with a netlink socket of its own: pyroute2's belong to the thread that opened them."""
        from pyroute2 import IPRoute

        with IPRoute() as ipr:
            overlay = Overlay(ipr, node_ip=self._settings.node_ips[0], pod_cidr=pod_cidr)
            overlay.set_up()
            _, mtu = overlay.underlay()
            changed = overlay.sync(peers)
        config = bridge_conflist(name=NETWORK_NAME, pod_cidr=pod_cidr, mtu=mtu - VXLAN_OVERHEAD_BYTES, bridge=BRIDGE)
        _write(self._settings.cni_conf_dir / CONFLIST, orjson.dumps(config, option=orjson.OPT_INDENT_2))
        return changed

    def _set_ready(self) -> None:
        if not self.ready:
            self.ready = True
            log.info("pod network is ready, range %s", self._pod_cidr or "given by its configuration")
            self._on_ready()


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_bytes() != content:
        temporary = path.with_suffix(".tmp")
        temporary.write_bytes(content)
        temporary.rename(path)
