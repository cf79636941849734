"""What each node container is told: kubeadm's configuration documents, handed to `init` and `join` by standard input.

So no token and no certificate key is on a command line, and what a user would write for a machine is what we use.
"""

from dataclasses import dataclass
from typing import Any

import yaml

from componentbase import defaults
from minikubeadm import tokens
from minikubeadm.cluster import networks, nodes
from minikubeadm.configuration import API_VERSION, ClusterConfiguration

JSON = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Admission:
    """How the further nodes get in: where, with which token, and control planes with the key to what they share."""

    endpoint: str
    token: tokens.Token
    certificate_key: str = ""
    tainted: bool = True  # the control planes


def init(node: nodes.Node, admission: Admission) -> str:
    """For the first control plane."""
    first: JSON = {
        "kind": "InitConfiguration",
        "bootstrapTokens": [{"token": admission.token.text}],
        "localAPIEndpoint": {"advertiseAddress": node.ip},
        **_registration(node, admission),
    }
    if admission.certificate_key:
        first["certificateKey"] = admission.certificate_key
    cluster = ClusterConfiguration(
        name=node.cluster,
        endpoint=admission.endpoint,
        pod_cidr=node.pod_cidr,
        service_cidr=node.service_cidr,
        load_balancer_pool=networks.load_balancer_pool(node.ip),
    )
    return f"{_text(first)}---\n{cluster.encode()}"


def join(node: nodes.Node, admission: Admission, pin: str) -> str:
    """For a further node."""
    found = {"apiServerEndpoint": admission.endpoint, "token": admission.token.text, "caCertHashes": [pin]}
    document: JSON = {
        "kind": "JoinConfiguration",
        "discovery": {"bootstrapToken": found},
        **_registration(node, admission),
    }
    if node.role == nodes.CONTROL_PLANE:
        local = {"advertiseAddress": node.ip, "bindPort": defaults.API_PORT}
        document["controlPlane"] = {"localAPIEndpoint": local, "certificateKey": admission.certificate_key}
    return _text(document)


def _registration(node: nodes.Node, admission: Admission) -> JSON:
    registration: JSON = {
        "kubeletExtraArgs": [{"name": "node-ip", "value": node.ip}],
        # A node's Docker unpacks its images meanwhile; the kubelet's unit waits for it.
        "ignorePreflightErrors": ["docker"],
    }
    if node.role == nodes.CONTROL_PLANE and not admission.tainted:
        registration["taints"] = []
    return {"nodeRegistration": registration}


def _text(document: JSON) -> str:
    return yaml.safe_dump({"apiVersion": API_VERSION, **document}, sort_keys=False)
