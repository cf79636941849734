"""What every command shares: flags that say which cluster, a client, and errors worded as kubectl words them.

A command is a coroutine that gets a Session and its own flags; `command` makes a click command of it. Whatever goes
wrong in it ends as one line on stderr and exit code 1, unless the command says otherwise.
"""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final
from urllib.parse import urlsplit

import click

from apimachinery.errors import Invalid, NotFound, StatusError
from kubeclient.config import ClientConfig, load_kubeconfig
from kubeclient.errors import ConfigError, Unreachable
from kubeclient.rest import Client
from minikubectl import completing
from minikubectl.options import together
from minikubectl.resources import Catalog

JSON = dict[str, Any]
Command = Callable[..., Awaitable[int | None]]

INTERRUPTED: Final = 130


class Failed(Exception):
    """The command can't go on: the message, printed as `error: ...`, and the exit code."""

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.code = code


@dataclass(slots=True)
class Session:
    """One run of a command."""

    config: ClientConfig
    client: Client
    namespace: str
    namespace_given: bool
    catalog: Catalog
    failures: int = field(default=0)
    kubeconfig: str | None = None

    def inside(self, namespace: str | None) -> "Session":
        """The same, at work in another namespace."""
        return replace(self, namespace=namespace or self.namespace)

    def fail(self, error: Exception) -> None:
        """Say what went wrong with one of several objects, and go on."""
        self.failures += 1
        complain(describe_error(error, self.config.server))

    def fail_unless(self, ignore_not_found: bool, error: Exception) -> None:
        """`fail`, but for an object that need not be there."""
        if not (ignore_not_found and isinstance(error, NotFound)):
            self.fail(error)

    def say_nothing_found(self, *, everywhere: bool = False) -> None:
        click.echo(f"No resources found{'' if everywhere else f' in {self.namespace} namespace.'}", err=True)

    @property
    def code(self) -> int:
        return 1 if self.failures else 0


def complain(text: str) -> None:
    """Say on stderr what went wrong, in red on a terminal."""
    click.echo(click.style(text, fg="red"), err=True)


def describe_error(error: Exception, server: str = "") -> str:
    """An error as kubectl prints it."""
    match error:
        case Invalid() if error.causes:
            named = error.details.get("name")
            what = f'The {error.details.get("kind")} "{named}" is invalid: ' if named else "The request is invalid: "
            said = [": ".join(filter(None, (cause.get("field"), cause.get("message")))) for cause in error.causes]
            return what + (said[0] if len(said) == 1 else "".join(f"\n* {each}" for each in said))
        case StatusError() if error.reason:
            return f"Error from server ({error.reason}): {error.message}"
        case StatusError():
            return f"Error from server: {error.message}"
        case Unreachable():
            return f"The connection to the server {urlsplit(server).netloc or server} failed: {error}"
    return f"error: {error}"


shared_options: Final = together(
    click.option("-n", "--namespace", default=None, help="Namespace to work in.", shell_complete=completing.namespaces),
    click.option("--kubeconfig", default=None, type=click.Path(), help="Path of the kubeconfig file."),
    click.option("--context", default=None, help="Context to use.", shell_complete=completing.contexts),
    click.option("--as", "impersonate", default=None, help="Act as this user."),
    click.option("--color", type=click.Choice(["auto", "always", "never"]), default=None, help="Colours."),
)
_SHARED: Final = ("namespace", "kubeconfig", "context", "impersonate", "color")


def share(ctx: click.Context, flags: JSON) -> JSON:
    """Take the flags that all commands have out of `flags`; those given further left hold where these say nothing."""
    before = ctx.obj or {}
    shared = ctx.obj = {key: flags.pop(key) or before.get(key) for key in _SHARED}
    chosen = {"always": True, "never": False}.get(shared["color"] or "")
    ctx.color = False if chosen is None and os.environ.get("NO_COLOR") else chosen
    return shared


def command(group: click.Group, name: str, **settings: Any) -> Callable[[Command], click.Command]:
    """Register an `async def f(session, **flags) -> exit code` as a command of `group`."""
    return lambda function: group.command(name, **settings)(_runner(function))


def command_group(group: click.Group, name: str, **settings: Any) -> Callable[[Command], Any]:
    """The same as a command that has commands of its own; the function runs where none is given."""
    return lambda function: group.group(name, **settings)(_runner(function))


def _runner(function: Command) -> Callable[..., None]:
    """The click callback that makes a session and runs the coroutine in it."""

    @shared_options
    @click.pass_context
    def run(ctx: click.Context, /, **flags: Any) -> None:
        shared = share(ctx, flags)
        if ctx.invoked_subcommand is None:
            sys.exit(_run(function, shared, flags))

    run.__doc__ = function.__doc__
    run.__click_params__[:0] = getattr(function, "__click_params__", [])  # type: ignore[attr-defined]
    return run


def _run(function: Command, shared: JSON, flags: JSON) -> int:
    server = ""
    try:
        config = load_kubeconfig(shared["kubeconfig"], context=shared["context"])
        config = replace(config, impersonate=shared["impersonate"] or config.impersonate)
        server = config.server
        return asyncio.run(_with_client(function, config, shared["namespace"], flags))
    except* (StatusError, Unreachable, ConfigError, Failed, OSError) as group:
        first = _first(group)
        if isinstance(first, BrokenPipeError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nobody reads on: nothing to say
            code = 0
        else:
            complain(describe_error(first, server))
            code = first.code if isinstance(first, Failed) else 1
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
