"""`edit`: the object in an editor, and what was changed sent; a change that is refused comes back with the reason."""

import os
import shlex
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Final

import click
import yaml

from apimachinery import meta, yamls
from apimachinery.errors import StatusError
from apimachinery.kinds import Kind
from minikubectl.cli import cli
from minikubectl.mutating import each, find, send
from minikubectl.options import FILES, LABEL_SELECTOR, MANAGER, OUTPUT, RESOURCES, Sending
from minikubectl.output import bare, to_yaml
from minikubectl.session import Failed, Session, command, describe_error

JSON = dict[str, Any]

_HEAD: Final = """# Please edit the object below. Lines beginning with a '#' will be ignored,
# and an empty file will abort the edit. If an error occurs while saving this file will be
# reopened with the relevant failures.
#
"""
_ATTEMPTS: Final = 5


@command(cli, "edit")
@RESOURCES
@FILES
@LABEL_SELECTOR
@OUTPUT
@MANAGER
async def edit(session: Session, resources: tuple[str, ...], **flags: Any) -> int:
    """Change objects in an editor ($KUBE_EDITOR, $EDITOR, vi).

    \b
    minikubectl edit deploy/web
    KUBE_EDITOR="code --wait" minikubectl edit svc web
    """
    sending = Sending.taken(flags)

    async def act(kind: Kind, before: JSON) -> tuple[JSON, str]:
        before = bare(before)
        text, reason = to_yaml(before), ""
        for _ in range(_ATTEMPTS):
            edited = _in_editor(_HEAD + "".join(f"# {line}\n" for line in reason.splitlines()) + text)
            if edited == text or not edited.strip():
                if reason:
                    raise Failed(f"Edit cancelled, no valid changes were saved.\n{reason}")
                click.echo("Edit cancelled, no changes made.", err=True)
                return before, ""
            text = edited
            try:
                after = yamls.load(edited)
                if not isinstance(after, dict) or meta.name(after) != meta.name(before):
                    raise Failed("at least one of apiVersion, kind and name was changed")
                return await send(session, kind, before, after, sending, strict=True), "edited"
            except (StatusError, Failed, yaml.YAMLError, ValueError) as error:
                reason = describe_error(error)
        raise Failed(reason)

    return await each(session, await find(session, resources, **{**flags, "all_": True}), act, sending=sending)


def _in_editor(text: str) -> str:
    """What an editor makes of a text, without comments. Raises Failed."""
    editor = os.environ.get("KUBE_EDITOR") or os.environ.get("EDITOR") or "vi"
    descriptor, name = tempfile.mkstemp(prefix="minikubectl-edit-", suffix=".yaml")
    file = Path(name)
    try:
        os.write(descriptor, text.encode())
        os.close(descriptor)
        ended = subprocess.run(["sh", "-c", f"{editor} {shlex.quote(name)}"], check=False)
        if ended.returncode:
            raise Failed(f'there was a problem with the editor "{editor}"')
        return "".join(line for line in file.read_text().splitlines(keepends=True) if not line.startswith("#"))
    finally:
        file.unlink()
