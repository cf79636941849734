"""`cp`: files and directories to and from a container, as a tar stream through exec; the container needs `tar`.

What comes from a container is not trusted: nothing is written outside of the destination, no device, no link that leads
out of it.
"""

import os
import tarfile
import tempfile
from pathlib import Path, PurePosixPath
from typing import IO, Any, Final

import click

from minikubectl import pods
from minikubectl.cli import cli
from minikubectl.executing import run_in
from minikubectl.options import CONTAINER
from minikubectl.session import Failed, Session, command

JSON = dict[str, Any]

_IN_MEMORY_BYTES: Final = 8 << 20


@command(cli, "cp")
@click.argument("source")
@click.argument("destination")
@CONTAINER
@click.option("--no-preserve", is_flag=True, help="Don't keep owners and permissions in the container.")
async def cp(session: Session, source: str, destination: str, container: str, no_preserve: bool) -> int:
    """Copy to or from a container: FILE [NAMESPACE/]POD:PATH, or the other way round.

    \b
    minikubectl cp settings.ini web-1:/etc/app/
    minikubectl cp shop/web-1:/var/log/app ./logs -c web
    """
    theirs, ours = _remote(source), _remote(destination)
    if bool(theirs) == bool(ours):
        raise Failed("one of src or dest must be a local file specification" if theirs else
                     "one of src or dest must be a remote file specification")  # fmt: skip
    space, name, path = theirs or ours or ("", "", "")
    if not path:
        raise Failed("filepath can not be empty")
    pod = await pods.pick(session.inside(space), name, quiet=True)
    where = (session, pod, pods.container_of(pod, container))
    with tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES) as archive:
        if theirs:
            await run_in(*where, ["tar", "cf", "-", path], stdout=archive)
            archive.seek(0)
            unpack(archive, path, Path(destination))
            return 0
        if not os.path.lexists(source):
            raise Failed(f"{source} doesn't exist in local filesystem")
        target = PurePosixPath(path)
        if path.endswith("/") or await _is_directory(where, path):
            target /= Path(source).resolve().name
        with tarfile.open(fileobj=archive, mode="w") as tar:
            tar.add(source, arcname=target.name)
        archive.seek(0)
        extract = ["tar", *(["--no-same-permissions", "--no-same-owner"] if no_preserve else []), "-xmf", "-"]
        await run_in(*where, [*extract, "-C", str(target.parent)], stdin=archive)
    return 0


def _remote(text: str) -> tuple[str, str, str] | None:
    """(namespace, pod, path) of `[NAMESPACE/]POD:PATH`; None for a local path."""
    name, colon, path = text.partition(":")
    if not colon or name.startswith((".", "/")):
        return None
    space, _, pod = name.rpartition("/")
    return space, pod, path


async def _is_directory(where: tuple[Session, JSON, str], path: str) -> bool:
    try:
        await run_in(*where, ["test", "-d", path])
    except Failed:
        return False
    return True


def unpack(archive: IO[bytes], path: str, destination: Path) -> None:
    """Write what a container packed of `path` as `destination`, or into it if that is a directory."""
    prefix = path.strip("/").removeprefix("./")
    target = destination / PurePosixPath(path).name if destination.is_dir() else destination
    with tarfile.open(fileobj=archive, mode="r:") as tar:
        for member in tar:
            name = os.path.normpath(member.name).lstrip("/")
            inside = name.removeprefix(prefix).lstrip("/") if name.startswith(prefix) else ""
            if name != prefix and not inside:
                continue
            member.name = str(PurePosixPath(target.name) / inside) if inside else target.name
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                tar.extract(member, target.parent, filter="data")
            except tarfile.FilterError as error:
                click.echo(f"warning: skipped {name}: {error}", err=True)
