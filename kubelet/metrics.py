"""The kubelet's metrics, under upstream's names."""

from typing import TYPE_CHECKING

from prometheus_client import Gauge

from componentbase.metrics import METRICS

if TYPE_CHECKING:
    from .pod_workers import PodWorkers
    from .runtime import Runtime

POD_START_SECONDS = METRICS.histogram(
    "kubelet_pod_start_duration_seconds", "Seconds from first sight of a pod to all its containers running."
)
EVICTIONS = METRICS.counter("kubelet_evictions", "Pods evicted, by what the node was short of.", ("eviction_signal",))
PLEG_RELIST_SECONDS = METRICS.histogram("kubelet_pleg_relist_duration_seconds", "Seconds for relisting in PLEG.")


def register(workers: "PodWorkers", runtime: "Runtime") -> None:
    """Gauges that are computed when scraped."""
    running_pods: Gauge = METRICS.gauge("kubelet_running_pods", "Number of pods that have a running pod sandbox.")
    running_pods.set_function(lambda: len(workers.pods()))
    running = METRICS.gauge("kubelet_running_containers", "Number of containers currently running.")
    running.set_function(runtime.running_count)
