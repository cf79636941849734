"""The rules of iptables for Service ports, under upstream's chain names.

Desired rules are a value: table → chain → rules (`Rules`). `render` turns the difference of two such values into one
input of `iptables-restore --noflush`, which the kernel takes as a whole or not at all: a chain that changed is declared
(which empties it) and written anew, one that is gone is removed last. Chains that stay as they are aren't named, so a
sync costs what changed, plus the chain that lists the Services.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache

from proxy.model import Endpoint, Port

Chains = dict[str, tuple[str, ...]]
Rules = dict[str, Chains]

MASQUERADE_MARK = "0x4000/0x4000"
SERVICES, NODE_PORTS = "KUBE-SERVICES", "KUBE-NODEPORTS"
POSTROUTING, MARK_MASQ, FORWARD, FIREWALL = "KUBE-POSTROUTING", "KUBE-MARK-MASQ", "KUBE-FORWARD", "KUBE-FIREWALL"
PROXY_FIREWALL = "KUBE-PROXY-FIREWALL"
_NEW = "-m conntrack --ctstate NEW"
_BALANCERS = f'{_NEW} -m comment --comment "kubernetes load balancer firewall" -j {PROXY_FIREWALL}'
_PORTALS = '-m comment --comment "kubernetes service portals"'
# Where the kernel's chains lead into ours: (table, chain, rule).
JUMPS: tuple[tuple[str, str, str], ...] = (
    ("nat", "PREROUTING", f"{_PORTALS} -j {SERVICES}"),
    ("nat", "OUTPUT", f"{_PORTALS} -j {SERVICES}"),
    ("nat", "POSTROUTING", f'-m comment --comment "kubernetes postrouting rules" -j {POSTROUTING}'),
    ("filter", "INPUT", _BALANCERS),
    ("filter", "INPUT", f"{_NEW} {_PORTALS} -j {SERVICES}"),
    ("filter", "INPUT", f"-j {FIREWALL}"),
    ("filter", "FORWARD", _BALANCERS),
    ("filter", "FORWARD", f"{_NEW} {_PORTALS} -j {SERVICES}"),
    ("filter", "FORWARD", f'-m comment --comment "kubernetes forwarding rules" -j {FORWARD}'),
    ("filter", "OUTPUT", _BALANCERS),
    ("filter", "OUTPUT", f"{_NEW} {_PORTALS} -j {SERVICES}"),
    ("filter", "OUTPUT", f"-j {FIREWALL}"),
)
_POSTROUTING_RULES = (
    f"-m mark ! --mark {MASQUERADE_MARK} -j RETURN",
    "-j MARK --xor-mark 0x4000",
    '-m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE --random-fully',
)
_FIREWALL_RULES = (
    '! -s 127.0.0.0/8 -d 127.0.0.0/8 -m comment --comment "block incoming localnet connections" '
    "-m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP",
)
_FORWARD_RULES = (
    "-m conntrack --ctstate INVALID -j DROP",
    f'-m comment --comment "kubernetes forwarding rules" -m mark --mark {MASQUERADE_MARK} -j ACCEPT',
    '-m comment --comment "kubernetes forwarding conntrack rule" -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT',
)
_LAST_RULE = (
    '-m comment --comment "kubernetes service nodeports; NOTE: this must be the last rule in this chain" '
    f"-m addrtype --dst-type LOCAL -j {NODE_PORTS}"
)


@lru_cache(maxsize=65536)
def _hash(text: str) -> str:
    return base64.b32encode(hashlib.sha256(text.encode()).digest()).decode()[:16]


def chain_name(prefix: str, port: Port) -> str:
    """KUBE-SVC-…, KUBE-SVL-… or KUBE-EXT-… of a Service port."""
    return f"{prefix}-{_hash(port.full_name + port.protocol)}"


def endpoint_chain(port: Port, endpoint: Endpoint) -> str:
    """KUBE-SEP-… of one endpoint behind a Service port."""
    return f"KUBE-SEP-{_hash(f'{port.full_name}{port.protocol}{endpoint.address}:{endpoint.port}')}"


def static_rules() -> Rules:
    """What is there without any Service."""
    return {
        "nat": {
            SERVICES: (_LAST_RULE,),
            NODE_PORTS: (),
            POSTROUTING: _POSTROUTING_RULES,
            MARK_MASQ: ("-j MARK --or-mark 0x4000",),
        },
        "filter": {SERVICES: (), PROXY_FIREWALL: (), FORWARD: _FORWARD_RULES, FIREWALL: _FIREWALL_RULES},
    }


def port_rules(port: Port, cluster_cidr: str) -> Rules:
    """The rules of one Service port; those in shared chains are joined by `joined`."""
    nat: dict[str, list[str]] = {SERVICES: [], NODE_PORTS: []}
    refused: list[str] = []
    _cluster_address(port, cluster_cidr, nat, refused)
    _outside(port, cluster_cidr, nat, refused)
    used = set(port.internal_endpoints)
    if port.node_port or port.outside_ips:
        used |= set(port.local_endpoints if port.external_local else ()) | set(port.endpoints)
    for endpoint in sorted(used):
        nat[endpoint_chain(port, endpoint)] = _endpoint(port, endpoint)
    closed = {SERVICES: tuple(refused), PROXY_FIREWALL: tuple(_turned_away(port)) if port.endpoints else ()}
    return {"nat": {chain: tuple(rules) for chain, rules in nat.items()}, "filter": closed}


def _turned_away(port: Port) -> Iterator[str]:
    """What KUBE-FW let nobody have still goes to the load balancer's address, and is dropped."""
    if port.source_ranges:
        text = _comment(f"{port.full_name} traffic not accepted by {chain_name('KUBE-FW', port)}")
        for address in port.balancer_ips:
            yield f"{_to(port, address, text)} -j DROP"


def _cluster_address(port: Port, cluster_cidr: str, nat: dict[str, list[str]], refused: list[str]) -> None:
    match = _to(port, port.cluster_ip, _comment(f"{port.full_name} cluster IP"))
    prefix, chosen = ("KUBE-SVL", port.local_endpoints) if port.internal_local else ("KUBE-SVC", port.endpoints)
    if not chosen:
        _refuse(refused, port, f"-d {port.cluster_ip}/32", port.port, drop=port.internal_local and port.endpoints)
        return
    chain = chain_name(prefix, port)
    nat[SERVICES].append(f"{match} -j {chain}")
    masquerade = [f"! -s {cluster_cidr} {match} -j {MARK_MASQ}"] if cluster_cidr else []
    nat[chain] = masquerade + _balanced(port, chosen)


def _outside(port: Port, cluster_cidr: str, nat: dict[str, list[str]], refused: list[str]) -> None:
    """Traffic to node ports and external addresses, through KUBE-EXT."""
    if not port.node_port and not port.outside_ips:
        return
    if not port.endpoints:
        for address in port.outside_ips:
            _refuse(refused, port, f"-d {address}/32", port.port)
        if port.node_port:
            _refuse(refused, port, "-m addrtype --dst-type LOCAL", port.node_port)
        return
    external, everywhere = chain_name("KUBE-EXT", port), chain_name("KUBE-SVC", port)
    nat.setdefault(everywhere, _balanced(port, port.endpoints))
    for address in port.external_ips:
        text = _comment(f"{port.full_name} external IP")
        nat[SERVICES].append(f"{_to(port, address, text)} -j {external}")
    for address in port.balancer_ips:
        text = _comment(f"{port.full_name} loadbalancer IP")
        target = chain_name("KUBE-FW", port) if port.source_ranges else external
        nat[SERVICES].append(f"{_to(port, address, text)} -j {target}")
    if port.balancer_ips and port.source_ranges:
        nat[chain_name("KUBE-FW", port)] = [
            f"-s {source} {_comment(f'{port.full_name} loadbalancer IP')} -j {external}"
            for source in (*port.source_ranges, *port.balancer_ips)  # the address itself: a node that asks its own
        ]
    if port.node_port:
        match = f"-p {port.protocol} {_comment(port.full_name)} -m {port.protocol} --dport {port.node_port}"
        nat[NODE_PORTS].append(f"{match} -j {external}")
    if not port.external_local:
        why = _comment(f"masquerade traffic for {port.full_name} external destinations")
        nat[external] = [f"{why} -j {MARK_MASQ}", f"-j {everywhere}"]
        return
    local = chain_name("KUBE-SVL", port)
    nat[external] = [f"-s {cluster_cidr} {_comment(f'pod traffic for {port.full_name}')} -j {everywhere}"] * bool(
        cluster_cidr
    ) + [
        f"{_comment(f'masquerade LOCAL traffic for {port.full_name}')} -m addrtype --src-type LOCAL -j {MARK_MASQ}",
        f"{_comment(f'route LOCAL traffic for {port.full_name}')} -m addrtype --src-type LOCAL -j {everywhere}",
    ]
    if port.local_endpoints:
        nat[external].append(f"-j {local}")
        nat.setdefault(local, _balanced(port, port.local_endpoints))


def _balanced(port: Port, endpoints: tuple[Endpoint, ...]) -> list[str]:
    """Jumps to the endpoints with equal chances; with affinity, first to the one the client had before."""
    rules = []
    if port.affinity_seconds:
        for endpoint in endpoints:
            chain = endpoint_chain(port, endpoint)
            seen = f"-m recent --name {chain} --rcheck --seconds {port.affinity_seconds} --reap"
            rules.append(f"{_comment(_arrow(port, endpoint))} {seen} --rsource -j {chain}")
    for place, endpoint in enumerate(endpoints):
        left = len(endpoints) - place
        chance = f"-m statistic --mode random --probability {1 / left:.10f} " if left > 1 else ""
        rules.append(f"{_comment(_arrow(port, endpoint))} {chance}-j {endpoint_chain(port, endpoint)}")
    return rules


def _endpoint(port: Port, endpoint: Endpoint) -> list[str]:
    text = _comment(port.full_name)
    recent = f"-m recent --name {endpoint_chain(port, endpoint)} --set --rsource " if port.affinity_seconds else ""
    target = f"{endpoint.address}:{endpoint.port}"
    return [
        f"-s {endpoint.address}/32 {text} -j {MARK_MASQ}",  # a pod that reaches itself through the Service
        f"-p {port.protocol} {text} {recent}-m {port.protocol} -j DNAT --to-destination {target}",
    ]


def _refuse(refused: list[str], port: Port, match: str, number: int, *, drop: object = False) -> None:
    """A Service without endpoints answers at once that nobody is there."""
    why = "has no local endpoints" if drop else "has no endpoints"
    target = "DROP" if drop else "REJECT --reject-with icmp-port-unreachable"
    text = _comment(f"{port.full_name} {why}")
    refused.append(f"{match} -p {port.protocol} {text} -m {port.protocol} --dport {number} -j {target}")


def _to(port: Port, address: str, comment: str) -> str:
    return f"-d {address}/32 -p {port.protocol} {comment} -m {port.protocol} --dport {port.port}"


def _comment(text: str) -> str:
    return f'-m comment --comment "{text}"'


def _arrow(port: Port, endpoint: Endpoint) -> str:
    return f"{port.full_name} -> {endpoint.address}:{endpoint.port}"


def joined(parts: Iterable[Rules]) -> Rules:
    """All rules together: shared chains are concatenated, the rule for node ports stays last."""
    total: dict[str, dict[str, list[str]]] = {
        table: {chain: list(rules) for chain, rules in chains.items()} for table, chains in static_rules().items()
    }
    services = total["nat"][SERVICES]
    services.clear()
    for part in parts:
        for table, chains in part.items():
            for chain, rules in chains.items():
                total[table].setdefault(chain, []).extend(rules)
    services.append(_LAST_RULE)
    return {table: {chain: tuple(rules) for chain, rules in chains.items()} for table, chains in total.items()}


def render(before: Mapping[str, Chains], after: Mapping[str, Chains]) -> str:
    """The input of `iptables-restore --noflush` that leads from `before` to `after`; "" if nothing differs."""
    text: list[str] = []
    for table, chains in after.items():
        old = before.get(table, {})
        changed = {chain: rules for chain, rules in chains.items() if old.get(chain) != rules}
        gone = [chain for chain in old if chain not in chains]
        if not changed and not gone:
            continue
        text.append(f"*{table}")
        text += [f":{chain} - [0:0]" for chain in (*changed, *gone)]
        text += [f"-A {chain} {rule}" for chain, rules in changed.items() for rule in rules]
        text += [f"-X {chain}" for chain in gone]
        text.append("COMMIT")
    return "\n".join(text) + "\n" if text else ""
