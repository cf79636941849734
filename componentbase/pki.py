"""Keys, certificates and signing requests (X.509), as values; and the files they live in.

Keys are EC P-256: made in microseconds, small in every handshake, and accepted by every client. What is read may be of
any type (a cluster can bring kubeadm's RSA files along). `cryptography` takes 8 MB and 30 ms: what doesn't make or read
certificates doesn't import this.
"""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from componentbase import defaults
from componentbase.files import write_file

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
_CLOCK_SKEW = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its private key."""

    certificate: x509.Certificate
    key: PrivateKey

    @property
    def certificate_pem(self) -> bytes:
        """The certificate as PEM."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        """The key as unencrypted PEM."""
        return key_pem(self.key)


@dataclass(frozen=True, slots=True)
class Subject:
    """What a certificate says of its holder: CN is the user or host, O are the groups."""

    common_name: str
    organizations: tuple[str, ...] = ()
    dns: tuple[str, ...] = ()
    ips: tuple[str, ...] = ()

    @property
    def name(self) -> x509.Name:
        """The X.509 name."""
        parts = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, one) for one in self.organizations]
        return x509.Name([*parts, x509.NameAttribute(NameOID.COMMON_NAME, self.common_name)])

    @property
    def alternatives(self) -> x509.SubjectAlternativeName | None:
        """The subjectAltName extension, None without names."""
        names = [*map(x509.DNSName, self.dns), *(x509.IPAddress(ipaddress.ip_address(ip)) for ip in self.ips)]
        return x509.SubjectAlternativeName(names) if names else None


def new_key() -> ec.EllipticCurvePrivateKey:
    """A fresh EC P-256 key."""
    return ec.generate_private_key(ec.SECP256R1())


def new_ca(common_name: str, *, lifetime: timedelta = defaults.AUTHORITY_LIFETIME) -> Pair:
    """A self-signed authority."""
    key = new_key()
    name = Subject(common_name).name
    builder = _builder(name, name, key.public_key(), lifetime)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    builder = builder.add_extension(_key_usage(authority=True), critical=True)
    return Pair(builder.sign(key, hashes.SHA256()), key)


def issue(
    ca: Pair,
    common_name: str,
    *,
    organizations: Sequence[str] = (),
    dns: Sequence[str] = (),
    ips: Sequence[str] = (),
    client: bool = False,
    server: bool = False,
    days: float = defaults.CERTIFICATE_LIFETIME.days,
) -> Pair:
    """A fresh key with a certificate by `ca`, for a client, a server, or both."""
    key = new_key()
    subject = Subject(common_name, tuple(organizations), tuple(dns), tuple(ips))
    usages = [ExtendedKeyUsageOID.CLIENT_AUTH] * client + [ExtendedKeyUsageOID.SERVER_AUTH] * server
    return Pair(
        sign(
            ca,
            name=subject.name,
            public_key=key.public_key(),
            alternatives=subject.alternatives,
            usages=usages,
            lifetime=timedelta(days=days),
        ),
        key,
    )


def sign(
    ca: Pair,
    *,
    name: x509.Name,
    public_key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey,
    alternatives: x509.SubjectAlternativeName | None,
    usages: Sequence[x509.ObjectIdentifier],
    lifetime: timedelta,
) -> x509.Certificate:
    """A leaf certificate by `ca`; it never outlives the authority."""
    builder = _builder(name, ca.certificate.subject, public_key, lifetime, not_after=ca.certificate.not_valid_after_utc)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    encipherment = isinstance(public_key, rsa.RSAPublicKey)
    builder = builder.add_extension(_key_usage(encipherment=encipherment), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False) if usages else builder
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca.key.public_key())
    builder = builder.add_extension(authority, critical=False)
    builder = builder.add_extension(alternatives, critical=False) if alternatives else builder
    return builder.sign(ca.key, hashes.SHA256())


def sign_like(
    ca: Pair, before: x509.Certificate, public_key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey
) -> x509.Certificate:
    """A leaf certificate with the subject, names, usages and length of life of another one."""
    extensions = {type(one.value): one.value for one in before.extensions}
    alternatives = extensions.get(x509.SubjectAlternativeName)
    usages = extensions.get(x509.ExtendedKeyUsage)
    return sign(
        ca,
        name=before.subject,
        public_key=public_key,
        alternatives=alternatives if isinstance(alternatives, x509.SubjectAlternativeName) else None,
        usages=list(usages) if isinstance(usages, x509.ExtendedKeyUsage) else [],
        lifetime=before.not_valid_after_utc - before.not_valid_before_utc - _CLOCK_SKEW,
    )


def request(key: PrivateKey, subject: Subject) -> bytes:
    """A certificate signing request as PEM."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject.name)
    if subject.alternatives:
        builder = builder.add_extension(subject.alternatives, critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def key_pem(key: PrivateKey) -> bytes:
    """A private key as unencrypted PEM (PKCS #8)."""
    plain = serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)


def public_pem(key: PrivateKey) -> bytes:
    """The public half as PEM."""
    return key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def load_key(pem: bytes) -> PrivateKey:
    """A private key from PEM; ValueError if it is none that we can use."""
    key = serialization.load_pem_private_key(pem, password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise ValueError(f"unsupported private key type {type(key).__name__}")
    return key


def load_pair(certificate_file: str | Path, key_file: str | Path) -> Pair:
    """A certificate (the first in its file) and its key."""
    certificate = x509.load_pem_x509_certificate(Path(certificate_file).read_bytes())
    return Pair(certificate, load_key(Path(key_file).read_bytes()))


def certificate_hash(certificate: x509.Certificate) -> str:
    """`sha256:<hex>` of the public key, as `kubeadm join --discovery-token-ca-cert-hash` takes it."""
    spki = certificate.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    digest = hashes.Hash(hashes.SHA256())
    digest.update(spki)
    return f"sha256:{digest.finalize().hex()}"


def write_pair(pair: Pair, certificate_file: str | Path, key_file: str | Path) -> None:
    """Write the key (0600), then the certificate (0644)."""
    write_file(key_file, pair.key_pem, mode=0o600)
    write_file(certificate_file, pair.certificate_pem)


def self_signed(common_name: str) -> Pair:
    """A server's certificate by an authority that nobody knows."""
    return issue(new_ca(f"{common_name}-ca"), common_name, dns=("localhost",), ips=("127.0.0.1",), server=True)


def _builder(
    name: x509.Name,
    issuer: x509.Name,
    public_key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey,
    lifetime: timedelta,
    *,
    not_after: datetime | None = None,
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    end = min(now + lifetime, not_after) if not_after else now + lifetime
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )


def _key_usage(*, authority: bool = False, encipherment: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=authority or encipherment,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
