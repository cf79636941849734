"""`minikubeadm token create | list | delete | generate`."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import click

from apimachinery import kinds
from componentbase import defaults
from kubeclient.config import load_kubeconfig
from kubeclient.rest import Client
from minikubeadm import api, bootstrap, tokens
from minikubeadm.cli import DURATION, certificate_key_option, commas, residual, run, table, token_option
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
@click.option("--usages", default=",".join(tokens.USAGES), show_default=True, help="What it is good for, by comma")
@click.option("--groups", default=defaults.BOOTSTRAPPERS_GROUP, show_default=True, help="Of who shows it, by comma")
@click.option("--print-join-command", is_flag=True, help="Print what to run on the joining node")
@click.option("--certificate-key", default="", callback=certificate_key_option, help="Print it for a control plane")
@click.pass_obj
def create(kubeconfig: Path, /, text: str | None, ttl: timedelta, **options: Any) -> None:
    """Make a token (a random one if none is given) and print it."""
    made = replace(
        tokens.parse(text, ttl=ttl or None) if text else tokens.new(ttl=ttl or None),
        description=options["description"],
        usages=tuple(commas(options["usages"])),
        groups=tuple(commas(options["groups"])),
    )
    if unknown := set(made.usages) - set(tokens.USAGES):
        raise click.BadParameter(f"{', '.join(sorted(unknown))}: usages are {', '.join(tokens.USAGES)}")

    async def work(client: Client) -> None:
        from minikubeadm.init import join_command

        await api.ensure(client, tokens.secret_for(made))
        if not options["print_join_command"]:
            click.echo(made.text)
            return
        stored = await client.get(kinds.CONFIG_MAP, bootstrap.CONFIG_MAP, namespace=defaults.SYSTEM_NAMESPACE)
        cluster = ClusterConfiguration.decode(stored["data"]["ClusterConfiguration"])
        click.echo(join_command(cluster, made, certificate_key=options["certificate_key"]))

    run(_connected(kubeconfig, work))


@token.command()
def generate() -> None:
    """Print a random token, without making it valid: for `init --token-file`, or a configuration file."""
    click.echo(tokens.new().text)


@token.command("list")
@click.pass_obj
def list_(kubeconfig: Path) -> None:
    """List the tokens with the time that they have left."""

    async def work(client: Client) -> None:
        rows: list[tuple[str, ...]] = [("TOKEN", "TTL", "EXPIRES", "USAGES", "DESCRIPTION", "EXTRA GROUPS")]
        for one in await tokens.existing(client):
            expires = one.expires.strftime("%Y-%m-%dT%H:%M:%SZ") if one.expires else "<never>"
            left = residual(one.expires) if one.expires else "<forever>"
            texts = (",".join(one.usages), one.description, ",".join(one.groups))
            rows.append((one.text, left, expires, *(text or "<none>" for text in texts)))
        click.echo(table(rows))

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
