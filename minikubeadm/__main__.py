"""`minikubeadm`: init, join, reset, token, clusters of node containers, and a control plane without nodes.

Modules of a command are imported when it runs: `--help` and the short commands of a cluster's bring-up stay quick.
"""

from typing import Any

import click

from componentbase import defaults
from minikubeadm import configfile, tokens
from minikubeadm.certscommands import certs, kubeconfig
from minikubeadm.chaos.commands import chaos
from minikubeadm.cli import certificate_key_option, commas, options_of, run, token_option
from minikubeadm.cluster.commands import cluster
from minikubeadm.configcommands import config
from minikubeadm.dev.commands import dev
from minikubeadm.etcdcommands import etcd
from minikubeadm.initcommand import NODE_OPTIONS, init, node_of
from minikubeadm.progress import Progress
from minikubeadm.tokencommands import token


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(defaults.GIT_VERSION, message="%(version)s")
def main() -> None:
    """Make this machine a node of a cluster, or make clusters of node containers on it."""


@main.command()
@configfile.config_option(configfile.JOIN)
@options_of(NODE_OPTIONS)
@click.argument("endpoint")
@click.option("--token", required=True, callback=token_option, help="Bootstrap token")
@click.option("--discovery-token-ca-cert-hash", "pins", multiple=True, help="sha256:<hex> of the authority's key")
@click.option("--discovery-token-unsafe-skip-ca-verification", "unsafe", is_flag=True, help="Go without a pin")
@click.option("--control-plane", is_flag=True, help="Make it one more control plane, with a member of etcd")
@click.option("--certificate-key", default="", callback=certificate_key_option, help="Key of what --upload-certs left")
def join(endpoint: str, token: str, pins: tuple[str, ...], unsafe: bool, **options: Any) -> None:
    """Make this machine a node of the cluster whose API server is at ENDPOINT (host:port)."""
    from minikubeadm import join as module

    if not pins and not unsafe:
        raise click.UsageError("--discovery-token-ca-cert-hash is required")
    key = options["certificate_key"]
    if options["control_plane"] and not key:
        raise click.UsageError("--certificate-key is required with --control-plane")
    node = node_of(options, control_plane=options["control_plane"])
    ignore = commas(options["ignore_preflight_errors"])
    run(module.join(endpoint, tokens.parse(token), pins, node, certificate_key=key, progress=Progress(), ignore=ignore))


@main.command()
@click.confirmation_option("--force", prompt="This removes the node's pods, certificates and data. Go on?")
def reset() -> None:
    """Undo init or join on this machine."""
    from minikubeadm import reset as module

    run(module.reset(progress=Progress()))


main.add_command(init)
main.add_command(token)
main.add_command(certs)
main.add_command(kubeconfig)
main.add_command(etcd)
main.add_command(config)
main.add_command(cluster)
main.add_command(dev)
main.add_command(chaos)

if __name__ == "__main__":
    main()
