"""Client certificates: the common name is the user, the organizations are its groups.

The TLS layer has verified the chain and the purpose against --client-ca-file before any of this runs. What is left is
to read the subject once for each certificate, and to look at the clock on every request, since a connection may outlive
its certificate. Where front proxies have an authority of their own, the TLS layer accepts both, so the issuer is looked
at here too: a proxy's certificate must not pass as a user's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.x509.oid import NameOID

from apimachinery import errors
from apiserver.request import User

AUTHENTICATED = "system:authenticated"
CREDENTIAL_ID = "authentication.kubernetes.io/credential-id"
_UID = x509.ObjectIdentifier("1.3.6.1.4.1.57683.2")
_REMEMBERED = 4096


@dataclass(frozen=True, slots=True)
class Identity:
    """What a certificate says, from when until when (Unix seconds), and what it may be used for."""

    user: User
    not_before: float
    not_after: float
    is_user: bool = True  # signed by a client authority
    is_proxy: bool = False  # signed by the front proxies' authority


def load_authorities(path: str) -> list[x509.Certificate]:
    """The certificates of a PEM bundle."""
    return x509.load_pem_x509_certificates(Path(path).read_bytes())


def read(der: bytes) -> tuple[x509.Certificate, User]:
    """The certificate and the user it names. Raises ValueError if it is none."""
    certificate = x509.load_der_x509_certificate(der)

    def values(oid: x509.ObjectIdentifier) -> list[str]:
        return [str(attribute.value) for attribute in certificate.subject.get_attributes_for_oid(oid)]

    names, uids = values(NameOID.COMMON_NAME), values(_UID)
    fingerprint = hashlib.sha256(der).hexdigest()
    user = User(
        names[0] if names else "",
        uids[0] if uids else "",
        (*values(NameOID.ORGANIZATION_NAME), AUTHENTICATED),
        {CREDENTIAL_ID: (f"X509SHA256={fingerprint}",)},
    )
    return certificate, user


def issued_by(certificate: x509.Certificate, authorities: Sequence[x509.Certificate]) -> bool:
    """Whether one of the authorities signed it."""
    for authority in authorities:
        try:
            certificate.verify_directly_issued_by(authority)
        except (ValueError, TypeError, InvalidSignature):
            continue
        return True
    return False


class Certificates:
    """DER of a verified certificate → identity; remembered, with a bound."""

    def __init__(
        self,
        *,
        authorities: Sequence[x509.Certificate],
        proxy_authorities: Sequence[x509.Certificate],
        clock: Callable[[], float],
    ) -> None:
        self._authorities = authorities
        self._proxy_authorities = proxy_authorities
        self._clock = clock
        self._known: dict[bytes, Identity] = {}

    def identify(self, der: bytes) -> Identity:
        """The identity, within its time. Raises Unauthorized."""
        found = self._known.get(der)
        if found is None:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            try:
                found = self._known[der] = self._identity(der)
            except ValueError as error:
                raise errors.Unauthorized() from error
        if not found.not_before <= self._clock() <= found.not_after:
            raise errors.Unauthorized()
        return found

    def _identity(self, der: bytes) -> Identity:
        certificate, user = read(der)
        begin, end = certificate.not_valid_before_utc.timestamp(), certificate.not_valid_after_utc.timestamp()
        if not self._proxy_authorities:
            return Identity(user, begin, end)
        is_user = issued_by(certificate, self._authorities)
        return Identity(user, begin, end, is_user, issued_by(certificate, self._proxy_authorities))
