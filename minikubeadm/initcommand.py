"""`minikubeadm init`, and `init phase NAME` with the same options."""

import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

import click

from componentbase import defaults
from minikubeadm import configfile, configuration, images, sharedcertificates, tokens
from minikubeadm.cli import DURATION, certificate_key_option, commas, options_of, run, token_option
from minikubeadm.configuration import ClusterConfiguration, NodeConfiguration
from minikubeadm.progress import Progress

NODE_OPTIONS = (
    click.option("--node-name", default=configuration.default_node_name, help="Name of the node [the host's name]"),
    click.option("--node-ip", default=configuration.default_node_ip, help="Address of the node [the default route's]"),
    click.option("--pause-image", default=lambda: images.baked("pause"), help="Image of the pods' sandboxes"),
    click.option("--no-taint", is_flag=True, help="Let pods run on the control plane, too"),
    click.option("--ignore-preflight-errors", default="", metavar="NAMES", help="Checks to pass over, by comma"),
    configfile.token_file_option,
)
_KEY_HELP = "Key to seal it with [a random one]"
_OPTIONS = (
    configfile.config_option(configfile.INIT),
    *NODE_OPTIONS,
    click.option("--cluster-name", default=defaults.CLUSTER_NAME, show_default=True),
    click.option("--pod-network-cidr", default=defaults.POD_CIDR, show_default=True),
    click.option("--service-cidr", default=defaults.SERVICE_CIDR, show_default=True),
    click.option("--service-dns-domain", default=defaults.CLUSTER_DOMAIN, show_default=True),
    click.option("--control-plane-endpoint", default="", help="host[:port] at which nodes reach the API server"),
    click.option("--apiserver-cert-extra-sans", default="", metavar="NAMES", help="Further names of the API server"),
    click.option("--dns-image", default=lambda: images.baked("dns"), help="Image of the cluster's DNS"),
    click.option("--token", callback=token_option, help="Bootstrap token to make [a random one]"),
    click.option("--token-ttl", type=DURATION, default="24h", show_default=True, help="0 never ends"),
    click.option(
        "--load-balancer-pool", default="", help="Addresses for type LoadBalancer: 10.0.0.0/28, or first-last"
    ),
    click.option("--upload-certs", is_flag=True, help="Upload what further control planes need, sealed, for two hours"),
    click.option("--certificate-key", default="", callback=certificate_key_option, help=_KEY_HELP),
    click.option("--skip-phases", default="", metavar="NAMES", help="Phases to leave out, by comma"),
    click.option("--dry-run", is_flag=True, help="Only write the files, below a temporary folder"),
)


@click.group(invoke_without_command=True)
@options_of(_OPTIONS)
@click.pass_context
def init(ctx: click.Context, /, **options: Any) -> None:
    """Make this machine the control plane of a new cluster."""
    if ctx.invoked_subcommand is None:
        _init(options)


@init.command()
@click.argument("name")
@options_of(_OPTIONS)
def phase(name: str, **options: Any) -> None:
    """Run one phase of init again, or by hand; a wrong name lists them."""
    _init(options, only=[name])


def _init(options: dict[str, Any], *, only: Collection[str] = ()) -> None:
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
        extra_names=tuple(commas(options["apiserver_cert_extra_sans"])),
    )
    key = options["certificate_key"]
    if options["upload_certs"] or "upload-certs" in only:
        key = key or sharedcertificates.new_key()
    work = module.Init(
        configured,
        node_of(options, control_plane=True),
        bootstrap,
        certificate_key=key,
        ignore=commas(options["ignore_preflight_errors"]),
    )
    if options["dry_run"]:
        work.directory = Path(tempfile.mkdtemp(prefix="minikubeadm-init-dryrun-"))
        work.unit_directory = work.directory / "units"
    run(module.init(work, progress=Progress(), skip=commas(options["skip_phases"]), only=only))
    if work.dry:
        click.echo(f"\nnothing was started; the files are in {work.directory}")
        return
    if not only:
        click.echo(f"\nkubeconfig: {module.DIRECTORY}/admin.conf\nTo add a node, run there:\n")
        click.echo(f"  {module.join_command(configured, bootstrap)}")
    if key and not only:
        click.echo("\nTo add a control plane, within two hours (the key opens the cluster's private keys):\n")
        click.echo(f"  {module.join_command(configured, bootstrap, certificate_key=key)}")
    elif key:
        click.echo(f"certificate key: {key}")


def node_of(options: dict[str, Any], *, control_plane: bool) -> NodeConfiguration:
    """The node that the options describe."""
    return NodeConfiguration(
        name=options["node_name"],
        ip=options["node_ip"],
        control_plane=control_plane,
        pause_image=options["pause_image"],
        tainted=not options["no_taint"],
    )
