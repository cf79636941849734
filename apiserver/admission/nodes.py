"""NodeRestriction, the other half of the Node authorizer, and the taint that new nodes start with.

The authorizer says which objects a kubelet may touch; what it may write into them needs the object and is said here:
only its own Node and pods bound to it, no labels that a scheduler is told to trust, no tokens for foreign pods. Of a
volume that is a directory of the node, it may say that the directory is removed, and nothing else.
"""

from __future__ import annotations

from apimachinery import kinds, meta, volumes
from apimachinery.meta import JSON
from apiserver.admission.chain import CREATE, DELETE, UPDATE, Attributes, Plugin, refused
from apiserver.admission.service_accounts import MIRROR
from apiserver.authorization.node import LEASE_NAMESPACE, node_name, references
from apiserver.storage import Storage

NOT_READY_TAINT = {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}
_KUBELET_LABELS = frozenset(
    {
        "kubernetes.io/hostname", "kubernetes.io/arch", "kubernetes.io/os", "beta.kubernetes.io/arch",
        "beta.kubernetes.io/os", "beta.kubernetes.io/instance-type", "node.kubernetes.io/instance-type",
        "topology.kubernetes.io/zone", "topology.kubernetes.io/region", "failure-domain.beta.kubernetes.io/zone",
        "failure-domain.beta.kubernetes.io/region",
    }
)  # fmt: skip
_KUBELET_PREFIXES = ("kubelet.kubernetes.io/", "node.kubernetes.io/")
_RESOURCES = frozenset(
    {
        ("", "pods"),
        ("", "nodes"),
        ("", "serviceaccounts"),
        ("coordination.k8s.io", "leases"),
        ("storage.k8s.io", "csinodes"),
        ("", "persistentvolumeclaims"),
        ("", "persistentvolumes"),
    }
)


class TaintNodesByCondition(Plugin):
    """A new node takes no pods until the node controller has seen it ready."""

    watched = {("", "nodes", ""): (CREATE,)}

    async def admit(self, a: Attributes) -> None:
        """Add the not-ready taint."""
        spec: JSON = a.object.setdefault("spec", {})
        taints = spec.get("taints") or []
        if not any(
            taint.get("key") == NOT_READY_TAINT["key"] and taint.get("effect") == "NoSchedule" for taint in taints
        ):
            spec["taints"] = [*taints, dict(NOT_READY_TAINT)]


class NodeRestriction(Plugin):
    """Limits what kubelets write; others pass."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def cares(self, resource: tuple[str, str], subresource: str, operation: str) -> bool:
        return resource in _RESOURCES

    async def admit(self, a: Attributes) -> None:
        """Dispatch on the resource."""
        node = node_name(a.user)
        if not node:
            return
        match a.resource:
            case ("", "pods"):
                await self._pod(a, node)
            case ("", "nodes"):
                self._node(a, node)
            case ("", "serviceaccounts") if a.subresource == "token":
                await self._token(a, node)
            case ("", "persistentvolumeclaims") if a.subresource != "status":
                raise refused(a, "may only update PVC status")
            case ("", "persistentvolumes"):
                self._volume(a, node)
            case ("coordination.k8s.io", "leases"):
                if a.namespace == LEASE_NAMESPACE and _name(a) != node:
                    raise refused(a, "can only access node lease with the same name as the requesting node")
            case ("storage.k8s.io", "csinodes"):
                if _name(a) != node:
                    raise refused(a, "can only access CSINode with the same name as the requesting node")

    async def _pod(self, a: Attributes, node: str) -> None:
        if a.operation == CREATE and not a.subresource:
            self._mirror(a, node)
        elif a.operation in (DELETE, UPDATE) or a.subresource == "eviction":
            pod = a.old
            if pod is None:
                entry = await self._storage.get(f"{kinds.POD.registry_prefix}{a.namespace}/{a.name}")
                pod = entry.parsed() if entry is not None else None
            if pod is not None and (pod.get("spec") or {}).get("nodeName") != node:
                what = {UPDATE: "update status for", DELETE: "delete"}.get(a.operation, "evict")
                raise refused(a, f'node "{node}" can only {what} pods with spec.nodeName set to itself')
            if a.operation == UPDATE and a.subresource != "status":
                raise refused(a, f'unexpected subresource "{a.subresource}"')
            if a.operation == UPDATE and pod is not None and meta.labels(pod) != meta.labels(a.object):
                raise refused(a, f'node "{node}" cannot update labels through pod status')

    def _mirror(self, a: Attributes, node: str) -> None:
        pod = a.object
        spec = pod.get("spec") or {}
        if MIRROR not in meta.annotations(pod):
            raise refused(a, f'pod does not have "{MIRROR}" annotation, node "{node}" can only create mirror pods')
        if spec.get("nodeName") != node:
            raise refused(a, f'node "{node}" can only create pods with spec.nodeName set to itself')
        owners = meta.metadata(pod).get("ownerReferences") or []
        if len(owners) > 1 or any(owner.get("kind") != "Node" or owner.get("name") != node for owner in owners):
            raise refused(a, f'node "{node}" can only create pods with an owner reference set to itself')
        if spec.get("serviceAccountName"):
            raise refused(a, f'node "{node}" can not create pods that reference a service account')
        # What a pod refers to its kubelet may read: a pod made by that kubelet must not open anything.
        for resource in sorted({resource for resource, _ in references(pod)}):
            raise refused(a, f'node "{node}" can not create pods that reference {resource}')
        if any(volume.get("projected") is not None for volume in spec.get("volumes") or ()):
            raise refused(a, f'node "{node}" can not create pods that reference projected volumes')

    def _node(self, a: Attributes, node: str) -> None:
        if _name(a) != node:
            raise refused(a, f'node "{node}" is not allowed to modify node "{_name(a)}"')
        if a.operation == DELETE:
            return
        old = a.old or {}
        spec, old_spec = a.object.get("spec") or {}, old.get("spec") or {}
        if a.operation == CREATE and spec.get("configSource"):
            raise refused(a, f'node "{node}" is not allowed to create pods with a non-nil configSource')
        if a.operation == UPDATE and (spec.get("taints") or []) != (old_spec.get("taints") or []):
            raise refused(a, f'node "{node}" is not allowed to modify taints')
        if (meta.metadata(a.object).get("ownerReferences") or []) != (meta.metadata(old).get("ownerReferences") or []):
            raise refused(a, f'node "{node}" is not allowed to modify ownerReferences')
        labels, old_labels = meta.labels(a.object), meta.labels(old)
        changed = {key for key in labels.keys() | old_labels.keys() if labels.get(key) != old_labels.get(key)}
        forbidden = sorted(key for key in changed if not _may_label(key))
        if forbidden:
            raise refused(
                a,
                f'node "{node}" is not allowed to {"set" if a.operation == CREATE else "modify"} the '
                f"following labels: {', '.join(forbidden)}",
            )

    def _volume(self, a: Attributes, node: str) -> None:
        old = a.old or {}
        own = (
            meta.labels(old).get(volumes.NODE_LABEL) == node
            and meta.annotations(old).get(volumes.PROVISIONED_BY) == volumes.NODE_LOCAL
        )
        if a.operation != UPDATE or a.subresource or not own or not meta.is_deleting(old):
            raise refused(a, f'node "{node}" can only update deleted volumes that are a directory of its own')
        left = [each for each in old["metadata"].get("finalizers") or () if each != volumes.NODE_LOCAL_FINALIZER]
        if _essence(a.object) != _essence(old) or (a.object["metadata"].get("finalizers") or []) != left:
            raise refused(a, f'node "{node}" can only remove the finalizer {volumes.NODE_LOCAL_FINALIZER}')

    async def _token(self, a: Attributes, node: str) -> None:
        reference = (a.object.get("spec") or {}).get("boundObjectRef") or {}
        if reference.get("kind") != "Pod" or not reference.get("name"):
            raise refused(a, "node requested token not bound to a pod")
        if not reference.get("uid"):
            raise refused(a, "node requested token with a pod binding without a uid")
        key = f"{kinds.POD.registry_prefix}{a.namespace}/{reference['name']}"
        entry = await self._storage.get(key)
        if entry is None:
            raise refused(a, f'pod "{reference["name"]}" not found')
        pod = entry.parsed()
        if meta.uid(pod) != reference["uid"]:
            raise refused(
                a,
                f"the UID in the bound object reference ({reference['uid']}) does not match the UID in "
                f"record. The object might have been deleted and then recreated",
            )
        if (pod.get("spec") or {}).get("nodeName") != node:
            raise refused(a, "node requested token bound to a pod scheduled on a different node")


def _essence(obj: JSON) -> JSON:
    """An object without its finalizers, and what the server itself keeps in the metadata."""
    ignored = ("finalizers", "managedFields", "resourceVersion")
    return {**obj, "metadata": {key: value for key, value in obj["metadata"].items() if key not in ignored}}


def _name(a: Attributes) -> str:
    return a.name or meta.name(a.object)


def _may_label(key: str) -> bool:
    """A kubelet may set any label outside kubernetes.io and k8s.io, and there only those that describe it."""
    namespace = key.partition("/")[0] if "/" in key else ""
    if namespace == "node-restriction.kubernetes.io" or namespace.endswith(".node-restriction.kubernetes.io"):
        return False
    restricted = any(namespace == domain or namespace.endswith("." + domain) for domain in ("kubernetes.io", "k8s.io"))
    if not restricted or key in _KUBELET_LABELS:
        return True
    return any(namespace == prefix[:-1] or namespace.endswith("." + prefix[:-1]) for prefix in _KUBELET_PREFIXES)
