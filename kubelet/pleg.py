"""Pod lifecycle events: which pods' containers changed, from Docker's event stream, confirmed by relisting.

The stream is quick but may be cut, and says nothing of what happened before it was opened. So a relisting compares the
states of all containers every few seconds: cheap, and nothing stays unnoticed for longer.
"""

import asyncio
import logging
from collections.abc import Callable

from .engine import Engine, EngineError
from .metrics import PLEG_RELIST_SECONDS
from .observed import LABEL_POD_UID
from .runtime import Runtime

log = logging.getLogger(__name__)

RELIST_SECONDS = 10.0
RECONNECT_SECONDS = 1.0
EVENTS = ["start", "die", "oom"]


class Pleg:
    """Calls `changed` with the UID of a pod whose containers changed."""

    def __init__(
        self, engine: Engine, runtime: Runtime, changed: Callable[[str], None], *, turned: Callable[[], None]
    ) -> None:
        self._engine = engine
        self._runtime = runtime
        self._changed = changed
        self._turned = turned  # called when Docker begins or ceases to answer
        self._states: dict[str, tuple[str, str]] = {}
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
                await self.relist()
                if not self.healthy:
                    self.healthy = True
                    self._turned()
            except EngineError as error:
                if self.healthy:
                    log.warning("docker does not answer: %s", error)
                    self.healthy = False
                    self._turned()
            await asyncio.sleep(RELIST_SECONDS)

    async def relist(self) -> None:
        """Compare with the last listing."""
        with PLEG_RELIST_SECONDS.time():
            states = await self._runtime.states()
        moved = {uid for cid, (uid, state) in states.items() if self._states.get(cid, ("", ""))[1] != state}
        moved |= {uid for cid, (uid, _) in self._states.items() if cid not in states}
        self._states = states
        for uid in moved:
            self._changed(uid)
