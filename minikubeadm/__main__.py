"""`minikubeadm`: init, join, reset, token, clusters of node containers, and a control plane without nodes.

Modules of a command are imported when it runs: `--help` and the short commands of a cluster's bring-up stay quick.
"""

from typing import Any

import click

from componentbase import defaults
from minikubeadm import configuration, images, sharedcertificates, tokens
from minikubeadm.chaos.commands import chaos
from minikubeadm.cli import DURATION, certificate_key_option, run, token_option
from minikubeadm.cluster.commands import cluster
from minikubeadm.configuration import ClusterConfiguration, NodeConfiguration
from minikubeadm.dev.commands import dev
from minikubeadm.progress import Progress
from minikubeadm.tokencommands import token


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(defaults.GIT_VERSION, message="%(version)s")
def main() -> None:
    """Make this machine a node of a cluster, or make clusters of node containers on it."""


_NODE_OPTIONS = (
    click.option("--node-name", default=configuration.default_node_name, help="Name of the node [the host's name]"),
    click.option("--node-ip", default=configuration.default_node_ip, help="Address of the node [the default route's]"),
    click.option("--pause-image", default=lambda: images.baked("pause"), help="Image of the pods' sandboxes"),
    click.option("--no-taint", is_flag=True, help="Let pods run on the control plane, too"),
    click.option("--ignore-preflight-errors", default="", metavar="NAMES", help="Checks to pass over, by comma"),
)


def node_options(command: Any) -> Any:
    """The options that init and join have in common."""
    for option in reversed(_NODE_OPTIONS):
        command = option(command)
    return command


@main.command()
@node_options
@click.option("--cluster-name", default=defaults.CLUSTER_NAME, show_default=True)
@click.option("--pod-network-cidr", default=defaults.POD_CIDR, show_default=True)
@click.option("--service-cidr", default=defaults.SERVICE_CIDR, show_default=True)
@click.option("--service-dns-domain", default=defaults.CLUSTER_DOMAIN, show_default=True)
@click.option("--control-plane-endpoint", default="", help="host[:port] at which nodes reach the API server")
@click.option("--apiserver-cert-extra-sans", default="", metavar="NAMES", help="Further names of the API server")
@click.option("--dns-image", default=lambda: images.baked("dns"), help="Image of the cluster's DNS")
@click.option("--token", callback=token_option, help="Bootstrap token to make [a random one]")
@click.option("--token-ttl", type=DURATION, default="24h", show_default=True, help="0 never ends")
@click.option("--load-balancer-pool", default="", help="Addresses for type LoadBalancer: 10.0.0.0/28, or first-last")
@click.option("--upload-certs", is_flag=True, help="Upload what further control planes need, sealed, for two hours")
@click.option(
    "--certificate-key", default="", callback=certificate_key_option, help="Key to seal it with [a random one]"
)
def init(**options: Any) -> None:
    """Make this machine the control plane of a new cluster."""
    from minikubeadm import init as module

    ttl = options["token_ttl"] or None
    bootstrap = tokens.parse(options["token"], ttl=ttl) if options["token"] else tokens.new(ttl=ttl)
    host, _, port = (options["control_plane_endpoint"] or options["node_ip"]).partition(":")
    configured = ClusterConfiguration(
        name=options["cluster_name"],
        domain=options["service_dns_domain"],
        pod_cidr=options["pod_network_cidr"],
        service_cidr=options["service_cidr"],
        endpoint=f"{host}:{port or defaults.API_PORT}",
        dns_image=options["dns_image"],
        load_balancer_pool=options["load_balancer_pool"],
        extra_names=tuple(name for name in options["apiserver_cert_extra_sans"].split(",") if name),
    )
    node = NodeConfiguration(
        name=options["node_name"],
        ip=options["node_ip"],
        control_plane=True,
        pause_image=options["pause_image"],
        tainted=not options["no_taint"],
    )
    ignore = options["ignore_preflight_errors"].split(",")
    key = (options["certificate_key"] or sharedcertificates.new_key()) if options["upload_certs"] else ""
    run(module.init(configured, node, bootstrap, certificate_key=key, progress=Progress(), ignore=ignore))
    click.echo(f"\nkubeconfig: {module.DIRECTORY}/admin.conf\nTo add a node, run there:\n")
    click.echo(f"  {module.join_command(configured, bootstrap)}")
    if key:
        click.echo("\nTo add a control plane, within two hours (the key opens the cluster's private keys):\n")
        click.echo(f"  {module.join_command(configured, bootstrap, certificate_key=key)}")


@main.command()
@node_options
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
    node = NodeConfiguration(
        name=options["node_name"],
        ip=options["node_ip"],
        control_plane=options["control_plane"],
        pause_image=options["pause_image"],
        tainted=not options["no_taint"],
    )
    ignore = options["ignore_preflight_errors"].split(",")
    run(module.join(endpoint, tokens.parse(token), pins, node, certificate_key=key, progress=Progress(), ignore=ignore))


@main.command()
@click.confirmation_option("--force", prompt="This removes the node's pods, certificates and data. Go on?")
def reset() -> None:
    """Undo init or join on this machine."""
    from minikubeadm import reset as module

    run(module.reset(progress=Progress()))


main.add_command(token)
main.add_command(cluster)
main.add_command(dev)
main.add_command(chaos)

if __name__ == "__main__":
    main()
