"""Statuses are written whole, onto the object that was looked at and no other."""

import pytest

from apimachinery import errors, kinds, patch
from controllers import objects
from kubeclient.rest import JSON_PATCH, MERGE_PATCH

APPLY = {JSON_PATCH: patch.json_patch, MERGE_PATCH: patch.merge_patch}


class Server:
    """One object, patched as the API server would."""

    def __init__(self, obj):
        self.obj = obj

    async def patch(self, kind, name, body, *, namespace, subresource=None, content_type=MERGE_PATCH):
        self.obj = APPLY[content_type](self.obj, body)
        return self.obj


def deployment(status, uid="1"):
    return {"metadata": {"name": "web", "namespace": "ns", "uid": uid}, "status": status}


@pytest.mark.parametrize(
    ("cached", "live", "wanted"),
    [
        # one step behind in the middle of a rollout: of a mixture, kubectl would say that it is complete
        ({"replicas": 4, "updated": 2}, {"replicas": 3, "updated": 2}, {"replicas": 4, "updated": 3}),
        ({"replicas": 1}, {"replicas": 1, "readyReplicas": 1}, {"replicas": 2}),
        ({}, None, {"replicas": 2}),
    ],
)  # fmt: skip
async def test_a_status_is_never_a_mixture_of_two(cached, live, wanted):
    server = Server(deployment(live))
    await objects.patch_status(server, kinds.DEPLOYMENT, deployment(cached), wanted)
    assert server.obj["status"] == wanted


async def test_a_status_is_not_written_to_another_object_of_that_name():
    server = Server(deployment({"replicas": 1}, uid="2"))
    with pytest.raises(errors.StatusError):
        await objects.patch_status(server, kinds.DEPLOYMENT, deployment({}, uid="1"), {"replicas": 2})
    assert server.obj["status"] == {"replicas": 1}
