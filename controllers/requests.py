"""What a CertificateSigningRequest asks for, and which of it a signer grants: the rules, without I/O.

The built-in signers are as the API documents them; a request that breaks its signer's rules gets a reason.
"""

import base64
import binascii
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from apimachinery import meta
from componentbase import defaults

JSON = dict[str, Any]
CLIENT = "kubernetes.io/kube-apiserver-client"
KUBELET_CLIENT = "kubernetes.io/kube-apiserver-client-kubelet"
KUBELET_SERVING = "kubernetes.io/kubelet-serving"
LEGACY = "kubernetes.io/legacy-unknown"
SIGNERS = (CLIENT, KUBELET_CLIENT, KUBELET_SERVING, LEGACY)

_KEY_USAGES = {"digital signature", "key encipherment"}
EXTENDED_USAGES = {
    "client auth": ExtendedKeyUsageOID.CLIENT_AUTH,
    "server auth": ExtendedKeyUsageOID.SERVER_AUTH,
    "code signing": ExtendedKeyUsageOID.CODE_SIGNING,
    "email protection": ExtendedKeyUsageOID.EMAIL_PROTECTION,
    "timestamping": ExtendedKeyUsageOID.TIME_STAMPING,
    "ocsp signing": ExtendedKeyUsageOID.OCSP_SIGNING,
}


@dataclass(frozen=True, slots=True)
class Request:
    """A parsed request."""

    name: x509.Name
    public_key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey
    alternatives: x509.SubjectAlternativeName | None
    common_name: str
    organizations: tuple[str, ...]
    dns: tuple[str, ...]
    ips: tuple[str, ...]
    others: int  # alternative names that are neither


def parse(obj: JSON) -> Request:
    """The request inside the object. Raises ValueError for what is none, or isn't signed by its own key."""
    try:
        request = x509.load_pem_x509_csr(base64.b64decode(obj["spec"]["request"], validate=True))
    except (binascii.Error, ValueError) as error:
        raise ValueError(f"unable to parse the request: {error}") from error
    key = request.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey) or not request.is_signature_valid:
        raise ValueError("the request's signature is not valid")
    try:
        alternatives = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        alternatives = None
    names = list(alternatives or ())
    return Request(
        name=request.subject,
        public_key=key,
        alternatives=alternatives,
        common_name=next(iter(_all(request.subject, NameOID.COMMON_NAME)), ""),
        organizations=tuple(
            str(each.value) for each in request.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
        ),
        dns=tuple(each.value for each in names if isinstance(each, x509.DNSName)),
        ips=tuple(str(each.value) for each in names if isinstance(each, x509.IPAddress)),
        others=sum(not isinstance(each, x509.DNSName | x509.IPAddress) for each in names),
    )


def refusal(request: Request, signer: str, usages: Iterable[str]) -> str | None:
    """Why the signer doesn't sign such a request; None when it does."""
    asked = set(usages)
    if signer == CLIENT:
        return None if asked <= _KEY_USAGES | {"client auth"} and "client auth" in asked else _wrong(asked)
    if signer == KUBELET_CLIENT:
        return _node_refusal(request) or _no_names(request) or _exact(asked, "client auth")
    if signer == KUBELET_SERVING:
        if request.others or not (request.dns or request.ips):
            return "serving certificates need DNS or IP names, and no others"
        return _node_refusal(request) or _exact(asked, "server auth")
    return None


def _node_refusal(request: Request) -> str | None:
    if request.organizations != (defaults.NODES_GROUP,):
        return f"subject organization is not {defaults.NODES_GROUP}"
    if not request.common_name.startswith(defaults.NODE_USER_PREFIX):
        return f"subject common name does not begin with {defaults.NODE_USER_PREFIX}"
    return None


def _no_names(request: Request) -> str | None:
    return "subject alternative names are not allowed" if request.alternatives else None


def _exact(asked: set[str], auth: str) -> str | None:
    """`auth` and digital signature; key encipherment is for RSA keys, and may be missing."""
    return None if asked - {"key encipherment"} == {"digital signature", auth} else _wrong(asked)


def _wrong(asked: set[str]) -> str:
    return f"usages did not match what the signer allows: {', '.join(sorted(asked))}"


def client_permissions(obj: JSON, request: Request) -> tuple[str, ...]:
    """Subresources of certificatesigningrequests either of which lets its requester have it approved by itself.

    A node that renews its certificate asks for its own name (`selfnodeclient`); a bootstrap token may ask for any
    (`nodeclient`). Nothing for a request that isn't a kubelet's client certificate.
    """
    spec = obj["spec"]
    if spec.get("signerName") != KUBELET_CLIENT or refusal(request, KUBELET_CLIENT, spec.get("usages") or ()):
        return ()
    if spec.get("username") == request.common_name:
        return ("selfnodeclient", "nodeclient")
    return ("nodeclient",)


def is_own_serving(obj: JSON, request: Request, node: JSON | None) -> bool:
    """Whether a node asks for a serving certificate for itself: its name, and addresses that its Node object has.

    Upstream leaves these to an administrator. Ours approves them, since who can write that Node's addresses is that
    kubelet alone (the Node authoriser sees to it): it gains nothing but a name it already has.
    """
    spec = obj["spec"]
    user = spec.get("username") or ""
    if spec.get("signerName") != KUBELET_SERVING or refusal(request, KUBELET_SERVING, spec.get("usages") or ()):
        return False
    if request.common_name != user or defaults.NODES_GROUP not in (spec.get("groups") or ()):
        return False
    node_name = user.removeprefix(defaults.NODE_USER_PREFIX)
    addresses = ((node or {}).get("status") or {}).get("addresses") or ()
    known = {each.get("address") for each in addresses} | {node_name}
    return node is not None and meta.name(node) == node_name and {*request.dns, *request.ips} <= known


def extended_usages(usages: Iterable[str]) -> list[x509.ObjectIdentifier]:
    """The extended key usages among what is asked for."""
    return [EXTENDED_USAGES[usage] for usage in usages if usage in EXTENDED_USAGES]


def _all(name: x509.Name, oid: x509.ObjectIdentifier) -> list[str]:
    return [str(each.value) for each in name.get_attributes_for_oid(oid)]
