"""Whether this node takes a pod that was bound to it: the last check, with the reasons upstream gives.

The scheduler has checked all this against its own picture; a pod bound by hand, or by a scheduler that lagged, is
refused here. A refused pod fails, and its controller makes another.
"""

from collections.abc import Iterable
from fnmatch import fnmatchcase

from apimachinery import placement, quantity
from apimachinery.meta import JSON

from .container_config import effective_security
from .plan import all_containers
from .resources import pod_requests

# Sysctls by the namespace that keeps them from other pods; those that are safe are allowed everywhere.
SAFE_SYSCTLS = (
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_wmem",
)


def check(
    pod: JSON,
    node: JSON,
    others: Iterable[JSON],
    *,
    unsafe_sysctls: Iterable[str] = (),
    apparmor: bool = True,
) -> tuple[str, str] | None:
    """None to admit, else (reason, message). `unsafe_sysctls` are allowed beyond the safe ones; they may end in *."""
    if (refusal := _sysctls(pod["spec"], [*SAFE_SYSCTLS, *unsafe_sysctls])) is not None:
        return "SysctlForbidden", f"forbidden sysctl: {refusal}"
    if not apparmor and any(_armored(pod, container) for container in all_containers(pod["spec"])):
        return "AppArmor", "Cannot enforce AppArmor: AppArmor is not enabled on the host"
    if not placement.selects_node(pod["spec"], node):
        return "NodeAffinity", "Predicate NodeAffinity failed"
    allocatable = (node.get("status") or {}).get("allocatable") or {}
    placed = list(others)
    if len(placed) + 1 > quantity.value(allocatable.get("pods", 110)):
        limit = allocatable.get("pods", 110)
        message = f"Node didn't have enough resource: pods, requested: 1, used: {len(placed)}, capacity: {limit}"
        return "OutOfpods", message
    used: dict[str, int] = {}
    for other in placed:
        for name, amount in pod_requests(other["spec"]).items():
            used[name] = used.get(name, 0) + amount
    for name, amount in pod_requests(pod["spec"]).items():
        capacity = quantity.milli(allocatable.get(name, 0))
        if amount > 0 and used.get(name, 0) + amount > capacity:
            unit = 1 if name == "cpu" else 1000
            return f"OutOf{name}", (
                f"Node didn't have enough resource: {name}, requested: {amount // unit}, "
                f"used: {used.get(name, 0) // unit}, capacity: {capacity // unit}"
            )
    return None


def _sysctls(spec: JSON, allowed: list[str]) -> str | None:
    for entry in (spec.get("securityContext") or {}).get("sysctls") or []:
        name = entry["name"].replace("/", ".")
        shared, noun = ("hostNetwork", "Net") if name.startswith("net.") else ("hostIPC", "IPC")
        if not any(fnmatchcase(name, pattern) for pattern in allowed):
            return f'"{name}" not allowlisted'
        if spec.get(shared):
            return f'"{name}" not allowed with host {noun} enabled'
    return None


def _armored(pod: JSON, container: JSON) -> bool:
    profile = (effective_security(pod, container).get("appArmorProfile") or {}).get("type", "Unconfined")
    return bool(profile != "Unconfined")
