"""Certificate requests: who may approve, sign, and what may not be asked for.

The permission is on the signer (verbs approve, sign on `signers`, by name or by `domain/*`), beside the one on the
request's subresource, so that a signer's approver can't approve for another signer.
"""

from __future__ import annotations

from base64 import b64decode

from cryptography import x509
from cryptography.x509.oid import NameOID

from apimachinery.meta import JSON
from apiserver.admission.chain import CREATE, UPDATE, Attributes, Plugin, refused
from apiserver.authorization import Authorizer

GROUP = "certificates.k8s.io"
_REQUESTS = "certificatesigningrequests"
_CLIENT_SIGNER = "kubernetes.io/kube-apiserver-client"


def _signer(obj: JSON | None) -> str:
    return str(((obj or {}).get("spec") or {}).get("signerName") or "")


class _SignerPlugin(Plugin):
    verb = ""

    def __init__(self, authorizer: Authorizer) -> None:
        self._authorizer = authorizer

    def _check(self, a: Attributes) -> None:
        signer = _signer(a.old)
        wildcard = signer.partition("/")[0] + "/*"
        for name in (signer, wildcard):
            if self._authorizer.allows(a.user, self.verb, GROUP, "signers", name=name):
                return
        raise refused(a, f'user not permitted to {self.verb} requests with signerName "{signer}"')


class CertificateApproval(_SignerPlugin):
    """Approving or denying needs `approve` on the signer."""

    verb = "approve"
    watched = {(GROUP, _REQUESTS, "approval"): (UPDATE,)}

    async def validate(self, a: Attributes) -> None:
        """See the class."""
        self._check(a)


class CertificateSigning(_SignerPlugin):
    """Filling in the certificate, or failing the request, needs `sign` on the signer."""

    verb = "sign"
    watched = {(GROUP, _REQUESTS, "status"): (UPDATE,)}

    async def validate(self, a: Attributes) -> None:
        """See the class; a change of neither is free."""
        new, old = a.object.get("status") or {}, (a.old or {}).get("status") or {}
        if new.get("certificate") == old.get("certificate") and new.get("conditions") == old.get("conditions"):
            return
        self._check(a)


class CertificateSubjectRestriction(Plugin):
    """Nobody gets a client certificate for the group system:masters."""

    watched = {(GROUP, _REQUESTS, ""): (CREATE,)}

    async def validate(self, a: Attributes) -> None:
        """Read the organizations of the request."""
        if _signer(a.obj) != _CLIENT_SIGNER:
            return
        try:
            request = x509.load_pem_x509_csr(b64decode(a.object["spec"]["request"]))
        except (KeyError, TypeError, ValueError) as error:
            raise refused(a, f"failed to parse CSR: {error}") from error
        organizations = request.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
        if any(attribute.value == "system:masters" for attribute in organizations):
            raise refused(a, f"use of {_CLIENT_SIGNER} signer with system:masters group is not allowed")
