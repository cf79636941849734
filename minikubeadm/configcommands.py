"""`minikubeadm config print init-defaults | join-defaults` and `config validate`: files for --config, to begin with."""

from typing import Any

import click
import yaml

from componentbase import defaults
from minikubeadm import configfile
from minikubeadm.configuration import API_VERSION, ClusterConfiguration, default_node_ip, default_node_name

_TOKEN = "abcdef.0123456789abcdef"  # kubeadm's placeholder: change it


@click.group()
def config() -> None:
    """Configuration files of init and join."""


@config.group("print")
def print_() -> None:
    """A file with the defaults."""


@print_.command("init-defaults")
def init_defaults() -> None:
    """Of `init --config`."""
    click.echo(init_documents(), nl=False)


@print_.command("join-defaults")
def join_defaults() -> None:
    """Of `join --config`."""
    click.echo(join_document(), nl=False)


@config.command()
@click.option("--config", "file", required=True, metavar="FILE", help="- is standard input")
def validate(file: str) -> None:
    """Say what of a file is not honoured, without doing anything."""
    try:
        configfile.options(configfile.read(file), (*configfile.INIT, *configfile.JOIN))
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    click.echo("ok")


def init_documents() -> str:
    """An InitConfiguration and a ClusterConfiguration."""
    first = {
        "kind": "InitConfiguration",
        "bootstrapTokens": [{"token": _TOKEN, "ttl": "24h0m0s"}],
        "localAPIEndpoint": {"advertiseAddress": default_node_ip(), "bindPort": defaults.API_PORT},
        "nodeRegistration": {"name": default_node_name(), "ignorePreflightErrors": []},
    }
    return f"{_text(first)}---\n{ClusterConfiguration(endpoint=default_node_ip()).encode()}"


def join_document() -> str:
    """A JoinConfiguration."""
    found = {"apiServerEndpoint": f"kube-apiserver:{defaults.API_PORT}", "token": _TOKEN}
    return _text(
        {
            "kind": "JoinConfiguration",
            "discovery": {"bootstrapToken": {**found, "unsafeSkipCAVerification": True}},
            "nodeRegistration": {"name": default_node_name(), "ignorePreflightErrors": []},
        }
    )


def _text(document: dict[str, Any]) -> str:
    return yaml.safe_dump({"apiVersion": API_VERSION, **document}, sort_keys=False)
