"""What each node container is told: kubeadm's configuration documents, handed to `init` and `join` by standard input.

So no token and no certificate key is on a command line, and what a user would write for a machine is what we use.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from componentbase import defaults
from minikubeadm import configfile, tokens
from minikubeadm.cluster import networks, nodes

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
    networking = {"podSubnet": node.pod_cidr, "serviceSubnet": node.service_cidr}
    pool = {"name": "load-balancer-pool", "value": networks.load_balancer_pool(node.ip)}
    first: JSON = {
        "kind": "InitConfiguration",
        "bootstrapTokens": [{"token": admission.token.text}],
        "localAPIEndpoint": {"advertiseAddress": node.ip},
        **_registration(node, admission),
    }
    if admission.certificate_key:
        first["certificateKey"] = admission.certificate_key
    cluster = {
        "kind": "ClusterConfiguration",
        "clusterName": node.cluster,
        "controlPlaneEndpoint": admission.endpoint,
        "networking": networking,
        "controllerManager": {"extraArgs": [pool]},
    }
    return _text([first, cluster])


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
    return _text([document])


def _registration(node: nodes.Node, admission: Admission) -> JSON:
    registration: JSON = {
        "kubeletExtraArgs": [{"name": "node-ip", "value": node.ip}],
        # A node's Docker unpacks its images meanwhile; the kubelet's unit waits for it.
        "ignorePreflightErrors": ["docker"],
    }
    if node.role == nodes.CONTROL_PLANE and not admission.tainted:
        registration["taints"] = []
    return {"nodeRegistration": registration}


def _text(documents: Sequence[JSON]) -> str:
    return yaml.safe_dump_all([{"apiVersion": configfile.API_VERSION, **one} for one in documents], sort_keys=False)
