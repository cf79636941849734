"""The API server's flags, with upstream's names, as one table.

`Options` is that table and, filled in, what other modules read: none parses a flag itself. Flags that upstream has and
that change nothing here (feature gates, audit paths) are accepted where deployment tools pass them, and listed apart.
"""

# ruff: noqa: RUF009 — `_flag` makes a field, as `dataclasses.field` does

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from componentbase import defaults, flags
from componentbase.flags import comma_list, duration

_PORTS = f"{defaults.NODE_PORT_RANGE[0]}-{defaults.NODE_PORT_RANGE[1]}"

_ISSUER = f"https://kubernetes.default.svc.{defaults.CLUSTER_DOMAIN}"


def _flag(default: Any, text: str) -> Any:
    """A flag of the field's name and type; the default as it would stand on the command line."""
    return field(metadata={"default": default, "help": text})


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the server was told. Empty text means: not given."""

    etcd_servers: list[str] = _flag("http://127.0.0.1:2379", "etcd endpoints")
    etcd_cafile: str = _flag("", "authority of etcd's certificate")
    etcd_certfile: str = _flag("", "client certificate for etcd")
    etcd_keyfile: str = _flag("", "its key")
    bind_address: str = _flag("0.0.0.0", "address to listen on")
    advertise_address: str = _flag("", "address by which others reach this server")
    secure_port: int = _flag(defaults.API_PORT, "port to listen on; 0 takes a free one")
    cert_dir: str = _flag("/var/run/kubernetes", "where a self-signed certificate is kept if none is given")
    tls_cert_file: str = _flag("", "serving certificate")
    tls_private_key_file: str = _flag("", "its key")
    client_ca_file: str = _flag("", "authority of client certificates")
    token_auth_file: str = _flag("", "CSV of token,user,uid,groups")
    anonymous_auth: bool = _flag(True, "let requests without credentials in as system:anonymous")
    enable_bootstrap_token_auth: bool = _flag(False, "accept bootstrap.kubernetes.io/token Secrets")
    authorization_mode: list[str] = _flag("AlwaysAllow", "Node, RBAC, AlwaysAllow, AlwaysDeny, in order")
    enable_admission_plugins: list[str] = _flag("", "admission plugins beyond the default ones")
    disable_admission_plugins: list[str] = _flag("", "admission plugins to leave out")
    service_cluster_ip_range: str = _flag(defaults.SERVICE_CIDR, "addresses of Services")
    service_node_port_range: str = _flag(_PORTS, "ports that Services may take on nodes")
    service_account_issuer: str = _flag(_ISSUER, "issuer of service-account tokens")
    service_account_key_file: list[str] = _flag("", "keys that verify service-account tokens")
    service_account_signing_key_file: str = _flag("", "key that signs service-account tokens")
    api_audiences: list[str] = _flag("", "audiences of tokens; the issuer if not given")
    oidc_issuer_url: str = _flag("", "identity provider whose ID tokens are accepted")
    oidc_client_id: str = _flag("", "audience that its tokens must be for")
    oidc_ca_file: str = _flag("", "authority of the provider's certificate; the system's if not given")
    oidc_username_claim: str = _flag("sub", "claim with the user's name")
    oidc_username_prefix: str = _flag("", "put before it; the issuer and a # if not given (but for emails), - for none")
    oidc_groups_claim: str = _flag("", "claim with the user's groups")
    oidc_groups_prefix: str = _flag("", "put before them")
    oidc_required_claim: list[str] = _flag("", "key=value that tokens must have")
    oidc_signing_algs: list[str] = _flag("RS256", "signature algorithms accepted")
    kubelet_client_certificate: str = _flag("", "client certificate for kubelets")
    kubelet_client_key: str = _flag("", "its key")
    kubelet_certificate_authority: str = _flag("", "authority of kubelets' certificates; not checked if not given")
    kubelet_preferred_address_types: list[str] = _flag("InternalIP,Hostname,ExternalIP", "which node address to use")
    requestheader_client_ca_file: str = _flag("", "authority of front proxies' certificates")
    requestheader_allowed_names: list[str] = _flag("", "common names of front proxies; any if empty")
    requestheader_username_headers: list[str] = _flag("X-Remote-User", "headers with the user's name")
    requestheader_uid_headers: list[str] = _flag("X-Remote-Uid", "headers with the user's uid")
    requestheader_group_headers: list[str] = _flag("X-Remote-Group", "headers with the user's groups")
    requestheader_extra_headers_prefix: list[str] = _flag("X-Remote-Extra-", "prefixes of headers with more")
    max_requests_inflight: int = _flag(400, "reading requests at a time; 0: no limit")
    max_mutating_requests_inflight: int = _flag(200, "writing requests at a time; 0: no limit")
    min_request_timeout: int = _flag(1800, "seconds after which a watch without a timeout may be ended")
    event_ttl: float = _flag("1h", "how long Events are kept")
    endpoint_reconciler: bool = _flag(True, "keep the endpoints of the kubernetes Service")

    @property
    def node_ports(self) -> tuple[int, int]:
        """First and last port that Services may take on nodes."""
        low, _, high = self.service_node_port_range.partition("-")
        return int(low), int(high)


_READERS: dict[str, Callable[[str], Any]] = {"str": str, "int": int, "float": duration, "list[str]": comma_list}
# Passed by deployment tools, without effect here.
_ACCEPTED = (
    "allow-privileged", "enable-aggregator-routing", "enable-priority-and-fairness", "feature-gates", "runtime-config",
    "profiling", "storage-backend", "audit-log-path", "audit-policy-file", "goaway-chance", "etcd-prefix",
    "proxy-client-cert-file", "proxy-client-key-file",
)  # fmt: skip


def parse(arguments: Sequence[str] | None = None) -> Options:
    """Options from the command line; a wrong flag ends the process with exit code 2 and says why."""
    parser = flags.parser("apiserver", "Serves the Kubernetes API from etcd.")
    for each in fields(Options):
        flag = "--" + each.name.replace("_", "-")
        if each.type == "bool":
            flags.add_boolean(parser, flag, **each.metadata)
        else:
            parser.add_argument(flag, type=_READERS[str(each.type)], **each.metadata)
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
