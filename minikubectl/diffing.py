"""`diff`: what an apply would change, by a dry run on the server. Exit code 0: nothing, 1: something, 2: it failed."""

import os
import re
import shlex
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Final

import click

from apimachinery import meta
from apimachinery.errors import NotFound, StatusError
from apimachinery.kinds import Kind
from kubeclient.errors import Unreachable
from minikubectl.applying import LAST_APPLIED, Way, apply_one, prepare
from minikubectl.cli import cli
from minikubectl.options import FILES, LABEL_SELECTOR, MANAGER, Sending
from minikubectl.output import bare, to_yaml
from minikubectl.session import Failed, Session, command, describe_error

JSON = dict[str, Any]

_FAILED: Final = 2
_STYLES: Final = {"+": "green", "-": "red", "@": "cyan"}


@command(cli, "diff")
@FILES
@LABEL_SELECTOR
@click.option("--server-side", is_flag=True, help="Let the server merge, with field ownership.")
@click.option("--force-conflicts", "force", is_flag=True, help="Take fields from other managers (--server-side).")
@MANAGER
@click.option("--show-managed-fields", "managed", is_flag=True, help="With managedFields.")
async def diff(
    session: Session, files: tuple[str, ...], recursive: bool, label_selector: str, server_side: bool, force: bool,
    manager: str, managed: bool,
) -> int:  # fmt: skip
    """Show what an apply of the same manifests would change; $KUBECTL_EXTERNAL_DIFF is the program that shows it.

    \b
    minikubectl diff -f shop/
    KUBECTL_EXTERNAL_DIFF="diff -u -w" minikubectl diff -f web.yaml
    """
    if not files:
        raise Failed("must specify one of -f and -k", _FAILED)
    how = Way(server_side, force, Sending("server", manager=manager), "Strict", annotate=False)
    plan, problems = await prepare(session, files, recursive=recursive, label_selector=label_selector)
    if problems:
        raise Failed("\nerror: ".join(map(str, problems)), _FAILED)
    with tempfile.TemporaryDirectory(prefix="LIVE-") as live, tempfile.TemporaryDirectory(prefix="MERGED-") as merged:
        for kind, manifest in plan:
            try:
                before, after = await _both(session, kind, manifest.object, how)
            except (StatusError, Unreachable) as error:
                raise Failed(describe_error(error, session.config.server), _FAILED) from error
            before, after = _masked(kind, before, after)
            name = ".".join([kind.api_version.replace("/", "."), kind.kind, meta.namespace(after), meta.name(after)])
            for folder, obj in ((live, before), (merged, after)):
                (Path(folder) / name).write_text(to_yaml(obj if managed else bare(obj)) if obj else "")
        return _shown(live, merged)


async def _both(session: Session, kind: Kind, obj: JSON, how: Way) -> tuple[JSON, JSON]:
    """The object as it is ({} if it isn't there), and as it would be."""
    try:
        live = await session.client.get(kind, meta.name(obj), namespace=meta.namespace(obj) or None)
    except NotFound:
        live = {}
    answer, _ = await apply_one(session, kind, obj, how)
    return live, answer


def _masked(kind: Kind, before: JSON, after: JSON) -> tuple[JSON, JSON]:
    """Secrets' values as asterisks, those that differ told apart; nor is the copy of the manifest shown."""
    if kind.kind != "Secret":
        return before, after
    old, new = before.get("data") or {}, after.get("data") or {}
    differ = {key for key in old.keys() & new.keys() if old[key] != new[key]}

    def masked(obj: JSON, word: str) -> JSON:
        if not obj:
            return obj
        annotations = {key: each for key, each in meta.annotations(obj).items() if key != LAST_APPLIED}
        data = {key: f"*** ({word})" if key in differ else "***" for key in obj.get("data") or ()}
        return {**obj, "data": data, "metadata": {**obj["metadata"], "annotations": annotations}}

    return masked(before, "before"), masked(after, "after")


def _shown(live: str, merged: str) -> int:
    external = os.environ.get("KUBECTL_EXTERNAL_DIFF")
    words = [word for word in shlex.split(external or "diff -u -N") if re.fullmatch(r"[\w./=:+-]+", word)]
    try:
        ended = subprocess.run([*words, live, merged], stdout=subprocess.PIPE if not external else None, check=False)
    except OSError as error:
        raise Failed(f"failed to run {words[0]!r}: {error.strerror}", _FAILED) from error
    for line in (ended.stdout or b"").decode(errors="replace").splitlines():
        style = _STYLES.get(line[:1])
        click.echo(click.style(line, fg=style) if style else line)
    if ended.returncode > 1:
        raise Failed(f"exit status {ended.returncode}", ended.returncode)
    return ended.returncode
