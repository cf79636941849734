"""Services of type LoadBalancer: an address of the nodes' network that this machine reaches, and that moves."""

from collections.abc import Iterator

import pytest

from controllers.loadbalancer import EXCLUDED
from tests.e2e.conftest import Cluster, deployment, run, service, wait_until
from tests.e2e.test_network import fetch

pytestmark = pytest.mark.e2e


@pytest.fixture
def balanced(cluster: Cluster, namespace: str) -> Iterator[str]:
    """Two web servers behind a LoadBalancer; the namespace. Nodes are eligible again afterwards."""
    cluster.apply(deployment("web", namespace, replicas=2), service("web", namespace, type="LoadBalancer"))
    cluster.kubectl("rollout", "status", "-n", namespace, "deployment/web", "--timeout=60s")
    yield namespace
    for node in cluster.workers:
        cluster.kubectl("label", "node", node, f"{EXCLUDED}-")


def address(cluster: Cluster, namespace: str) -> str:
    ingress = cluster.get("service", "web", "-n", namespace)["status"]["loadBalancer"].get("ingress") or [{}]
    return str(ingress[0].get("ip", ""))


def holders(cluster: Cluster, ip: str) -> list[str]:
    """The nodes that have the address."""
    nodes = (cluster.control_plane, *cluster.workers)
    return [node for node in nodes if f" {ip}/32 " in run("docker", "exec", node, "ip", "-o", "address")]


def test_the_address_answers_moves_to_another_node_and_goes(cluster: Cluster, balanced: str) -> None:
    ip = wait_until(lambda: address(cluster, balanced), "an address in the status")
    wait_until(lambda: "pod=web-" in fetch(f"http://{ip}/"), f"http://{ip}/ from this machine")
    assert address(cluster, balanced) in cluster.kubectl("get", "service", "web", "-n", balanced)
    (first,) = holders(cluster, ip)
    assert f'announcing {ip} from node "{first}"' in cluster.kubectl("describe", "service", "web", "-n", balanced)

    cluster.kubectl("label", "node", first, f"{EXCLUDED}=")
    (second,) = set(cluster.workers) - {first}
    wait_until(lambda: holders(cluster, ip) == [second], f"{ip} on {second} alone")
    wait_until(lambda: "pod=web-" in fetch(f"http://{ip}/"), f"http://{ip}/ at its new place")

    ranges = '{"spec":{"loadBalancerSourceRanges":["192.0.2.0/24"]}}'
    cluster.kubectl("patch", "service", "web", "-n", balanced, "-p", ranges)
    wait_until(lambda: not fetch(f"http://{ip}/"), "others than the ranges' are kept out")

    cluster.kubectl(
        "patch", "service", "web", "-n", balanced, "-p", '{"spec":{"type":"ClusterIP","loadBalancerSourceRanges":null}}'
    )
    wait_until(lambda: not address(cluster, balanced) and not holders(cluster, ip), "the address is given back")
