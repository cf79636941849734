"""`config`: the kubeconfig's contexts, shown and chosen. A changed file is replaced whole, for its owner only."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import click
import yaml

from apimachinery import kinds
from componentbase.files import write_file
from kubeclient.config import read_kubeconfig
from kubeclient.errors import ConfigError
from minikubectl import completing
from minikubectl.cli import cli
from minikubectl.output import print_objects, to_yaml
from minikubectl.session import share, shared_options
from minikubectl.tables import Printer, as_table

JSON = dict[str, Any]

_SECRETS: Final = {"token": "REDACTED", "password": "REDACTED"}
_DATA: Final = ("client-certificate-data", "client-key-data", "certificate-authority-data")
_CONTEXT: Final = click.argument("name", required=False, default="", shell_complete=completing.contexts)


@cli.group()
def config() -> None:
    """Show and choose the contexts of the kubeconfig."""


class _Wrong(click.ClickException):
    pass


def _command(name: str, *options: Callable[[Any], Any]) -> Callable[[Callable[..., Any]], Any]:
    """Register f(document, **flags) → the changed document to be written, or None."""

    def register(function: Callable[..., JSON | None]) -> Any:
        @shared_options
        @click.pass_context
        def run(ctx: click.Context, /, **flags: Any) -> None:
            shared = share(ctx, flags)
            try:
                file, document = read_kubeconfig(shared["kubeconfig"])
            except ConfigError as error:
                raise _Wrong(str(error)) from error
            if (chosen := shared["context"]) and name == "view":
                document["current-context"] = chosen
            if name == "set-context":
                flags["namespace"] = shared["namespace"]
            changed = function(document, **flags)
            if changed is not None:
                text = yaml.safe_dump(changed, sort_keys=False)
                write_file(file or Path.home() / ".kube" / "config", text.encode(), mode=0o600)

        for each in reversed(options):
            run = each(run)
        run.__doc__ = function.__doc__
        return config.command(name)(run)

    return register


def _entry(document: JSON, section: str, name: str) -> JSON | None:
    return next((each for each in document.get(section) or () if each.get("name") == name), None)


@_command(
    "view",
    click.option("--minify", is_flag=True, help="Only what the current context uses."),
    click.option("--raw", is_flag=True, help="With certificates, keys and tokens."),
    click.option("-o", "--output", "form", default="yaml", help="yaml|json|jsonpath=..."),
)
def _view(document: JSON, minify: bool, raw: bool, form: str) -> None:
    """Show the kubeconfig, secrets left out."""
    if minify:
        context = _entry(document, "contexts", document.get("current-context") or "")
        if context is None:
            raise _Wrong("current-context must exist in order to minify")
        document = {**document, "contexts": [context]}
        for section, key in (("clusters", "cluster"), ("users", "user")):
            found = _entry(document, section, context["context"].get(key) or "")
            document[section] = [found] if found else []
    if not raw:
        users = [{**each, "user": _hidden(each.get("user") or {})} for each in document.get("users") or ()]
        clusters = [{**each, "cluster": _hidden(each["cluster"])} for each in document.get("clusters") or ()]
        document = {**document, "clusters": clusters, "users": users}
    shown = {"apiVersion": "v1", "kind": "Config", "preferences": {}, **document}
    if form == "yaml":
        click.echo(to_yaml(shown), nl=False)
    else:
        print_objects([(kinds.POD, shown)], form, single=True)


def _hidden(section: JSON) -> JSON:
    hidden = {**_SECRETS, **dict.fromkeys(_DATA, "DATA+OMITTED")}
    return {key: hidden.get(key, each) for key, each in section.items()}


@_command("current-context")
def _current(document: JSON) -> None:
    """Show the current context."""
    if not document.get("current-context"):
        raise _Wrong("current-context is not set")
    click.echo(document["current-context"])


@_command(
    "get-contexts", _CONTEXT, click.option("-o", "--output", "form", type=click.Choice(["", "name"]), default=""),
    click.option("--no-headers", is_flag=True, help="Leave out the headers."),
)  # fmt: skip
def _contexts(document: JSON, name: str, form: str, no_headers: bool) -> None:
    """Show the contexts."""
    if name and not _entry(document, "contexts", name):
        raise _Wrong(f"context {name} not found")
    rows = []
    for each in sorted(document.get("contexts") or (), key=lambda each: str(each["name"])):
        if name in ("", each["name"]):
            of = each.get("context") or {}
            mark = "*" if each["name"] == document.get("current-context") else ""
            rows.append([mark, each["name"], *(of.get(key) or "" for key in ("cluster", "user", "namespace"))])
    if form == "name":
        click.echo("\n".join(row[1] for row in rows))
        return
    headers = ("CURRENT", "NAME", "CLUSTER", "AUTHINFO", "NAMESPACE")
    Printer(headers=not no_headers).show(as_table(headers, rows))


def _names(section: str) -> Any:
    def show(document: JSON) -> None:
        click.echo("\n".join(["NAME", *sorted(str(each["name"]) for each in document.get(section) or ())]))

    show.__doc__ = f"Show the names of {section}."
    return show


_command("get-clusters")(_names("clusters"))
_command("get-users")(_names("users"))


@_command("use-context", click.argument("name", shell_complete=completing.contexts))
def _use(document: JSON, name: str) -> JSON:
    """Make a context the current one."""
    if not _entry(document, "contexts", name):
        raise _Wrong(f'no context exists with the name: "{name}"')
    click.echo(f'Switched to context "{name}".')
    return {**document, "current-context": name}


@_command(
    "set-context", _CONTEXT,
    click.option("--current", is_flag=True, help="The current context."),
    click.option("--cluster", default=None, help="Its cluster."),
    click.option("--user", default=None, help="Its user."),
)  # fmt: skip
def _set(document: JSON, name: str, current: bool, **fields: str | None) -> JSON:
    """Change a context, or make one: --current --namespace=NAMESPACE."""
    if bool(name) == current:
        raise _Wrong("you must specify a non-empty context name or --current")
    name = name or document.get("current-context") or ""
    entry = _entry(document, "contexts", name)
    of = {**((entry or {}).get("context") or {}), **{key: each for key, each in fields.items() if each is not None}}
    others = [each for each in document.get("contexts") or () if each is not entry]
    click.echo(f'Context "{name}" {"modified" if entry else "created"}.')
    return {**document, "contexts": [*others, {"context": of, "name": name}]}


@_command("delete-context", click.argument("name", shell_complete=completing.contexts))
def _delete(document: JSON, name: str) -> JSON:
    """Forget a context."""
    entry = _entry(document, "contexts", name)
    if entry is None:
        raise _Wrong(f"cannot delete context {name}, not in the kubeconfig")
    click.echo(f'deleted context "{name}"')
    return {**document, "contexts": [each for each in document["contexts"] if each is not entry]}
