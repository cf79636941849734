"""Which of several processes leads: the one that holds a Lease and keeps renewing it.

No clock is compared with another machine's: a candidate notes when *it* saw the lease change last, and takes over when
that is a lease duration ago. A leader that could not renew for the renew deadline (shorter than the lease) stops being
one before anyone else can be: `run` raises LeadershipLost and the process has to end. A leader that stops on purpose
gives the lease back, so that its successor need not wait.
"""

import asyncio
import logging
import random
import socket
import uuid
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from apimachinery import errors, kinds, meta
from componentbase import defaults
from componentbase.metrics import METRICS
from kubeclient.errors import LeadershipLost, Unreachable
from kubeclient.rest import Client

log = logging.getLogger(__name__)

JSON = dict[str, Any]
JITTER = 1.2
RELEASE_TIMEOUT_SECONDS = 3.0
STATUS = METRICS.gauge("leader_election_master_status", "1 indicates this process is the leader.", ("name",))


def host_identity(port: int, *, machine_id: Path = Path("/etc/machine-id")) -> str:
    """An identity that a process has again after it was killed, so that it need not wait for its own lease to run out.

    It is the machine's, with a port that the process listens on: while it lives, no other process there can have it.
    Without either, it is a random one.
    """
    try:
        machine = machine_id.read_text().strip()
    except OSError:
        machine = ""
    unique = f"{machine}:{port}" if machine and port else str(uuid.uuid4())
    return f"{socket.gethostname()}_{unique}"


class LeaderElector:
    """One candidate for one lease. Durations are in seconds."""

    def __init__(
        self,
        client: Client,
        *,
        name: str,
        namespace: str = defaults.SYSTEM_NAMESPACE,
        identity: str = "",
        lease_duration: float = defaults.LEASE_DURATION.total_seconds(),
        renew_deadline: float = defaults.RENEW_DEADLINE.total_seconds(),
        retry_period: float = defaults.RETRY_PERIOD.total_seconds(),
    ) -> None:
        if not lease_duration > renew_deadline > retry_period * JITTER > 0:
            raise ValueError("leader election needs lease duration > renew deadline > retry period * 1.2 > 0")
        self._client = client
        self._name, self._namespace = name, namespace
        self.identity = identity or host_identity(0)
        self._lease_duration = lease_duration
        self._renew_deadline = renew_deadline
        self._retry_period = retry_period
        self._lease: JSON | None = None  # as last seen
        self._seen_at = float("-inf")  # when it was last seen to change
        self.leading = False

    async def run(self, lead: Callable[[], Awaitable[None]]) -> None:
        """Wait to be leader, then run `lead` to its end. Raises LeadershipLost when the lease slips away meanwhile."""
        STATUS.labels(self._name).set(0)
        while not await self._try():  # noqa: ASYNC110 — it polls a server
            await asyncio.sleep(self._retry_period * random.uniform(1.0, JITTER))
        log.info("%s: %s leads", self._name, self.identity)
        self.leading = True
        STATUS.labels(self._name).set(1)
        leading = asyncio.ensure_future(lead())
        renewing = asyncio.ensure_future(self._renew())
        try:
            await asyncio.wait((leading, renewing), return_when=asyncio.FIRST_COMPLETED)
            (renewing if renewing.done() else leading).result()
        finally:
            for task in (leading, renewing):
                task.cancel()
            await asyncio.gather(leading, renewing, return_exceptions=True)
            self.leading = False
            STATUS.labels(self._name).set(0)
            await self._release()

    async def _renew(self) -> None:
        """Renew until that has failed for the whole deadline."""
        renewed_at = _now()
        while True:
            await asyncio.sleep(self._retry_period)
            left = renewed_at + self._renew_deadline - _now()
            renewed = False
            with suppress(TimeoutError):
                async with asyncio.timeout(max(left, 0.01)):
                    renewed = await self._try()
            if renewed:
                renewed_at = _now()
            elif _now() - renewed_at >= self._renew_deadline or self._held_by_other():
                raise LeadershipLost(f"lease {self._namespace}/{self._name} lost by {self.identity}")

    async def _try(self) -> bool:
        """Take or renew the lease; False if someone else has it or nobody can tell."""
        try:
            if self.leading and self._lease is not None:
                return await self._write(self._lease)  # nobody else writes it: no need to look first
            current = await self._client.get(kinds.LEASE, self._name, namespace=self._namespace)
        except errors.NotFound:
            return await self._create()
        except errors.Conflict:
            self._lease = None
            return False
        except (errors.StatusError, Unreachable) as error:
            log.warning("lease %s/%s: %s", self._namespace, self._name, error)
            return False
        if self._lease is None or self._lease["spec"] != current["spec"]:
            self._seen_at = _now()
        self._lease = current
        if self._held_by_other() and _now() < self._seen_at + self._duration_of(current):
            return False
        try:
            return await self._write(current)
        except (errors.StatusError, Unreachable) as error:
            log.info("lease %s/%s: %s", self._namespace, self._name, error)
            return False

    async def _create(self) -> bool:
        body = {
            "apiVersion": kinds.LEASE.api_version,
            "kind": "Lease",
            "metadata": {"name": self._name, "namespace": self._namespace},
            "spec": self._spec({}),
        }
        try:
            self._lease = await self._client.create(kinds.LEASE, body)
        except (errors.StatusError, Unreachable) as error:
            log.info("lease %s/%s: %s", self._namespace, self._name, error)
            return False
        return True

    async def _write(self, lease: JSON) -> bool:
        self._lease = await self._client.update(kinds.LEASE, {**lease, "spec": self._spec(lease.get("spec") or {})})
        self._seen_at = _now()
        return True

    def _spec(self, old: JSON) -> JSON:
        moment = meta.now_micro()
        ours = old.get("holderIdentity") == self.identity
        return {
            **old,
            "holderIdentity": self.identity,
            "leaseDurationSeconds": max(1, round(self._lease_duration)),
            "acquireTime": old.get("acquireTime", moment) if ours else moment,
            "renewTime": moment,
            "leaseTransitions": old.get("leaseTransitions", 0) + (not ours and bool(old)),
        }

    def _held_by_other(self) -> bool:
        holder = ((self._lease or {}).get("spec") or {}).get("holderIdentity") or ""
        return holder not in ("", self.identity)

    def _duration_of(self, lease: JSON) -> float:
        """The holder's own promise counts, not ours."""
        return float(lease["spec"].get("leaseDurationSeconds") or self._lease_duration)

    async def _release(self) -> None:
        """Give the lease back, if it is still ours; a failure costs the successor a wait, no more."""
        if self._lease is None or self._held_by_other():
            return
        with suppress(errors.StatusError, OSError, TimeoutError):
            async with asyncio.timeout(RELEASE_TIMEOUT_SECONDS):
                while not await self._give_back():
                    pass

    async def _give_back(self) -> bool:
        """Look first: a renewal that was cancelled may have been written all the same. False if one came between."""
        self._lease = await self._client.get(kinds.LEASE, self._name, namespace=self._namespace)
        if self._held_by_other():
            return True
        spec = {**self._spec(self._lease["spec"]), "holderIdentity": "", "leaseDurationSeconds": 1}
        with suppress(errors.Conflict):
            await self._client.update(kinds.LEASE, {**self._lease, "spec": spec})
            return True
        return False


def _now() -> float:
    return asyncio.get_running_loop().time()
