"""The vocabulary's table: every kind as one row of data.

Discovery (in this order), OpenAPI, routes, Table columns, RBAC names, storage keys and clients all derive from these
rows. Custom resources make rows of the same shape at run time, in the API server. What a kind *does* is not here: that
is its strategy, in `apiserver.registry`.
"""

from dataclasses import dataclass
from typing import Any, Final, NamedTuple

ALL_VERBS: Final = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


class GVK(NamedTuple):
    """Group, version and kind."""

    group: str
    version: str
    kind: str

    @property
    def api_version(self) -> str:
        """ "v1", "apps/v1"."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @classmethod
    def of(cls, api_version: str, kind: str) -> "GVK":
        group, _, version = api_version.rpartition("/")
        return cls(group, version, kind)


@dataclass(frozen=True, slots=True)
class Subresource:
    """`gvk` is what it takes and answers: often another kind than its parent's (Scale, Eviction, …)."""

    name: str
    gvk: GVK
    verbs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind. Versions: the preferred one, which is also the stored one, comes first."""

    group: str
    versions: tuple[str, ...]
    kind: str
    plural: str
    singular: str
    namespaced: bool
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ALL_VERBS
    subresources: tuple[Subresource, ...] = ()
    selectable: tuple[str, ...] = ()  # fields beyond metadata.name and metadata.namespace
    served: bool = True  # rows that the API server doesn't offer yet are still names to others
    storage: str = ""  # registry prefix where it is not the usual one
    computed: bool = False  # worked out when asked for

    def __hash__(self) -> int:  # a row is a key in many tables
        return hash((self.group, self.plural))

    @property
    def gvk(self) -> GVK:
        return GVK(self.group, self.versions[0], self.kind)

    @property
    def api_version(self) -> str:
        return self.gvk.api_version

    @property
    def list_kind(self) -> str:
        return self.kind + "List"

    @property
    def resource(self) -> str:
        """ "pods", "deployments.apps"."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def registry_prefix(self) -> str:
        """Where its objects are in etcd, with a slash at the end."""
        if self.storage:
            return self.storage
        return f"/registry/{self.group}/{self.plural}/" if self.group else f"/registry/{self.plural}/"

    @property
    def stored(self) -> bool:
        """Whether objects of it are kept at all: reviews and bindings are only answered."""
        return "get" in self.verbs and not self.computed


_rows: list[Kind] = []
_READ_WRITE: Final = ("get", "patch", "update")
_CREATE: Final = ("create",)
_CONNECT: Final = ("create", "get")
_PROXY: Final = ("create", "delete", "get", "patch", "update")

# subresource -> (its group, version and kind, verbs); in the kind, {} is the parent's, and no version the parent's too
_SUBRESOURCES: Final[dict[str, tuple[GVK, tuple[str, ...]]]] = {
    "approval": (GVK("", "", "{}"), _READ_WRITE),
    "attach": (GVK("", "v1", "{}AttachOptions"), _CONNECT),
    "binding": (GVK("", "v1", "Binding"), _CREATE),
    "ephemeralcontainers": (GVK("", "", "{}"), _READ_WRITE),
    "eviction": (GVK("policy", "v1", "Eviction"), _CREATE),
    "exec": (GVK("", "v1", "{}ExecOptions"), _CONNECT),
    "finalize": (GVK("", "", "{}"), ("update",)),
    "log": (GVK("", "", "{}"), ("get",)),
    "portforward": (GVK("", "v1", "{}PortForwardOptions"), _CONNECT),
    "proxy": (GVK("", "v1", "{}ProxyOptions"), _PROXY),
    "resize": (GVK("", "", "{}"), _READ_WRITE),
    "scale": (GVK("autoscaling", "v1", "Scale"), _READ_WRITE),
    "status": (GVK("", "", "{}"), _READ_WRITE),
    "token": (GVK("authentication.k8s.io", "v1", "TokenRequest"), _CREATE),
}


def _kind(
    api_versions: str,
    kind: str,
    plural: str,
    subresources: str = "",
    *,
    short: str = "",
    categories: str = "",
    namespaced: bool = True,
    verbs: tuple[str, ...] = ALL_VERBS,
    selectable: str = "",
    served: bool = True,
    storage: str = "",
) -> Kind:
    """Add a row. What is several is written as words; api_versions as "group/v2 v1" or "v1"."""
    group, _, versions = api_versions.rpartition("/")
    parent = GVK(group, versions.split()[0], kind)
    row = Kind(
        group=group,
        versions=tuple(versions.split()),
        kind=kind,
        plural=plural,
        singular=kind.lower(),
        namespaced=namespaced,
        short_names=tuple(short.split()),
        categories=tuple(categories.split()),
        verbs=verbs,
        subresources=tuple(_subresource(name, parent) for name in subresources.split()),
        selectable=tuple(selectable.split()),
        served=served,
        storage=storage,
    )
    _rows.append(row)
    return row


def _cluster(api_versions: str, kind: str, plural: str, subresources: str = "", **more: Any) -> Kind:
    """Add a row that has no namespace."""
    return _kind(api_versions, kind, plural, subresources, namespaced=False, **more)


def _subresource(name: str, parent: GVK) -> Subresource:
    gvk, verbs = _SUBRESOURCES[name]
    gvk = gvk._replace(kind=gvk.kind.format(parent.kind)) if gvk.version else parent
    return Subresource(name, gvk, verbs)


_EVENT_FIELDS: Final = "{0}.kind {0}.namespace {0}.name {0}.uid {0}.apiVersion {0}.resourceVersion {0}.fieldPath "
_POD_FIELDS: Final = (
    "spec.nodeName spec.restartPolicy spec.schedulerName spec.serviceAccountName spec.hostNetwork "
    "status.phase status.podIP status.nominatedNodeName"
)
_POD_SUBRESOURCES: Final = "attach binding ephemeralcontainers eviction exec log portforward proxy resize status"
_SINGLY: Final = tuple(verb for verb in ALL_VERBS if verb != "deletecollection")

# fmt: off
BINDING: Final = _kind("v1", "Binding", "bindings", verbs=_CREATE)
COMPONENT_STATUS: Final = _cluster("v1", "ComponentStatus", "componentstatuses", short="cs", verbs=("get", "list"),
      served=False)
CONFIG_MAP: Final = _kind("v1", "ConfigMap", "configmaps", short="cm")
ENDPOINTS: Final = _kind("v1", "Endpoints", "endpoints", short="ep")
CORE_EVENT: Final = _kind("v1", "Event", "events", short="ev",
      selectable=_EVENT_FIELDS.format("involvedObject") + "reason reportingComponent source type")
LIMIT_RANGE: Final = _kind("v1", "LimitRange", "limitranges", short="limits")
NAMESPACE: Final = _cluster("v1", "Namespace", "namespaces", "finalize status", short="ns", verbs=_SINGLY,
      selectable="status.phase")
NODE: Final = _cluster("v1", "Node", "nodes", "proxy status", short="no", selectable="spec.unschedulable")
PERSISTENT_VOLUME_CLAIM: Final = _kind("v1", "PersistentVolumeClaim", "persistentvolumeclaims", "status", short="pvc")
PERSISTENT_VOLUME: Final = _cluster("v1", "PersistentVolume", "persistentvolumes", "status", short="pv")
POD: Final = _kind("v1", "Pod", "pods", _POD_SUBRESOURCES, short="po", categories="all", selectable=_POD_FIELDS)
POD_TEMPLATE: Final = _kind("v1", "PodTemplate", "podtemplates")
REPLICATION_CONTROLLER: Final = _kind("v1", "ReplicationController", "replicationcontrollers", "scale status",
      short="rc", categories="all", selectable="status.replicas")
RESOURCE_QUOTA: Final = _kind("v1", "ResourceQuota", "resourcequotas", "status", short="quota")
SECRET: Final = _kind("v1", "Secret", "secrets", selectable="type")
SERVICE_ACCOUNT: Final = _kind("v1", "ServiceAccount", "serviceaccounts", "token", short="sa")
SERVICE: Final = _kind("v1", "Service", "services", "proxy status", short="svc", categories="all",
      selectable="spec.clusterIP spec.type")

_EXTENSION: Final = "api-extensions"
API_SERVICE: Final = _cluster("apiregistration.k8s.io/v1", "APIService", "apiservices", "status",
      categories=_EXTENSION, served=False)

_APPS: Final = "apps/v1"
CONTROLLER_REVISION: Final = _kind(_APPS, "ControllerRevision", "controllerrevisions")
DAEMON_SET: Final = _kind(_APPS, "DaemonSet", "daemonsets", "status", short="ds", categories="all")
DEPLOYMENT: Final = _kind(_APPS, "Deployment", "deployments", "scale status", short="deploy", categories="all")
REPLICA_SET: Final = _kind(_APPS, "ReplicaSet", "replicasets", "scale status", short="rs", categories="all",
      selectable="status.replicas")
STATEFUL_SET: Final = _kind(_APPS, "StatefulSet", "statefulsets", "scale status", short="sts", categories="all")

# the same objects as the core Events, in another shape
EVENT: Final = _kind("events.k8s.io/v1", "Event", "events", short="ev", storage="/registry/events/",
      selectable=_EVENT_FIELDS.format("regarding") + "reason reportingController type")

# asked and answered, never stored
_AUTHENTICATION: Final = "authentication.k8s.io/v1"
SELF_SUBJECT_REVIEW: Final = _cluster(_AUTHENTICATION, "SelfSubjectReview", "selfsubjectreviews", verbs=_CREATE)
TOKEN_REVIEW: Final = _cluster(_AUTHENTICATION, "TokenReview", "tokenreviews", verbs=_CREATE)
_AUTHORIZATION: Final = "authorization.k8s.io/v1"
LOCAL_SUBJECT_ACCESS_REVIEW: Final = _kind(_AUTHORIZATION, "LocalSubjectAccessReview", "localsubjectaccessreviews",
      verbs=_CREATE)
SELF_SUBJECT_ACCESS_REVIEW: Final = _cluster(_AUTHORIZATION, "SelfSubjectAccessReview", "selfsubjectaccessreviews",
      verbs=_CREATE)
SELF_SUBJECT_RULES_REVIEW: Final = _cluster(_AUTHORIZATION, "SelfSubjectRulesReview", "selfsubjectrulesreviews",
      verbs=_CREATE)
SUBJECT_ACCESS_REVIEW: Final = _cluster(_AUTHORIZATION, "SubjectAccessReview", "subjectaccessreviews", verbs=_CREATE)

HORIZONTAL_POD_AUTOSCALER: Final = _kind("autoscaling/v2 v1", "HorizontalPodAutoscaler", "horizontalpodautoscalers",
      "status", short="hpa", categories="all")
CRON_JOB: Final = _kind("batch/v1", "CronJob", "cronjobs", "status", short="cj", categories="all")
JOB: Final = _kind("batch/v1", "Job", "jobs", "status", categories="all", selectable="status.successful")

_CERTIFICATES: Final = "certificates.k8s.io/v1"
CERTIFICATE_SIGNING_REQUEST: Final = _cluster(_CERTIFICATES, "CertificateSigningRequest",
      "certificatesigningrequests", "approval status", short="csr", selectable="spec.signerName")
CLUSTER_TRUST_BUNDLE: Final = _cluster(_CERTIFICATES, "ClusterTrustBundle", "clustertrustbundles",
      selectable="spec.signerName", served=False)
POD_CERTIFICATE_REQUEST: Final = _kind(_CERTIFICATES, "PodCertificateRequest", "podcertificaterequests", "status",
      served=False)

_NETWORKING: Final = "networking.k8s.io/v1"
INGRESS: Final = _kind(_NETWORKING, "Ingress", "ingresses", "status", short="ing")
INGRESS_CLASS: Final = _cluster(_NETWORKING, "IngressClass", "ingressclasses")
IP_ADDRESS: Final = _cluster(_NETWORKING, "IPAddress", "ipaddresses", short="ip")
NETWORK_POLICY: Final = _kind(_NETWORKING, "NetworkPolicy", "networkpolicies", short="netpol")
SERVICE_CIDR: Final = _cluster(_NETWORKING, "ServiceCIDR", "servicecidrs", "status")

EVICTION: Final = _kind("policy/v1", "Eviction", "evictions", verbs=_CREATE, served=False)  # pods/eviction is
POD_DISRUPTION_BUDGET: Final = _kind("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets", "status", short="pdb")

_RBAC: Final = "rbac.authorization.k8s.io/v1"
CLUSTER_ROLE: Final = _cluster(_RBAC, "ClusterRole", "clusterroles")
CLUSTER_ROLE_BINDING: Final = _cluster(_RBAC, "ClusterRoleBinding", "clusterrolebindings")
ROLE: Final = _kind(_RBAC, "Role", "roles")
ROLE_BINDING: Final = _kind(_RBAC, "RoleBinding", "rolebindings")

_STORAGE: Final = "storage.k8s.io/v1"
CSI_DRIVER: Final = _cluster(_STORAGE, "CSIDriver", "csidrivers")
CSI_NODE: Final = _cluster(_STORAGE, "CSINode", "csinodes")
CSI_STORAGE_CAPACITY: Final = _kind(_STORAGE, "CSIStorageCapacity", "csistoragecapacities")
STORAGE_CLASS: Final = _cluster(_STORAGE, "StorageClass", "storageclasses", short="sc")
VOLUME_ATTACHMENT: Final = _cluster(_STORAGE, "VolumeAttachment", "volumeattachments", "status")
VOLUME_ATTRIBUTES_CLASS: Final = _cluster(_STORAGE, "VolumeAttributesClass", "volumeattributesclasses", short="vac")

_ADMISSION: Final = "admissionregistration.k8s.io/v1"
MUTATING_ADMISSION_POLICY: Final = _cluster(_ADMISSION, "MutatingAdmissionPolicy", "mutatingadmissionpolicies",
      categories=_EXTENSION)
MUTATING_ADMISSION_POLICY_BINDING: Final = _cluster(_ADMISSION, "MutatingAdmissionPolicyBinding",
      "mutatingadmissionpolicybindings", categories=_EXTENSION)
MUTATING_WEBHOOK_CONFIGURATION: Final = _cluster(_ADMISSION, "MutatingWebhookConfiguration",
      "mutatingwebhookconfigurations", categories=_EXTENSION)
VALIDATING_ADMISSION_POLICY: Final = _cluster(_ADMISSION, "ValidatingAdmissionPolicy", "validatingadmissionpolicies",
      "status", categories=_EXTENSION)
VALIDATING_ADMISSION_POLICY_BINDING: Final = _cluster(_ADMISSION, "ValidatingAdmissionPolicyBinding",
      "validatingadmissionpolicybindings", categories=_EXTENSION)
VALIDATING_WEBHOOK_CONFIGURATION: Final = _cluster(_ADMISSION, "ValidatingWebhookConfiguration",
      "validatingwebhookconfigurations", categories=_EXTENSION)
CUSTOM_RESOURCE_DEFINITION: Final = _cluster("apiextensions.k8s.io/v1", "CustomResourceDefinition",
      "customresourcedefinitions", "status", short="crd crds", categories=_EXTENSION, served=False)

PRIORITY_CLASS: Final = _cluster("scheduling.k8s.io/v1", "PriorityClass", "priorityclasses", short="pc")
LEASE: Final = _kind("coordination.k8s.io/v1", "Lease", "leases")
RUNTIME_CLASS: Final = _cluster("node.k8s.io/v1", "RuntimeClass", "runtimeclasses")
ENDPOINT_SLICE: Final = _kind("discovery.k8s.io/v1", "EndpointSlice", "endpointslices")
# fmt: on

KINDS: Final[tuple[Kind, ...]] = tuple(_rows)

# What the API server works out when asked (no official definitions): the names are the metrics server's.
_METRICS: Final = "metrics.k8s.io"
NODE_METRICS: Final = Kind(_METRICS, ("v1beta1",), "NodeMetrics", "nodes", "", False, verbs=("get", "list"),
                           computed=True)  # fmt: skip
POD_METRICS: Final = Kind(_METRICS, ("v1beta1",), "PodMetrics", "pods", "", True, verbs=("get", "list"), computed=True)
COMPUTED: Final = (NODE_METRICS, POD_METRICS)

_BY_RESOURCE: Final = {(row.group, row.plural): row for row in KINDS}
_BY_GVK: Final = {GVK(row.group, version, row.kind): row for row in KINDS for version in row.versions}
_BY_KIND: Final = {row.kind: row for row in reversed(KINDS)}  # the core Event before the other one


def named(kind: str, group: str | None = None) -> Kind:
    """The row of a kind's name, in any group or in the one given. Raises KeyError."""
    if group is None:
        return _BY_KIND[kind]
    for row in KINDS:
        if row.kind == kind and row.group == group:
            return row
    raise KeyError(f"{kind}.{group}")


def by_resource(group: str, plural: str) -> Kind:
    """The row of ("apps", "deployments"). Raises KeyError."""
    return _BY_RESOURCE[group, plural]


def by_gvk(gvk: GVK) -> Kind:
    """The row that serves this group, version and kind. Raises KeyError."""
    return _BY_GVK[gvk]
