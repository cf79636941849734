"""Endpoints written by hand become slices."""

import pytest

from controllers import mirroring, slices

SERVICE = {"metadata": {"name": "db", "namespace": "default", "uid": "s"}, "spec": {}}


def endpoints(*subsets, labels=None, annotations=None):
    metadata = {"name": "db", "namespace": "default", "uid": "e"}
    metadata |= {"labels": labels or {}, "annotations": annotations or {}}
    return {"apiVersion": "v1", "kind": "Endpoints", "metadata": metadata, "subsets": list(subsets)}


@pytest.mark.parametrize(
    ("given", "service", "mirrored"),
    [
        (endpoints(), SERVICE, True),
        (endpoints(), None, False),
        (endpoints(), {**SERVICE, "spec": {"selector": {"a": "b"}}}, False),
        (endpoints(labels={mirroring.SKIP: "true"}), SERVICE, False),
        (endpoints(annotations={"control-plane.alpha.kubernetes.io/leader": "{}"}), SERVICE, False),
    ],
)
def test_which_are_mirrored(given, service, mirrored):
    assert mirroring.is_mirrored(given, service) == mirrored


def test_subsets_become_slices_by_family_owned_by_the_endpoints():
    subset = {"addresses": [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}], "ports": [{"port": 5432}]}
    given = endpoints({**subset, "notReadyAddresses": [{"ip": "10.0.0.2", "nodeName": "n"}]})
    plan = slices.plan(SERVICE, mirroring.groups(given), [], owner=given, manager=mirroring.MANAGER)
    by_family = {each["addressType"]: each for each in plan.create}
    assert by_family.keys() == {"IPv4", "IPv6"}
    four = by_family["IPv4"]
    assert [(each["addresses"], each["conditions"]["ready"]) for each in four["endpoints"]] == [
        (["10.0.0.1"], True),
        (["10.0.0.2"], False),
    ]
    assert four["metadata"]["ownerReferences"][0]["kind"] == "Endpoints"
    assert four["metadata"]["labels"][slices.MANAGED_BY] == mirroring.MANAGER
    assert four["ports"] == [{"name": "", "protocol": "TCP", "port": 5432}]
