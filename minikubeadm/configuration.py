"""What a cluster and a node are told, validated whole: every mistake is collected before anything is done.

The cluster's part is uploaded as kubeadm does (ConfigMap `kube-system/kubeadm-config`), so a joining node learns it
from the API server and is told no range twice.
"""

import ipaddress
import re
import socket
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import yaml

from apimachinery import addresspool
from componentbase import defaults

JSON = dict[str, Any]
API_VERSION = "kubeadm.k8s.io/v1beta4"
LOAD_BALANCER_POOL = "load-balancer-pool"  # a flag of the controllers
CONTROL_PLANE_TAINT = "node-role.kubernetes.io/control-plane"
_NODE_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")


@dataclass(frozen=True)
class ClusterConfiguration:
    """What all nodes of a cluster share."""

    name: str = defaults.CLUSTER_NAME
    domain: str = defaults.CLUSTER_DOMAIN
    pod_cidr: str = defaults.POD_CIDR
    service_cidr: str = defaults.SERVICE_CIDR
    endpoint: str = ""  # host:port at which nodes reach the API server
    dns_image: str = ""
    load_balancer_pool: str = ""  # addresses for Services of type LoadBalancer, on the nodes' own network
    extra_names: tuple[str, ...] = ()  # of the API servers' certificates

    @cached_property
    def dns_service_ip(self) -> str:
        """The tenth address of the Service range, as kubeadm takes it."""
        return str(ipaddress.ip_network(self.service_cidr)[10])

    @cached_property
    def api_service_ip(self) -> str:
        """The first address of the Service range."""
        return str(ipaddress.ip_network(self.service_cidr)[1])

    def problems(self) -> list[str]:
        """Everything that is wrong with it."""
        found, networks = [], []
        for flag, cidr in (("--pod-network-cidr", self.pod_cidr), ("--service-cidr", self.service_cidr)):
            try:
                network = ipaddress.ip_network(cidr)
            except ValueError as error:
                found.append(f"{flag}: {error}")
                continue
            networks.append(network)
            if network.version != 4 or network.prefixlen > defaults.NODE_CIDR_MASK_BITS:
                found.append(f"{flag}: {cidr} must be an IPv4 range of at least a /{defaults.NODE_CIDR_MASK_BITS}")
        if len(networks) == 2 and networks[0].overlaps(networks[1]):
            found.append(f"--pod-network-cidr and --service-cidr: {self.pod_cidr} and {self.service_cidr} overlap")
        try:
            addresspool.Pool(self.load_balancer_pool)
        except ValueError as error:
            found.append(f"--load-balancer-pool: {error}")
        return found

    def encode(self) -> str:
        """As kubeadm writes it into the ConfigMap, and reads it with --config. Images are the addons' own business."""
        pool = [{"name": LOAD_BALANCER_POOL, "value": self.load_balancer_pool}] if self.load_balancer_pool else []
        document = {
            "apiVersion": API_VERSION,
            "kind": "ClusterConfiguration",
            "kubernetesVersion": defaults.GIT_VERSION,
            "certificatesDir": defaults.PKI_DIRECTORY,
            "clusterName": self.name,
            "controlPlaneEndpoint": self.endpoint,
            "networking": {
                "dnsDomain": self.domain,
                "podSubnet": self.pod_cidr,
                "serviceSubnet": self.service_cidr,
            },
            "apiServer": {"certSANs": list(self.extra_names)},
            "controllerManager": {"extraArgs": pool},
        }
        return yaml.safe_dump(document, sort_keys=False)

    @classmethod
    def decode(cls, text: str) -> "ClusterConfiguration":
        """From the ConfigMap; what a newer version may have added is passed over."""
        document: JSON = yaml.safe_load(text)
        networking = document["networking"]
        arguments = (document.get("controllerManager") or {}).get("extraArgs") or []
        return cls(
            name=document["clusterName"],
            domain=networking["dnsDomain"],
            pod_cidr=networking["podSubnet"],
            service_cidr=networking["serviceSubnet"],
            endpoint=document["controlPlaneEndpoint"],
            load_balancer_pool=next((one["value"] for one in arguments if one["name"] == LOAD_BALANCER_POOL), ""),
            extra_names=tuple((document.get("apiServer") or {}).get("certSANs") or ()),
        )


@dataclass(frozen=True)
class NodeConfiguration:
    """What is one node's own."""

    name: str
    ip: str
    control_plane: bool = False
    pause_image: str = ""
    tainted: bool = True

    def problems(self) -> list[str]:
        """Everything that is wrong with it."""
        found = []
        if not _NODE_NAME.fullmatch(self.name):
            found.append(f"--node-name: {self.name!r} is not a DNS subdomain (RFC 1123)")
        try:
            ipaddress.ip_address(self.ip)
        except ValueError as error:
            found.append(f"--node-ip: {error}")
        return found


def default_node_name() -> str:
    """The host's name in lower case, as a kubelet registers itself."""
    return socket.gethostname().lower()


def default_node_ip() -> str:
    """The address from which this host would reach others; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # TEST-NET-1 (RFC 5737): any address makes the kernel choose a source
        except OSError:
            return "127.0.0.1"
        address: str = probe.getsockname()[0]
        return address
