"""`minikubeadm token create | list | delete`."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from apimachinery import kinds
from componentbase import defaults
from kubeclient.config import load_kubeconfig
from kubeclient.rest import Client
from minikubeadm import api, bootstrap, tokens
from minikubeadm.cli import DURATION, run, token_option
from minikubeadm.configuration import ClusterConfiguration

ADMIN = f"{defaults.KUBERNETES_DIRECTORY}/admin.conf"


@click.group()
@click.option("--kubeconfig", default=ADMIN, show_default=True, type=click.Path(path_type=Path))
@click.pass_context
def token(ctx: click.Context, kubeconfig: Path) -> None:
    """Bootstrap tokens, by which nodes join."""
    ctx.obj = kubeconfig


@token.command()
@click.argument("text", required=False, callback=token_option, metavar="[TOKEN]")
@click.option("--ttl", type=DURATION, default="24h", show_default=True, help="0 never ends")
@click.option("--description", default="")
@click.option("--print-join-command", is_flag=True, help="Print what to run on the joining node")
@click.pass_obj
def create(kubeconfig: Path, text: str | None, ttl: timedelta, description: str, print_join_command: bool) -> None:
    """Make a token (a random one if none is given) and print it."""
    made = tokens.parse(text, ttl=ttl or None) if text else tokens.new(ttl=ttl or None, description=description)

    async def work(client: Client) -> None:
        from minikubeadm.init import join_command

        await api.ensure(client, tokens.secret_for(made))
        if not print_join_command:
            click.echo(made.text)
            return
        stored = await client.get(kinds.CONFIG_MAP, bootstrap.CONFIG_MAP, namespace=defaults.SYSTEM_NAMESPACE)
        click.echo(join_command(ClusterConfiguration.decode(stored["data"]["ClusterConfiguration"]), made))

    run(_connected(kubeconfig, work))


@token.command("list")
@click.pass_obj
def list_(kubeconfig: Path) -> None:
    """List the tokens with the time that they have left."""

    async def work(client: Client) -> None:
        row = "{:<26}{:<8}{:<24}{}"
        click.echo(row.format("TOKEN", "TTL", "EXPIRES", "DESCRIPTION"))
        for one in await tokens.existing(client):
            expires = one.expires.strftime("%Y-%m-%dT%H:%M:%SZ") if one.expires else "<never>"
            click.echo(row.format(one.text, _left(one), expires, one.description or "<none>"))

    run(_connected(kubeconfig, work))


@token.command()
@click.argument("ids", nargs=-1, required=True, metavar="TOKEN_OR_ID...")
@click.pass_obj
def delete(kubeconfig: Path, ids: tuple[str, ...]) -> None:
    """Make tokens invalid."""

    async def work(client: Client) -> None:
        for one in ids:
            await tokens.delete(client, one.partition(".")[0])
            click.echo(f"bootstrap token {one.partition('.')[0]!r} deleted")

    run(_connected(kubeconfig, work))


async def _connected(kubeconfig: Path, work: Callable[[Client], Awaitable[None]]) -> None:
    async with Client(load_kubeconfig(kubeconfig), user_agent="minikubeadm") as client:
        await work(client)


def _left(one: tokens.Token) -> str:
    if not one.expires:
        return "<forever>"
    seconds = (one.expires - datetime.now(UTC)).total_seconds()
    return f"{seconds / 3600:.0f}h" if seconds >= 3600 else f"{max(seconds, 0) / 60:.0f}m"
