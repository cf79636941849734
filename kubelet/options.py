"""The kubelet's command line, with upstream's names, as `Settings`.

A `--config` file may be a KubeletConfiguration: what it calls otherwise than the flags is translated.
"""

import argparse
import ipaddress
import json
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from componentbase import defaults, flags

from . import pressure
from .settings import Settings

# KubeletConfiguration fields that are flags of another name or shape, and those that have no meaning here.
_FIELDS: dict[str, str] = {
    "authentication.x509.clientCAFile": "client_ca_file",
    "authentication.anonymous.enabled": "anonymous_auth",
    "clusterDNS": "cluster_dns",
    "clusterDomain": "cluster_domain",
    "resolvConf": "resolv_conf",
    "maxPods": "max_pods",
    "podCIDR": "pod_cidr",
    "port": "port",
    "address": "address",
    "healthzPort": "healthz_port",
    "rotateCertificates": "rotate_certificates",
    "serverTLSBootstrap": "rotate_server_certificates",
    "tlsCertFile": "tls_cert_file",
    "tlsPrivateKeyFile": "tls_private_key_file",
    "allowedUnsafeSysctls": "allowed_unsafe_sysctls",
    "evictionHard": "eviction_hard",
    "systemReserved": "system_reserved",
    "containerLogMaxSize": "container_log_max_size",
    "containerLogMaxFiles": "container_log_max_files",
    "nodeStatusUpdateFrequency": "node_status_update_frequency",
    "nodeStatusReportFrequency": "node_status_report_frequency",
}


def taint(text: str) -> dict[str, str]:
    """key=value:Effect, or key:Effect."""
    body, colon, effect = text.rpartition(":")
    if not colon or effect not in ("NoSchedule", "PreferNoSchedule", "NoExecute"):
        raise ValueError(f"invalid taint {text!r}")
    key, _, value = body.partition("=")
    return {"key": key, "effect": effect, **({"value": value} if value else {})}


def taints(text: str) -> list[dict[str, str]]:
    """Taints joined by commas."""
    return [taint(item) for item in flags.comma_list(text)]


def addresses(text: str) -> list[str]:
    """IP addresses joined by commas."""
    return [str(ipaddress.ip_address(item)) for item in flags.comma_list(text)]


def parser() -> argparse.ArgumentParser:
    """All flags."""
    made = flags.parser("kubelet", "The node agent: runs the pods bound to its node.")
    add = made.add_argument
    add("--kubeconfig", type=Path, default=Path("/etc/kubernetes/kubelet.conf"))
    add("--bootstrap-kubeconfig", type=Path, help="used to get a client certificate where --kubeconfig is missing")
    add("--hostname-override", default="", help="the node's name, by default the host's")
    add("--node-ip", type=addresses, default="", help="the node's addresses, by default the one of its route")
    add("--root-dir", type=Path, default=Path(defaults.KUBELET_DIRECTORY))
    add("--cert-dir", type=Path, default=Path(defaults.KUBELET_DIRECTORY) / "pki")
    add("--client-ca-file", type=Path, help="authority of clients' certificates")
    add("--tls-cert-file", type=Path)
    add("--tls-private-key-file", type=Path)
    flags.add_boolean(made, "--rotate-certificates", default=True, help="renew the client certificate")
    flags.add_boolean(made, "--rotate-server-certificates", default=False, help="serving certificate by CSR")
    flags.add_boolean(made, "--register-node", default=True, help="create the Node object")
    add("--register-with-taints", type=taints, default="", help="key=value:Effect,...")
    add("--node-labels", type=flags.mapping, default="", help="key=value,...")
    add("--cluster-dns", type=flags.comma_list, default=defaults.DNS_SERVICE_IP)
    add("--cluster-domain", default=defaults.CLUSTER_DOMAIN)
    add("--cluster-cidr", default=defaults.POD_CIDR, help="pods' addresses in the whole cluster")
    add("--pod-cidr", default="", help="this node's range, by default Node.spec.podCIDR")
    add("--resolv-conf", type=Path, default=Path("/etc/resolv.conf"))
    add("--pod-infra-container-image", default="mini-kubernetes/pause", help="the pause image")
    add("--container-runtime-endpoint", "--docker-endpoint", default="unix:///var/run/docker.sock")
    add("--cni-bin-dir", type=flags.comma_list, default="/opt/cni/bin,/usr/lib/cni")
    add("--cni-conf-dir", type=Path, default=Path("/etc/cni/net.d"))
    flags.add_boolean(made, "--manage-network", default=True, help="write the CNI configuration and keep the overlay")
    add("--address", default="0.0.0.0")
    add("--port", type=int, default=defaults.KUBELET_PORT)
    add("--healthz-port", type=int, default=defaults.KUBELET_HEALTH_PORT)
    add("--max-pods", type=int, default=110)
    flags.add_boolean(made, "--anonymous-auth", default=False, help="serve requests without credentials")
    add("--eviction-hard", type=pressure.thresholds, default=pressure.DEFAULT, help="signal<quantity,... evict pods")
    add("--allowed-unsafe-sysctls", type=flags.comma_list, default="", help="names, or prefixes ending in *")
    add("--system-reserved", type=flags.mapping, default="", help="cpu=100m,memory=100Mi")
    add("--node-status-update-frequency", type=flags.duration, default="10s")
    add("--node-status-report-frequency", type=flags.duration, default="5m")
    add("--container-log-max-size", default="10m")
    add("--container-log-max-files", type=int, default=5)
    return made


def parse(arguments: Sequence[str] | None = None) -> Settings:
    """Settings from the command line; a wrong flag exits 2."""
    made = parser()
    known = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    known.add_argument("--config")
    found, rest = known.parse_known_args(arguments)
    if found.config:
        document = yaml.safe_load(Path(found.config).read_text()) or {}
        if document.get("kind") == "KubeletConfiguration":
            made.set_defaults(**_translated(document))
            return _settings(flags.parse(made, rest))
    return _settings(flags.parse(made, arguments))


def _translated(document: dict[str, Any]) -> dict[str, Any]:
    values = {}
    for path, dest in _FIELDS.items():
        value: Any = document
        for part in path.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        if value is not None:
            values[dest] = _text(value)
    if taints := document.get("registerWithTaints"):
        values["register_with_taints"] = ",".join(f"{t['key']}={t.get('value', '')}:{t['effect']}" for t in taints)
    return values


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, list):
        return ",".join(map(str, value))
    if isinstance(value, dict):
        return ",".join(f"{key}={item}" for key, item in value.items())
    return str(value)


def default_ip() -> str:
    """The address this host uses towards its default route; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
            return str(probe.getsockname()[0])
        except OSError:
            return "127.0.0.1"


def _settings(args: argparse.Namespace) -> Settings:
    name = (args.hostname_override or socket.gethostname()).lower()
    return Settings(
        node_name=name,
        node_ips=tuple(args.node_ip) or (default_ip(),),
        kubeconfig=args.kubeconfig,
        bootstrap_kubeconfig=args.bootstrap_kubeconfig,
        root_dir=args.root_dir,
        cert_dir=args.cert_dir,
        client_ca_file=args.client_ca_file,
        tls_cert_file=args.tls_cert_file,
        tls_private_key_file=args.tls_private_key_file,
        rotate_certificates=args.rotate_certificates,
        rotate_server_certificates=args.rotate_server_certificates,
        register_node=args.register_node,
        register_with_taints=tuple(args.register_with_taints),
        node_labels=args.node_labels or {},
        cluster_dns=tuple(args.cluster_dns),
        cluster_domain=args.cluster_domain,
        cluster_cidr=args.cluster_cidr,
        pod_cidr=args.pod_cidr,
        resolv_conf=args.resolv_conf,
        pause_image=args.pod_infra_container_image,
        docker_socket=args.container_runtime_endpoint.removeprefix("unix://"),
        cni_bin_dirs=tuple(args.cni_bin_dir),
        cni_conf_dir=args.cni_conf_dir,
        manage_network=args.manage_network,
        address=args.address,
        port=args.port,
        healthz_port=args.healthz_port,
        max_pods=args.max_pods,
        anonymous_auth=args.anonymous_auth,
        eviction_hard=args.eviction_hard,
        allowed_unsafe_sysctls=tuple(args.allowed_unsafe_sysctls),
        node_status_update_seconds=args.node_status_update_frequency,
        node_status_report_seconds=args.node_status_report_frequency,
        system_reserved=args.system_reserved or {},
        log_max_size=args.container_log_max_size,
        log_max_files=args.container_log_max_files,
    )
