"""How every service starts and stops: uvloop, SIGTERM or SIGINT sets an event, systemd is told READY and STOPPING.

A service's `main` gets the stop event, waits for it, and returns; its tasks are its own (TaskGroup), so when it has
returned nothing is left. A second signal, or a `main` that takes longer than the grace, ends the process at once:
services are crash-only.
"""

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Awaitable, Callable

import uvloop

log = logging.getLogger(__name__)

Main = Callable[[asyncio.Event], Awaitable[int | None]]
STOP_GRACE_SECONDS = 25.0


def run(main: Main, *, notify_ready: bool = True) -> int:
    """Run `main(stop)` to its end and give the process's exit code: what it returned, or 0.

    `notify_ready=False` is for a service that calls `notify("READY=1")` itself, once it really is.
    """
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_supervise(main, notify_ready))


async def _supervise(main: Main, notify_ready: bool) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def on_signal(name: str) -> None:
        if stop.is_set():
            log.warning("%s again: ending at once", name)
            os._exit(1)
        log.info("%s: stopping", name)
        notify("STOPPING=1")
        stop.set()
        loop.call_later(STOP_GRACE_SECONDS, os._exit, 1)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number.name)
    if notify_ready:
        notify("READY=1")
    return await main(stop) or 0


def notify(state: str) -> None:
    """Tell systemd (`READY=1`, `STATUS=...`; sd_notify(3)). Does nothing outside of a unit of Type=notify."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
            channel.sendto(state.encode(), address)
    except OSError as error:
        log.warning("cannot notify systemd: %s", error)
