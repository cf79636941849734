"""The kubelet's command line, with upstream's names, as `Settings`.

A `--config` file may be a KubeletConfiguration: what it calls otherwise than the flags is translated.
"""

import argparse
import ipaddress
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
    "containerLogMaxSize": "log_max_size",
    "containerLogMaxFiles": "log_max_files",
    "nodeStatusUpdateFrequency": "node_status_update_seconds",
    "nodeStatusReportFrequency": "node_status_report_seconds",
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


def _socket(text: str) -> str:
    return text.removeprefix("unix://")


def parser() -> argparse.ArgumentParser:
    """All flags; what they are kept as is the name of a field of `Settings`."""
    made = flags.parser("kubelet", "The node agent: runs the pods bound to its node.")
    add = made.add_argument
    add("--kubeconfig", type=Path, default=Path("/etc/kubernetes/kubelet.conf"))
    add("--bootstrap-kubeconfig", type=Path, help="used to get a client certificate where --kubeconfig is missing")
    add("--hostname-override", dest="node_name", default="", help="the node's name, by default the host's")
    add(
        "--node-ip",
        dest="node_ips",
        type=addresses,
        default="",
        help="its addresses, by default that of its route",
    )
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
    add("--pod-infra-container-image", dest="pause_image", default="mini-kubernetes/pause", help="the pause image")
    endpoint = ("--container-runtime-endpoint", "--docker-endpoint")
    add(*endpoint, dest="docker_socket", type=_socket, default="unix:///var/run/docker.sock")
    add("--cni-bin-dir", dest="cni_bin_dirs", type=flags.comma_list, default="/opt/cni/bin,/usr/lib/cni")
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
    add("--node-status-update-frequency", dest="node_status_update_seconds", type=flags.duration, default="10s")
    add("--node-status-report-frequency", dest="node_status_report_seconds", type=flags.duration, default="5m")
    add("--container-log-max-size", dest="log_max_size", default="10m")
    add("--container-log-max-files", dest="log_max_files", type=int, default=5)
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
            values[dest] = flags.as_text(value)
    if taints := document.get("registerWithTaints"):
        values["register_with_taints"] = ",".join(f"{t['key']}={t.get('value', '')}:{t['effect']}" for t in taints)
    return values


def default_ip() -> str:
    """The address this host uses towards its default route; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
            return str(probe.getsockname()[0])
        except OSError:
            return "127.0.0.1"


def _settings(args: argparse.Namespace) -> Settings:
    values = {name: value for name, value in vars(args).items() if name in Settings.__dataclass_fields__}
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    values["node_name"] = (args.node_name or socket.gethostname()).lower()
    values["node_ips"] = values["node_ips"] or (default_ip(),)
    return Settings(**values)
