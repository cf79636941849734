"""TLS for servers, from files or from a certificate of their own making.

That certificate is made by a process of its own: `cryptography` takes 8 MB for good, and a service that only shows a
certificate needs nothing else of it.
"""

import ssl
import subprocess
import sys
import tempfile
from pathlib import Path

_MAKE = "import sys; from componentbase import pki; pki.write_pair(pki.self_signed(sys.argv[1]), *sys.argv[2:])"


def server_context(
    certificate_file: str | Path, key_file: str | Path, *, client_ca_file: str | Path | None = None
) -> ssl.SSLContext:
    """TLS for a server; with `client_ca_file` clients may show a certificate, which then must be by that authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate_file, key_file)
    if client_ca_file:
        context.load_verify_locations(cafile=client_ca_file)
        context.verify_mode = ssl.CERT_OPTIONAL
    return context


def self_signed_context(common_name: str, *, client_ca_file: str | Path | None = None) -> ssl.SSLContext:
    """TLS for a server that was given no certificate, with one of its own making, as upstream's services do."""
    with tempfile.TemporaryDirectory() as directory:
        files = Path(directory, "tls.crt"), Path(directory, "tls.key")
        subprocess.run([sys.executable, "-P", "-c", _MAKE, common_name, *files], check=True)
        return server_context(*files, client_ca_file=client_ca_file)
