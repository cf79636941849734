"""`minikubeadm etcd snapshot save | status | restore`."""

from pathlib import Path

import click

from minikubeadm.cli import run
from minikubeadm.progress import Progress

_file = click.argument("file", type=click.Path(path_type=Path))


@click.group()
def etcd() -> None:
    """This control plane's etcd."""


@etcd.group()
def snapshot() -> None:
    """Everything that the cluster knows, in a file."""


@snapshot.command()
@_file
def save(file: Path) -> None:
    """Save what etcd holds now to FILE. It holds every Secret: keep it as you keep those."""
    from minikubeadm import etcdsnapshot

    async def work() -> None:
        await etcdsnapshot.save(file)
        click.echo(await etcdsnapshot.status(file), nl=False)

    run(work())


@snapshot.command()
@_file
def status(file: Path) -> None:
    """What FILE holds."""
    from minikubeadm import etcdsnapshot

    async def work() -> None:
        click.echo(await etcdsnapshot.status(file), nl=False)

    run(work())


@snapshot.command()
@_file
@click.option("--force", is_flag=True, help="Also where etcd has other members, who must not go on")
def restore(file: Path, force: bool) -> None:
    """Put the cluster back to what FILE holds; etcd's present data are kept aside."""
    from minikubeadm import etcdsnapshot

    run(etcdsnapshot.restore(file, force=force, progress=Progress()))
