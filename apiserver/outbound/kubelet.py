"""The API server as a client of kubelets: where a node's kubelet listens, and with which certificate to call it.

Address and port come from the Node's status, as the kubelet reported them. A kubelet's serving certificate is checked
if an authority for it is given (--kubelet-certificate-authority), as upstream does; the client certificate is what the
kubelet authorises.
"""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from dataclasses import dataclass

from apimachinery import errors, meta
from apimachinery.meta import JSON
from componentbase import defaults


@dataclass(frozen=True, slots=True)
class Target:
    """Where to connect: host, port, TLS or not."""

    host: str
    port: int
    tls: ssl.SSLContext | None = None

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    def url(self, path: str) -> str:
        """The URL of a path (with its query) there."""
        return f"{'https' if self.tls is not None else 'http'}://{self.authority}{path}"


class KubeletClient:
    """TLS settings for kubelets, and the addresses of nodes."""

    def __init__(
        self,
        certificate_file: str = "",
        key_file: str = "",
        ca_file: str = "",
        address_types: Sequence[str] = ("InternalIP", "Hostname", "ExternalIP"),
    ) -> None:
        self.unverified = unverified_context()
        self.verified = ssl.create_default_context(cafile=ca_file) if ca_file else self.unverified
        if certificate_file:
            for context in {self.verified, self.unverified}:
                context.load_cert_chain(certificate_file, key_file)
        self._address_types = tuple(address_types)

    def target(self, node: JSON, *, verify: bool = True) -> Target:
        """Where the node's kubelet listens. Raises InternalError if the node has no address."""
        status = node.get("status") or {}
        endpoint = (status.get("daemonEndpoints") or {}).get("kubeletEndpoint") or {}
        port = int(endpoint.get("Port") or defaults.KUBELET_PORT)
        return Target(self.address(node), port, self.verified if verify else self.unverified)

    def address(self, node: JSON) -> str:
        """The node's address of the first preferred type that it has."""
        addresses = (node.get("status") or {}).get("addresses") or ()
        for wanted in self._address_types:
            for address in addresses:
                if address.get("type") == wanted and address.get("address"):
                    return str(address["address"])
        raise errors.InternalError(f"no preferred addresses found for node {meta.name(node)}")


def unverified_context() -> ssl.SSLContext:
    """TLS without looking at the peer's certificate."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
