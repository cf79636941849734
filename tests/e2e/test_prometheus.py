"""deploy/prometheus on a real cluster: a real Prometheus scrapes every service with its own service account."""

import json
import shutil
import ssl
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.e2e.conftest import ROOT, Cluster, minikubeadm, run, wait_until

pytestmark = pytest.mark.e2e
JSON = dict[str, Any]
SERVICE = "/api/v1/namespaces/monitoring/services/prometheus:9090/proxy"
ACCOUNT = "--as=system:serviceaccount:monitoring:prometheus"
IMAGE = "mini-kubernetes/prometheus:latest"
CONTROL_PLANE_JOBS = ("apiserver", "etcd", "kube-controller-manager", "kube-scheduler")
NODE_JOBS = ("cadvisor", "kube-proxy", "kubelet")
UPSTREAM_NAMES_THAT_LINT_REFUSES = ("kubeproxy_sync_proxy_rules_iptables_total",)


@dataclass(frozen=True)
class Prometheus:
    """The running one, asked through the API server, by way of a `kubectl proxy` at `proxy`."""

    cluster: Cluster
    proxy: str

    def ask(self, path: str, **parameters: str) -> Any:
        """The data of an answer of its API."""
        query = f"?{urllib.parse.urlencode(parameters)}" if parameters else ""
        with urllib.request.urlopen(f"{self.proxy}{SERVICE}/api/v1/{path}{query}", timeout=60) as answer:
            return json.load(answer)["data"]

    def query(self, expression: str) -> list[JSON]:
        """The series that an expression gives now."""
        found: list[JSON] = self.ask("query", query=expression)["result"]
        return found

    def value(self, expression: str) -> float:
        """The one number that an expression gives; 0 if it gives none."""
        found = self.query(expression)
        return float(found[0]["value"][1]) if found else 0.0


@pytest.fixture(scope="module")
def prometheus(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """As docs/monitoring.md says, but scraping every second."""
    run("docker", "tag", json.loads((ROOT / ".build/images.json").read_text())["prometheus"], IMAGE)
    minikubeadm("cluster", "load-image", IMAGE, "--name", cluster.name)
    folder = tmp_path_factory.mktemp("deploy") / "prometheus"
    shutil.copytree(ROOT / "deploy/prometheus", folder)
    configuration = folder / "prometheus.yml"
    configuration.write_text(configuration.read_text().replace(": 15s", ": 1s"))
    cluster.kubectl("apply", "-k", str(folder))
    try:
        cluster.kubectl("rollout", "status", "deployment/prometheus", "-n", "monitoring", "--timeout=90s")
        command = [cluster.kubectl_program, "--kubeconfig", str(cluster.kubeconfig), "proxy", "--port=0"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as proxy:
            assert proxy.stdout is not None
            address = proxy.stdout.readline().split()[-1]  # Starting to serve on 127.0.0.1:port
            try:
                yield Prometheus(cluster, f"http://{address}")
            finally:
                proxy.terminate()
    finally:
        cluster.tried("delete", "-k", str(folder), "--wait=false")


def test_every_service_of_every_node_is_scraped(prometheus: Prometheus) -> None:
    cluster = prometheus.cluster
    nodes = {node["metadata"]["name"]: node["metadata"]["labels"] for node in cluster.get("nodes")["items"]}
    control_planes = sum("node-role.kubernetes.io/control-plane" in labels for labels in nodes.values())
    wanted = {job: control_planes for job in CONTROL_PLANE_JOBS} | {job: len(nodes) for job in NODE_JOBS}

    def up() -> dict[str, int]:
        return {one["metric"]["job"]: int(one["value"][1]) for one in prometheus.query("sum by (job) (up)")}

    wait_until(lambda: wanted.items() <= up().items() and up().get("coredns", 0) >= 1, f"{wanted}; up: {up()}")


def test_its_account_reads_metrics_and_nothing_else(cluster: Cluster, prometheus: Prometheus) -> None:
    def may(*what: str) -> bool:
        return cluster.tried("auth", "can-i", *what, ACCOUNT).stdout.strip() == "yes"

    assert may("get", "/metrics") and may("list", "nodes") and may("get", "nodes", "--subresource=metrics")
    assert may("watch", "endpoints", "-n", "kube-system")
    for refused in (("get", "secrets", "-A"), ("list", "pods", "-A"), ("list", "endpoints", "-n", "monitoring")):
        assert not may(*refused), refused
    for refused in (
        ("get", "nodes", "--subresource=proxy"),
        ("get", "/configz"),
        ("create", "pods", "-n", "monitoring"),
    ):
        assert not may(*refused), refused


def test_rules_evaluate_and_the_watchdog_barks(prometheus: Prometheus) -> None:
    def evaluated() -> list[JSON]:
        rules = [rule for group in prometheus.ask("rules")["groups"] for rule in group["rules"]]
        return rules if all(rule["health"] != "unknown" for rule in rules) else []

    rules = wait_until(evaluated, "every rule is evaluated")
    assert len(rules) > 25
    assert [rule["name"] for rule in rules if rule["health"] != "ok"] == []
    firing = {
        alert["labels"]["alertname"] for alert in prometheus.ask("alerts")["alerts"] if alert["state"] == "firing"
    }
    assert "Watchdog" in firing and not firing & {"KubeAPIDown", "KubeSchedulerDown", "KubeControllerManagerDown"}


def test_figures_move(prometheus: Prometheus, namespace: str) -> None:
    created = 'sum(apiserver_request_total{resource="configmaps",verb="POST",code="201"})'
    stored = 'max(apiserver_storage_objects{resource="configmaps"})'
    wait_until(lambda: prometheus.value(stored), "objects are counted")
    before = prometheus.value(created), prometheus.value(stored)
    for number in range(3):
        prometheus.cluster.kubectl("create", "configmap", f"settings-{number}", "-n", namespace)
    wait_until(lambda: prometheus.value(created) >= before[0] + 3, f"three more ConfigMaps were made than {before[0]}")
    wait_until(lambda: prometheus.value(stored) >= before[1] + 3, f"three more ConfigMaps are there than {before[1]}")
    own = 'container_memory_working_set_bytes{namespace="monitoring",container="prometheus"}'
    wait_until(lambda: prometheus.value(own) > 10e6, "Prometheus sees its own memory")
    busy = 'rate(container_cpu_usage_seconds_total{namespace="monitoring",container="prometheus"}[20s])'
    wait_until(lambda: prometheus.value(busy) > 0, "and its own CPU")


def test_a_container_that_ends_again_and_again_is_on_its_way_to_an_alert(
    prometheus: Prometheus, namespace: str
) -> None:
    container = {"name": "app", "image": "mini-kubernetes/demo", "imagePullPolicy": "Never", "command": ["false"]}
    metadata = {"name": "failing", "namespace": namespace}
    prometheus.cluster.apply(
        {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [container]}}
    )

    def alerts() -> set[tuple[str, str]]:
        found = [alert["labels"] for alert in prometheus.ask("alerts")["alerts"]]
        return {(labels["alertname"], labels.get("namespace", "")) for labels in found}

    wait_until(lambda: ("KubePodCrashLooping", namespace) in alerts(), "the alert is pending")
    restarts = f'kube_pod_container_status_restarts_total{{namespace="{namespace}",container="app"}}'
    assert prometheus.value(restarts) >= 1


def test_every_panel_of_the_dashboards_has_data(prometheus: Prometheus) -> None:
    look_up = "import socket; socket.getaddrinfo('kubernetes.default.svc.cluster.local', 443)"
    command = ("exec", "-n", "monitoring", "deployment/prometheus", "-c", "discovery", "--", "/usr/bin/python3", "-c")
    prometheus.cluster.kubectl(*command, look_up)  # DNS has figures once somebody has asked
    expressions = {
        target["expr"].replace("$__rate_interval", "1m").replace("$node", ".*"): f"{file.stem}: {panel['title']}"
        for file in sorted((ROOT / "deploy/grafana").glob("*.json"))
        for panel in json.loads(file.read_text())["panels"]
        for target in panel.get("targets", ())
    }
    assert len(expressions) > 30

    for expression, where in expressions.items():
        wait_until(lambda query=expression: prometheus.query(query), f"data in {where}: {expression}")


def test_what_our_services_export_is_as_prometheus_wants_it(prometheus: Prometheus) -> None:
    cluster = prometheus.cluster
    promtool = run(str(ROOT / "deploy/promtool.sh")).strip()
    token = cluster.kubectl("create", "token", "prometheus", "-n", "monitoring").strip()
    targets = prometheus.ask("targets", state="active")["activeTargets"]
    urls = {one["labels"]["job"]: one["scrapeUrl"] for one in targets if one["labels"]["job"] != "prometheus"}
    assert set(urls) == {*CONTROL_PLANE_JOBS, *NODE_JOBS, "coredns"}
    for job, url in urls.items():
        if job == "etcd":
            continue  # not ours
        if job == "coredns":  # pods' addresses exist inside of nodes only
            text = cluster.kubectl(
                "get", "--raw", "/api/v1/namespaces/kube-system/services/kube-dns:9153/proxy/metrics"
            )
        else:
            text = _fetched(url, token)
        done = subprocess.run([promtool, "check", "metrics"], input=text, text=True, capture_output=True, timeout=60)
        said = (done.stdout + done.stderr).splitlines()
        found = [line for line in said if line and not line.startswith(UPSTREAM_NAMES_THAT_LINT_REFUSES)]
        assert not found, f"{job}: {found}"


def test_figures_of_our_services_are_for_nobody_without_a_token(prometheus: Prometheus) -> None:
    targets = prometheus.ask("targets", state="active")["activeTargets"]
    urls = {one["labels"]["job"]: one["scrapeUrl"] for one in targets}
    node = urllib.parse.urlsplit(urls["kube-proxy"]).hostname
    ours = [urls[job] for job in (*CONTROL_PLANE_JOBS, *NODE_JOBS)]
    assert all(url.startswith("https://") for url in ours)
    for url in (*ours, f"http://{node}:10256/metrics"):
        with pytest.raises(urllib.error.HTTPError) as refused:
            _fetched(url, "")
        assert refused.value.code in (401, 403), url


def _fetched(url: str, token: str) -> str:
    """A node's own address, with the account's token, as Prometheus does it."""
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, context=ssl._create_unverified_context(), timeout=30) as answer:
        return str(answer.read().decode())
