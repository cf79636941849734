"""Named health checks behind `/healthz`, `/livez` and `/readyz`, answered as upstream words them.

A check is a callable, plain or async, that raises when something is wrong; what it raises goes to the log, not to the
caller ("reason withheld"), since health is served to anyone. A check has a bounded time to answer.
"""

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass

log = logging.getLogger(__name__)

Check = Callable[[], Awaitable[None] | None]
CHECK_TIMEOUT_SECONDS = 5.0
ENDPOINTS = ("healthz", "livez", "readyz")


@dataclass(frozen=True, slots=True)
class Report:
    """The answer to one health request."""

    code: int
    text: str


class Checks:
    """The checks of one process, each belonging to some of the three endpoints."""

    def __init__(self) -> None:
        self._checks: dict[str, tuple[Check, Collection[str]]] = {}
        self.add("ping", lambda: None)

    def add(self, name: str, check: Check, *, endpoints: Collection[str] = ENDPOINTS) -> None:
        """Add a check, or put it in the place of the one of that name."""
        self._checks[name] = (check, endpoints)

    def names(self, endpoint: str) -> list[str]:
        """The checks that belong to an endpoint."""
        return [name for name, (_, endpoints) in self._checks.items() if endpoint in endpoints]

    async def report(self, endpoint: str, *, verbose: bool = False, exclude: Collection[str] = ()) -> Report:
        """Run an endpoint's checks at once: 200 `ok`, or 500 with one line for each check."""
        lines, failed = [], []
        asked = [name for name in self.names(endpoint) if name not in exclude]
        passed = dict(zip(asked, await asyncio.gather(*map(self._passes, asked)), strict=True))
        for name in self.names(endpoint):
            if name in exclude:
                lines.append(f"[+]{name} excluded: ok")
            elif passed[name]:
                lines.append(f"[+]{name} ok")
            else:
                lines.append(f"[-]{name} failed: reason withheld")
                failed.append(name)
        if unknown := [name for name in exclude if name not in self._checks]:
            listed = ", ".join(f'"{name}"' for name in unknown)
            lines.append(f"warn: some health checks cannot be excluded: no matches for {listed}")
        if failed:
            log.warning("%s check failed: %s", endpoint, ",".join(failed))
            return Report(500, "\n".join([*lines, f"{endpoint} check failed", ""]))
        return Report(200, "\n".join([*lines, f"{endpoint} check passed", ""]) if verbose else "ok")

    async def report_one(self, endpoint: str, name: str) -> Report | None:
        """Run a single check (`/livez/ping`); None if the endpoint has none of that name."""
        if name not in self.names(endpoint):
            return None
        if await self._passes(name):
            return Report(200, "ok")
        return Report(500, "internal server error: reason withheld\n")

    async def _passes(self, name: str) -> bool:
        try:
            result = self._checks[name][0]()
            if inspect.isawaitable(result):
                async with asyncio.timeout(CHECK_TIMEOUT_SECONDS):
                    await result
        except Exception as error:  # a check may fail in any way; the log has it
            what = f"no answer within {CHECK_TIMEOUT_SECONDS:g} s" if isinstance(error, TimeoutError) else str(error)
            log.info("health check %s failed: %s: %s", name, type(error).__name__, what)
            return False
        return True
