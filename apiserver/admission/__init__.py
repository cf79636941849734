"""What may be written, and what is filled in: the plugins between authorisation and storage.

`PLUGINS` has them in upstream's order; those marked as off run only if --enable-admission-plugins names them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from apiserver.admission.certificates import (
    CertificateApproval,
    CertificateSigning,
    CertificateSubjectRestriction,
)
from apiserver.admission.chain import Attributes, Chain, Plugin
from apiserver.admission.defaulting import DefaultIngressClass, DefaultStorageClass, RuntimeClass
from apiserver.admission.escalation import OwnerReferencesPermissionEnforcement, PrivilegeEscalation
from apiserver.admission.limits import LimitRanger
from apiserver.admission.namespaces import NamespaceLifecycle
from apiserver.admission.nodes import NodeRestriction, TaintNodesByCondition
from apiserver.admission.pod_security import PodSecurity
from apiserver.admission.pods import DefaultTolerationSeconds, Priority
from apiserver.admission.quotas import ResourceQuota
from apiserver.admission.service_accounts import ServiceAccount
from apiserver.admission.volumes import PersistentVolumeClaimResize, StorageObjectInUseProtection
from apiserver.authorization import Authorizer
from apiserver.storage import Storage

__all__ = ["PLUGINS", "Attributes", "Chain", "Plugin", "build_chain"]

_log = logging.getLogger(__name__)
Make = Callable[[Storage, Authorizer], Plugin]

# name, on by default, how it is made
PLUGINS: tuple[tuple[str, bool, Make], ...] = (
    ("NamespaceLifecycle", True, lambda storage, authorizer: NamespaceLifecycle(storage)),
    ("LimitRanger", True, lambda storage, authorizer: LimitRanger(storage)),
    ("ServiceAccount", True, lambda storage, authorizer: ServiceAccount(storage)),
    ("NodeRestriction", False, lambda storage, authorizer: NodeRestriction(storage)),
    ("TaintNodesByCondition", True, lambda storage, authorizer: TaintNodesByCondition()),
    ("PodSecurity", True, lambda storage, authorizer: PodSecurity(storage)),
    ("Priority", True, lambda storage, authorizer: Priority(storage)),
    ("DefaultTolerationSeconds", True, lambda storage, authorizer: DefaultTolerationSeconds()),
    ("DefaultStorageClass", True, lambda storage, authorizer: DefaultStorageClass(storage)),
    ("StorageObjectInUseProtection", True, lambda storage, authorizer: StorageObjectInUseProtection()),
    ("PersistentVolumeClaimResize", True, lambda storage, authorizer: PersistentVolumeClaimResize(storage)),
    ("RuntimeClass", True, lambda storage, authorizer: RuntimeClass(storage)),
    (
        "OwnerReferencesPermissionEnforcement",
        False,
        lambda storage, authorizer: OwnerReferencesPermissionEnforcement(authorizer),
    ),
    ("CertificateApproval", True, lambda storage, authorizer: CertificateApproval(authorizer)),
    ("CertificateSigning", True, lambda storage, authorizer: CertificateSigning(authorizer)),
    ("CertificateSubjectRestriction", True, lambda storage, authorizer: CertificateSubjectRestriction()),
    ("DefaultIngressClass", True, lambda storage, authorizer: DefaultIngressClass(storage)),
    ("ResourceQuota", True, lambda storage, authorizer: ResourceQuota(storage)),  # last: it books what is written
)


def build_chain(
    storage: Storage, authorizer: Authorizer, *, enabled: Sequence[str] = (), disabled: Sequence[str] = ()
) -> Chain:
    """The chain that the flags ask for; call before the storage starts, since plugins listen. Raises ValueError."""
    unknown = {*enabled, *disabled} - {name for name, _, _ in PLUGINS} - UNSUPPORTED
    if unknown:
        raise ValueError(f"unknown admission plugins: {', '.join(sorted(unknown))}")
    for name in sorted(UNSUPPORTED.intersection(enabled)):
        _log.warning("admission plugin %s is not there and does nothing", name)
    chosen = [
        make(storage, authorizer)
        for name, default, make in PLUGINS
        if (default or name in enabled) and name not in disabled
    ]
    return Chain([PrivilegeEscalation(authorizer), *chosen])


# Upstream's plugins that are not here (yet); naming one is not an error, so that manifests carry over.
UNSUPPORTED = frozenset(
    {
        "AlwaysAdmit", "AlwaysDeny", "AlwaysPullImages", "ClusterTrustBundleAttest", "DenyServiceExternalIPs",
        "EventRateLimit", "ExtendedResourceToleration", "ImagePolicyWebhook", "LimitPodHardAntiAffinityTopology",
        "MutatingAdmissionPolicy", "MutatingAdmissionWebhook", "NamespaceAutoProvision", "NamespaceExists",
        "PodNodeSelector", "PodTolerationRestriction",
        "PodTopologyLabels", "ValidatingAdmissionPolicy",
        "ValidatingAdmissionWebhook",
    }
)  # fmt: skip
