"""What the commands share: how a failure is told, and types of options."""

import asyncio
import functools
import signal
import sys
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from apimachinery.errors import StatusError
from componentbase import flags
from kubeclient.errors import ConfigError, Unreachable
from minikubeadm import sharedcertificates, tokens
from minikubeadm.process import StepFailed


def run(work: Coroutine[Any, Any, None]) -> None:
    """Run a command's work; a failure is told on standard error and ends with exit code 1.

    SIGTERM and Ctrl-C cancel the work, so that it cleans up behind itself, and end with 143 and 130.
    """
    try:
        asyncio.run(_until_terminated(work))
    except StepFailed as failure:
        click.echo(failure.report(), err=True)
        sys.exit(1)
    except (StatusError, Unreachable, ConfigError) as error:
        click.echo(f"failed: {error}", err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        click.echo("interrupted", err=True)
        sys.exit(130)
    except asyncio.CancelledError:
        click.echo("terminated", err=True)
        sys.exit(143)


async def _until_terminated(work: Coroutine[Any, Any, None]) -> None:
    task = asyncio.ensure_future(work)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    await task


class _Duration(click.ParamType[timedelta]):
    """Go's notation: 24h, 90s, 0."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """A timedelta; zero means for ever."""
        if isinstance(value, timedelta):
            return value
        try:
            return timedelta(seconds=flags.duration(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


DURATION = _Duration()


def token_option(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """Refuse at once what is no bootstrap token."""
    if value is not None:
        try:
            tokens.parse(value)
        except ValueError as error:
            raise click.BadParameter(str(error)) from error
    return value


def certificate_key_option(ctx: click.Context, param: click.Parameter, value: str) -> str:
    """Refuse at once what is no certificate key."""
    try:
        return value and sharedcertificates.checked(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def options_of(decorators: Sequence[Callable[[Any], Any]]) -> Callable[[Any], Any]:
    """One decorator for options that several commands have in common."""
    return lambda command: functools.reduce(lambda inner, one: one(inner), reversed(decorators), command)


def commas(text: str) -> list[str]:
    """The parts of a list that is given with commas."""
    return [part.strip() for part in text.split(",") if part.strip()]


def table(rows: Sequence[Sequence[str]]) -> str:
    """Columns with three blanks between them, as kubeadm prints its tables."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ("   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def residual(ends: datetime, *, now: datetime | None = None) -> str:
    """The time left as kubeadm prints it: 364d, 9y, 23h; `<invalid>` when it is over."""
    seconds = (ends - (now or datetime.now(UTC))).total_seconds()
    steps = ((365 * 86400, "y"), (86400, "d"), (3600, "h"), (60, "m"), (0, "s"))
    return next((f"{int(seconds // (size or 1))}{unit}" for size, unit in steps if seconds >= size), "<invalid>")
