"""Configuration is validated whole, and survives its ConfigMap."""

from minikubeadm import configfile
from minikubeadm.configuration import ClusterConfiguration, NodeConfiguration


def test_the_defaults_are_valid() -> None:
    assert ClusterConfiguration().problems() == []
    assert NodeConfiguration(name="node-1", ip="192.0.2.1").problems() == []


def test_every_problem_is_reported() -> None:
    assert len(ClusterConfiguration(pod_cidr="10.0.0.0/28", service_cidr="rubbish").problems()) == 2
    assert len(NodeConfiguration(name="Node_1", ip="300.1.1.1").problems()) == 2


def test_overlapping_ranges_are_refused() -> None:
    assert "overlap" in ClusterConfiguration(pod_cidr="10.96.0.0/12").problems()[0]


def test_addresses_of_services_follow_from_the_range() -> None:
    cluster = ClusterConfiguration(service_cidr="10.50.0.0/16")
    assert (cluster.api_service_ip, cluster.dns_service_ip) == ("10.50.0.1", "10.50.0.10")


def test_it_survives_the_config_map_and_what_a_newer_version_added() -> None:
    pool = "172.30.0.200-172.30.0.250"
    cluster = ClusterConfiguration(name="c", pod_cidr="10.10.0.0/16", extra_names=("a.b",), load_balancer_pool=pool)
    assert ClusterConfiguration.decode(cluster.encode()) == cluster
    assert ClusterConfiguration.decode(cluster.encode() + "later: {a: 1}\n") == cluster


def test_what_is_in_the_config_map_can_be_given_to_init() -> None:
    given = configfile.options(ClusterConfiguration(name="c", extra_names=("a.b",)).encode(), configfile.INIT)
    assert (given["cluster_name"], given["apiserver_cert_extra_sans"]) == ("c", "a.b")
