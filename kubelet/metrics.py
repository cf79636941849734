"""The kubelet's metrics, under upstream's names.

Those of pods are named as kube-state-metrics names them: a container that ends at once, time after time, is seen
running by no scrape, but its restarts and why it waits are in its pod's status.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from prometheus_client import Gauge
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from apimachinery import meta
from componentbase.metrics import METRICS

if TYPE_CHECKING:
    from .pod_workers import PodWorkers
    from .runtime import Runtime
    from .status_manager import StatusManager

PHASES = ("Pending", "Running", "Succeeded", "Failed", "Unknown")

POD_START_SECONDS = METRICS.histogram(
    "kubelet_pod_start_duration_seconds", "Seconds from first sight of a pod to all its containers running."
)
EVICTIONS = METRICS.counter("kubelet_evictions", "Pods evicted, by what the node was short of.", ("eviction_signal",))
PLEG_RELIST_SECONDS = METRICS.histogram("kubelet_pleg_relist_duration_seconds", "Seconds for relisting in PLEG.")


class PodStates(Collector):
    """What the statuses of the node's pods say, computed when scraped."""

    def __init__(self, pods: Callable[[], Iterable[dict[str, Any]]]) -> None:
        self._pods = pods

    def collect(self) -> Iterator[Metric]:
        """One series for each phase of a pod, for each container, and for each that waits."""
        where = ["namespace", "pod"]
        phases = GaugeMetricFamily("kube_pod_status_phase", "The phase of a pod.", labels=[*where, "phase"])
        restarts = CounterMetricFamily(
            "kube_pod_container_status_restarts",
            "How often a container was started anew.",
            labels=[*where, "container"],
        )
        waiting = GaugeMetricFamily(
            "kube_pod_container_status_waiting_reason", "Why a container waits.", labels=[*where, "container", "reason"]
        )
        for pod in self._pods():
            names, status = [meta.namespace(pod), meta.name(pod)], pod.get("status") or {}
            for phase in PHASES:
                phases.add_metric([*names, phase], phase == (status.get("phase") or "Pending"))
            for container in status.get("containerStatuses") or ():
                restarts.add_metric([*names, container["name"]], container.get("restartCount", 0))
                if reason := ((container.get("state") or {}).get("waiting") or {}).get("reason"):
                    waiting.add_metric([*names, container["name"], reason], 1)
        yield from (phases, restarts, waiting)


def register(workers: "PodWorkers", runtime: "Runtime", statuses: "StatusManager") -> None:
    """Gauges that are computed when scraped."""
    METRICS.collect(PodStates(lambda: map(statuses.latest, workers.pods())))
    running_pods: Gauge = METRICS.gauge("kubelet_running_pods", "Number of pods that have a running pod sandbox.")
    running_pods.set_function(lambda: len(workers.pods()))
    running = METRICS.gauge("kubelet_running_containers", "Number of containers currently running.")
    running.set_function(runtime.running_count)
