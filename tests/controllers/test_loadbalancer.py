"""Addresses of type LoadBalancer: which one a Service gets, and which node announces it."""

import pytest

from apimachinery.addresspool import Pool
from controllers import loadbalancer

NOW = "2026-01-01T00:00:00Z"


def service(*ingress, announced="", **spec):
    status = {"loadBalancer": {"ingress": [{"ip": ip} for ip in ingress]}} if ingress else {"loadBalancer": {}}
    if announced:
        status["conditions"] = [{"type": "Announced", "status": "True", "message": announced}]
    return {"metadata": {"name": "web", "namespace": "d", "uid": "u"}, "spec": {"type": "LoadBalancer", **spec}} | {
        "status": status
    }


def node(name, ready="True", **labels):
    return {
        "metadata": {"name": name, "labels": labels},
        "status": {"conditions": [{"type": "Ready", "status": ready}]},
    }


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        ("10.0.0.5-10.0.0.6", ["10.0.0.5", "10.0.0.6"], ["10.0.0.4", "10.0.0.7", "x"]),
        ("10.0.0.0/30", ["10.0.0.1", "10.0.0.2"], ["10.0.0.0", "10.0.0.3"]),
        ("10.0.0.9/32, 10.1.0.1-10.1.0.1", ["10.0.0.9", "10.1.0.1"], ["10.0.0.8"]),
        ("", [], ["10.0.0.1"]),
    ],
)
def test_a_pool_is_ranges_and_networks(text, inside, outside):
    pool = Pool(text)
    assert all(one in pool for one in inside) and not any(one in pool for one in outside)
    assert bool(pool) == bool(inside)


@pytest.mark.parametrize("text", ["10.0.0.9-10.0.0.1", "10.0.0.1/24", "nonsense"])
def test_what_is_no_range_is_refused(text):
    with pytest.raises(ValueError, match=r"10\.0\.0|nonsense"):
        Pool(text)


@pytest.mark.parametrize(
    ("given", "taken", "wanted"),
    [
        (service(), set(), "10.0.0.1"),
        (service(), {"10.0.0.1"}, "10.0.0.2"),
        (service("10.0.0.3"), {"10.0.0.1"}, "10.0.0.3"),  # what it has it keeps
        (service("10.0.0.3"), {"10.0.0.3"}, "10.0.0.1"),  # unless an older Service has it too
        (service("192.0.2.1"), set(), "10.0.0.1"),  # or the pool has changed
        (service("10.0.0.1", loadBalancerIP="10.0.0.2"), set(), "10.0.0.2"),
    ],
)
def test_which_address_a_service_gets(given, taken, wanted):
    assert loadbalancer.address_for(given, Pool("10.0.0.1-10.0.0.3"), taken) == wanted


@pytest.mark.parametrize(
    ("given", "taken", "why"),
    [
        (service(), {"10.0.0.1"}, "no address is left in the pool 10.0.0.1/32"),
        (service(loadBalancerIP="10.0.0.7"), set(), "10.0.0.7 is not in the pool"),
        (service(loadBalancerIP="10.0.0.1"), {"10.0.0.1"}, "10.0.0.1 belongs to another Service"),
    ],
)
def test_why_there_is_none(given, taken, why):
    with pytest.raises(ValueError, match=why):
        loadbalancer.address_for(given, Pool("10.0.0.1/32"), taken)


def test_a_fit_announcer_stays_and_an_unfit_one_is_replaced():
    nodes = [node("a"), node("b"), node("c", "Unknown"), node("d", **{loadbalancer.EXCLUDED: ""})]
    assert loadbalancer.announcer(service(announced="b"), nodes, []) == "b"
    assert loadbalancer.announcer(service(announced="c"), nodes, []) in ("a", "b")
    assert loadbalancer.announcer(service(announced="d"), nodes[3:], []) is None


def test_local_traffic_is_announced_where_an_endpoint_is_ready():
    slices = [{"endpoints": [{"nodeName": "a", "conditions": {"ready": False}}, {"nodeName": "b"}]}]
    given = service(externalTrafficPolicy="Local")
    assert loadbalancer.announcer(given, [node("a"), node("b")], slices) == "b"
    assert loadbalancer.announcer(given, [node("a")], slices) is None


def test_the_status_names_address_and_node_and_keeps_what_others_wrote():
    given = service()
    given["status"]["conditions"] = [{"type": "Other", "status": "True"}]
    made = loadbalancer.status(given, "10.0.0.1", "a", now=NOW)
    assert made["loadBalancer"] == {"ingress": [{"ip": "10.0.0.1", "ipMode": "VIP"}]}
    assert [(each["type"], each.get("message")) for each in made["conditions"]] == [("Other", None), ("Announced", "a")]
    again = loadbalancer.status({**given, "status": made}, None, None, now=NOW)
    assert again == {"loadBalancer": {}, "conditions": [{"type": "Other", "status": "True"}]}
