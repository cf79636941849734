"""What pods and the node use: /stats/summary, and the same as /metrics/resource, read from cgroups and /proc."""

import os
from pathlib import Path

from apimachinery import meta
from apimachinery.meta import JSON

from .. import cgroupusage
from ..machine import memory, memory_bytes
from ..observed import Container
from ..parts import Parts

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
    sizes = memory()
    used = sizes["MemTotal"] - sizes["MemAvailable"]
    return cgroupusage.GroupUsage(busy * NANOSECONDS // 100, used, used)


_CPU = "Cumulative CPU time consumed, in core-seconds."
_MEMORY = "Current working set, in bytes."
_FAMILIES = (  # name, type, help; as upstream's /metrics/resource and cAdvisor name them
    ("node_cpu_usage_seconds_total", "counter", _CPU),
    ("node_memory_working_set_bytes", "gauge", _MEMORY),
    ("machine_cpu_cores", "gauge", "Number of logical CPU cores."),
    ("machine_memory_bytes", "gauge", "Amount of memory installed on the machine."),
    ("container_start_time_seconds", "gauge", "Start time of the container since unix epoch."),
    ("container_cpu_usage_seconds_total", "counter", _CPU),
    ("container_memory_usage_bytes", "gauge", "Current memory usage, page cache included."),
    ("container_memory_working_set_bytes", "gauge", _MEMORY),
    ("pod_cpu_usage_seconds_total", "counter", _CPU),
    ("pod_memory_working_set_bytes", "gauge", _MEMORY),
)


def exposition(stats: JSON) -> str:
    """The resource metrics that metrics-server reads, and those of cAdvisor's that we have."""
    samples: dict[str, list[str]] = {name: [] for name, _, _ in _FAMILIES}

    def add(kind: str, usage: JSON, labels: str = "") -> None:
        seconds = usage["cpu"]["usageCoreNanoSeconds"] / NANOSECONDS
        samples[f"{kind}_cpu_usage_seconds_total"].append(f"{labels} {seconds:.6f}")
        samples[f"{kind}_memory_working_set_bytes"].append(f"{labels} {usage['memory']['workingSetBytes']}")

    add("node", stats["node"])
    samples["machine_cpu_cores"].append(f" {os.cpu_count() or 1}")
    samples["machine_memory_bytes"].append(f" {memory_bytes()}")
    for pod in stats["pods"]:
        ref = pod["podRef"]
        where = f'namespace="{ref["namespace"]}",pod="{ref["name"]}"'
        add("pod", pod, f"{{{where}}}")
        for container in pod["containers"]:
            labels = f'{{container="{container["name"]}",{where}}}'
            add("container", container, labels)
            samples["container_memory_usage_bytes"].append(f"{labels} {container['memory']['usageBytes']}")
            if container["startTime"]:
                started = meta.parse_time(container["startTime"]).timestamp()
                samples["container_start_time_seconds"].append(f"{labels} {started:.3f}")
    lines = []
    for name, type_, text in _FAMILIES:
        lines += [f"# HELP {name} {text}", f"# TYPE {name} {type_}", *(name + sample for sample in samples[name])]
    return "\n".join([*lines, ""])
