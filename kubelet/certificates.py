"""The kubelet's certificates: bootstrap of the first client certificate, its rotation, and the serving certificate.

A node that joins has only a bootstrap token. With it the kubelet asks for a client certificate by a
CertificateSigningRequest, writes a kubeconfig that names the file, and from then on is system:node:<name>. The same way
it renews the certificate before it ends, and, where asked to, gets its serving certificate from the cluster.
"""

import asyncio
import base64
import logging
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509

from apimachinery import errors, kinds, meta
from componentbase import defaults, pki
from componentbase.files import write_file
from kubeclient.config import load_kubeconfig, write_kubeconfig
from kubeclient.errors import Unreachable
from kubeclient.rest import Client

from .settings import Settings

log = logging.getLogger(__name__)

CLIENT_SIGNER = "kubernetes.io/kube-apiserver-client-kubelet"
SERVING_SIGNER = "kubernetes.io/kubelet-serving"
CLIENT_FILE, SERVING_FILE = "kubelet-client-current.pem", "kubelet-server-current.pem"
POLL_SECONDS = 0.5
RETRY_SECONDS = 2.0
CHECK_SECONDS = 600.0
ROTATE_AT_SHARE_OF_LIFE = 0.8


class Refused(Exception):
    """The request for a certificate was denied or failed."""


async def ensure_client(settings: Settings) -> None:
    """Have a kubeconfig with credentials that work, by TLS bootstrap where there is none."""
    current = settings.cert_dir / CLIENT_FILE
    if settings.kubeconfig.exists() and (not current.exists() or remaining_share(current) > 0):
        return
    if settings.bootstrap_kubeconfig is None or not settings.bootstrap_kubeconfig.exists():
        if settings.kubeconfig.exists():
            return
        raise FileNotFoundError(f"neither {settings.kubeconfig} nor a bootstrap kubeconfig is there")
    config = load_kubeconfig(settings.bootstrap_kubeconfig)
    log.info("requesting a client certificate from %s", config.server)
    async with Client(config, user_agent="kubelet/bootstrap") as client:
        pem = await _obtain(client, settings, CLIENT_SIGNER)
    write_file(current, pem, mode=0o600)
    write_kubeconfig(
        settings.kubeconfig,
        server=config.server,
        ca_data=config.ca_data or Path(config.ca_file).read_bytes(),
        user="default-auth",
        cluster="default-cluster",
        certificate_file=str(current),
        key_file=str(current),
    )


async def ensure_serving(client: Client, settings: Settings) -> Path | None:
    """The serving certificate's file; None where a self-signed one has to do."""
    if not settings.rotate_server_certificates:
        return None
    current = settings.cert_dir / SERVING_FILE
    if not current.exists() or remaining_share(current) <= 1 - ROTATE_AT_SHARE_OF_LIFE:
        write_file(current, await _obtain(client, settings, SERVING_SIGNER), mode=0o600)
    return current


async def rotate(client: Client, settings: Settings) -> None:
    """Until cancelled: renew the client certificate when most of its life is over."""
    current = settings.cert_dir / CLIENT_FILE
    while True:
        await asyncio.sleep(CHECK_SECONDS)
        if current.exists() and remaining_share(current) <= 1 - ROTATE_AT_SHARE_OF_LIFE:
            try:
                write_file(current, await _obtain(client, settings, CLIENT_SIGNER), mode=0o600)
                log.info("client certificate renewed")
            except Refused as error:
                log.error("client certificate: %s", error)


def remaining_share(file: Path) -> float:
    """How much of a certificate's life is left, 1 to 0; 0 for a file that can't be read."""
    try:
        certificate = x509.load_pem_x509_certificate(file.read_bytes())
    except (OSError, ValueError):
        return 0.0
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return max(0.0, (end - datetime.now(UTC)) / (end - begin))


async def _obtain(client: Client, settings: Settings, signer: str) -> bytes:
    """Certificate and key as PEM. Waits as long as approval takes; raises Refused."""
    key = pki.new_key()
    name = f"{defaults.NODE_USER_PREFIX}{settings.node_name}"
    serving = signer == SERVING_SIGNER
    subject = pki.Subject(
        name,
        (defaults.NODES_GROUP,),
        dns=(settings.node_name,) if serving else (),
        ips=settings.node_ips if serving else (),
    )
    body = {
        "apiVersion": "certificates.k8s.io/v1",
        "kind": "CertificateSigningRequest",
        "metadata": {"generateName": "csr-" if serving else "node-csr-"},
        "spec": {
            "request": base64.b64encode(pki.request(key, subject)).decode(),
            "signerName": signer,
            "usages": ["digital signature", "server auth" if serving else "client auth"],
        },
    }
    while True:
        try:
            request = await client.create(kinds.CERTIFICATE_SIGNING_REQUEST, body)
            return await _wait(client, meta.name(request)) + pki.key_pem(key)
        except (errors.StatusError, Unreachable) as error:
            log.info("certificate signing request: %s", error)
        await asyncio.sleep(RETRY_SECONDS)


async def _wait(client: Client, name: str) -> bytes:
    while True:
        request = await client.get(kinds.CERTIFICATE_SIGNING_REQUEST, name)
        if certificate := (request.get("status") or {}).get("certificate"):
            return base64.b64decode(certificate)
        for type_ in ("Denied", "Failed"):
            if condition := meta.condition(request, type_):
                raise Refused(f"request {name} was {type_.lower()}: {condition.get('message', '')}")
        await asyncio.sleep(POLL_SECONDS)
