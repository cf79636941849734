"""ControllerRevisions: one for each template, found again, and only so many kept."""

from controllers import history


def owner(image="one", **more):
    template = {"metadata": {"labels": {"app": "x"}}, "spec": {"containers": [{"image": image}]}}
    metadata = {"name": "x", "namespace": "ns", "uid": "u", "annotations": {"kubernetes.io/change-cause": "because"}}
    return {"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": metadata, "spec": {"template": template}, **more}


def test_a_revision_gives_the_template_back_and_says_why():
    made = history.revision_for(owner(), 3)
    assert history.template_of(made) == owner()["spec"]["template"]
    assert made["data"]["spec"]["template"]["$patch"] == "replace"
    assert made["metadata"]["annotations"] == {"kubernetes.io/change-cause": "because"}
    assert made["metadata"]["name"] == f"x-{made['metadata']['labels'][history.HASH_LABEL]}"
    assert made["revision"] == 3


def test_a_collision_gives_another_name():
    collided = owner(status={"collisionCount": 1})
    assert history.revision_for(owner(), 1)["metadata"]["name"] != history.revision_for(collided, 1)["metadata"]["name"]


def test_the_latest_revision_of_the_same_template_is_found():
    revisions = [history.revision_for(owner(image), number) for number, image in enumerate(("one", "two", "one"), 1)]
    assert history.equal(owner(), revisions) is revisions[2]
    assert history.equal(owner("three"), revisions) is None


def test_the_oldest_go_first_and_the_living_stay():
    revisions = [history.revision_for(owner(str(number)), number) for number in range(1, 5)]
    for each in revisions:
        each["metadata"]["name"] = f"r{each['revision']}"
    kept = owner()
    kept["spec"]["revisionHistoryLimit"] = 1
    assert [each["revision"] for each in history.surplus(kept, revisions, {"r1", "r4"})] == [2]
