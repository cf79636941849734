"""The kubelet's settings: what the flags and the KubeletConfiguration file say, in one value handed to every part."""

from dataclasses import dataclass, field
from pathlib import Path

from componentbase import defaults

from . import pressure


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Names follow upstream's flags."""

    node_name: str
    node_ips: tuple[str, ...]
    kubeconfig: Path
    bootstrap_kubeconfig: Path | None = None
    root_dir: Path = Path("/var/lib/kubelet")
    node_local_dir: Path = Path(defaults.NODE_LOCAL_DIRECTORY)
    cert_dir: Path = Path("/var/lib/kubelet/pki")
    client_ca_file: Path | None = None
    tls_cert_file: Path | None = None
    tls_private_key_file: Path | None = None
    rotate_certificates: bool = True
    rotate_server_certificates: bool = False
    register_node: bool = True
    register_with_taints: tuple[dict[str, str], ...] = ()
    node_labels: dict[str, str] = field(default_factory=dict)
    cluster_dns: tuple[str, ...] = ()
    cluster_domain: str = "cluster.local"
    cluster_cidr: str = "10.244.0.0/16"
    pod_cidr: str = ""
    resolv_conf: Path = Path("/etc/resolv.conf")
    pause_image: str = "mini-kubernetes/pause"
    docker_socket: str = "/var/run/docker.sock"
    cni_bin_dirs: tuple[str, ...] = ("/opt/cni/bin", "/usr/lib/cni")
    cni_conf_dir: Path = Path("/etc/cni/net.d")
    manage_network: bool = True
    address: str = "0.0.0.0"
    port: int = 10250
    healthz_port: int = 10248
    max_pods: int = 110
    anonymous_auth: bool = False
    allowed_unsafe_sysctls: tuple[str, ...] = ()
    image_dir: Path = Path("/var/lib/docker")
    eviction_hard: dict[str, str] = field(default_factory=lambda: pressure.thresholds(pressure.DEFAULT))
    node_status_update_seconds: float = 10.0
    node_status_report_seconds: float = 300.0
    system_reserved: dict[str, str] = field(default_factory=dict)
    log_max_size: str = "10m"
    log_max_files: int = 5

    def pod_dir(self, uid: str) -> Path:
        """Where everything of a pod that lives on the node's disk is."""
        return self.root_dir / "pods" / uid
