"""Templates: equal ones hash alike, the new ReplicaSet is found by equality, revisions are carried along."""

import pytest

from controllers import templates

TEMPLATE = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}


def deployment(**annotations):
    metadata = {"name": "web", "namespace": "default", "uid": "d", "annotations": annotations}
    spec = {"replicas": 2, "selector": {"matchLabels": {"app": "web"}}, "template": TEMPLATE}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}


@pytest.mark.parametrize(
    "same",
    [
        {**TEMPLATE, "spec": {**TEMPLATE["spec"], "tolerations": [], "nodeName": None, "securityContext": {}}},
        {**TEMPLATE, "metadata": {"creationTimestamp": None, "labels": {"app": "web", templates.HASH_LABEL: "x"}}},
    ],
)
def test_what_means_nothing_makes_no_difference(same):
    assert templates.bare(same) == templates.bare(TEMPLATE)
    assert templates.hash_of(same, None) == templates.hash_of(TEMPLATE, 0)


def test_a_collision_makes_another_hash():
    assert templates.hash_of(TEMPLATE, 1) != templates.hash_of(TEMPLATE, None)


def test_the_replica_set_made_is_found_again_by_its_template():
    made = templates.replica_set_for(deployment(), replicas=2, revision=4, surge=1)
    hashed = templates.hash_of(TEMPLATE, None)
    assert made["metadata"]["name"] == f"web-{hashed}"
    assert made["spec"]["selector"]["matchLabels"] == {"app": "web", templates.HASH_LABEL: hashed}
    assert made["metadata"]["annotations"] == {
        templates.REVISION: "4",
        templates.DESIRED_REPLICAS: "2",
        templates.MAX_REPLICAS: "3",
    }
    assert templates.newest(deployment(), [made]) is made
    assert TEMPLATE["metadata"]["labels"] == {"app": "web"}, "the shared template is not changed"


def test_annotations_follow_and_an_older_revision_becomes_history():
    present = {templates.REVISION: "2", templates.DESIRED_REPLICAS: "9"}
    wanted = deployment(team="a", **{"kubectl.kubernetes.io/last-applied-configuration": "{}"})
    made = templates.annotations_for(wanted, present, revision=5)
    assert made == {
        "team": "a",
        templates.REVISION: "5",
        templates.REVISION_HISTORY: "2",
        templates.DESIRED_REPLICAS: "9",
    }
    assert templates.annotations_for(wanted, made, revision=4)[templates.REVISION] == "5"
