"""`minikubeadm certs renew`: new certificates in place of the old, then their users started anew, one after the other.

Both are valid meanwhile, so nothing is cut off; the API server, which is not to be away for nothing, starts anew once.
"""

from pathlib import Path

import click

from kubeclient.rest import Client
from minikubeadm import api, bootstrap, certificates, controlplane, process, units
from minikubeadm.process import StepFailed


async def renew(name: str, directory: Path) -> None:
    """Renew one, or `all`."""
    there = certificates.held(directory)
    chosen = [one for one in there if name in ("all", one.name)]
    if not chosen:
        raise StepFailed(
            f"no certificate {name!r} below {directory}",
            hint=f"there are {', '.join(one.name for one in there)}" if there else "is this a control plane?",
        )
    for one, pair in [(one, certificates.renewed(one, directory)) for one in chosen]:
        one.write(pair)
        click.echo(f"{one.name} renewed, until {pair.certificate.not_valid_after_utc:%b %d, %Y %H:%M} UTC")
    for service in dict.fromkeys(one.service for one in chosen if one.service):
        if (units.UNIT_DIRECTORY / f"{service}.service").exists():
            await process.run("systemctl", "restart", service, what=f"starting {service} anew")
            click.echo(f"{service} started anew")
    if any(one.name == "proxy.conf" for one in chosen):
        async with Client(controlplane.local_config(directory), user_agent="minikubeadm") as client:
            await controlplane.wait_for_api(client)
            await api.ensure(client, bootstrap.proxy_secret((directory / "proxy.conf").read_bytes()))
        click.echo("nodes that join from now on get the proxies' new credential; the others keep the old one:")
        click.echo(f"copy {directory}/proxy.conf to them and restart mini-proxy there before that ends")
