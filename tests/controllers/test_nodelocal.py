"""The volumes that the provisioner of directories makes, and the claims it refuses."""

from typing import Any

import pytest

from apimachinery import schemas, volumes
from apimachinery.kinds import GVK
from controllers.ephemeralvolumes import claim_for
from controllers.nodelocal import refusal, volume_for
from controllers.volumeprotection import uses
from tests.fixtures.volumes import claim, storage_class

JSON = dict[str, Any]
CHOSEN = {volumes.SELECTED_NODE: "n1"}
NODE = {"metadata": {"name": "n1", "labels": {volumes.HOSTNAME_LABEL: "host-1"}}}


def test_a_volume_is_its_nodes_and_its_claims() -> None:
    made = volume_for(claim(annotations=CHOSEN), storage_class(), NODE)
    assert schemas.validate(GVK("", "v1", "PersistentVolume"), made) == []
    assert made["metadata"]["name"] == "pvc-uid-data"
    assert made["metadata"]["labels"] == {volumes.NODE_LABEL: "n1"}
    assert made["spec"]["local"]["path"] == "/var/lib/kubelet/node-local/pvc-uid-data"
    assert made["spec"]["claimRef"]["uid"] == "uid-data"
    [term] = made["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"]
    assert term["matchExpressions"][0]["values"] == ["host-1"]
    assert volumes.NODE_LOCAL_FINALIZER in made["metadata"]["finalizers"]


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        (claim(annotations=CHOSEN), ""),
        (claim(), "WaitForFirstConsumer"),
        (claim(annotations=CHOSEN, modes=("ReadWriteMany",)), "not ReadWriteMany"),
        (claim(annotations=CHOSEN, volumeMode="Block"), "not Block"),
        (claim(annotations=CHOSEN, selector={"matchLabels": {"a": "b"}}), "selector"),
    ],
)
def test_what_a_directory_can_not_be(wanted: JSON, reason: str) -> None:
    assert reason in refusal(wanted)
    assert bool(reason) == bool(refusal(wanted))


def pod(**metadata: Any) -> JSON:
    spec = {"nodeName": "n1", "volumes": [{"name": "d", "persistentVolumeClaim": {"claimName": "data"}}]}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web", "namespace": "team", **metadata},
        "spec": spec,
    }


def test_a_pod_on_a_node_keeps_its_claim_until_it_is_only_to_be_forgotten() -> None:
    assert uses(pod(), claim())
    assert not uses(pod(), claim("other"))
    unscheduled = pod()
    unscheduled["spec"].pop("nodeName")
    assert not uses(unscheduled, claim())
    ending = {"deletionTimestamp": "2026-01-01T00:00:00Z"}
    assert uses(pod(**ending, deletionGracePeriodSeconds=30), claim())
    assert not uses(pod(**ending, deletionGracePeriodSeconds=0), claim())


def test_an_ephemeral_volume_is_a_claim_that_the_pod_owns() -> None:
    template = {"metadata": {"labels": {"a": "b"}}, "spec": claim()["spec"]}
    made = claim_for(pod(uid="u"), {"name": "scratch", "ephemeral": {"volumeClaimTemplate": template}})
    assert made["metadata"]["name"] == "web-scratch"
    assert made["metadata"]["labels"] == {"a": "b"}
    assert made["metadata"]["ownerReferences"][0]["uid"] == "u"
