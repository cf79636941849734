"""What every command shares: flags that say which cluster, a client, and errors worded as kubectl words them.

A command is a coroutine that gets a Session and its own flags; `command` makes a click command of it. Whatever goes
wrong in it ends as one line on stderr and exit code 1, unless the command says otherwise.
"""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

import click

from apimachinery.errors import Invalid, StatusError
from kubeclient.config import ClientConfig, load_kubeconfig
from kubeclient.errors import ConfigError, Unreachable
from kubeclient.rest import Client
from minikubectl.resources import Catalog

JSON = dict[str, Any]
Command = Callable[..., Awaitable[int | None]]

INTERRUPTED: Final = 130


class Failed(Exception):
    """The command can't go on: the message, printed as `error: ...`."""


@dataclass(slots=True)
class Session:
    """One run of a command."""

    config: ClientConfig
    client: Client
    namespace: str
    namespace_given: bool
    catalog: Catalog
    failures: int = field(default=0)

    def fail(self, error: Exception) -> None:
        """Say what went wrong with one of several objects, and go on."""
        self.failures += 1
        click.echo(describe_error(error, self.config.server), err=True)

    @property
    def code(self) -> int:
        return 1 if self.failures else 0


def describe_error(error: Exception, server: str = "") -> str:
    """An error as kubectl prints it."""
    match error:
        case Invalid() if error.causes and error.details.get("name"):
            what = f'The {error.details.get("kind")} "{error.details["name"]}" is invalid: '
            said = [f"{cause.get('field')}: {cause.get('message')}" for cause in error.causes]
            return what + (said[0] if len(said) == 1 else "".join(f"\n* {each}" for each in said))
        case StatusError() if error.reason:
            return f"Error from server ({error.reason}): {error.message}"
        case StatusError():
            return f"Error from server: {error.message}"
        case Unreachable():
            return f"The connection to the server {urlsplit(server).netloc or server} failed: {error}"
    return f"error: {error}"


def command(group: click.Group, name: str, **settings: Any) -> Callable[[Command], click.Command]:
    """Register an `async def f(session, **flags) -> exit code` as a command of `group`."""

    def register(function: Command) -> click.Command:
        @click.option("-n", "--namespace", default=None, help="Namespace to work in.")
        @click.option("--kubeconfig", default=None, type=click.Path(), help="Path of the kubeconfig file.")
        @click.option("--context", default=None, help="Context of the kubeconfig to use.")
        @click.pass_context
        def run(ctx: click.Context, /, **flags: Any) -> None:
            shared = dict(ctx.obj or {})
            shared |= {key: flags.pop(key) or shared.get(key) for key in ("namespace", "kubeconfig", "context")}
            sys.exit(_run(function, shared, flags))

        run.__doc__ = function.__doc__
        run.__click_params__[:0] = getattr(function, "__click_params__", [])  # type: ignore[attr-defined]
        return group.command(name, **settings)(run)

    return register


def _run(function: Command, shared: JSON, flags: JSON) -> int:
    server = ""
    try:
        config = load_kubeconfig(shared["kubeconfig"], context=shared["context"])
        server = config.server
        return asyncio.run(_with_client(function, config, shared["namespace"], flags))
    except* (StatusError, Unreachable, ConfigError, Failed, OSError) as group:
        first = _first(group)
        if isinstance(first, BrokenPipeError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nobody reads on: nothing to say
            code = 0
        else:
            click.echo(describe_error(first, server), err=True)
            code = 1
    except* KeyboardInterrupt:
        code = INTERRUPTED
    return code


def _first(error: BaseException) -> Exception:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error if isinstance(error, Exception) else Failed(str(error))


async def _with_client(function: Command, config: ClientConfig, namespace: str | None, flags: JSON) -> int:
    async with Client(config, user_agent="minikubectl") as client:
        session = Session(config, client, namespace or config.namespace, bool(namespace), Catalog(client))
        code = await function(session, **flags)
        return session.code if code is None else code
