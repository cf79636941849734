"""The resource metrics as text."""

from prometheus_client import CollectorRegistry

from kubelet.metrics import PodStates
from kubelet.server import stats

USAGE = {"cpu": {"usageCoreNanoSeconds": 1_500_000_000}, "memory": {"usageBytes": 4096, "workingSetBytes": 2048}}


def test_containers_pods_and_the_node_are_shown_with_help_and_type() -> None:
    container = {"name": "web", "startTime": "2026-01-02T03:04:05.5Z", **USAGE}
    pod = {"podRef": {"name": "web-1", "namespace": "default", "uid": "u"}, "containers": [container], **USAGE}
    lines = stats.exposition({"node": USAGE, "pods": [pod]}).splitlines()
    assert "node_cpu_usage_seconds_total 1.500000" in lines
    assert 'pod_memory_working_set_bytes{namespace="default",pod="web-1"} 2048' in lines
    labels = '{container="web",namespace="default",pod="web-1"}'
    assert f"container_cpu_usage_seconds_total{labels} 1.500000" in lines
    assert f"container_memory_usage_bytes{labels} 4096" in lines
    assert f"container_start_time_seconds{labels} 1767323045.500" in lines
    families = {line.split()[2] for line in lines if line.startswith("# HELP")}
    assert families == {line.split()[2] for line in lines if line.startswith("# TYPE")}
    assert {line.split("{")[0].split()[0] for line in lines if line[0] != "#"} == families


def test_a_pod_s_phase_restarts_and_waiting_are_shown_under_the_names_of_kube_state_metrics() -> None:
    waiting = {"name": "web", "restartCount": 4, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}
    status = {"phase": "Running", "containerStatuses": [waiting, {"name": "side", "state": {"running": {}}}]}
    registry = CollectorRegistry()
    new = {"metadata": {"name": "new", "namespace": "default"}}
    registry.register(
        PodStates(lambda: [{"metadata": {"name": "web-1", "namespace": "default"}, "status": status}, new])
    )

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(name, {"namespace": "default", "pod": "web-1", **labels})

    assert value("kube_pod_status_phase", phase="Running") == 1
    assert value("kube_pod_status_phase", phase="Failed") == 0
    assert value("kube_pod_status_phase", pod="new", phase="Pending") == 1
    assert value("kube_pod_container_status_restarts_total", container="web") == 4
    assert value("kube_pod_container_status_restarts_total", container="side") == 0
    reason = "kube_pod_container_status_waiting_reason"
    assert value(reason, container="web", reason="CrashLoopBackOff") == 1
    assert value(reason, container="side", reason="CrashLoopBackOff") is None
