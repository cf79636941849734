"""What pods and the node use: /stats/summary, and the same as /metrics/resource, read from cgroups and /proc."""

from pathlib import Path
from typing import Any

from apimachinery import meta

from .. import cgroupusage
from ..abilities import memory_bytes
from ..observed import Container
from ..parts import Parts

JSON = dict[str, Any]

NANOSECONDS = 1_000_000_000


async def summary(parts: Parts, pods: list[JSON]) -> JSON:
    """The Summary of the stats API."""
    observed = await parts.runtime.pods()
    now = meta.now()
    shown = []
    for pod in pods:
        state = observed.get(meta.uid(pod))
        if state is None:
            continue
        containers = [usage for run in state.running() if (usage := _container(run, now))]
        metadata = pod["metadata"]
        shown.append(
            {
                "podRef": {"name": metadata["name"], "namespace": metadata["namespace"], "uid": metadata["uid"]},
                "startTime": (pod.get("status") or {}).get("startTime"),
                "containers": containers,
                "cpu": {"time": now, "usageCoreNanoSeconds": sum(c["cpu"]["usageCoreNanoSeconds"] for c in containers)},
                "memory": {"time": now, "workingSetBytes": sum(c["memory"]["workingSetBytes"] for c in containers)},
            }
        )
    return {"node": _node(parts.settings.node_name, now), "pods": shown}


def _container(run: Container, now: str) -> JSON | None:
    usage = cgroupusage.of_process(run.pid)
    return usage and {"name": run.name, "startTime": run.started_at, **_stats(usage, now)}


def _stats(usage: cgroupusage.GroupUsage, now: str) -> JSON:
    return {
        "cpu": {"time": now, "usageCoreNanoSeconds": usage.cpu_nanoseconds},
        "memory": {"time": now, "usageBytes": usage.memory_bytes, "workingSetBytes": usage.working_set_bytes},
    }


def _node(name: str, now: str) -> JSON:
    usage = cgroupusage.of_node() or _machine()
    stats = _stats(usage, now)
    stats["memory"]["availableBytes"] = max(0, memory_bytes() - usage.working_set_bytes)
    return {"nodeName": name, **stats}


def _machine() -> cgroupusage.GroupUsage:
    """The same from /proc, for a kernel that doesn't count in the root group."""
    fields = Path("/proc/stat").read_text().splitlines()[0].split()[1:]
    busy = sum(map(int, fields)) - int(fields[3]) - int(fields[4])
    lines = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
    used = memory_bytes() - int(lines["MemAvailable"].split()[0]) * 1024
    return cgroupusage.GroupUsage(busy * NANOSECONDS // 100, used, used)


def exposition(stats: JSON) -> str:
    """The resource metrics that metrics-server reads."""
    cpu = ["# TYPE container_cpu_usage_seconds_total counter"]
    memory = ["# TYPE container_memory_working_set_bytes gauge"]
    pod_cpu = ["# TYPE pod_cpu_usage_seconds_total counter"]
    pod_memory = ["# TYPE pod_memory_working_set_bytes gauge"]
    for pod in stats["pods"]:
        ref = pod["podRef"]
        where = f'namespace="{ref["namespace"]}",pod="{ref["name"]}"'
        for container in pod["containers"]:
            labels = f'{{container="{container["name"]}",{where}}}'
            seconds = container["cpu"]["usageCoreNanoSeconds"] / NANOSECONDS
            cpu.append(f"container_cpu_usage_seconds_total{labels} {seconds:.6f}")
            memory.append(f"container_memory_working_set_bytes{labels} {container['memory']['workingSetBytes']}")
        pod_cpu.append(f"pod_cpu_usage_seconds_total{{{where}}} {pod['cpu']['usageCoreNanoSeconds'] / NANOSECONDS:.6f}")
        pod_memory.append(f"pod_memory_working_set_bytes{{{where}}} {pod['memory']['workingSetBytes']}")
    node = stats["node"]
    lines = [
        "# TYPE node_cpu_usage_seconds_total counter",
        f"node_cpu_usage_seconds_total {node['cpu']['usageCoreNanoSeconds'] / NANOSECONDS:.6f}",
        "# TYPE node_memory_working_set_bytes gauge",
        f"node_memory_working_set_bytes {node['memory']['workingSetBytes']}",
    ]
    return "\n".join([*lines, *cpu, *memory, *pod_cpu, *pod_memory, ""])
