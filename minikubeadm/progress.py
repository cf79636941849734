"""One line per step, with its time, as the step ends: readable in a terminal, in a log, and through `docker exec`."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import click


class Progress:
    """Prints steps. `indent` sets a nested command's lines off from those of the command that runs it."""

    def __init__(self, *, indent: str = "", clock: Callable[[], float] = time.monotonic) -> None:
        self._indent = indent
        self._clock = clock
        self._begun = clock()

    @asynccontextmanager
    async def step(self, what: str) -> AsyncIterator[None]:
        """Time a step; print it with a tick when it is done and with a cross when it fails."""
        begun = self._clock()
        try:
            yield
        except BaseException:
            self.line(f"{click.style('✗', fg='red')} {what} ({self._clock() - begun:.1f} s)")
            raise
        self.line(f"{click.style('✓', fg='green')} {what} ({self._clock() - begun:.1f} s)")

    def line(self, text: str) -> None:
        """Print a line at once."""
        click.echo(f"{self._indent}{text}")

    def nested(self, prefix: str) -> Callable[[str], None]:
        """A printer for the lines of a command that runs elsewhere."""
        return lambda line: self.line(f"  {prefix} {line}")

    @property
    def seconds(self) -> float:
        """Time since the first step began."""
        return self._clock() - self._begun
