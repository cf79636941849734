"""The default cluster roles, roles and bindings, as data: who may do what in a fresh cluster.

Names and contents follow upstream's bootstrap policy, so that what people know of `view`, `system:node-proxier` or
`system:public-info-viewer` holds here. One difference: our controllers run as one user, system:kube-controller-manager,
so that role gets the sum of the controllers' roles (`policy_controllers.py`); the single roles are there as well, bound
to the service accounts that upstream uses. Nothing here, and no service of ours, depends on system:masters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from apimachinery.meta import JSON

GROUP = "rbac.authorization.k8s.io"
READ = "get list watch"
WRITE = "create delete deletecollection patch update"
_CHANGE = "create patch update"  # what recording an event takes


def rule(verbs: str, resources: str, group: str = "", *, names: str = "") -> JSON:
    """A PolicyRule from words: verbs, resources and names separated by spaces, groups by commas ("" is core)."""
    made: JSON = {"verbs": verbs.split(), "apiGroups": group.split(","), "resources": resources.split()}
    if names:
        made["resourceNames"] = names.split()
    return made


def urls(verbs: str, paths: str) -> JSON:
    """A PolicyRule for non-resource paths."""
    return {"verbs": verbs.split(), "nonResourceURLs": paths.split()}


def events() -> JSON:
    """What every component that records events needs."""
    return rule(_CHANGE, "events", ",events.k8s.io")


def leases(name: str) -> list[JSON]:
    """Leader election with one named Lease."""
    return [
        rule("create", "leases", "coordination.k8s.io"),
        rule("get update patch", "leases", "coordination.k8s.io", names=name),
    ]


@dataclass(frozen=True, slots=True)
class RoleSpec:
    """A default ClusterRole, or a Role where `namespace` is set."""

    name: str
    rules: Sequence[JSON]
    namespace: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    aggregate: str = ""  # label whose value "true" selects the roles that this one sums up


@dataclass(frozen=True, slots=True)
class BindingSpec:
    """A default binding: subjects as `Group name`, `User name` or `ServiceAccount namespace/name`."""

    name: str
    role: str
    subjects: tuple[str, ...]
    namespace: str = ""
    role_kind: str = "ClusterRole"


# fmt: off
_AGGREGATE = "rbac.authorization.k8s.io/aggregate-to-"
_WORKLOADS_READ = (
    rule(READ, "configmaps endpoints persistentvolumeclaims persistentvolumeclaims/status pods replicationcontrollers"
         " replicationcontrollers/scale serviceaccounts services services/status"),
    rule(READ, "bindings events limitranges namespaces/status pods/log pods/status replicationcontrollers/status"
         " resourcequotas resourcequotas/status"),
    rule(READ, "namespaces"),
    rule(READ, "endpointslices", "discovery.k8s.io"),
    rule(READ, "controllerrevisions daemonsets daemonsets/status deployments deployments/scale deployments/status"
         " replicasets replicasets/scale replicasets/status statefulsets statefulsets/scale statefulsets/status",
         "apps"),
    rule(READ, "horizontalpodautoscalers horizontalpodautoscalers/status", "autoscaling"),
    rule(READ, "cronjobs cronjobs/status jobs jobs/status", "batch"),
    rule(READ, "poddisruptionbudgets poddisruptionbudgets/status", "policy"),
    rule(READ, "ingresses ingresses/status networkpolicies", "networking.k8s.io"),
    rule(READ, "resourceclaims resourceclaims/status resourceclaimtemplates", "resource.k8s.io"),
)
_WORKLOADS_WRITE = (
    rule(READ, "pods/attach pods/exec pods/portforward pods/proxy secrets services/proxy"),
    rule("impersonate", "serviceaccounts"),
    rule(WRITE, "pods pods/attach pods/exec pods/portforward pods/proxy"),
    rule("create", "pods/eviction"),
    rule(WRITE, "configmaps persistentvolumeclaims replicationcontrollers replicationcontrollers/scale secrets"
         " serviceaccounts services services/proxy events"),
    rule("create", "serviceaccounts/token"),
    rule(WRITE, "daemonsets deployments deployments/rollback deployments/scale replicasets replicasets/scale"
         " statefulsets statefulsets/scale", "apps"),
    rule(WRITE, "horizontalpodautoscalers", "autoscaling"),
    rule(WRITE, "cronjobs jobs", "batch"),
    rule(WRITE, "poddisruptionbudgets", "policy"),
    rule(WRITE, "ingresses networkpolicies", "networking.k8s.io"),
    rule(f"{WRITE} {READ}", "leases", "coordination.k8s.io"),
    rule(WRITE, "resourceclaims resourceclaimtemplates", "resource.k8s.io"),
)
_DISCOVERY = urls("get", "/api /api/* /apis /apis/* /healthz /livez /openapi /openapi/* /readyz /version /version/")
_REVIEWS = [
    rule("create", "tokenreviews", "authentication.k8s.io"),
    rule("create", "subjectaccessreviews", "authorization.k8s.io"),
]

NODE_RULES: tuple[JSON, ...] = (
    *_REVIEWS,
    rule("create", "localsubjectaccessreviews", "authorization.k8s.io"),
    rule(READ, "services"),
    rule(f"create {READ}", "nodes"),
    rule("patch update", "nodes/status"),
    rule("patch update", "nodes"),
    events(),
    rule(READ, "pods"),
    rule("create delete", "pods"),
    rule("patch update", "pods/status"),
    rule("create", "pods/eviction"),
    rule(READ, "secrets configmaps"),
    rule("get", "persistentvolumeclaims persistentvolumes"),
    rule("get", "endpoints"),
    rule("create get list watch", "certificatesigningrequests", "certificates.k8s.io"),
    rule("create delete get patch update", "leases", "coordination.k8s.io"),
    rule("get", "volumeattachments", "storage.k8s.io"),
    rule("create", "serviceaccounts/token"),
    rule("get patch update", "persistentvolumeclaims/status"),
    rule(READ, "csidrivers", "storage.k8s.io"),
    rule("create delete get patch update", "csinodes", "storage.k8s.io"),
    rule(READ, "runtimeclasses", "node.k8s.io"),
    rule("get", "resourceclaims", "resource.k8s.io"),
    rule("deletecollection create delete get list patch update watch", "resourceslices", "resource.k8s.io"),
    rule(READ, "clustertrustbundles", "certificates.k8s.io"),
)

_SCHEDULER = (
    *_REVIEWS,
    events(),
    *leases("kube-scheduler"),
    rule(READ, "nodes namespaces"),
    rule(f"delete {READ}", "pods"),
    rule("create", "bindings pods/binding"),
    rule("patch update", "pods/status"),
    rule(READ, "replicationcontrollers services"),
    rule(READ, "replicasets statefulsets", "apps"),
    rule(READ, "poddisruptionbudgets", "policy"),
    rule(READ, "persistentvolumeclaims persistentvolumes"),
    *_REVIEWS,
    rule(READ, "csinodes csidrivers csistoragecapacities storageclasses volumeattachments", "storage.k8s.io"),
    rule(READ, "deviceclasses resourceslices", "resource.k8s.io"),
    rule(f"patch update {READ}", "resourceclaims", "resource.k8s.io"),
    rule("patch update", "resourceclaims/status", "resource.k8s.io"),
    rule(READ, "priorityclasses", "scheduling.k8s.io"),
)


def _aggregated(name: str, *targets: str) -> tuple[tuple[str, str], ...]:
    return tuple((_AGGREGATE + target, "true") for target in (name, *targets))


CLUSTER_ROLES: tuple[RoleSpec, ...] = (
    RoleSpec("cluster-admin", (rule("*", "*", "*"), urls("*", "*"))),
    RoleSpec("system:discovery", (_DISCOVERY,)),
    RoleSpec("system:public-info-viewer", (urls("get", "/healthz /livez /readyz /version /version/"),)),
    RoleSpec("system:monitoring", (
        urls("get", "/healthz /healthz/* /livez /livez/* /metrics /metrics/slis /readyz /readyz/*"),)),
    RoleSpec("system:basic-user", (
        rule("create", "selfsubjectaccessreviews selfsubjectrulesreviews", "authorization.k8s.io"),
        rule("create", "selfsubjectreviews", "authentication.k8s.io"))),
    RoleSpec("admin", (), aggregate=_AGGREGATE + "admin"),
    RoleSpec("edit", (), labels=_aggregated("admin"), aggregate=_AGGREGATE + "edit"),
    RoleSpec("view", (), labels=_aggregated("edit"), aggregate=_AGGREGATE + "view"),
    RoleSpec("system:aggregate-to-admin", (
        rule("create", "localsubjectaccessreviews", "authorization.k8s.io"),
        rule("create delete deletecollection get list patch update watch", "roles rolebindings", GROUP)),
        labels=_aggregated("admin")),
    RoleSpec("system:aggregate-to-edit", _WORKLOADS_WRITE, labels=_aggregated("edit")),
    RoleSpec("system:aggregate-to-view", _WORKLOADS_READ, labels=_aggregated("view")),
    RoleSpec("system:aggregated-metrics-reader", (rule(READ, "pods nodes", "metrics.k8s.io"),),
             labels=_aggregated("view", "edit", "admin")),
    RoleSpec("system:node", NODE_RULES),
    RoleSpec("system:node-problem-detector", (rule("get", "nodes"), rule("patch", "nodes/status"), events())),
    RoleSpec("system:kubelet-api-admin", (
        rule(READ, "nodes"), rule("proxy", "nodes"),
        rule("*", "nodes/configz nodes/healthz nodes/log nodes/metrics nodes/pods nodes/proxy nodes/spec"
             " nodes/stats"))),
    RoleSpec("system:node-bootstrapper", (
        rule("create get list watch", "certificatesigningrequests", "certificates.k8s.io"),)),
    RoleSpec("system:auth-delegator", tuple(_REVIEWS)),
    RoleSpec("system:kube-aggregator", (rule(READ, "services endpoints"),)),
    RoleSpec("system:node-proxier", (
        rule("list watch", "services endpoints"), rule(READ, "nodes"), events(),
        rule("list watch", "endpointslices", "discovery.k8s.io"),
        rule("list watch", "servicecidrs", "networking.k8s.io"))),
    RoleSpec("mini-kubernetes:network-policy", (
        rule(READ, "namespaces pods"), rule(READ, "networkpolicies", "networking.k8s.io"))),
    RoleSpec("system:kube-scheduler", _SCHEDULER),
    RoleSpec("system:volume-scheduler", (
        rule(f"patch update {READ}", "persistentvolumes persistentvolumeclaims"),
        rule(READ, "storageclasses", "storage.k8s.io"))),
    RoleSpec("system:kube-dns", (
        rule("list watch", "endpoints services namespaces pods"), rule("get", "nodes"),
        rule("list watch", "endpointslices", "discovery.k8s.io"))),
    RoleSpec("system:persistent-volume-provisioner", (
        rule("create delete get list watch", "persistentvolumes"), rule(f"update {READ}", "persistentvolumeclaims"),
        rule(READ, "storageclasses", "storage.k8s.io"), rule("watch", "events"), events())),
    RoleSpec("system:service-account-issuer-discovery", (
        urls("get", "/.well-known/openid-configuration /.well-known/openid-configuration/ /openid/v1/jwks"
             " /openid/v1/jwks/"),)),
    *(RoleSpec(f"system:certificates.k8s.io:{what}", (rule(
        verb, "signers", "certificates.k8s.io", names=f"kubernetes.io/{signer}"),))
      for what, verb, signer in (
          ("legacy-unknown-approver", "approve", "legacy-unknown"),
          ("kubelet-serving-approver", "approve", "kubelet-serving"),
          ("kube-apiserver-client-approver", "approve", "kube-apiserver-client"),
          ("kube-apiserver-client-kubelet-approver", "approve", "kube-apiserver-client-kubelet"))),
    RoleSpec("system:certificates.k8s.io:certificatesigningrequests:nodeclient", (
        rule("create", "certificatesigningrequests/nodeclient", "certificates.k8s.io"),)),
    RoleSpec("system:certificates.k8s.io:certificatesigningrequests:selfnodeclient", (
        rule("create", "certificatesigningrequests/selfnodeclient", "certificates.k8s.io"),)),
)

_EVERYONE = "Group system:authenticated"
CLUSTER_ROLE_BINDINGS: tuple[BindingSpec, ...] = (
    BindingSpec("cluster-admin", "cluster-admin", ("Group system:masters",)),
    BindingSpec("system:monitoring", "system:monitoring", ("Group system:monitoring",)),
    BindingSpec("system:discovery", "system:discovery", (_EVERYONE,)),
    BindingSpec("system:basic-user", "system:basic-user", (_EVERYONE,)),
    BindingSpec("system:public-info-viewer", "system:public-info-viewer", (_EVERYONE, "Group system:unauthenticated")),
    BindingSpec("system:node-proxier", "system:node-proxier", ("User system:kube-proxy",)),
    BindingSpec("mini-kubernetes:proxy-metrics", "system:auth-delegator", ("User system:kube-proxy",)),
    BindingSpec("mini-kubernetes:network-policy", "mini-kubernetes:network-policy", ("User system:kube-proxy",)),
    BindingSpec("system:kube-controller-manager", "system:kube-controller-manager",
                ("User system:kube-controller-manager",)),
    BindingSpec("system:kube-dns", "system:kube-dns", ("ServiceAccount kube-system/kube-dns",)),
    BindingSpec("system:kube-scheduler", "system:kube-scheduler", ("User system:kube-scheduler",)),
    BindingSpec("system:volume-scheduler", "system:volume-scheduler", ("User system:kube-scheduler",)),
    BindingSpec("system:node", "system:node", ()),
    BindingSpec("system:service-account-issuer-discovery", "system:service-account-issuer-discovery",
                ("Group system:serviceaccounts",)),
)

_SYSTEM, _PUBLIC = "kube-system", "kube-public"
ROLES: tuple[RoleSpec, ...] = (
    RoleSpec("extension-apiserver-authentication-reader", (
        rule(READ, "configmaps", names="extension-apiserver-authentication"),), namespace=_SYSTEM),
    RoleSpec("system:controller:bootstrap-signer", (rule(READ, "secrets"),), namespace=_SYSTEM),
    RoleSpec("system:controller:cloud-provider", (rule("create get list watch", "configmaps"),), namespace=_SYSTEM),
    RoleSpec("system:controller:token-cleaner", (rule("delete get list watch", "secrets"), events()),
             namespace=_SYSTEM),
    *(RoleSpec(f"system::leader-locking-{name}", (
        rule("watch", "configmaps"), rule("get update", "configmaps", names=name),
        rule("get update", "leases", "coordination.k8s.io", names=name)), namespace=_SYSTEM)
      for name in ("kube-controller-manager", "kube-scheduler")),
    RoleSpec("system:controller:bootstrap-signer", (
        rule(READ, "configmaps"), rule("update", "configmaps", names="cluster-info"), events()), namespace=_PUBLIC),
)
ROLE_BINDINGS: tuple[BindingSpec, ...] = (
    *(BindingSpec(f"system::{name}", role, subjects, namespace=_SYSTEM, role_kind="Role") for name, role, subjects in (
        ("extension-apiserver-authentication-reader", "extension-apiserver-authentication-reader",
         ("User system:kube-controller-manager", "User system:kube-scheduler")),
        ("leader-locking-kube-controller-manager", "system::leader-locking-kube-controller-manager",
         ("User system:kube-controller-manager", "ServiceAccount kube-system/kube-controller-manager")),
        ("leader-locking-kube-scheduler", "system::leader-locking-kube-scheduler",
         ("User system:kube-scheduler", "ServiceAccount kube-system/kube-scheduler")))),
    BindingSpec("system:controller:bootstrap-signer", "system:controller:bootstrap-signer",
                ("ServiceAccount kube-system/bootstrap-signer", "User system:kube-controller-manager"),
                namespace=_SYSTEM, role_kind="Role"),
    BindingSpec("system:controller:cloud-provider", "system:controller:cloud-provider",
                ("ServiceAccount kube-system/cloud-provider",), namespace=_SYSTEM, role_kind="Role"),
    BindingSpec("system:controller:token-cleaner", "system:controller:token-cleaner",
                ("ServiceAccount kube-system/token-cleaner", "User system:kube-controller-manager"),
                namespace=_SYSTEM, role_kind="Role"),
    BindingSpec("system:controller:bootstrap-signer", "system:controller:bootstrap-signer",
                ("ServiceAccount kube-system/bootstrap-signer", "User system:kube-controller-manager"),
                namespace=_PUBLIC, role_kind="Role"),
)
