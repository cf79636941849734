"""`minikubeadm chaos FAULT`."""

import random
from datetime import timedelta

import click

from minikubeadm.chaos import faults
from minikubeadm.cli import DURATION, run
from minikubeadm.cluster.commands import name_option

_HELP = "\n".join(f"  {fault.name:<14}{fault.does}" for fault in faults.FAULTS.values())


@click.command(epilog=f"\b\nFaults:\n{_HELP}\n  {'random':<14}one after another, drawn by dice")
@click.argument("fault", type=click.Choice([*faults.FAULTS, "random"]), metavar="FAULT")
@name_option
@click.option("--node", default="", help="The node to hit [drawn]")
@click.option("--service", default="", help="What kill-service kills, like mini-kubelet [drawn]")
@click.option("--duration", type=DURATION, default="30s", show_default=True, help="Of the fault; of all random ones")
@click.option("--wait", "recovery", type=DURATION, default="3m", show_default=True, help="For the cluster to recover")
@click.option("--seed", type=int, help="Draws the same again")
@click.option("--probe", default="", metavar="NAMESPACE/SERVICE", help="Count failed requests through this Service")
def chaos(name: str, duration: timedelta, recovery: timedelta, seed: int | None, **options: str) -> None:
    """Break a cluster of node containers on purpose, and tell what happens.

    What was broken is mended at the end, and on Ctrl-C.
    """
    from minikubeadm.chaos import running

    if options["probe"] and "/" not in options["probe"]:
        raise click.BadParameter("give NAMESPACE/SERVICE", param_hint="--probe")
    seed = random.randrange(10**6) if seed is None else seed
    click.echo(f"seed: {seed}")
    seconds, wait = duration.total_seconds(), recovery.total_seconds()
    wish = running.Wish(cluster=name, seed=seed, seconds=seconds, recovery_seconds=wait, **options)
    run(running.run(wish, say=click.echo))
