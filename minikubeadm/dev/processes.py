"""Child processes that never outlive the one that started them, and the wait until they answer.

The kernel ends a child when its parent is gone in whatever way (PR_SET_PDEATHSIG, prctl(2)); each child has a session
of its own, so that Ctrl-C reaches the parent alone, which ends them in order.
"""

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)
_LOG_CHARACTERS = 4000
POLL_SECONDS = 0.02
STOP_SECONDS = 10.0


class NotStarted(Exception):
    """A child ended, or did not answer in time; `log` is the end of what it wrote."""

    def __init__(self, name: str, problem: str, log: str) -> None:
        super().__init__(f"{name} {problem}:\n{log}")
        self.name = name
        self.problem = problem
        self.log = log


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody listens on just now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]


class Child:
    """One running program, with its log in a file."""

    def __init__(self, name: str, command: Sequence[str], log: Path, *, environment: Mapping[str, str] | None = None):
        self.name = name
        self.command = tuple(command)
        self.log_file = log
        with log.open("ab") as stream:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                env=environment,
                start_new_session=True,
                preexec_fn=partial(_end_with, os.getpid()),
            )

    @property
    def ended(self) -> bool:
        """Whether it has ended."""
        return self.process.poll() is not None

    def wait_for(
        self, answers: Callable[[], bool], *, timeout_seconds: float, needed: Collection["Child"] = ()
    ) -> None:
        """Wait until it answers (OSError counts as no).

        NotStarted if it, or one of those that it needs, ends before, or if it does not answer within the time; then
        it is killed.
        """
        deadline = time.monotonic() + timeout_seconds
        while True:
            for child in (*needed, self):
                if child.ended:
                    raise child.failure(f"ended with exit code {child.process.returncode}")
            with contextlib.suppress(OSError):
                if answers():
                    return
            if time.monotonic() > deadline:
                self.kill()
                raise self.failure(f"did not answer within {timeout_seconds:.0f} s")
            time.sleep(POLL_SECONDS)

    def failure(self, problem: str) -> NotStarted:
        """What went wrong, with the end of the log."""
        return NotStarted(self.name, problem, self.log_file.read_text(errors="replace")[-_LOG_CHARACTERS:])

    def kill(self) -> None:
        """End it at once, as a crash does."""
        self.process.kill()
        self.process.wait()


def stop(children: Iterable[Child]) -> None:
    """End children together, in order where they can; what takes longer than STOP_SECONDS is killed."""
    running = [child for child in children if not child.ended]
    for child in running:
        child.process.terminate()
    deadline = time.monotonic() + STOP_SECONDS
    for child in running:
        try:
            child.process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            child.kill()


def _end_with(parent: int) -> None:
    """In the child, before the program: be killed with the parent, even if that is gone already."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
