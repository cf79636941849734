"""`completion`: the script that a shell sources; what it proposes is in `completing`."""

import click
from click.shell_completion import get_completion_class

from minikubectl.cli import cli

_SHELLS = ("bash", "zsh", "fish")


@cli.command("completion")
@click.argument("shell", type=click.Choice(_SHELLS))
def completion(shell: str) -> None:
    """Print the script that completes commands, flags, types, names, namespaces and contexts.

    \b
    source <(minikubectl completion bash)                                  now
    minikubectl completion fish > ~/.config/fish/completions/minikubectl.fish   for good
    """
    made = get_completion_class(shell)
    if made is None:
        raise click.ClickException(f"no completion for {shell}: there is {', '.join(_SHELLS)}")
    click.echo(made(cli, {}, "minikubectl", "_MINIKUBECTL_COMPLETE").source())
