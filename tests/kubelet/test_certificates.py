"""TLS bootstrap: a signing request, a wait for its approval, and a kubeconfig that names the certificate's file."""

import base64
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from componentbase import pki
from kubeclient.config import load_kubeconfig, write_kubeconfig
from kubelet import certificates
from kubelet.settings import Settings

JSON = dict[str, Any]
CA = pki.new_ca("test-ca")


class Signer:
    """An API server that signs, or refuses, at the second look."""

    def __init__(self, *, refuse: bool = False) -> None:
        self.refuse = refuse
        self.request: JSON = {}
        self.looks = 0

    def __call__(self, config: Any, **options: Any) -> "Signer":
        return self

    async def __aenter__(self) -> "Signer":
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    async def create(self, kind: Any, body: JSON) -> JSON:
        self.request = body
        return {"metadata": {"name": "csr-1"}}

    async def get(self, kind: Any, name: str) -> JSON:
        self.looks += 1
        if self.looks < 2:
            return {"metadata": {"name": name}}
        if self.refuse:
            return {"status": {"conditions": [{"type": "Denied", "message": "not you"}]}}
        asked = x509.load_pem_x509_csr(base64.b64decode(self.request["spec"]["request"]))
        signed = pki.sign(
            CA,
            name=asked.subject,
            public_key=asked.public_key(),  # type: ignore[arg-type]
            alternatives=None,
            usages=[ExtendedKeyUsageOID.CLIENT_AUTH],
            lifetime=timedelta(days=1),
        )
        return {"status": {"certificate": base64.b64encode(_pem(signed)).decode()}}


def _pem(signed: Any) -> bytes:
    return bytes(signed.public_bytes(Encoding.PEM))


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr(certificates, "POLL_SECONDS", 0.001)
    bootstrap = tmp_path / "bootstrap.conf"
    write_kubeconfig(bootstrap, server="https://10.0.0.1:6443", ca_data=CA.certificate_pem, user="b", token="a.b")
    return Settings(
        node_name="n1",
        node_ips=("10.0.0.2",),
        kubeconfig=tmp_path / "kubelet.conf",
        bootstrap_kubeconfig=bootstrap,
        cert_dir=tmp_path / "pki",
    )


async def test_a_node_gets_its_own_identity(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    signer = Signer()
    monkeypatch.setattr(certificates, "Client", signer)
    await certificates.ensure_client(settings)
    config = load_kubeconfig(settings.kubeconfig)
    assert (config.server, config.token) == ("https://10.0.0.1:6443", "")
    certificate = x509.load_pem_x509_certificate(Path(config.certificate_file).read_bytes())
    assert certificate.subject.rfc4514_string() == "CN=system:node:n1,O=system:nodes"
    assert signer.request["spec"]["signerName"] == "kubernetes.io/kube-apiserver-client-kubelet"
    assert Path(config.certificate_file).stat().st_mode & 0o777 == 0o600
    assert certificates.remaining_share(Path(config.certificate_file)) > 0.99
    looks = signer.looks
    await certificates.ensure_client(settings)
    assert signer.looks == looks, "what is valid is kept"


async def test_a_refusal_is_said(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certificates, "Client", Signer(refuse=True))
    with pytest.raises(certificates.Refused, match="was denied: not you"):
        await certificates.ensure_client(settings)


async def test_without_any_credentials_it_says_which_files_are_missing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nor a bootstrap kubeconfig"):
        await certificates.ensure_client(Settings(node_name="n", node_ips=(), kubeconfig=tmp_path / "no"))
