"""The root of the commands, and how a wrong command line is answered: `error: ...`, exit code 1."""

import re
import sys
from collections.abc import Sequence
from typing import Any

import click

from minikubectl.session import complain, share, shared_options

_HELP = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class _Command(click.Command):
    """A command whose flags may also be given as `--flag=true` and `--flag=false`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        plain: dict[str, list[str]] = {}
        for option in self.params:
            if isinstance(option, click.Option) and option.is_flag:
                for name in option.opts:
                    plain |= {f"{name}=true": [name], f"{name}=false": option.secondary_opts[:1]}
        end = args.index("--") if "--" in args else len(args)
        return super().parse_args(ctx, [each for arg in args[:end] for each in plain.get(arg, [arg])] + args[end:])


class _Group(click.Group):
    command_class = _Command

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.aliases: dict[str, str] = {}

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return super().get_command(ctx, self.aliases.get(cmd_name, cmd_name))


class _Root(_Group):
    """A group whose commands stand in the order of registration, with kubectl's exit code for wrong usage."""

    group_class = _Group

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def main(self, args: Sequence[str] | None = None, *more: Any, **extra: Any) -> Any:
        try:
            code = super().main(_spread(args or sys.argv[1:]), *more, **{**extra, "standalone_mode": False})
        except click.UsageError as error:
            path = error.ctx.command_path if error.ctx else "minikubectl"
            complain(f"error: {_said(error)}\nSee '{path} --help' for help and examples")
            code = 1
        except click.ClickException as error:
            complain(f"error: {error.format_message()}")
            code = 1
        except click.Abort:
            code = 130
        sys.exit(code if isinstance(code, int) else 0)


def _said(error: click.UsageError) -> str:
    """What is wrong with a command line, in kubectl's words where it has some."""
    match error:
        case click.NoSuchOption():
            return f"unknown flag: {error.option_name}"
        case click.MissingParameter(param=click.Option() as option):
            return f'required flag(s) "{option.opts[-1].lstrip("-")}" not set'
    return error.format_message()


def _spread(args: Sequence[str]) -> list[str]:
    """`-o=yaml` as `-o yaml`: kubectl takes both, click would take the value for "=yaml"."""
    spread: list[str] = []
    for at, arg in enumerate(args):
        if arg == "--":
            return [*spread, *args[at:]]
        spread += [arg[:2], arg[3:]] if re.match(r"-[A-Za-z]=", arg) else [arg]
    return spread


@click.group(cls=_Root, context_settings=_HELP)
@shared_options
@click.pass_context
def cli(ctx: click.Context, /, **shared: Any) -> None:
    """Controls a cluster with kubectl's commands, flags, messages and exit codes; manifests are checked before sending.

    \b
    minikubectl apply -f shop/ --wait      bring the cluster to what manifests say, and see it happen
    minikubectl get pods -A                what runs
    minikubectl why pod/web-1              why one doesn't, and what to do
    minikubectl COMMAND --help             every command with examples
    """
    share(ctx, shared)
