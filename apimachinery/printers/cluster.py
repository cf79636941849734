"""Columns of everything else: nodes, namespaces, events, configuration, access, storage, extensions."""

from datetime import timedelta
from typing import Any, Final

from apimachinery import meta
from apimachinery.printers.cells import (
    AGE,
    CREATED_AT,
    NAME,
    NONE,
    UNKNOWN,
    UNSET,
    Column,
    at,
    count,
    human_duration,
    joined,
    look,
    simply,
    since,
    wide,
)

JSON = dict[str, Any]
_ROLE_PREFIX: Final = "node-role.kubernetes.io/"
_DEFAULT_CLASS: Final = (
    "storageclass.kubernetes.io/is-default-class",
    "storageclass.beta.kubernetes.io/is-default-class",
)
_MODES: Final = {
    "ReadWriteOnce": "RWO",
    "ReadOnlyMany": "ROX",
    "ReadWriteMany": "RWX",
    "ReadWriteOncePod": "RWOP",
}


def _node_status(node: JSON) -> str:
    ready = meta.condition(node, "Ready")
    shown = "Unknown" if ready is None else "Ready" if ready.get("status") == "True" else "NotReady"
    return f"{shown},SchedulingDisabled" if look(node, "spec.unschedulable") else shown


def _node_roles(node: JSON) -> str:
    roles = set()
    for key, value in meta.labels(node).items():
        if key.startswith(_ROLE_PREFIX) and len(key) > len(_ROLE_PREFIX):
            roles.add(key.removeprefix(_ROLE_PREFIX))
        elif key == "kubernetes.io/role" and value:
            roles.add(value)
    return joined(sorted(roles))


def _node_address(type_: str) -> Column:
    def shown(node: JSON) -> str:
        addresses = look(node, "status.addresses") or ()
        return next((str(each["address"]) for each in addresses if each.get("type") == type_), NONE)

    return wide(type_.replace("IP", "-IP"), simply(shown))


def _event_times(event: JSON) -> tuple[str | None, str | None]:
    """(first, last) seen, in either shape of an Event."""
    first = event.get("firstTimestamp") or event.get("deprecatedFirstTimestamp") or event.get("eventTime")
    last = event.get("lastTimestamp") or event.get("deprecatedLastTimestamp") or first
    return first, look(event, "series.lastObservedTime") or last


def _event_object(event: JSON) -> str:
    about = event.get("involvedObject") or event.get("regarding") or {}
    kind = (about.get("kind") or "").lower()
    return f"{kind}/{about['name']}" if about.get("name") else kind


def _event_subobject(event: JSON) -> str:
    return str((event.get("involvedObject") or event.get("regarding") or {}).get("fieldPath") or "")


def _event_source(event: JSON) -> str:
    source = event.get("source") or event.get("deprecatedSource") or {}
    component = source.get("component") or event.get("reportingComponent") or event.get("reportingController") or ""
    host = source.get("host") or event.get("reportingInstance")
    return f"{component}, {host}" if host else component


def _event_count(event: JSON) -> int:
    return look(event, "series.count") or event.get("count") or event.get("deprecatedCount") or 1


_EVENT: Final = (
    Column("Last Seen", lambda event, now: since(_event_times(event)[1], now)),
    Column("Type", at("type")),
    Column("Reason", at("reason")),
    Column("Object", simply(_event_object)),
    wide("Subobject", simply(_event_subobject)),
    wide("Source", simply(_event_source)),
    Column("Message", simply(lambda event: (event.get("message") or event.get("note") or "").strip())),
    wide("First Seen", lambda event, now: since(_event_times(event)[0], now)),
    wide("Count", simply(_event_count), "integer"),
    Column("Name", at("metadata.name"), format="name", priority=1),
)


def _quota(kind: str) -> Column:
    """The limits of a ResourceQuota, or the requests, which is all the rest."""

    def shown(quota: JSON) -> str:
        hard, used = look(quota, "status.hard") or {}, look(quota, "status.used") or {}
        names = [name for name in sorted(hard) if name.startswith("limits") == (kind == "Limit")]
        return ", ".join(f"{name}: {used.get(name, 0)}/{hard[name]}" for name in names)

    return Column(kind, simply(shown))


def _subjects(kind: str) -> Column:
    def shown(binding: JSON) -> str:
        subjects = [each for each in binding.get("subjects") or () if each.get("kind") == kind]
        return ", ".join(
            f"{each['namespace']}/{each['name']}" if each.get("namespace") else each["name"] for each in subjects
        )

    return wide("ServiceAccounts" if kind == "ServiceAccount" else f"{kind}s", simply(shown))


_BINDING: Final = (
    NAME,
    Column("Role", simply(lambda obj: f"{look(obj, 'roleRef.kind')}/{look(obj, 'roleRef.name')}")),
    AGE,
    _subjects("User"),
    _subjects("Group"),
    _subjects("ServiceAccount"),
)


def _csr_condition(csr: JSON) -> str:
    shown = next((each for each in ("Denied", "Approved") if meta.condition(csr, each)), "Pending")
    failed = ",Failed" if meta.condition(csr, "Failed") else ""
    return f"{shown}{failed}{',Issued' if look(csr, 'status.certificate') else ''}"


def _csr_duration(csr: JSON) -> str:
    seconds = look(csr, "spec.expirationSeconds")
    return NONE if seconds is None else human_duration(timedelta(seconds=seconds))


def _phase(obj: JSON) -> str:
    return "Terminating" if meta.is_deleting(obj) else str(look(obj, "status.phase") or "")


def _modes(modes: list[str] | None) -> str:
    given = modes or ()
    return joined((short for mode, short in _MODES.items() if mode in given), default="")


def _claim(volume: JSON) -> str:
    claim = look(volume, "spec.claimRef")
    return f"{claim.get('namespace', '')}/{claim.get('name', '')}" if claim else ""


def _bound(claim: JSON, shown: Any) -> str:
    """Capacity and modes of a claim are its volume's: none, none shown."""
    return str(shown or "") if look(claim, "spec.volumeName") else ""


def _class_name(obj: JSON) -> str:
    is_default = any(meta.annotations(obj).get(key) == "true" for key in _DEFAULT_CLASS)
    return f"{meta.name(obj)} (default)" if is_default else meta.name(obj)


def _storage_class(obj: JSON) -> str:
    legacy = meta.annotations(obj).get("volume.beta.kubernetes.io/storage-class")
    return str(legacy or look(obj, "spec.storageClassName") or "")


def _param_kind(obj: JSON) -> str:
    kind = look(obj, "spec.paramKind")
    return f"{kind.get('apiVersion')}/{kind.get('kind')}" if kind else UNSET


def _param_ref(obj: JSON) -> str:
    ref = look(obj, "spec.paramRef")
    if not ref:
        return UNSET
    return f"{ref.get('namespace') or '*'}/{ref.get('name') or '*'}"


def _api_service(obj: JSON) -> str:
    service = look(obj, "spec.service")
    return f"{service['namespace']}/{service['name']}" if service else "Local"


def _api_available(obj: JSON) -> str:
    available = meta.condition(obj, "Available")
    if available is None:
        return "Unknown"
    return "True" if available["status"] == "True" else f"{available['status']} ({available.get('reason', '')})"


def _used(resource: str, unit: str) -> Column:
    """The sum of a NodeMetrics', or of a PodMetrics' containers', usage."""

    def shown(obj: JSON) -> str:
        usages = [each["usage"] for each in obj.get("containers") or (obj,)]
        return f"{sum(int(usage[resource].removesuffix(unit)) for usage in usages)}{unit}"

    return Column(resource, simply(shown))


_USAGE: Final = (NAME, _used("cpu", "n"), _used("memory", "Ki"), Column("Window", at("window")))


_WEBHOOKS: Final = (NAME, Column("Webhooks", count("webhooks"), "integer"), AGE)
_POLICY_BINDING: Final = (
    NAME,
    Column("PolicyName", at("spec.policyName")),
    Column("ParamRef", simply(_param_ref)),
    AGE,
)


def _policy(name: str) -> tuple[Column, ...]:
    rules = Column(name, count(f"spec.{name.lower()}"), "integer")
    return (NAME, rules, Column("ParamKind", simply(_param_kind)), AGE)


_STORAGE: Final[dict[str, tuple[Column, ...]]] = {
    "persistentvolumes": (
        NAME,
        Column("Capacity", at("spec.capacity.storage")),
        Column("Access Modes", simply(lambda obj: _modes(look(obj, "spec.accessModes")))),
        Column("Reclaim Policy", at("spec.persistentVolumeReclaimPolicy")),
        Column("Status", simply(_phase)),
        Column("Claim", simply(_claim)),
        Column("StorageClass", simply(_storage_class)),
        Column("VolumeAttributesClass", at("spec.volumeAttributesClassName", UNSET)),
        Column("Reason", at("status.reason")),
        AGE,
        wide("VolumeMode", at("spec.volumeMode", UNSET)),
    ),
    "persistentvolumeclaims": (
        NAME,
        Column("Status", simply(_phase)),
        Column("Volume", at("spec.volumeName")),
        Column("Capacity", simply(lambda obj: _bound(obj, look(obj, "status.capacity.storage")))),
        Column("Access Modes", simply(lambda obj: _bound(obj, _modes(look(obj, "status.accessModes"))))),
        Column("StorageClass", simply(_storage_class)),
        Column("VolumeAttributesClass", at("spec.volumeAttributesClassName", UNSET)),
        AGE,
        wide("VolumeMode", at("spec.volumeMode", UNSET)),
    ),
    "storageclasses.storage.k8s.io": (
        Column("Name", simply(_class_name), format="name"),
        Column("Provisioner", at("provisioner")),
        Column("ReclaimPolicy", at("reclaimPolicy", "Delete")),
        Column("VolumeBindingMode", at("volumeBindingMode", "Immediate")),
        Column("AllowVolumeExpansion", at("allowVolumeExpansion", False), "boolean"),
        AGE,
    ),
    "volumeattachments.storage.k8s.io": (
        NAME,
        Column("Attacher", at("spec.attacher")),
        Column("PV", at("spec.source.persistentVolumeName")),
        Column("Node", at("spec.nodeName")),
        Column("Attached", at("status.attached", False), "boolean"),
        AGE,
    ),
    "volumeattributesclasses.storage.k8s.io": (NAME, Column("DriverName", at("driverName")), AGE),
    "csinodes.storage.k8s.io": (NAME, Column("Drivers", count("spec.drivers"), "integer"), AGE),
    "csidrivers.storage.k8s.io": (
        NAME,
        Column("AttachRequired", at("spec.attachRequired", True), "boolean"),
        Column("PodInfoOnMount", at("spec.podInfoOnMount", False), "boolean"),
        Column("StorageCapacity", at("spec.storageCapacity", False), "boolean"),
        Column(
            "TokenRequests",
            simply(
                lambda obj: joined(
                    (each.get("audience") for each in look(obj, "spec.tokenRequests") or ()), default=UNSET
                )
            ),
        ),
        Column("RequiresRepublish", at("spec.requiresRepublish", False), "boolean"),
        Column("Modes", simply(lambda obj: joined(look(obj, "spec.volumeLifecycleModes") or ()))),
        AGE,
    ),
    "csistoragecapacities.storage.k8s.io": (
        NAME,
        Column("StorageClassName", at("storageClassName")),
        Column("Capacity", at("capacity", UNSET)),
    ),
}

_EXTENSIONS: Final[dict[str, tuple[Column, ...]]] = {
    "mutatingwebhookconfigurations.admissionregistration.k8s.io": _WEBHOOKS,
    "validatingwebhookconfigurations.admissionregistration.k8s.io": _WEBHOOKS,
    "validatingadmissionpolicies.admissionregistration.k8s.io": _policy("Validations"),
    "mutatingadmissionpolicies.admissionregistration.k8s.io": _policy("Mutations"),
    "validatingadmissionpolicybindings.admissionregistration.k8s.io": _POLICY_BINDING,
    "mutatingadmissionpolicybindings.admissionregistration.k8s.io": _POLICY_BINDING,
    "customresourcedefinitions.apiextensions.k8s.io": (NAME, CREATED_AT),
    "apiservices.apiregistration.k8s.io": (
        NAME,
        Column("Service", simply(_api_service)),
        Column("Available", simply(_api_available)),
        AGE,
    ),
}

TABLES: Final[dict[str, tuple[Column, ...]]] = {
    "nodes": (
        NAME,
        Column("Status", simply(_node_status)),
        Column("Roles", simply(_node_roles)),
        AGE,
        Column("Version", at("status.nodeInfo.kubeletVersion")),
        _node_address("InternalIP"),
        _node_address("ExternalIP"),
        wide("OS-Image", at("status.nodeInfo.osImage", UNKNOWN)),
        wide("Kernel-Version", at("status.nodeInfo.kernelVersion", UNKNOWN)),
        wide("Container-Runtime", at("status.nodeInfo.containerRuntimeVersion", UNKNOWN)),
    ),
    "namespaces": (NAME, Column("Status", at("status.phase")), AGE),
    "events": _EVENT,
    "events.events.k8s.io": _EVENT,
    "configmaps": (NAME, Column("Data", count("data", "binaryData"), "integer"), AGE),
    "secrets": (NAME, Column("Type", at("type")), Column("Data", count("data"), "integer"), AGE),
    "serviceaccounts": (NAME, Column("Secrets", count("secrets"), "integer"), AGE),
    "limitranges": (NAME, CREATED_AT),
    "resourcequotas": (NAME, _quota("Request"), _quota("Limit"), AGE),
    "roles.rbac.authorization.k8s.io": (NAME, CREATED_AT),
    "clusterroles.rbac.authorization.k8s.io": (NAME, CREATED_AT),
    "rolebindings.rbac.authorization.k8s.io": _BINDING,
    "clusterrolebindings.rbac.authorization.k8s.io": _BINDING,
    "certificatesigningrequests.certificates.k8s.io": (
        NAME,
        AGE,
        Column("SignerName", at("spec.signerName", NONE)),
        Column("Requestor", at("spec.username")),
        Column("RequestedDuration", simply(_csr_duration)),
        Column("Condition", simply(_csr_condition)),
    ),
    "clustertrustbundles.certificates.k8s.io": (NAME, Column("SignerName", at("spec.signerName"))),
    "leases.coordination.k8s.io": (NAME, Column("Holder", at("spec.holderIdentity")), AGE),
    "priorityclasses.scheduling.k8s.io": (
        NAME,
        Column("Value", at("value", 0), "integer"),
        Column("Global-Default", at("globalDefault", False), "boolean"),
        AGE,
        Column("PreemptionPolicy", at("preemptionPolicy")),
    ),
    "runtimeclasses.node.k8s.io": (NAME, Column("Handler", at("handler")), AGE),
    "nodes.metrics.k8s.io": _USAGE,
    "pods.metrics.k8s.io": _USAGE,
    **_STORAGE,
    **_EXTENSIONS,
}
