"""LimitRanger, the default classes, RuntimeClass."""

from __future__ import annotations

from typing import Any

import pytest

from apimachinery import errors, kinds
from apimachinery.kinds import Kind
from apimachinery.meta import JSON
from apiserver.admission import Attributes, Chain, build_chain
from apiserver.authorization import build_authorizer
from apiserver.request import User
from tests.apiserver.fake_storage import FakeStorage, obj


@pytest.fixture
def storage() -> FakeStorage:
    return FakeStorage()


@pytest.fixture
def chain(storage: FakeStorage) -> Chain:
    made: Any = storage
    chain = build_chain(made, build_authorizer(made, ["RBAC"]), disabled=("ServiceAccount", "Priority"))
    storage.put(obj("v1", "Namespace", "team"))
    return chain


async def create(chain: Chain, kind: Kind, obj: JSON) -> JSON:
    a = Attributes(User("jane"), "CREATE", kind, "", "team", obj["metadata"]["name"], obj)
    await chain.admit(a)
    await chain.validate(a)
    return a.object


async def refusal(chain: Chain, kind: Kind, obj: JSON) -> str:
    with pytest.raises(errors.Forbidden) as caught:
        await create(chain, kind, obj)
    return caught.value.message.partition("is forbidden: ")[2]


def limit_range(**item: Any) -> JSON:
    return obj("v1", "LimitRange", "limits", namespace="team", spec={"limits": [item]})


def pod(requests: JSON | None = None, limits: JSON | None = None, **spec: Any) -> JSON:
    resources = {key: value for key, value in (("requests", requests), ("limits", limits)) if value is not None}
    containers = [{"name": "c", "resources": resources}]
    return obj("v1", "Pod", "web", namespace="team", spec={"containers": containers, **spec})


async def test_containers_get_what_they_leave_open(chain: Chain, storage: FakeStorage) -> None:
    key = storage.put(
        limit_range(type="Container", default={"cpu": "1", "memory": "1Gi"}, defaultRequest={"cpu": "100m"})
    )
    made = await create(chain, kinds.POD, pod(limits={"memory": "2Gi"}))
    assert made["spec"]["containers"][0]["resources"] == {
        "limits": {"memory": "2Gi", "cpu": "1"},
        "requests": {"cpu": "100m"},
    }
    assert made["metadata"]["annotations"]["kubernetes.io/limit-ranger"] == (
        "LimitRanger plugin set: cpu request for container c; cpu limit for container c"
    )
    storage.remove(key)
    assert (await create(chain, kinds.POD, pod()))["spec"]["containers"][0]["resources"] == {}


@pytest.mark.parametrize(
    ("item", "requests", "limits", "message"),
    [
        (
            {"min": {"cpu": "100m"}},
            {"cpu": "50m"},
            {"cpu": "1"},
            "minimum cpu usage per Container is 100m, but request is 50m",
        ),
        ({"min": {"cpu": "100m"}}, {}, {}, "minimum cpu usage per Container is 100m.  No request is specified"),
        (
            {"max": {"memory": "1Gi"}},
            {},
            {"memory": "2Gi"},
            "maximum memory usage per Container is 1Gi, but limit is 2Gi",
        ),
        ({"max": {"memory": "1Gi"}}, {}, {}, "maximum memory usage per Container is 1Gi.  No limit is specified"),
        (
            {"maxLimitRequestRatio": {"cpu": "2"}},
            {"cpu": "100m"},
            {"cpu": "300m"},
            "cpu max limit to request ratio per Container is 2, but provided ratio is 3.000000",
        ),
        (
            {"max": {"cpu": "1", "memory": "1Gi"}},
            {},
            {"cpu": "2", "memory": "2Gi"},
            "[maximum cpu usage per Container is 1, but limit is 2, "
            "maximum memory usage per Container is 1Gi, but limit is 2Gi]",
        ),
    ],
)
async def test_bounds_are_kept(
    chain: Chain, storage: FakeStorage, item: JSON, requests: JSON, limits: JSON, message: str
) -> None:
    storage.put(limit_range(type="Container", **item))
    assert await refusal(chain, kinds.POD, pod(requests, limits)) == message


async def test_a_pod_is_the_sum_of_its_containers(chain: Chain, storage: FakeStorage) -> None:
    storage.put(limit_range(type="Pod", max={"cpu": "1"}))
    two = [{"name": name, "resources": {"limits": {"cpu": "600m"}}} for name in "ab"]
    assert await refusal(chain, kinds.POD, pod(containers=two)) == (
        "maximum cpu usage per Pod is 1, but limit is 1200m"
    )


async def test_claims_have_bounds_too(chain: Chain, storage: FakeStorage) -> None:
    storage.put(limit_range(type="PersistentVolumeClaim", max={"storage": "1Gi"}))
    claim = obj(
        "v1", "PersistentVolumeClaim", "data", namespace="team", spec={"resources": {"requests": {"storage": "2Gi"}}}
    )
    assert await refusal(chain, kinds.PERSISTENT_VOLUME_CLAIM, claim) == (
        "maximum storage usage per PersistentVolumeClaim is 1Gi, but request is 2Gi"
    )


def storage_class(name: str, created: str, default: str = "true") -> JSON:
    annotations = {"storageclass.kubernetes.io/is-default-class": default}
    return obj(
        "storage.k8s.io/v1", "StorageClass", name, metadata={"annotations": annotations, "creationTimestamp": created}
    )


async def test_a_claim_gets_the_newest_default_class(chain: Chain, storage: FakeStorage) -> None:
    claim = obj("v1", "PersistentVolumeClaim", "data", namespace="team", spec={})
    assert "storageClassName" not in (await create(chain, kinds.PERSISTENT_VOLUME_CLAIM, claim))["spec"]
    storage.put(storage_class("old", "2020-01-01T00:00:00Z"))
    storage.put(storage_class("new", "2024-01-01T00:00:00Z"))
    storage.put(storage_class("other", "2025-01-01T00:00:00Z", default="false"))
    assert (await create(chain, kinds.PERSISTENT_VOLUME_CLAIM, claim))["spec"]["storageClassName"] == "new"
    none = obj("v1", "PersistentVolumeClaim", "static", namespace="team", spec={"storageClassName": ""})
    assert (await create(chain, kinds.PERSISTENT_VOLUME_CLAIM, none))["spec"]["storageClassName"] == ""


async def test_an_ingress_gets_the_default_class(chain: Chain, storage: FakeStorage) -> None:
    annotations = {"ingressclass.kubernetes.io/is-default-class": "true"}
    storage.put(obj("networking.k8s.io/v1", "IngressClass", "web", metadata={"annotations": annotations}))
    ingress = obj("networking.k8s.io/v1", "Ingress", "i", namespace="team")
    assert (await create(chain, kinds.INGRESS, ingress))["spec"]["ingressClassName"] == "web"
    former = obj(
        "networking.k8s.io/v1",
        "Ingress",
        "j",
        namespace="team",
        metadata={"annotations": {"kubernetes.io/ingress.class": "nginx"}},
    )
    assert "ingressClassName" not in (await create(chain, kinds.INGRESS, former))["spec"]


async def test_a_runtime_class_adds_its_share(chain: Chain, storage: FakeStorage) -> None:
    storage.put(
        obj(
            "node.k8s.io/v1",
            "RuntimeClass",
            "kata",
            handler="kata",
            overhead={"podFixed": {"memory": "64Mi"}},
            scheduling={"nodeSelector": {"kata": "yes"}, "tolerations": [{"key": "kata"}]},
        )
    )
    spec = (await create(chain, kinds.POD, pod(runtimeClassName="kata", nodeSelector={"a": "b"})))["spec"]
    assert spec["overhead"] == {"memory": "64Mi"}
    assert spec["nodeSelector"] == {"a": "b", "kata": "yes"}
    assert {"key": "kata"} in spec["tolerations"]
    assert "conflict" in await refusal(chain, kinds.POD, pod(runtimeClassName="kata", nodeSelector={"kata": "no"}))
    assert await refusal(chain, kinds.POD, pod(runtimeClassName="none")) == (
        'pod rejected: RuntimeClass "none" not found'
    )
    assert "without corresponding RuntimeClass" in await refusal(chain, kinds.POD, pod(overhead={"cpu": "1"}))
