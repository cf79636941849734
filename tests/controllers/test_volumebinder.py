"""What a claim and a volume need, as decided from the objects alone."""

from typing import Any

import pytest

from apimachinery import meta, volumes
from controllers.volumebinder import claim_step, default_class, volume_step
from tests.fixtures.volumes import bound_claim, claim, reference, storage_class, volume

JSON = dict[str, Any]
CLASSES = {
    "standard": storage_class(),
    "fast": storage_class("fast", mode="Immediate", provisioner="example.com/fast"),
    "manual": storage_class("manual", mode="Immediate", provisioner=volumes.NO_PROVISIONER),
}
CHOSEN = {volumes.SELECTED_NODE: "n1"}


def judged(wanted: JSON, *present: JSON, pods: tuple[str, ...] = ()) -> tuple[str, str, str, str]:
    """(phase, volume, reason and start of the message, provisioner)."""
    step = claim_step(wanted, present=present, classes=CLASSES.get, waiting_pods=lambda: pods)
    event = f"{step.event.reason}: {step.event.message}" if step.event else ""
    return step.phase, meta.name(step.volume or {}), event, step.provisioner


@pytest.mark.parametrize(
    ("wanted", "present", "phase", "chosen"),
    [
        (claim(klass=""), [volume("v", klass="")], "Bound", "v"),
        (claim(), [volume("v")], "Pending", ""),  # a free one is for the scheduler to choose
        (claim(), [volume("v", claimRef=reference("data"))], "Bound", "v"),
        (claim(klass="fast"), [volume("v", klass="fast")], "Bound", "v"),
        (claim(volumeName="v"), [volume("u"), volume("v")], "Bound", "v"),
        (claim(volumeName="v"), [volume("v", claimRef=reference("data"))], "Bound", "v"),
        (claim(volumeName="missing"), [volume("v")], "Pending", ""),
        (bound_claim("data", "v"), [volume("v", claimRef=reference("data"))], "Bound", "v"),
        (bound_claim("data", "v"), [volume("v")], "Bound", "v"),  # its reference was lost: written again
    ],
)
def test_a_claim_gets_its_volume(wanted: JSON, present: list[JSON], phase: str, chosen: str) -> None:
    assert judged(wanted, *present)[:2] == (phase, chosen)


@pytest.mark.parametrize(
    ("wanted", "present", "event"),
    [
        (claim(), [], "WaitForFirstConsumer: waiting for first consumer to be created before binding"),
        (
            claim(klass=""),
            [],
            "FailedBinding: no persistent volumes available for this claim and no storage class is set",
        ),
        (claim(klass="none"), [], 'ProvisioningFailed: storageclass.storage.k8s.io "none" not found'),
        (
            claim(volumeName="v", size="2Gi"),
            [volume("v")],
            'VolumeMismatch: Cannot bind to requested volume "v": requested PV is too small',
        ),
        (
            claim(volumeName="v"),
            [volume("v", claimRef=reference("other"))],
            'FailedBinding: volume "v" already bound to a different claim.',
        ),
        (
            bound_claim("data", "v"),
            [],
            "ClaimLost: Bound claim has lost its PersistentVolume. Data on the volume is lost!",
        ),
        (
            bound_claim("data", "v"),
            [volume("v", claimRef=reference("other"))],
            "ClaimMisbound: Two claims are bound to the same volume, this one is bound incorrectly",
        ),
        (claim(klass="manual"), [], ""),
    ],
)
def test_a_claim_without_one_says_why(wanted: JSON, present: list[JSON], event: str) -> None:
    assert judged(wanted, *present)[2] == event


def test_the_pods_that_a_claim_waits_for_are_named() -> None:
    assert judged(claim(), pods=("web",))[2] == "WaitForPodScheduled: waiting for pod web to be scheduled"
    assert judged(claim(), pods=("b", "a"))[2] == "WaitForPodScheduled: waiting for pods a,b to be scheduled"


def test_a_provisioner_is_asked_once_the_node_is_chosen_or_at_once_if_the_class_does_not_wait() -> None:
    assert judged(claim())[3] == ""
    assert judged(claim(annotations=CHOSEN))[3] == volumes.NODE_LOCAL
    phase, _, event, provisioner = judged(claim(klass="fast"))
    assert (phase, provisioner) == ("Pending", "example.com/fast")
    assert event.startswith("ExternalProvisioning: Waiting for a volume to be created either by the external")


@pytest.mark.parametrize(
    ("given", "owner", "phase"),
    [
        (volume("v"), None, "Available"),
        (volume("v", claimRef=reference("data", uid=False)), None, "Available"),
        (volume("v", claimRef=reference("data")), bound_claim("data", "v"), "Bound"),
        (volume("v", phase="Available", claimRef=reference("data")), claim(), "Available"),  # half bound
        (volume("v", claimRef=reference("data")), None, "Released"),
        (volume("v", claimRef=reference("data"), persistentVolumeReclaimPolicy="Recycle"), None, "Failed"),
        # A user's directory is not ours to delete.
        (volume("v", claimRef=reference("data"), persistentVolumeReclaimPolicy="Delete"), None, "Failed"),
        (
            volume(
                "v",
                annotations={volumes.PROVISIONED_BY: volumes.NODE_LOCAL},
                claimRef=reference("data"),
                persistentVolumeReclaimPolicy="Delete",
            ),
            None,
            "Released",
        ),
    ],
)
def test_the_phase_of_a_volume(given: JSON, owner: JSON | None, phase: str) -> None:
    assert volume_step(given, owner)[0] == phase


def test_the_newest_class_marked_as_default_is_the_default() -> None:
    marked = []
    for name, made in (("old", "2026-01-01T00:00:00Z"), ("new", "2026-02-01T00:00:00Z")):
        one = storage_class(name)
        one["metadata"] |= {"annotations": {volumes.DEFAULT_CLASS: "true"}, "creationTimestamp": made}
        marked.append(one)
    assert default_class([storage_class("plain"), *marked]) == "new"
    assert default_class([storage_class("plain")]) == ""
