"""Names and numbers of the product, in one place: every default that two services must agree on.

A service reads them as the defaults of its flags; nothing else in the code base repeats one of them.
"""

from datetime import timedelta

DISTRIBUTION = "mini-kubernetes"
MAJOR, MINOR = "1", "37"
GIT_VERSION = "v1.37.0+mini1"

CLUSTER_NAME = "mini"
CLUSTER_DOMAIN = "cluster.local"
SERVICE_CIDR = "10.96.0.0/16"
API_SERVICE_IP = "10.96.0.1"
DNS_SERVICE_IP = "10.96.0.10"
POD_CIDR = "10.244.0.0/16"
NODE_CIDR_MASK_BITS = 24
NODE_PORT_RANGE = (30000, 32767)

VXLAN_VNI = 1
VXLAN_PORT = 8472

API_PORT = 6443
KUBELET_PORT = 10250
KUBELET_HEALTH_PORT = 10248
CONTROLLER_MANAGER_PORT = 10257
SCHEDULER_PORT = 10259
PROXY_HEALTH_PORT = 10256
PROXY_METRICS_PORT = 10249
ETCD_CLIENT_PORT = 2379
ETCD_PEER_PORT = 2380
ETCD_SHIFT_KEY = "/revision-shift"  # what the API servers add to etcd's revisions, after a restore

KUBERNETES_DIRECTORY = "/etc/kubernetes"
PKI_DIRECTORY = "/etc/kubernetes/pki"
KUBELET_DIRECTORY = "/var/lib/kubelet"
NODE_LOCAL_DIRECTORY = f"{KUBELET_DIRECTORY}/node-local"  # the volumes of the default StorageClass

SYSTEM_NAMESPACE = "kube-system"
PUBLIC_NAMESPACE = "kube-public"
NODE_LEASE_NAMESPACE = "kube-node-lease"
SYSTEM_NAMESPACES = ("default", SYSTEM_NAMESPACE, PUBLIC_NAMESPACE, NODE_LEASE_NAMESPACE)

CONTROLLER_MANAGER_USER = "system:kube-controller-manager"
SCHEDULER_USER = "system:kube-scheduler"
PROXY_USER = "system:kube-proxy"
NODE_USER_PREFIX = "system:node:"
NODES_GROUP = "system:nodes"
MASTERS_GROUP = "system:masters"
ADMINS_GROUP = "kubeadm:cluster-admins"
BOOTSTRAPPERS_GROUP = "system:bootstrappers:kubeadm:default-node-token"

CERTIFICATE_LIFETIME = timedelta(days=365)
AUTHORITY_LIFETIME = timedelta(days=3650)

LEASE_DURATION = timedelta(seconds=15)
RENEW_DEADLINE = timedelta(seconds=10)
RETRY_PERIOD = timedelta(seconds=2)
NODE_LEASE_DURATION = timedelta(seconds=40)
NODE_LEASE_RENEW_INTERVAL = timedelta(seconds=10)
NODE_MONITOR_PERIOD = timedelta(seconds=5)
NODE_MONITOR_GRACE_PERIOD = timedelta(seconds=40)

NODE_NETWORKS = "172.30.0.0/16"  # node containers: each cluster takes the first free /24 of it
LOAD_BALANCER_HOSTS = (200, 250)  # of such a /24; nodes are numbered from 2
IMAGE_PREFIX = "mini-kubernetes"
