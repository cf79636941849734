"""Parts that talk to the API server, with a client that a test scripts: statuses, objects, tokens, access."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from apimachinery import errors
from kubeclient.errors import Unreachable
from kubelet import node
from kubelet.server.auth import Gate, subresource_of
from kubelet.sources import ObjectSources
from kubelet.status_manager import StatusManager
from kubelet.volumes.payloads import TokenRequest
from kubelet.volumes.tokens import Tokens
from tests.kubelet.objects import pod

JSON = dict[str, Any]


class PatchClient:
    """Answers patches of pods/status, at first with `failures`."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.bodies: list[JSON] = []

    async def patch(self, kind: Any, name: str, body: JSON, **options: Any) -> JSON:
        await asyncio.sleep(0)
        if self.failures:
            raise self.failures.pop(0)
        self.bodies.append(body)
        version = str(len(self.bodies))
        return {**pod(status=body["status"]), "metadata": {**pod()["metadata"], "resourceVersion": version}}


async def test_only_the_latest_status_is_written() -> None:
    client = PatchClient()
    async with asyncio.TaskGroup() as group:
        manager = StatusManager(client, group, current=lambda pod: pod)  # type: ignore[arg-type]
        for phase in ("Pending", "Pending", "Running"):
            manager.set(pod(), {"phase": phase})
        await manager.flush(pod()["metadata"]["uid"])
        assert [body["status"]["phase"] for body in client.bodies] == ["Running"]
        manager.set(pod(), {"phase": "Running"})
        await manager.flush(pod()["metadata"]["uid"])
        assert len(client.bodies) == 1, "what the API server has already is not sent"


async def test_a_status_is_sent_again_until_it_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kubelet.status_manager.RETRY_SECONDS_FIRST", 0.001)
    client = PatchClient(Unreachable("down"), errors.InternalError("etcd"))
    async with asyncio.TaskGroup() as group:
        manager = StatusManager(client, group, current=lambda pod: pod)  # type: ignore[arg-type]
        manager.set(pod(), {"phase": "Running"})
        await manager.flush(pod()["metadata"]["uid"])
    assert len(client.bodies) == 1


async def test_a_pod_that_is_gone_needs_no_status() -> None:
    client = PatchClient(errors.NotFound("gone"))
    async with asyncio.TaskGroup() as group:
        manager = StatusManager(client, group, current=lambda pod: None)  # type: ignore[arg-type]
        manager.set(pod(), {"phase": "Running"})
        await manager.flush(pod()["metadata"]["uid"])
    assert client.bodies == []


class ObjectClient:
    """One ConfigMap that changes when the test says so."""

    def __init__(self) -> None:
        self.value = "1"
        self.events: asyncio.Queue[JSON] = asyncio.Queue()
        self.reads = 0

    def object(self) -> JSON:
        return {"metadata": {"name": "cm", "resourceVersion": self.value}, "data": {"k": self.value}}

    async def get(self, kind: Any, name: str, **options: Any) -> JSON:
        self.reads += 1
        if name != "cm":
            raise errors.NotFound(name)
        return self.object()

    async def list(self, kind: Any, **options: Any) -> JSON:
        return {"metadata": {"resourceVersion": "1"}, "items": []}

    async def watch(self, kind: Any, **options: Any) -> Any:
        while True:
            yield SimpleNamespace(type="MODIFIED", object=await self.events.get())


async def test_an_object_is_read_once_watched_and_told_of() -> None:
    client, changed = ObjectClient(), asyncio.Queue[str]()
    sources = ObjectSources(client, on_change=changed.put_nowait)  # type: ignore[arg-type]
    await sources.use("pod-a", [("ConfigMap", "shop", "cm")])
    await sources.use("pod-b", [("ConfigMap", "shop", "cm"), ("Secret", "shop", "none")])
    assert client.reads == 2, "the second pod shares the first one's"
    client.value = "2"
    client.events.put_nowait(client.object())
    assert {await changed.get(), await changed.get()} == {"pod-a", "pod-b"}
    found = sources.get("ConfigMap", "shop", "cm")
    assert found is not None and found["data"] == {"k": "2"}
    assert sources.get("Secret", "shop", "none") is None
    sources.release("pod-a")
    sources.release("pod-b")
    assert sources.get("ConfigMap", "shop", "cm") is None
    await sources.close()


async def test_a_token_is_kept_until_most_of_its_life_is_over() -> None:
    asked, now = [], 1_767_225_600.0  # 2026-01-01

    class Client:
        async def create(self, kind: Any, body: JSON, **options: Any) -> JSON:
            asked.append((options["name"], body["spec"]))
            return {"status": {"token": f"t{len(asked)}", "expirationTimestamp": "2026-01-01T01:00:00Z"}}

    tokens = Tokens(Client(), clock=lambda: now)  # type: ignore[arg-type]
    request = TokenRequest("api", 3600)
    assert await tokens.get(pod(), request) == "t1"
    now += 2800
    assert await tokens.get(pod(), request) == "t1"
    now += 100
    assert await tokens.get(pod(), request) == "t2"
    name, spec = asked[0]
    assert (name, spec["audiences"], spec["boundObjectRef"]["name"]) == ("default", ["api"], "web")


class ReviewClient:
    """Knows the token "good" of user "ann", who may do everything but exec."""

    def __init__(self) -> None:
        self.reviews = 0

    async def create(self, kind: Any, body: JSON, **options: Any) -> JSON:
        self.reviews += 1
        if body["kind"] == "TokenReview":
            good = body["spec"]["token"] == "good"
            return {"status": {"authenticated": good, "user": {"username": "ann", "groups": ["g"]}}}
        return {"status": {"allowed": body["spec"]["resourceAttributes"]["subresource"] != "proxy"}}


def request(path: str, token: str = "") -> Any:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return SimpleNamespace(path=path, method="GET", headers=headers, transport=None)


async def test_the_cluster_says_who_may() -> None:
    client = ReviewClient()
    gate = Gate(client, "n1", anonymous=False, clock=lambda: 0.0)  # type: ignore[arg-type]
    await gate.check(request("/metrics", "good"))
    await gate.check(request("/metrics", "good"))
    assert client.reviews == 2, "answers are cached"
    with pytest.raises(errors.Forbidden, match="user=ann, verb=get, resource=nodes"):
        await gate.check(request("/exec/a/b/c", "good"))
    for nobody in ("", "bad"):
        with pytest.raises(errors.Unauthorized):
            await gate.check(request("/metrics", nobody))


def test_paths_as_subresources_of_nodes() -> None:
    paths = ("/metrics/resource", "/stats/summary", "/containerLogs/a/b/c", "/pods")
    assert [subresource_of(path) for path in paths] == ["metrics", "stats", "proxy", "proxy"]


def test_node_conditions_keep_their_transition_times() -> None:
    calm = [("MemoryPressure", False, "KubeletHasSufficientMemory", "kubelet has sufficient memory available")]
    first = node.conditions([], calm, "network is not ready", now="T1")
    assert [(c["type"], c["status"], c["reason"]) for c in first] == [
        ("MemoryPressure", "False", "KubeletHasSufficientMemory"),
        ("Ready", "False", "KubeletNotReady"),
    ]
    second = node.conditions(first, calm, "", now="T2")
    assert second[0]["lastTransitionTime"] == "T1" and second[0]["lastHeartbeatTime"] == "T2"
    assert (second[1]["status"], second[1]["lastTransitionTime"]) == ("True", "T2")


def test_reserved_resources_are_not_allocatable() -> None:
    whole = {"cpu": "2", "memory": "1024Ki", "pods": "110"}
    assert node.allocatable(whole, {"cpu": "500m", "memory": "24Ki"}) == {
        "cpu": "1500m", "memory": "1000Ki", "pods": "110",
    }  # fmt: skip
