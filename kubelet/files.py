"""The files of a pod that the kubelet writes itself: /etc/hosts and /etc/resolv.conf."""

from collections.abc import Sequence

from apimachinery import meta
from apimachinery.meta import JSON

from .container_config import fqdn, hostname

SEARCH_MAX = 32
NAMESERVERS_MAX = 3
LOOPBACK = (
    "127.0.0.1\tlocalhost",
    "::1\tlocalhost ip6-localhost ip6-loopback",
    "fe00::0\tip6-localnet",
    "fe00::0\tip6-mcastprefix",
    "fe00::1\tip6-allnodes",
    "fe00::2\tip6-allrouters",
)


def hosts(pod: JSON, ips: Sequence[str], *, cluster_domain: str) -> str:
    """/etc/hosts of a pod with its own network."""
    lines = ["# Kubernetes-managed hosts file.", *LOOPBACK]
    full = fqdn(pod, cluster_domain)
    for ip in ips:
        lines.append(f"{ip}\t{full}\t{hostname(pod)}" if full else f"{ip}\t{hostname(pod)}")
    return "\n".join([*lines, *_aliases(pod)]) + "\n"


def host_network_hosts(pod: JSON, node_hosts: str) -> str:
    """/etc/hosts of a pod on the node's network: the node's own, and the pod's aliases."""
    header = "# Kubernetes-managed hosts file (host network).\n"
    return header + node_hosts + "".join(f"{line}\n" for line in _aliases(pod))


def _aliases(pod: JSON) -> list[str]:
    aliases = pod["spec"].get("hostAliases") or []
    if not aliases:
        return []
    return ["", "# Entries added by HostAliases."] + ["\t".join([a["ip"], *a.get("hostnames", [])]) for a in aliases]


def resolv_conf(pod: JSON, node_conf: str, *, cluster_dns: Sequence[str], cluster_domain: str) -> str:
    """/etc/resolv.conf by the pod's dnsPolicy and dnsConfig."""
    spec = pod["spec"]
    servers, searches, options = _parse(node_conf)
    policy = spec.get("dnsPolicy", "ClusterFirst")
    cluster_first = policy == "ClusterFirstWithHostNet" or (policy == "ClusterFirst" and not spec.get("hostNetwork"))
    if policy == "None":
        servers, searches, options = [], [], []
    elif cluster_first and cluster_dns:
        domain = cluster_domain
        own = [f"{meta.namespace(pod)}.svc.{domain}", f"svc.{domain}", domain]
        servers, searches, options = list(cluster_dns), own + [s for s in searches if s not in own], ["ndots:5"]
    config = spec.get("dnsConfig") or {}
    servers += [s for s in config.get("nameservers") or [] if s not in servers]
    searches += [s for s in config.get("searches") or [] if s not in searches]
    for option in config.get("options") or []:
        options = [o for o in options if o.split(":")[0] != option["name"]]
        options.append(f"{option['name']}:{option['value']}" if option.get("value") else option["name"])
    lines = [f"search {' '.join(searches[:SEARCH_MAX])}"] if searches else []
    lines += [f"nameserver {server}" for server in servers[:NAMESERVERS_MAX]]
    lines += [f"options {' '.join(options)}"] if options else []
    return "\n".join(lines) + "\n"


def _parse(text: str) -> tuple[list[str], list[str], list[str]]:
    servers: list[str] = []
    searches: list[str] = []
    options: list[str] = []
    for line in text.splitlines():
        words = line.split()
        if len(words) < 2 or words[0].startswith(("#", ";")):
            continue
        if words[0] == "nameserver":
            servers.append(words[1])
        elif words[0] in ("search", "domain"):
            searches = [word for word in words[1:] if word != "."]
        elif words[0] == "options":
            options += words[1:]
    return servers, searches, options
