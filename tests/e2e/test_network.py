"""Pods, Services and names are reached as Kubernetes' network model says."""

import re
import urllib.request

import pytest

from tests.e2e.conftest import Cluster, deployment, service, wait_until

pytestmark = pytest.mark.e2e


def fetch(url: str) -> str:
    """An HTTP answer's body, "" while there is none."""
    try:
        with urllib.request.urlopen(url, timeout=3) as response:
            return str(response.read().decode())
    except OSError:
        return ""


@pytest.fixture
def web(cluster: Cluster, namespace: str) -> str:
    """Two web servers on two nodes behind a NodePort Service, and a client; the namespace."""
    cluster.apply(
        deployment("web", namespace, replicas=2),
        service("web", namespace, type="NodePort"),
        deployment("client", namespace, replicas=2),
    )
    for name in ("web", "client"):
        cluster.kubectl("rollout", "status", "-n", namespace, f"deployment/{name}", "--timeout=60s")
    return namespace


def test_a_node_port_answers_on_every_node(cluster: Cluster, web: str) -> None:
    port = cluster.get("service", "web", "-n", web)["spec"]["ports"][0]["nodePort"]
    for node in (cluster.control_plane, *cluster.workers):
        ip = cluster.node_ip(node)
        assert wait_until(lambda ip=ip: fetch(f"http://{ip}:{port}/"), f"NodePort {port} on {node}", seconds=20)


def test_cluster_ip_and_name_answer_from_every_worker(cluster: Cluster, web: str) -> None:
    ip = cluster.get("service", "web", "-n", web)["spec"]["clusterIP"]
    for pod in cluster.pods(web, "app=client"):
        for host in (ip, "web", f"web.{web}", f"web.{web}.svc.cluster.local"):
            command = ("timeout", "5", "wget", "-q", "-O", "-", f"http://{host}/")

            def ask(command: tuple[str, ...] = command, pod: str = pod["metadata"]["name"]) -> bool:
                return "pod=web-" in cluster.tried("exec", "-n", web, pod, "--", *command).stdout

            wait_until(ask, f"http://{host}/ from {pod['spec']['nodeName']}", seconds=20)


def test_a_service_reaches_all_its_pods(cluster: Cluster, web: str) -> None:
    client = cluster.pods(web, "app=client")[0]["metadata"]["name"]
    loop = "for i in $(seq 40); do wget -q -O - http://web/; done"
    answers = cluster.exec(web, client, "sh", "-c", loop)
    assert len(set(re.findall(r"pod=(\S+)", answers))) == 2


def test_pods_reach_pods_on_other_nodes_without_nat(cluster: Cluster, web: str) -> None:
    servers, clients = cluster.pods(web, "app=web"), cluster.pods(web, "app=client")
    pairs = [(c, s) for c in clients for s in servers if c["spec"]["nodeName"] != s["spec"]["nodeName"]]
    assert pairs
    for client, server in pairs:
        url = f"http://{server['status']['podIP']}:8080/"
        answer = cluster.exec(web, client["metadata"]["name"], "timeout", "5", "wget", "-q", "-O", "-", url)
        assert f"client={client['status']['podIP']}" in answer.replace("client=[::ffff:", "client=").replace("]", "")


def test_nodes_reach_pods_on_other_nodes(cluster: Cluster, web: str) -> None:
    from tests.e2e.conftest import run

    for server in cluster.pods(web, "app=web"):
        url = f"http://{server['status']['podIP']}:8080/"
        for node in (cluster.control_plane, *cluster.workers):
            assert "pod=web-" in run("docker", "exec", node, "curl", "-sS", "--max-time", "5", url)


def test_no_pod_or_service_address_leaves_a_node_by_its_uplink(cluster: Cluster, web: str) -> None:
    from tests.e2e.conftest import run

    for node in (cluster.control_plane, *cluster.workers):
        rules = run("docker", "exec", node, "iptables", "-t", "mangle", "-S", "POSTROUTING")
        for range_ in ("10.244.0.0/16", "10.96.0.0/16"):
            assert f"-A POSTROUTING -d {range_} -o eth0 -j DROP" in rules
