"""The API server's flags, with upstream's names, as one table.

`Options` is the parsed namespace with types: every other module reads attributes from it, none parses a flag itself.
Flags that upstream has and that change nothing here (feature gates, audit paths) are accepted where deployment tools
pass them, and listed apart.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from componentbase import defaults, flags
from componentbase.flags import comma_list, duration

_PORTS = f"{defaults.NODE_PORT_RANGE[0]}-{defaults.NODE_PORT_RANGE[1]}"

_ISSUER = f"https://kubernetes.default.svc.{defaults.CLUSTER_DOMAIN}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the server was told. Empty text means: not given."""

    etcd_servers: list[str]
    etcd_cafile: str
    etcd_certfile: str
    etcd_keyfile: str
    bind_address: str
    advertise_address: str
    secure_port: int
    cert_dir: str
    tls_cert_file: str
    tls_private_key_file: str
    client_ca_file: str
    token_auth_file: str
    anonymous_auth: bool
    enable_bootstrap_token_auth: bool
    authorization_mode: list[str]
    enable_admission_plugins: list[str]
    disable_admission_plugins: list[str]
    service_cluster_ip_range: str
    service_node_port_range: str
    service_account_issuer: str
    service_account_key_file: list[str]
    service_account_signing_key_file: str
    api_audiences: list[str]
    oidc_issuer_url: str
    oidc_client_id: str
    oidc_ca_file: str
    oidc_username_claim: str
    oidc_username_prefix: str
    oidc_groups_claim: str
    oidc_groups_prefix: str
    oidc_required_claim: list[str]
    oidc_signing_algs: list[str]
    kubelet_client_certificate: str
    kubelet_client_key: str
    kubelet_certificate_authority: str
    kubelet_preferred_address_types: list[str]
    proxy_client_cert_file: str
    proxy_client_key_file: str
    requestheader_client_ca_file: str
    requestheader_allowed_names: list[str]
    requestheader_username_headers: list[str]
    requestheader_uid_headers: list[str]
    requestheader_group_headers: list[str]
    requestheader_extra_headers_prefix: list[str]
    max_requests_inflight: int
    max_mutating_requests_inflight: int
    min_request_timeout: int
    event_ttl: float
    endpoint_reconciler: bool

    @property
    def node_ports(self) -> tuple[int, int]:
        """First and last port that Services may take on nodes."""
        low, _, high = self.service_node_port_range.partition("-")
        return int(low), int(high)


# (flag, type, default, help); `None` as type is a boolean.
_FLAGS: tuple[tuple[str, Any, Any, str], ...] = (
    ("etcd-servers", comma_list, "http://127.0.0.1:2379", "etcd endpoints"),
    ("etcd-cafile", str, "", "authority of etcd's certificate"),
    ("etcd-certfile", str, "", "client certificate for etcd"),
    ("etcd-keyfile", str, "", "its key"),
    ("bind-address", str, "0.0.0.0", "address to listen on"),
    ("advertise-address", str, "", "address by which others reach this server"),
    ("secure-port", int, defaults.API_PORT, "port to listen on; 0 takes a free one"),
    ("cert-dir", str, "/var/run/kubernetes", "where a self-signed certificate is kept if none is given"),
    ("tls-cert-file", str, "", "serving certificate"),
    ("tls-private-key-file", str, "", "its key"),
    ("client-ca-file", str, "", "authority of client certificates"),
    ("token-auth-file", str, "", "CSV of token,user,uid,groups"),
    ("anonymous-auth", None, True, "let requests without credentials in as system:anonymous"),
    ("enable-bootstrap-token-auth", None, False, "accept bootstrap.kubernetes.io/token Secrets"),
    ("authorization-mode", comma_list, "AlwaysAllow", "Node, RBAC, AlwaysAllow, AlwaysDeny, in order"),
    ("enable-admission-plugins", comma_list, "", "admission plugins beyond the default ones"),
    ("disable-admission-plugins", comma_list, "", "admission plugins to leave out"),
    ("service-cluster-ip-range", str, defaults.SERVICE_CIDR, "addresses of Services"),
    ("service-node-port-range", str, _PORTS, "ports that Services may take on nodes"),
    ("service-account-issuer", str, _ISSUER, "issuer of service-account tokens"),
    ("service-account-key-file", comma_list, "", "keys that verify service-account tokens"),
    ("service-account-signing-key-file", str, "", "key that signs service-account tokens"),
    ("api-audiences", comma_list, "", "audiences of tokens; the issuer if not given"),
    ("oidc-issuer-url", str, "", "identity provider whose ID tokens are accepted"),
    ("oidc-client-id", str, "", "audience that its tokens must be for"),
    ("oidc-ca-file", str, "", "authority of the provider's certificate; the system's if not given"),
    ("oidc-username-claim", str, "sub", "claim with the user's name"),
    ("oidc-username-prefix", str, "", "put before it; the issuer and a # if not given (but for emails), - for none"),
    ("oidc-groups-claim", str, "", "claim with the user's groups"),
    ("oidc-groups-prefix", str, "", "put before them"),
    ("oidc-required-claim", comma_list, "", "key=value that tokens must have"),
    ("oidc-signing-algs", comma_list, "RS256", "signature algorithms accepted"),
    ("kubelet-client-certificate", str, "", "client certificate for kubelets"),
    ("kubelet-client-key", str, "", "its key"),
    ("kubelet-certificate-authority", str, "", "authority of kubelets' certificates; not checked if not given"),
    ("kubelet-preferred-address-types", comma_list, "InternalIP,Hostname,ExternalIP", "which node address to use"),
    ("proxy-client-cert-file", str, "", "client certificate for aggregated servers"),
    ("proxy-client-key-file", str, "", "its key"),
    ("requestheader-client-ca-file", str, "", "authority of front proxies' certificates"),
    ("requestheader-allowed-names", comma_list, "", "common names of front proxies; any if empty"),
    ("requestheader-username-headers", comma_list, "X-Remote-User", "headers with the user's name"),
    ("requestheader-uid-headers", comma_list, "X-Remote-Uid", "headers with the user's uid"),
    ("requestheader-group-headers", comma_list, "X-Remote-Group", "headers with the user's groups"),
    ("requestheader-extra-headers-prefix", comma_list, "X-Remote-Extra-", "prefixes of headers with more"),
    ("max-requests-inflight", int, 400, "reading requests at a time; 0: no limit"),
    ("max-mutating-requests-inflight", int, 200, "writing requests at a time; 0: no limit"),
    ("min-request-timeout", int, 1800, "seconds after which a watch without a timeout may be ended"),
    ("event-ttl", duration, "1h", "how long Events are kept"),
    ("endpoint-reconciler", None, True, "keep the endpoints of the kubernetes Service"),
)
# Passed by deployment tools, without effect here.
_ACCEPTED = (
    "allow-privileged", "enable-aggregator-routing", "enable-priority-and-fairness", "feature-gates", "runtime-config",
    "profiling", "storage-backend", "audit-log-path", "audit-policy-file", "goaway-chance", "etcd-prefix",
)  # fmt: skip


def parse(arguments: Sequence[str] | None = None) -> Options:
    """Options from the command line; a wrong flag ends the process with exit code 2 and says why."""
    parser = flags.parser("apiserver", "Serves the Kubernetes API from etcd.")
    for flag, kind, default, text in _FLAGS:
        if kind is None:
            flags.add_boolean(parser, f"--{flag}", default=default, help=text)
        else:
            parser.add_argument(f"--{flag}", type=kind, default=default, help=text)
    for flag in _ACCEPTED:
        parser.add_argument(f"--{flag}", nargs="?", help=argparse.SUPPRESS)
    parsed = flags.parse(parser, arguments)
    options = Options(**{each.name: getattr(parsed, each.name) for each in fields(Options)})
    _check(parser, options)
    return options


def _check(parser: argparse.ArgumentParser, options: Options) -> None:
    low, dash, high = options.service_node_port_range.partition("-")
    if not dash or not low.isdigit() or not high.isdigit() or int(low) > int(high):
        parser.error(f"--service-node-port-range {options.service_node_port_range!r}: expect FIRST-LAST")
    if bool(options.tls_cert_file) != bool(options.tls_private_key_file):
        parser.error("--tls-cert-file and --tls-private-key-file go together")
