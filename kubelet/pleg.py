"""Pod lifecycle events: which pods' containers changed, from Docker's event stream, confirmed by relisting.

The stream is quick but may be cut, and says nothing of what happened before it was opened. So a relisting compares the
states of all containers every few seconds: cheap, and nothing stays unnoticed for longer.
"""

import asyncio
import logging
import time
from collections.abc import Callable

from .engine import Engine, EngineError
from .metrics import PLEG_RELIST_SECONDS
from .observed import LABEL_POD_UID
from .runtime import Runtime

log = logging.getLogger(__name__)

RELIST_SECONDS = 10.0
RELIST_TIMEOUT_SECONDS = 10.0  # a Docker that hangs takes the request and never answers
DOWN_SECONDS = 30.0  # of silence make the node not ready, as upstream: a daemon that restarts is back long before
RECONNECT_SECONDS = 1.0
EVENTS = ["start", "die", "oom"]


class Pleg:
    """Calls `changed` with the UID of a pod whose containers changed."""

    def __init__(
        self,
        engine: Engine,
        runtime: Runtime,
        changed: Callable[[str], None],
        *,
        turned: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine = engine
        self._runtime = runtime
        self._changed = changed
        self._clock = clock
        self._turned = turned  # called when Docker begins or ceases to answer
        self._states: dict[str, tuple[str, str]] = {}
        self._answered_at: float | None = None
        self.healthy = False

    @property
    def problem(self) -> str:
        """Why nothing can be run, "" if Docker answers."""
        return "" if self.healthy else "container runtime is down"

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._listen(), name="docker events")
            group.create_task(self._relist_forever(), name="docker relist")

    async def _listen(self) -> None:
        while True:
            try:
                filters = {"type": ["container"], "event": EVENTS, "label": [LABEL_POD_UID]}
                async for event in self._engine.events(filters):
                    if event["Action"] == "die":
                        self._runtime.note_death(event["Actor"]["ID"])
                    self._changed(event["Actor"]["Attributes"][LABEL_POD_UID])
            except EngineError as error:
                log.info("docker events: %s", error)
            await asyncio.sleep(RECONNECT_SECONDS)

    async def _relist_forever(self) -> None:
        while True:
            try:
                async with asyncio.timeout(RELIST_TIMEOUT_SECONDS):
                    await self.relist()
                self._answered_at, pause = self._clock(), RELIST_SECONDS
            except (EngineError, TimeoutError) as error:
                text = str(error) or f"nothing within {RELIST_TIMEOUT_SECONDS:.0f} s"
                log.warning("docker does not answer: %s", text)
                pause = RECONNECT_SECONDS
            since = self._answered_at
            healthy = since is not None and self._clock() - since < DOWN_SECONDS
            if healthy is not self.healthy:
                self.healthy = healthy
                self._turned()
            await asyncio.sleep(pause)

    async def relist(self) -> None:
        """Compare with the last listing."""
        with PLEG_RELIST_SECONDS.time():
            states = await self._runtime.states()
        moved = {uid for cid, (uid, state) in states.items() if self._states.get(cid, ("", ""))[1] != state}
        moved |= {uid for cid, (uid, _) in self._states.items() if cid not in states}
        self._states = states
        for uid in moved:
            self._changed(uid)
