"""`minikubeadm certs check-expiration | renew | certificate-key`, and `minikubeadm kubeconfig user`."""

from datetime import timedelta
from pathlib import Path

import click

from componentbase import defaults
from minikubeadm import sharedcertificates
from minikubeadm.cli import DURATION, residual, run, table

DIRECTORY = Path(defaults.KUBERNETES_DIRECTORY)
_TIME = "%b %d, %Y %H:%M UTC"


@click.group()
def certs() -> None:
    """The certificates of this control plane."""


@certs.command("check-expiration")
def check_expiration() -> None:
    """When the certificates end."""
    from minikubeadm import certificates

    rows = [("CERTIFICATE", "EXPIRES", "RESIDUAL TIME", "CERTIFICATE AUTHORITY", "EXTERNALLY MANAGED")]
    for one in certificates.held(DIRECTORY):
        authority = certificates.kubeadms_name(one.authority)
        rows.append((one.name, one.ends.strftime(_TIME), residual(one.ends), authority, "no"))
    click.echo(table(rows))
    above = [("CERTIFICATE AUTHORITY", "EXPIRES", "RESIDUAL TIME", "EXTERNALLY MANAGED")]
    above += [(name, ends.strftime(_TIME), residual(ends), "no") for name, ends in certificates.authorities(DIRECTORY)]
    click.echo("\n" + table(above))


@certs.command()
@click.argument("name")
def renew(name: str) -> None:
    """Renew the certificate NAME (as check-expiration lists them), or all; the services that use them start anew."""
    from minikubeadm import renewal

    run(renewal.renew(name, DIRECTORY))


@certs.command("certificate-key")
def certificate_key() -> None:
    """Print a new random key for `init --upload-certs --certificate-key`."""
    click.echo(sharedcertificates.new_key())


@click.group()
def kubeconfig() -> None:
    """Credentials for people and programs."""


@kubeconfig.command()
@click.option("--client-name", required=True, help="The user's name (CN)")
@click.option("--org", "groups", multiple=True, help="A group of the user (O)")
@click.option("--validity-period", type=DURATION, default="8760h", show_default=True)
def user(client_name: str, groups: tuple[str, ...], validity_period: timedelta) -> None:
    """Print a kubeconfig with a new certificate; what it may do, RBAC says."""
    from minikubeadm import certificates

    async def work() -> None:
        days = validity_period / timedelta(days=1)
        click.echo(certificates.kubeconfig_of(DIRECTORY, client_name, groups, days=days), nl=False)

    run(work())
