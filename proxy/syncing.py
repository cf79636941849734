"""The proxy at work: events mark Services as changed, one loop computes and applies the difference.

The rules of each Service port are kept as a value, so that a change computes anew only the Services it touches. Syncs
are coalesced: all that comes while one is running is the next one. A write that fails is tried again with everything;
so is a state in which somebody else changed our rules.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from apimachinery import kinds, meta
from apimachinery.meta import JSON
from componentbase import host
from componentbase.metrics import METRICS
from kubeclient.informer import Informer, InformerFactory
from proxy import announcing, iptables, kernel, model

log = logging.getLogger(__name__)
COALESCE_SECONDS = 0.005
RETRY_SECONDS = 1.0
SYNC_SECONDS = METRICS.histogram("kubeproxy_sync_proxy_rules_duration_seconds", "Latency of a sync.")
LAST_SYNC = METRICS.gauge("kubeproxy_sync_proxy_rules_last_timestamp_seconds", "When the last sync ended well.")
FAILURES = METRICS.counter("kubeproxy_sync_proxy_rules_iptables_restore_failures_total", "Failed writes of rules.")
RULES = METRICS.gauge("kubeproxy_sync_proxy_rules_iptables_total", "Rules that the proxy keeps.", ["table"])


class Proxy:
    """Keeps this node's rules as the Services and EndpointSlices want them."""

    def __init__(self, *, node: str, cluster_cidr: str, verify_seconds: float) -> None:
        self._node = node
        self._cluster_cidr = cluster_cidr
        self._verify_seconds = verify_seconds
        self._changed = asyncio.Event()
        self._dirty: set[str] = set()
        self._parts: dict[str, list[iptables.Rules]] = {}
        self._ports: dict[str, list[model.Port]] = {}
        self._announced: dict[str, set[str]] = {}
        self._held: set[str] | None = None
        self._announcing = asyncio.Lock()  # the sync and the check both see to the addresses
        self._applied: iptables.Rules = {}
        self._fingerprint = ""
        self.last_sync = 0.0

    async def run(self, informers: InformerFactory) -> None:
        """Watches and syncs until cancelled."""
        self._services = informers.informer(kinds.SERVICE)
        self._slices = informers.informer(kinds.ENDPOINT_SLICE)
        self._slices.add_index("service", lambda one: [key] if (key := model.service_of(one)) else [])
        self._follow(self._services, meta.key)
        self._follow(self._slices, model.service_of)
        host.set_sysctls(kernel.SYSCTLS)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(informers.run())
            await informers.wait_synced()
            self._changed.set()
            tasks.create_task(self._keep())
            await self._sync_forever()

    def _follow(self, informer: Informer, key_of: Callable[[JSON], str]) -> None:
        def changed(obj: JSON) -> None:
            self._mark(key_of(obj))

        def updated(old: JSON, new: JSON) -> None:
            self._mark(key_of(old))
            self._mark(key_of(new))

        informer.add_handler(on_add=changed, on_update=updated, on_delete=changed)

    def _mark(self, key: str) -> None:
        if key:
            self._dirty.add(key)
            self._changed.set()

    async def _sync_forever(self) -> None:
        while True:
            await self._changed.wait()
            await asyncio.sleep(COALESCE_SECONDS)
            self._changed.clear()
            try:
                await self._sync()
            except host.CommandError as error:
                FAILURES.inc()
                self._applied = {}
                log.error("writing rules failed, all will be written again in %.0f s: %s", RETRY_SECONDS, error)
                await asyncio.sleep(RETRY_SECONDS)
                self._changed.set()
            else:
                await self._announce()

    async def _sync(self) -> None:
        started = time.monotonic()
        first = not self._applied
        dirty, self._dirty = self._dirty, set()
        stale = [flow for key in dirty for flow in self._refresh(key)]
        wanted = iptables.joined(rules for parts in self._parts.values() for rules in parts)
        saved: dict[str, str] = {}
        if first:
            saved = await kernel.save()
            self._applied = {table: dict.fromkeys(kernel.our_chains(saved[table]), ("unknown",)) for table in saved}
        text = iptables.render(self._applied, wanted)
        if text:
            await kernel.restore(text)
        self._applied = wanted
        if first:
            await kernel.add_jumps(kernel.missing_jumps(saved))
        self._fingerprint = ""
        for address, port in stale:
            await kernel.forget_connections(address, port)
        self.last_sync = time.time()
        LAST_SYNC.set(self.last_sync)
        SYNC_SECONDS.observe(time.monotonic() - started)
        for table, chains in wanted.items():
            RULES.labels(table).set(sum(map(len, chains.values())))

    async def _announce(self, *, again: bool = False) -> None:
        """Holds the load-balancer addresses that are this node's; `again` also looks whether they are still there.

        A failure is logged and tried again with the next check of the rules, which it leaves alone.
        """
        async with self._announcing:
            wanted = {address for each in self._announced.values() for address in each}
            if wanted == self._held and not (again and wanted):
                return
            self._held = None
            try:
                await asyncio.to_thread(announcing.hold, wanted)
            except OSError as error:
                log.error("load-balancer addresses %s: %s", ", ".join(sorted(wanted)) or "to give up", error)
                return
            self._held = wanted

    def _refresh(self, key: str) -> list[tuple[str, int]]:
        """Computes one Service's rules anew; gives the UDP addresses whose tracked flows are stale."""
        service = self._services.get(key)
        before = self._ports.pop(key, [])
        ports = model.ports(service, self._slices.by_index("service", key), node=self._node) if service else []
        self._parts.pop(key, None)
        self._announced.pop(key, None)
        if service and (addresses := announcing.addresses_of([service], node=self._node)):
            self._announced[key] = addresses
        if ports:
            self._ports[key] = ports
            self._parts[key] = [iptables.port_rules(port, self._cluster_cidr) for port in ports]
        now = {(port.cluster_ip, port.port): set(port.endpoints) for port in ports}
        return [
            (old.cluster_ip, old.port)
            for old in before
            if old.protocol == "udp" and set(old.endpoints) - now.get((old.cluster_ip, old.port), set())
        ]

    async def _keep(self) -> None:
        """Looks now and then whether the kernel still has what was written; whatever was removed is put back."""
        while True:
            await asyncio.sleep(self._verify_seconds)
            await self._announce(again=True)  # somebody may have removed the link or an address
            if not self._applied or self._changed.is_set():
                continue
            applied = self._applied
            try:
                saved = await kernel.save()
            except host.CommandError as error:
                log.warning("reading the rules back failed: %s", error)
                continue
            seen = kernel.fingerprint(saved)
            if applied is not self._applied:
                continue
            if not self._fingerprint and not kernel.missing_jumps(saved) and self._complete(saved):
                self._fingerprint = seen
            elif seen != self._fingerprint:
                log.warning("somebody changed our rules: writing them again")
                self._applied = {}
                self._changed.set()

    def _complete(self, saved: dict[str, str]) -> bool:
        """Whether the kernel has as many rules in our chains as were written."""
        return all(
            sum(1 for line in saved[table].splitlines() if line.startswith("-A KUBE-"))
            >= sum(map(len, chains.values()))
            for table, chains in self._applied.items()
        )
