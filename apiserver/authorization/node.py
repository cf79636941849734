"""The Node authorizer: a kubelet may read what the pods bound to its node refer to, and nothing else of the kind.

A stolen kubelet certificate should be worth one node. So Secrets, ConfigMaps, claims, volumes and service-account
tokens are allowed along the graph node → pod → object; leases, CSINodes and pods are the node's own; for the rest the
rules of the role system:node hold. Volumes that are a directory of the node (by their label) are its own as well: it
may watch and patch them, within what NodeRestriction leaves. Unlike upstream since 1.32, reading all Nodes stays
allowed: the overlay network runs in the kubelet and needs its peers' addresses.

Pods are kept as storage entries, by node; what one refers to is worked out when its node first asks and kept until
the pod changes, so that a pod write costs two dict operations here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

from apimachinery import meta, volumes
from apimachinery.meta import JSON
from apiserver.authorization.decision import NO_OPINION, Decision
from apiserver.authorization.policy import NODE_RULES
from apiserver.authorization.rules import compile_rules
from apiserver.request import RequestInfo, User

GROUP = "system:nodes"
PREFIX = "system:node:"
LEASE_NAMESPACE = "kube-node-lease"
_ALLOWED = Decision(True)
_RULES = compile_rules(NODE_RULES)
_READ = frozenset({"get", "list", "watch"})
# (group, resource, subresource) -> verbs that follow the graph
_GRAPH = {
    ("", "secrets", ""): _READ,
    ("", "configmaps", ""): _READ,
    ("", "persistentvolumeclaims", ""): frozenset({"get"}),
    ("", "persistentvolumeclaims", "status"): frozenset({"get", "update", "patch"}),
    ("", "persistentvolumes", ""): frozenset({"get"}),
    ("", "serviceaccounts", "token"): frozenset({"create"}),
    ("resource.k8s.io", "resourceclaims", ""): frozenset({"get"}),
}
Reference = tuple[str, str]  # resource, name
# What a pod's environment and volumes refer to: fields, and of which resource they name an object.
_ENVIRONMENT = (
    ("secretKeyRef", "secrets"), ("configMapKeyRef", "configmaps"), ("secretRef", "secrets"),
    ("configMapRef", "configmaps"),
)  # fmt: skip
_VOLUMES = (
    ("secret", "secretName", "secrets"),
    ("configMap", "name", "configmaps"),
    ("persistentVolumeClaim", "claimName", "persistentvolumeclaims"),
)
_DRIVER_SECRETS = (
    ("csi", "nodePublishSecretRef"), ("flexVolume", "secretRef"), ("iscsi", "secretRef"), ("rbd", "secretRef"),
    ("cephfs", "secretRef"),
)  # fmt: skip


class Stored(Protocol):
    """What is read of a storage entry."""

    @property
    def fields(self) -> Mapping[str, str]: ...

    def parsed(self) -> JSON: ...


class _Pod:
    __slots__ = ("entry", "references")

    def __init__(self, entry: Stored) -> None:
        self.entry = entry
        self.references: frozenset[Reference] | None = None

    def refers_to(self, reference: Reference) -> bool:
        if self.references is None:
            self.references = frozenset(references(self.entry.parsed()))
        return reference in self.references


class NodeGraph:
    """Which pods are on which node, and which claim a volume belongs to."""

    def __init__(self) -> None:
        self._pods: dict[str, dict[str, _Pod]] = {}  # node -> namespace/name -> pod
        self._node_of: dict[str, str] = {}
        self._claim_of: dict[str, str] = {}  # persistent volume -> namespace/name of its claim
        self._volume_node: dict[str, str] = {}  # persistent volume -> the node it is a directory of
        self._attachments: dict[str, str] = {}  # volume attachment -> node

    def on_pod(self, event: str, key: str, entry: Stored | None) -> None:
        """A pod came, changed or went; fits `Storage.listen_entries`."""
        namespace, name = key.rsplit("/", 2)[1:]
        pod = f"{namespace}/{name}"
        node = "" if entry is None or event == "DELETED" else entry.fields.get("spec.nodeName", "")
        before = self._node_of.get(pod, "")
        if before and before != node:
            del self._pods[before][pod]
            if not self._pods[before]:
                del self._pods[before]
            del self._node_of[pod]
        if node and entry is not None:
            self._node_of[pod] = node
            self._pods.setdefault(node, {})[pod] = _Pod(entry)

    def on_volume(self, event: str, key: str, obj: JSON | None) -> None:
        """A PersistentVolume came, changed or went."""
        name = key.rpartition("/")[2]
        claim = ((obj or {}).get("spec") or {}).get("claimRef") or {}
        if event == "DELETED" or obj is None or volumes.NODE_LABEL not in meta.labels(obj):
            self._volume_node.pop(name, None)
        else:
            self._volume_node[name] = meta.labels(obj)[volumes.NODE_LABEL]
        if event == "DELETED" or not claim:
            self._claim_of.pop(name, None)
        else:
            self._claim_of[name] = f"{claim.get('namespace')}/{claim.get('name')}"

    def on_attachment(self, event: str, key: str, obj: JSON | None) -> None:
        """A VolumeAttachment came, changed or went."""
        name = key.rpartition("/")[2]
        if event == "DELETED" or obj is None:
            self._attachments.pop(name, None)
        else:
            self._attachments[name] = (obj.get("spec") or {}).get("nodeName", "")

    def has_pod(self, node: str, namespace: str, name: str) -> bool:
        """Whether the pod is bound to the node."""
        return self._node_of.get(f"{namespace}/{name}") == node

    def has_volume(self, node: str, name: str) -> bool:
        """Whether a volume is a directory of the node."""
        return self._volume_node.get(name) == node

    def attached(self, node: str, attachment: str) -> bool:
        return self._attachments.get(attachment) == node

    def reaches(self, node: str, resource: str, namespace: str, name: str) -> bool:
        """Whether a pod on the node refers to the object."""
        if resource == "persistentvolumes":
            namespace, _, name = self._claim_of.get(name, "/").partition("/")
            resource = "persistentvolumeclaims"
        prefix = f"{namespace}/"
        return any(
            key.startswith(prefix) and pod.refers_to((resource, name)) for key, pod in self._pods.get(node, {}).items()
        )


def references(pod: JSON) -> set[Reference]:
    """What a pod's kubelet must read to run it."""
    spec = pod.get("spec") or {}
    found: set[Reference] = set()
    if account := spec.get("serviceAccountName"):
        found.add(("serviceaccounts", account))
    for secret in spec.get("imagePullSecrets") or ():
        found.add(("secrets", secret.get("name", "")))
    for containers in ("initContainers", "containers", "ephemeralContainers"):
        for container in spec.get(containers) or ():
            found.update(_environment(container))
    pod_name = (pod.get("metadata") or {}).get("name", "")
    for volume in spec.get("volumes") or ():
        found.update(_volume(volume, pod_name))
    for claim in (pod.get("status") or {}).get("resourceClaimStatuses") or ():
        found.add(("resourceclaims", claim.get("resourceClaimName", "")))
    for claim in spec.get("resourceClaims") or ():
        found.add(("resourceclaims", claim.get("resourceClaimName", "")))
    found.discard(("resourceclaims", ""))
    return found


def _environment(container: JSON) -> Iterator[Reference]:
    from_values = [variable.get("valueFrom") or {} for variable in container.get("env") or ()]
    for source in (*from_values, *(container.get("envFrom") or ())):
        for field, resource in _ENVIRONMENT:
            if reference := source.get(field):
                yield resource, reference.get("name", "")


def _volume(volume: JSON, pod_name: str) -> Iterator[Reference]:
    for source, field, resource in _VOLUMES:
        if reference := volume.get(source):
            yield resource, reference.get(field, "")
    if volume.get("ephemeral") is not None:
        yield "persistentvolumeclaims", f"{pod_name}-{volume.get('name')}"
    for source in (volume.get("projected") or {}).get("sources") or ():
        for field, resource in (("secret", "secrets"), ("configMap", "configmaps")):
            if reference := source.get(field):
                yield resource, reference.get("name", "")
    for driver, field in _DRIVER_SECRETS:
        if reference := (volume.get(driver) or {}).get(field):
            yield "secrets", reference.get("name", "")


def node_name(user: User) -> str:
    """The node a user is the kubelet of, or ""."""
    if user.name.startswith(PREFIX) and GROUP in user.groups:
        return user.name[len(PREFIX) :]
    return ""


class NodeAuthorizer:
    """Decides for kubelets; has no opinion on anyone else."""

    def __init__(self, graph: NodeGraph) -> None:
        self.graph = graph

    def authorize(self, user: User, info: RequestInfo) -> Decision:
        """Along the graph, the node's own objects, then the rules of system:node."""
        node = node_name(user)
        if not node or not info.is_resource:
            return NO_OPINION
        if (info.group, info.resource, info.subresource) == ("", "persistentvolumes", "") and self._own_volume(
            node, info
        ):
            return _ALLOWED
        verbs = _GRAPH.get((info.group, info.resource, info.subresource))
        if verbs is not None:
            return self._follow(node, info, verbs)
        match (info.group, info.resource):
            case ("storage.k8s.io", "volumeattachments"):
                if not self.graph.attached(node, info.name):
                    return _refused(f"no relationship found between node '{node}' and this object")
            case ("coordination.k8s.io", "leases"):
                return self._own(node, info, LEASE_NAMESPACE)
            case ("storage.k8s.io", "csinodes"):
                return self._own(node, info, "")
            case ("", "pods") if info.verb == "get" and not info.subresource:
                if not self.graph.has_pod(node, info.namespace, info.name):
                    return _refused(f"no relationship found between node '{node}' and this object")
                return _ALLOWED
            case ("", "pods") if info.verb in ("list", "watch"):
                if not _selects_node(info.field_selector, node):
                    return _refused("can only list/watch pods with spec.nodeName field selector")
        return self._by_rule(info)

    def _own_volume(self, node: str, info: RequestInfo) -> bool:
        if info.verb in ("list", "watch"):
            return f"{volumes.NODE_LABEL}={node}" in info.label_selector.split(",")
        return info.verb == "patch" and self.graph.has_volume(node, info.name)

    def _follow(self, node: str, info: RequestInfo, verbs: frozenset[str]) -> Decision:
        if info.verb not in verbs:
            return _refused(f"can only {', '.join(sorted(verbs))} resources of this type")
        if not info.name:
            return _refused("No Object name found")
        if not self.graph.reaches(node, info.resource, info.namespace, info.name):
            return _refused(f"no relationship found between node '{node}' and this object")
        return _ALLOWED

    def _own(self, node: str, info: RequestInfo, namespace: str) -> Decision:
        what = "node lease" if namespace else "CSINode"
        if info.verb not in ("get", "create", "update", "patch", "delete"):
            return _refused(f"can only get, create, update, patch, or delete a {what}")
        if namespace and info.namespace != namespace:
            return _refused(f'can only access leases in the "{namespace}" system namespace')
        if info.name != node and not (info.verb == "create" and not info.name):
            return _refused(f"can only access {what} with the same name as the requesting node")
        return _ALLOWED

    def _by_rule(self, info: RequestInfo) -> Decision:
        for rule in _RULES:
            if rule.matches(info.verb, info.group, info.resource, info.subresource):
                return _ALLOWED
        return NO_OPINION


def _selects_node(selector: str, node: str) -> bool:
    """Whether a field selector leaves nothing but what is on the node."""
    wanted = (f"spec.nodeName={node}", f"spec.nodeName=={node}")
    return any(term.strip() in wanted for term in selector.split(","))


def _refused(reason: str) -> Decision:
    return Decision(False, reason)
