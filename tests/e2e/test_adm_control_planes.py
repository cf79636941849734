"""Three control planes with stacked etcd: any one of them may die.

`E2E_CONTROL_PLANES=name` runs on a cluster that is there: `cluster create --control-planes 3 --workers 0`.
"""

import json
import os
import secrets
from collections.abc import Iterator

import pytest

from tests.e2e.conftest import Cluster, borrowed, run, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
ETCDCTL = (
    "ETCDCTL_API=3 etcdctl --endpoints=https://127.0.0.1:2379 --cacert=/etc/kubernetes/pki/etcd/ca.crt"
    " --cert=/etc/kubernetes/pki/etcd/healthcheck-client.crt --key=/etc/kubernetes/pki/etcd/healthcheck-client.key"
)


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three control planes, no workers."""
    given = os.environ.get("E2E_CONTROL_PLANES", "")
    folder = tmp_path_factory.mktemp("kubeconfig")
    yield from borrowed(given, f"e2e-ha-{secrets.token_hex(2)}", folder, "--control-planes", "3", "--workers", "0")


def planes(cluster: Cluster) -> list[str]:
    return [f"{cluster.control_plane}{number}" for number in ("", "2", "3")]


def api_servers(cluster: Cluster) -> set[str]:
    """Addresses behind the `kubernetes` Service."""
    slice_ = json.loads(cluster.tried("get", "endpointslice", "kubernetes", "-o", "json").stdout or "{}")
    return {address for endpoint in slice_.get("endpoints") or () for address in endpoint["addresses"]}


def leader(cluster: Cluster) -> str:
    """The control plane whose etcd member leads."""
    shown = cluster.in_node(cluster.control_plane, f"{ETCDCTL} endpoint status --cluster --write-out=json")
    for one in json.loads(shown):
        status = one["Status"]
        if status["header"]["member_id"] == status["leader"]:
            return next(name for name in planes(cluster) if cluster.node_ip(name) in one["Endpoint"])
    raise AssertionError(shown)


def written(cluster: Cluster, name: str) -> bool:
    """Create a ConfigMap; one whose answer got lost is there already."""
    done = cluster.tried("create", "configmap", name)
    return done.returncode == 0 or "AlreadyExists" in done.stderr


def test_every_control_plane_has_a_voting_etcd_member_and_an_api_server(several: Cluster) -> None:
    listed = json.loads(several.in_node(several.control_plane, f"{ETCDCTL} member list --write-out=json"))
    assert {member["name"] for member in listed["members"]} == set(planes(several))
    assert not any(member.get("isLearner") for member in listed["members"])
    wait_until(lambda: len(api_servers(several)) == 3, "three endpoints of the kubernetes Service")


def test_when_the_control_plane_that_leads_is_killed_the_others_go_on(several: Cluster) -> None:
    wait_until(lambda: several.ready_nodes() == set(planes(several)), "all nodes are Ready", seconds=120)
    several.kubectl("create", "configmap", "before")
    victim = leader(several)
    address = several.node_ip(victim)
    run("docker", "kill", victim)
    try:
        wait_until(lambda: written(several, "while"), "a write goes on", seconds=60)
        wait_until(lambda: address not in api_servers(several), "the dead server leaves the Service", seconds=90)
        assert len(api_servers(several)) == 2
    finally:
        run("docker", "start", victim)
    wait_until(lambda: address in api_servers(several), "the server is back", seconds=90)
    direct = ("--server", f"https://{address}:6443", "get", "configmap", "before", "while", "-o", "name")
    assert several.kubectl(*direct).split() == ["configmap/before", "configmap/while"]
    several.kubectl("delete", "configmap", "before", "while")


def members(cluster: Cluster) -> list[str]:
    """Names of etcd's members."""
    shown = cluster.in_node(cluster.control_plane, f"{ETCDCTL} member list --write-out=json")
    return sorted(member["name"] for member in json.loads(shown)["members"])


def test_a_control_plane_that_is_reset_leaves_etcd_and_can_join_again(several: Cluster) -> None:
    last = planes(several)[-1]
    several.in_node(last, "minikubeadm reset --force")
    assert members(several) == sorted(planes(several)[:-1])
    uploaded = several.in_node(several.control_plane, "minikubeadm init phase upload-certs")
    key = uploaded.split("certificate key: ")[1].strip()
    command = several.in_node(
        several.control_plane, f"minikubeadm token create --print-join-command --certificate-key {key}"
    )
    several.in_node(last, command)
    assert members(several) == sorted(planes(several))
    wait_until(lambda: last in several.ready_nodes(), "its node is Ready again", seconds=90)
