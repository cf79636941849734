"""The objects that make a running API server a cluster that nodes can join, as values.

The names are kubeadm's, so that people and tools find what they know: the administrators' binding, the configuration,
`cluster-info` for those who hold only a token, and the roles of joining nodes.
"""

import base64
from collections.abc import Sequence
from typing import Any

import yaml

from componentbase import defaults
from minikubeadm import sharedcertificates, tokens
from minikubeadm.configuration import ClusterConfiguration

JSON = dict[str, Any]
CONFIG_MAP = "kubeadm-config"
PROXY_SECRET = "kube-proxy-kubeconfig"
CLUSTER_INFO = "cluster-info"
_RBAC = "rbac.authorization.k8s.io"
_AUTOAPPROVE = "system:certificates.k8s.io:certificatesigningrequests"


def administrators() -> JSON:
    """Full rights for the group of admin.conf; only super-admin.conf could bind it, being in system:masters."""
    return _cluster_binding(defaults.ADMINS_GROUP, "cluster-admin", defaults.ADMINS_GROUP)


def node_roles() -> list[JSON]:
    """What joining nodes may do: ask for a certificate, have it approved, read the configuration."""
    joining = (defaults.BOOTSTRAPPERS_GROUP, defaults.NODES_GROUP)
    system, public = defaults.SYSTEM_NAMESPACE, defaults.PUBLIC_NAMESPACE
    return [
        _cluster_binding("kubeadm:kubelet-bootstrap", "system:node-bootstrapper", defaults.BOOTSTRAPPERS_GROUP),
        _cluster_binding("kubeadm:node-autoapprove-bootstrap", f"{_AUTOAPPROVE}:nodeclient", joining[0]),
        _cluster_binding(
            "kubeadm:node-autoapprove-certificate-rotation", f"{_AUTOAPPROVE}:selfnodeclient", defaults.NODES_GROUP
        ),
        _role("kubeadm:bootstrap-signer-clusterinfo", public, "configmaps", CLUSTER_INFO),
        _binding("kubeadm:bootstrap-signer-clusterinfo", public, users=("system:anonymous",)),
        _role("kubeadm:nodes-kubeadm-config", system, "configmaps", CONFIG_MAP),
        _binding("kubeadm:nodes-kubeadm-config", system, groups=joining),
        _role("kubeadm:kube-proxy", system, "secrets", PROXY_SECRET),
        _binding("kubeadm:kube-proxy", system, groups=joining[:1]),
        _role("kubeadm:kubeadm-certs", system, "secrets", sharedcertificates.SECRET),
        _binding("kubeadm:kubeadm-certs", system, groups=joining[:1]),
    ]


def configuration(cluster: ClusterConfiguration) -> JSON:
    """The cluster's configuration, for nodes that join and for later upgrades."""
    metadata = {"name": CONFIG_MAP, "namespace": defaults.SYSTEM_NAMESPACE}
    data = {"ClusterConfiguration": cluster.encode()}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def proxy_secret(kubeconfig: bytes) -> JSON:
    """The proxies' credentials (system:kube-proxy), handed to nodes that join with a token."""
    metadata = {"name": PROXY_SECRET, "namespace": defaults.SYSTEM_NAMESPACE}
    data = {"proxy.conf": base64.b64encode(kubeconfig).decode()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque", "data": data}


def cluster_info(endpoint: str, ca_pem: bytes, signers: Sequence[tokens.Token]) -> JSON:
    """What anybody may read: where the API server is and its authority, signed with each token."""
    cluster = {"server": f"https://{endpoint}", "certificate-authority-data": base64.b64encode(ca_pem).decode()}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "", "cluster": cluster}],
        "contexts": [],
        "users": [],
        "current-context": "",
    }
    kubeconfig = yaml.safe_dump(document)
    data = {"kubeconfig": kubeconfig}
    data |= {f"jws-kubeconfig-{token.id}": tokens.sign(kubeconfig, token) for token in signers}
    metadata = {"name": CLUSTER_INFO, "namespace": defaults.PUBLIC_NAMESPACE}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def _cluster_binding(name: str, role: str, group: str) -> JSON:
    return {
        "apiVersion": f"{_RBAC}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": _RBAC, "kind": "ClusterRole", "name": role},
        "subjects": [{"kind": "Group", "apiGroup": _RBAC, "name": group}],
    }


def _role(name: str, namespace: str, resource: str, object_name: str) -> JSON:
    """A role to read one object."""
    rule = {"apiGroups": [""], "resources": [resource], "resourceNames": [object_name], "verbs": ["get"]}
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": f"{_RBAC}/v1", "kind": "Role", "metadata": metadata, "rules": [rule]}


def _binding(name: str, namespace: str, *, users: Sequence[str] = (), groups: Sequence[str] = ()) -> JSON:
    subjects = [{"kind": "User", "apiGroup": _RBAC, "name": user} for user in users]
    subjects += [{"kind": "Group", "apiGroup": _RBAC, "name": group} for group in groups]
    return {
        "apiVersion": f"{_RBAC}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": name, "namespace": namespace},
        "roleRef": {"apiGroup": _RBAC, "kind": "Role", "name": name},
        "subjects": subjects,
    }
