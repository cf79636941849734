"""The kernel switches and netfilter rules that pod traffic needs.

Pods talk to pods and nodes with their own addresses. Only what leaves the cluster is masqueraded: in one chain of our
own, hooked into nat POSTROUTING, written whole by one `iptables-restore --noflush`.
"""

from pathlib import Path

from componentbase.host import run

from . import bridge

CHAIN = "MINI-MASQ"
FORWARD_CHAIN = "MINI-FORWARD"
MULTICAST = "224.0.0.0/4"
SYSCTLS = {
    "net/ipv4/ip_forward": "1",
    "net/bridge/bridge-nf-call-iptables": "1",
    "net/bridge/bridge-nf-call-ip6tables": "1",
    "net/ipv4/conf/all/rp_filter": "0",
    "net/ipv4/conf/default/rp_filter": "0",
}


def masquerade_rules(*, pod_cidr: str, cluster_cidr: str) -> str:
    """Input of iptables-restore: our chain, whole."""
    return "\n".join(
        (
            "*nat",
            f":{CHAIN} - [0:0]",
            f'-A {CHAIN} -d {cluster_cidr} -m comment --comment "pods keep their addresses" -j RETURN',
            f"-A {CHAIN} -d {MULTICAST} -j RETURN",
            f'-A {CHAIN} -s {pod_cidr} -m comment --comment "leaves the cluster" -j MASQUERADE',
            "COMMIT",
            "*filter",
            f":{FORWARD_CHAIN} - [0:0]",
            f"-A {FORWARD_CHAIN} -s {cluster_cidr} -j ACCEPT",
            f"-A {FORWARD_CHAIN} -d {cluster_cidr} -j ACCEPT",
            "COMMIT",
            "",
        )
    )


HOOKS = (
    ("nat", "POSTROUTING", CHAIN),
    ("filter", "FORWARD", FORWARD_CHAIN),
)


async def ensure_masquerade(*, pod_cidr: str, cluster_cidr: str) -> None:
    """Write the chain, and the jump to it where that is missing. Raises OSError."""
    rules = masquerade_rules(pod_cidr=pod_cidr, cluster_cidr=cluster_cidr)
    await run("iptables-restore", "-w", "5", "--noflush", text=rules)
    for table, chain, target in HOOKS:
        rule = [chain, "-j", target]
        try:
            await run("iptables", "-w", "5", "-t", table, "-C", *rule)
        except OSError:
            await run("iptables", "-w", "5", "-t", table, "-A", *rule)


async def ensure_bridge(results_dir: Path) -> int:
    """Put back the pods' bridge, and pods onto it, where somebody removed it; how many pods. Raises OSError."""
    links, hairpins = bridge.repairs(bridge.ports(results_dir))
    if links:
        await run("ip", "-batch", "-", text="\n".join(links) + "\n")
        await run("bridge", "-batch", "-", text="\n".join(hairpins) + "\n")
    return len(hairpins)
