"""From a container's requests and limits to cgroup numbers, and from a pod to its quality-of-service class.

Pure arithmetic, with upstream's rules: CPU requests become shares (1024 a core), CPU limits a CFS quota, memory limits
a hard limit; a pod whose containers all have equal requests and limits is Guaranteed, one with none BestEffort.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from apimachinery import quantity
from apimachinery.meta import JSON

CPU_PERIOD_MICROSECONDS = 100_000
CPU_QUOTA_MIN_MICROSECONDS = 1_000
CPU_SHARES_MIN = 2
CPU_SHARES_MAX = 262_144
SHARES_PER_CORE = 1024

GUARANTEED, BURSTABLE, BEST_EFFORT = "Guaranteed", "Burstable", "BestEffort"
NODE_CRITICAL_PRIORITY = 2_000_001_000
OOM_SCORE_ADJ = {GUARANTEED: -997, BEST_EFFORT: 1000}


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one cgroup gets; 0 is no limit."""

    cpu_shares: int
    cpu_quota: int = 0  # microseconds in each period
    memory_bytes: int = 0


def cpu_shares(milli: int) -> int:
    """cpu.shares for a request of so many thousandths of a core."""
    return max(CPU_SHARES_MIN, min(CPU_SHARES_MAX, milli * SHARES_PER_CORE // 1000))


def cpu_quota(milli: int) -> int:
    """cpu.cfs_quota_us for a limit; 0 (none) for no limit."""
    return max(CPU_QUOTA_MIN_MICROSECONDS, milli * CPU_PERIOD_MICROSECONDS // 1000) if milli > 0 else 0


def requests_of(container: JSON) -> dict[str, str]:
    """Requests, where a limit without a request is its own request."""
    resources = container.get("resources") or {}
    return {**(resources.get("limits") or {}), **(resources.get("requests") or {})}


def limits_of(container: JSON) -> dict[str, str]:
    """Limits as given."""
    return (container.get("resources") or {}).get("limits") or {}


def cgroup(container: JSON) -> JSON:
    """The resource fields of Docker's HostConfig."""
    requests, limits = requests_of(container), limits_of(container)
    numbers: JSON = {"CpuShares": cpu_shares(quantity.milli(requests.get("cpu", 0)))}
    if quota := cpu_quota(quantity.milli(limits.get("cpu", 0))):
        numbers |= {"CpuQuota": quota, "CpuPeriod": CPU_PERIOD_MICROSECONDS}
    if memory := quantity.value(limits.get("memory", 0)):
        numbers |= {"Memory": memory, "MemorySwap": memory}
    return numbers


def _all_containers(spec: JSON) -> list[JSON]:
    return [*(spec.get("initContainers") or []), *(spec.get("containers") or [])]


def qos_class(spec: JSON) -> str:
    """The pod's class, by the CPU and memory of all its containers."""
    any_set, guaranteed = False, True
    for container in _all_containers(spec):
        requests, limits = requests_of(container), limits_of(container)
        for name in ("cpu", "memory"):
            request, limit = quantity.milli(requests.get(name, 0)), quantity.milli(limits.get(name, 0))
            any_set |= bool(request or limit)
            guaranteed &= limit > 0 and request == limit
    if not any_set:
        return BEST_EFFORT
    return GUARANTEED if guaranteed else BURSTABLE


def oom_score_adj(spec: JSON, container: JSON, *, node_memory_bytes: int) -> int:
    """How readily the kernel kills this container when the node runs out of memory: less, the more it asked for."""
    qos = GUARANTEED if (spec.get("priority") or 0) == NODE_CRITICAL_PRIORITY else qos_class(spec)
    if qos in OOM_SCORE_ADJ:
        return OOM_SCORE_ADJ[qos]
    request = quantity.value(requests_of(container).get("memory", 0))
    return max(3, min(999, 1000 - 1000 * request // max(1, node_memory_bytes)))


def is_sidecar(container: JSON) -> bool:
    """An init container that keeps running beside the app containers (KEP-753)."""
    return container.get("restartPolicy") == "Always"


def pod_limits(spec: JSON) -> Limits:
    """The pod as a whole: limited in what every one of its containers is limited in."""
    totals = pod_requests(spec, of=limits_of)

    def total(name: str) -> int:
        declared = all(quantity.milli(limits_of(c).get(name, 0)) > 0 for c in _all_containers(spec))
        return totals.get(name, 0) if declared else 0

    return Limits(
        cpu_shares=cpu_shares(pod_requests(spec).get("cpu", 0)),
        cpu_quota=cpu_quota(total("cpu")),
        memory_bytes=total("memory") // 1000,
    )


def pod_requests(spec: JSON, *, of: Callable[[JSON], dict[str, str]] = requests_of) -> dict[str, int]:
    """What the pod takes from its node: milli units for every resource it names, by the scheduler's rule."""
    total: dict[str, int] = {}
    _add(total, (of(c) for c in spec.get("containers") or []))
    sidecars: dict[str, int] = {}
    peak: dict[str, int] = {}
    for container in spec.get("initContainers") or []:
        if is_sidecar(container):
            _add(sidecars, [of(container)])
            needed = sidecars
        else:
            needed = dict(sidecars)
            _add(needed, [of(container)])
        for name, value in needed.items():
            peak[name] = max(peak.get(name, 0), value)
    for name, value in sidecars.items():
        total[name] = total.get(name, 0) + value
    for name, value in peak.items():
        total[name] = max(total.get(name, 0), value)
    _add(total, [spec.get("overhead") or {}])
    return total


def _add(total: dict[str, int], lists: Iterable[dict[str, str]]) -> None:
    for resources in lists:
        for name, amount in resources.items():
            total[name] = total.get(name, 0) + quantity.milli(amount)
