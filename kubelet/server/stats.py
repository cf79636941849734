"""What pods and the node use: /stats/summary, and the same as /metrics/resource, read from cgroups and /proc."""

import asyncio
from pathlib import Path
from typing import Any

from apimachinery import meta

from ..abilities import memory_bytes
from ..engine import EngineError
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
        usages = await asyncio.gather(*(_container(parts, run, now) for run in state.running()))
        containers = [usage for usage in usages if usage]
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


async def _container(parts: Parts, run: Container, now: str) -> JSON | None:
    try:
        params = {"stream": False, "one-shot": True}
        usage = await parts.runtime.engine.call("GET", f"/containers/{run.id}/stats", params=params)
    except EngineError:
        return None
    memory = usage.get("memory_stats") or {}
    details = memory.get("stats") or {}
    inactive = details.get("total_inactive_file", details.get("inactive_file", 0))
    used = int(memory.get("usage", 0))
    return {
        "name": run.name,
        "startTime": run.started_at,
        "cpu": {"time": now, "usageCoreNanoSeconds": int(usage["cpu_stats"]["cpu_usage"]["total_usage"])},
        "memory": {"time": now, "usageBytes": used, "workingSetBytes": max(0, used - int(inactive))},
    }


def _node(name: str, now: str) -> JSON:
    fields = Path("/proc/stat").read_text().splitlines()[0].split()[1:]
    busy = sum(map(int, fields)) - int(fields[3]) - int(fields[4])
    available = 0
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            available = int(line.split()[1]) * 1024
    whole = memory_bytes()
    return {
        "nodeName": name,
        "cpu": {"time": now, "usageCoreNanoSeconds": busy * NANOSECONDS // 100},
        "memory": {"time": now, "availableBytes": available, "workingSetBytes": whole - available},
    }


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
