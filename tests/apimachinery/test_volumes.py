"""Which volume satisfies a claim."""

from typing import Any

import pytest

from apimachinery import meta, volumes
from tests.fixtures.volumes import claim, reference, volume

WRONG: list[dict[str, Any]] = [
    {"size": "512Mi"},
    {"klass": "other"},
    {"modes": ("ReadWriteMany",)},
    {"volumeMode": "Block"},
    {"claimRef": reference("somebody-elses")},
    {"phase": "Released"},
]


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: next(iter(wrong)))
def test_a_volume_that_lacks_one_thing_is_no_candidate(wrong: dict[str, Any]) -> None:
    assert [meta.name(each) for each in volumes.candidates([volume("a"), volume("b", **wrong)], claim())] == ["a"]


def test_the_smallest_that_is_large_enough_comes_first() -> None:
    present = [volume("large", size="5Gi"), volume("small", size="1Gi"), volume("middle", size="1.5Gi")]
    assert [meta.name(each) for each in volumes.candidates(present, claim())] == ["small", "middle", "large"]


def test_one_reserved_for_the_claim_goes_before_all_others() -> None:
    present = [volume("free"), volume("reserved", size="9Gi", klass="x", claimRef=reference("data", uid=False))]
    assert [meta.name(each) for each in volumes.candidates(present, claim())] == ["reserved"]


def test_a_selector_chooses_by_labels() -> None:
    present = [volume("slow", labels={"disk": "hdd"}), volume("fast", labels={"disk": "ssd"})]
    wanted = claim(selector={"matchLabels": {"disk": "ssd"}})
    assert [meta.name(each) for each in volumes.candidates(present, wanted)] == ["fast"]


def test_a_reference_to_a_claim_of_former_days_is_not_this_claim() -> None:
    old = {**reference("data"), "uid": "another"}
    assert not volumes.is_bound_to(volume("v", claimRef=old), claim())
    assert volumes.is_bound_to(volume("v", claimRef=reference("data")), claim())


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (volume("v", size="1Mi"), "requested PV is too small"),
        (volume("v", klass="x"), "storageClassName does not match"),
        (volume("v", volumeMode="Block"), "incompatible volumeMode"),
        (volume("v", modes=("ReadOnlyMany",)), "incompatible accessMode"),
        (volume("v"), ""),
    ],
)
def test_why_a_volume_asked_for_by_name_is_not_had(given: dict[str, Any], reason: str) -> None:
    assert volumes.mismatch(given, claim()) == reason


def test_a_pods_claims_are_those_it_names_and_those_of_its_ephemeral_volumes() -> None:
    listed = [
        {"name": "d", "persistentVolumeClaim": {"claimName": "data"}},
        {"name": "scratch", "ephemeral": {"volumeClaimTemplate": {}}},
        {"name": "e", "emptyDir": {}},
    ]
    pod = {"metadata": {"name": "web", "namespace": "team"}, "spec": {"volumes": listed}}
    assert volumes.claim_keys(pod) == ["team/data", "team/web-scratch"]
