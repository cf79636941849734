"""What each controller may do: one ClusterRole a controller, bound to its service account in kube-system.

The names and permissions are upstream's. Our controllers are one process with one client certificate, so the role
system:kube-controller-manager is the sum of these; a controller run by someone else under its own service account
(upstream's way) finds its role here all the same.
"""

from __future__ import annotations

from collections.abc import Sequence

from apimachinery.meta import JSON
from apiserver.authorization.policy import GROUP, READ, BindingSpec, RoleSpec, events, leases, rule

_OWNED = "create delete get list patch update watch"
_CERTIFICATES = "certificates.k8s.io"
_SIGNERS = " ".join(
    f"kubernetes.io/{name}"
    for name in ("kube-apiserver-client", "kube-apiserver-client-kubelet", "kubelet-serving", "legacy-unknown")
)


def _workload(group: str, plural: str, *more: JSON) -> list[JSON]:
    """What every controller of a pod-owning kind does: read its kind, write status and finalizers, record events."""
    return [
        rule("get list patch update watch", plural, group),
        rule("patch update", f"{plural}/status", group),
        rule("update", f"{plural}/finalizers", group),
        *more,
        events(),
    ]


_PODS = rule("create delete get list patch update watch", "pods")
_REVISIONS = rule(_OWNED, "controllerrevisions", "apps")

# fmt: off
CONTROLLERS: dict[str, Sequence[JSON]] = {
    "attachdetach-controller": [
        rule(READ, "persistentvolumeclaims persistentvolumes nodes pods"), rule("patch update", "nodes/status"),
        rule(READ, "csidrivers csinodes", "storage.k8s.io"),
        rule("create delete get list patch watch", "volumeattachments", "storage.k8s.io"), events()],
    "certificate-controller": [
        rule("delete get list watch", "certificatesigningrequests", _CERTIFICATES),
        rule("update patch", "certificatesigningrequests/approval certificatesigningrequests/status", _CERTIFICATES),
        rule("approve", "signers", _CERTIFICATES, names="kubernetes.io/kube-apiserver-client-kubelet"),
        rule("sign", "signers", _CERTIFICATES, names=_SIGNERS),
        rule("create", "subjectaccessreviews", "authorization.k8s.io"), events()],
    "clusterrole-aggregation-controller": [rule("escalate get list patch update watch", "clusterroles", GROUP)],
    "cronjob-controller": _workload(
        "batch", "cronjobs", rule(_OWNED, "jobs", "batch"), rule("delete list", "pods")),
    "daemon-set-controller": _workload(
        "apps", "daemonsets", rule(READ, "nodes"), _PODS, rule("create", "pods/binding"), _REVISIONS),
    "deployment-controller": _workload("apps", "deployments", rule(_OWNED, "replicasets", "apps"),
                                       rule("get list update watch", "pods")),
    "disruption-controller": [
        rule(READ, "deployments replicasets statefulsets", "apps"), rule(READ, "replicationcontrollers pods nodes"),
        rule(READ, "poddisruptionbudgets", "policy"), rule("patch update", "poddisruptionbudgets/status", "policy"),
        rule("patch update", "pods/status"), rule("get", "*/scale", "*"), events()],
    "endpoint-controller": [
        rule(READ, "pods services"), rule("create delete get list update watch", "endpoints"),
        rule("create", "endpoints/restricted"), events()],
    "endpointslice-controller": [
        rule(READ, "nodes pods services"), rule("update", "services/finalizers"),
        rule("create delete get list patch update watch", "endpointslices", "discovery.k8s.io"),
        rule("create", "endpointslices/restricted", "discovery.k8s.io"), events()],
    "endpointslicemirroring-controller": [
        rule(READ, "endpoints services"), rule("update", "endpoints/finalizers services/finalizers"),
        rule("create delete get list update watch", "endpointslices", "discovery.k8s.io"),
        rule("create", "endpointslices/restricted", "discovery.k8s.io"), events()],
    "ephemeral-volume-controller": [
        rule("update", "pods/finalizers"), rule("create get list watch", "persistentvolumeclaims"),
        rule(READ, "pods"), events()],
    "expand-controller": [
        rule("get list patch update watch", "persistentvolumes"), rule("patch update", "persistentvolumeclaims/status"),
        rule(READ, "persistentvolumeclaims"), rule(READ, "storageclasses", "storage.k8s.io"), events()],
    "generic-garbage-collector": [rule("delete get list patch update watch", "*", "*"), events()],
    "horizontal-pod-autoscaler": [
        rule(READ, "horizontalpodautoscalers", "autoscaling"),
        rule("patch update", "horizontalpodautoscalers/status", "autoscaling"),
        rule("get update", "*/scale", "*"), rule(READ, "pods"), rule("get list", "pods", "metrics.k8s.io"),
        rule("get list", "*", "custom.metrics.k8s.io,external.metrics.k8s.io"), events()],
    "job-controller": _workload("batch", "jobs", _PODS),
    "namespace-controller": [
        rule("delete get list watch", "namespaces"), rule("patch update", "namespaces/finalize namespaces/status"),
        rule("delete deletecollection get list", "*", "*")],
    "node-controller": [
        rule("delete get list patch update watch", "nodes"), rule("patch update", "nodes/status"),
        rule("patch update", "pods/status"), rule("delete get list watch", "pods"),
        rule("get list watch", "leases", "coordination.k8s.io"), events()],
    "persistent-volume-binder": [
        rule(_OWNED, "persistentvolumes"), rule("patch update", "persistentvolumes/status"),
        rule("get list patch update watch", "persistentvolumeclaims"),
        rule("patch update", "persistentvolumeclaims/status"), rule(_OWNED, "pods"), rule(READ, "nodes"),
        rule(READ, "storageclasses", "storage.k8s.io"), events()],
    "pod-garbage-collector": [
        rule("delete list watch", "pods"), rule(READ, "nodes"), rule("patch update", "pods/status")],
    "pv-protection-controller": [rule("get list patch update watch", "persistentvolumes"), events()],
    "pvc-protection-controller": [
        rule("get list patch update watch", "persistentvolumeclaims"), rule(READ, "pods"), events()],
    "replicaset-controller": _workload("apps", "replicasets", _PODS),
    "replication-controller": _workload("", "replicationcontrollers", _PODS),
    "resource-claim-controller": [
        rule("create delete get list watch", "resourceclaims", "resource.k8s.io"), rule(READ, "pods"),
        rule(READ, "resourceclaimtemplates", "resource.k8s.io"), rule("update", "pods/finalizers"),
        rule("patch update", "resourceclaims resourceclaims/status", "resource.k8s.io"),
        rule("patch update", "pods/status"), events()],
    "resourcequota-controller": [
        rule("list watch", "*", "*"), rule("patch update", "resourcequotas/status"), events()],
    "root-ca-cert-publisher": [rule("create get list patch update watch", "configmaps"), rule(READ, "namespaces"),
                               events()],
    "route-controller": [rule("list watch", "nodes"), rule("patch", "nodes nodes/status"), events()],
    "service-account-controller": [rule("create get list watch", "serviceaccounts"), rule(READ, "namespaces"),
                                   events()],
    "service-cidrs-controller": [
        rule("get list patch update watch", "servicecidrs", "networking.k8s.io"),
        rule("patch update", "servicecidrs/finalizers servicecidrs/status", "networking.k8s.io"),
        rule(READ, "ipaddresses", "networking.k8s.io"), events()],
    "service-controller": [
        rule(READ, "nodes services"), rule("patch update", "services/status"), events()],
    "statefulset-controller": _workload(
        "apps", "statefulsets", _PODS, _REVISIONS, rule(_OWNED, "persistentvolumeclaims")),
    "ttl-after-finished-controller": [rule("delete get list watch", "jobs", "batch"), events()],
    "ttl-controller": [rule("list patch update watch", "nodes"), events()],
    "validatingadmissionpolicy-status-controller": [
        rule(READ, "validatingadmissionpolicies", "admissionregistration.k8s.io"),
        rule("get patch update", "validatingadmissionpolicies/status", "admissionregistration.k8s.io"), events()],
}

# Beyond the controllers: elections, the token controller, delegated checks, and an informer for any kind.
_MANAGER: tuple[JSON, ...] = (
    *leases("kube-controller-manager"),
    rule("create delete get patch update", "secrets"),
    rule("create get patch update", "serviceaccounts"),
    rule("create", "serviceaccounts/token"),
    rule("create", "tokenreviews", "authentication.k8s.io"),
    rule("create", "subjectaccessreviews", "authorization.k8s.io"),
    rule("create delete get list update watch", "ipaddresses", "networking.k8s.io"),
    rule("list watch", "*", "*"),
)

# fmt: on


def _sum() -> list[JSON]:
    found: list[JSON] = []
    for rules in (*CONTROLLERS.values(), _MANAGER):
        found += [each for each in rules if each not in found]
    return found


CONTROLLER_ROLES: tuple[RoleSpec, ...] = (
    *(RoleSpec(f"system:controller:{name}", rules) for name, rules in CONTROLLERS.items()),
    RoleSpec("system:kube-controller-manager", _sum()),
)
CONTROLLER_BINDINGS: tuple[BindingSpec, ...] = tuple(
    BindingSpec(f"system:controller:{name}", f"system:controller:{name}", (f"ServiceAccount kube-system/{name}",))
    for name in CONTROLLERS
)
