"""EndpointSlices: a Service's endpoints, and slices that change as little as they can."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controllers import endpoints, slices

SERVICE = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "web", "namespace": "default", "uid": "s", "labels": {"team": "a"}},
    "spec": {"clusterIP": "10.96.0.9", "ports": [{"name": "http", "port": 80, "targetPort": "web"}]},
}


def pod(name, ip="10.244.0.1", *, ready=True, deleting=False, phase="Running", port=8080, **spec):
    made = {
        "metadata": {"name": name, "namespace": "default", "uid": name},
        "spec": {
            "nodeName": "n1",
            "containers": [{"name": "c", "ports": [{"name": "web", "containerPort": port}]}],
            **spec,
        },
        "status": {
            "phase": phase,
            "podIP": ip,
            "podIPs": [{"ip": ip}],
            "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
        },
    }
    if deleting:
        made["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    return made


def groups(*pods, service=SERVICE):
    return slices.groups(service, pods, zone_of=lambda node: "z1" if node == "n1" else "")


def made(*names, version=1):
    """A slice as the server would show it."""
    (group,) = groups(*(pod(name, f"10.244.0.{number}") for number, name in enumerate(names, 1)))
    body = slices.plan(SERVICE, [group], []).create[0]
    return {**body, "metadata": {**body["metadata"], "name": f"web-{names[0]}", "resourceVersion": str(version)}}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, (True, True, False)),
        ({"ready": False}, (False, False, False)),
        ({"deleting": True}, (False, True, True)),
        ({"deleting": True, "ready": False}, (False, False, True)),
    ],
)
def test_conditions(given, expected):
    (group,) = groups(pod("a", **given))
    found = group.endpoints[0]["conditions"]
    assert (found["ready"], found["serving"], found["terminating"]) == expected


def test_an_endpoint_says_where_its_pod_is():
    (group,) = groups(pod("a", hostname="h", subdomain="web"))
    (endpoint,) = group.endpoints
    assert (endpoint["nodeName"], endpoint["zone"], endpoint["hostname"]) == ("n1", "z1", "h")
    assert endpoint["targetRef"] == {"kind": "Pod", "namespace": "default", "name": "a", "uid": "a"}
    assert group.ports == [{"name": "http", "port": 8080, "protocol": "TCP"}]


def test_finished_pods_and_those_without_address_are_no_endpoints():
    assert groups(pod("a", phase="Failed"), pod("b", ip="")) == []


def test_pods_that_mean_different_ports_have_different_slices():
    plan = slices.plan(SERVICE, groups(pod("a"), pod("b", port=9090)), [])
    assert sorted(each["ports"][0]["port"] for each in plan.create) == [8080, 9090]


def test_a_service_without_endpoints_has_one_empty_slice():
    plan = slices.plan(SERVICE, [], [])
    assert [each["endpoints"] for each in plan.create] == [[]]
    present = {**plan.create[0], "metadata": {**plan.create[0]["metadata"], "name": "x"}}
    assert slices.plan(SERVICE, [], [present]) == slices.Plan()
    assert slices.plan(SERVICE, groups(pod("a")), [present]).delete == [present]


def test_labels_name_the_service_and_the_manager():
    labels = made("a")["metadata"]["labels"]
    assert labels == {"team": "a", slices.SERVICE_NAME: "web", slices.MANAGED_BY: slices.MANAGER}
    headless = {**SERVICE, "spec": {**SERVICE["spec"], "clusterIP": "None"}}
    assert slices.plan(headless, [], []).create[0]["metadata"]["labels"][slices.HEADLESS] == ""


def test_nothing_changes_when_nothing_has_changed():
    present = made("a", "b")
    again = groups(pod("b", "10.244.0.2"), pod("a", "10.244.0.1"))
    assert slices.plan(SERVICE, again, [present]) == slices.Plan()


def test_one_change_touches_one_slice():
    first, second = made("a", "b"), made("c")
    wanted = groups(pod("b", "10.244.0.2"), pod("c", "10.244.0.1"), pod("d", "10.244.0.4"))
    plan = slices.plan(SERVICE, wanted, [first, second], limit=2)
    assert [each["metadata"]["name"] for each in plan.update] == ["web-a"]
    assert [each["targetRef"]["name"] for each in plan.update[0]["endpoints"]] == ["b", "d"]
    assert not plan.create and not plan.delete


@given(before=st.sets(st.integers(1, 30)), after=st.sets(st.integers(1, 30)), limit=st.integers(1, 7))
def test_every_endpoint_is_in_exactly_one_slice_and_no_slice_is_too_full(before, after, limit):
    def apply(plan, present):
        kept = {each["metadata"]["name"]: each for each in present}
        for number, each in enumerate(plan.create):
            kept[f"new{number}"] = {**each, "metadata": {**each["metadata"], "name": f"new{number}"}}
        for each in plan.update:
            kept[each["metadata"]["name"]] = each
        for each in plan.delete:
            del kept[each["metadata"]["name"]]
        return list(kept.values())

    def pods(numbers):
        return [pod(f"p{number}", f"10.244.0.{number}") for number in sorted(numbers)]

    present = apply(slices.plan(SERVICE, groups(*pods(before)), [], limit=limit), [])
    renamed = [{**each, "metadata": {**each["metadata"], "name": f"old{n}"}} for n, each in enumerate(present)]
    result = apply(slices.plan(SERVICE, groups(*pods(after)), renamed, limit=limit), renamed)
    held = [endpoint["targetRef"]["name"] for each in result for endpoint in each["endpoints"]]
    assert sorted(held) == sorted(f"p{number}" for number in after)
    assert all(len(each["endpoints"]) <= limit for each in result)
    assert all(each["endpoints"] for each in result) or (not after and len(result) == 1)


def test_endpoints_split_by_readiness_and_leave_the_terminating_out():
    pods = [pod("a", "10.0.0.1"), pod("b", "10.0.0.2", ready=False), pod("c", "10.0.0.3", deleting=True)]
    (subset,), truncated = endpoints.subsets(SERVICE, pods)
    assert [each["ip"] for each in subset["addresses"]] == ["10.0.0.1"]
    assert [each["ip"] for each in subset["notReadyAddresses"]] == ["10.0.0.2"]
    assert subset["ports"] == [{"name": "http", "port": 8080, "protocol": "TCP"}]
    assert not truncated


def test_endpoints_stop_at_their_capacity():
    pods = [pod(f"p{number}", f"10.{number // 250}.0.{number % 250}") for number in range(endpoints.CAPACITY + 1)]
    (subset,), truncated = endpoints.subsets(SERVICE, pods)
    assert len(subset["addresses"]) == endpoints.CAPACITY
    assert truncated
