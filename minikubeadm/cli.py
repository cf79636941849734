"""What the commands share: how a failure is told, and types of options."""

import asyncio
import signal
import sys
from collections.abc import Coroutine
from datetime import timedelta
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
