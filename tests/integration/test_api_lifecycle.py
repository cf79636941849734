"""Starting, stopping, and several servers over one etcd."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

import aiohttp
import pytest

from tests.fixtures.apiserver import APIServerProcess

pytestmark = pytest.mark.integration
MAPS = "/api/v1/namespaces/default/configmaps"
FLAG = "--disable-admission-plugins=ServiceAccount"
Start = Callable[..., APIServerProcess]


def test_a_new_cluster_has_its_namespaces_priority_classes_and_the_service(api_server: APIServerProcess) -> None:
    names = {each["metadata"]["name"] for each in api_server.request("GET", "/api/v1/namespaces").json()["items"]}
    assert names >= {"default", "kube-system", "kube-public", "kube-node-lease"}
    classes = api_server.request("GET", "/apis/scheduling.k8s.io/v1/priorityclasses").json()["items"]
    assert {each["metadata"]["name"]: (each["value"], each["preemptionPolicy"]) for each in classes} == {
        "system-cluster-critical": (2_000_000_000, "PreemptLowerPriority"),
        "system-node-critical": (2_000_001_000, "PreemptLowerPriority"),
    }
    service = api_server.request("GET", "/api/v1/namespaces/default/services/kubernetes").json()
    assert service["spec"]["clusterIP"] == "10.96.0.1"
    assert service["spec"]["ports"][0]["targetPort"] == api_server.port


def test_a_write_through_one_server_is_read_through_the_other(
    api_server: APIServerProcess, start_api_server: Start
) -> None:
    other = start_api_server(FLAG)
    for number in range(20):
        path = f"{MAPS}/both-{number}"
        assert api_server.request("POST", MAPS, {"metadata": {"name": f"both-{number}"}}).code == 201
        assert other.request("GET", path).code == 200
        assert other.request("DELETE", path).code == 200
        assert api_server.request("GET", path).code == 404


def test_a_restarted_server_has_everything(start_api_server: Start) -> None:
    first = start_api_server(FLAG)
    made = first.request("POST", MAPS, {"metadata": {"name": "kept"}}).json()
    first.kill()
    second = start_api_server(FLAG)
    assert second.request("GET", f"{MAPS}/kept").json() == made


async def test_a_stopping_server_ends_its_watches_in_order(start_api_server: Start) -> None:
    server = start_api_server(FLAG)
    headers = {"Authorization": f"Bearer {server.token}"}
    async with aiohttp.ClientSession(headers=headers) as session, asyncio.timeout(20):
        async with session.get(f"{server.url}{MAPS}?watch=1", ssl=False) as response:
            server.process.terminate()
            # a stream that is cut, not ended, raises here
            rest = await response.content.read()
    assert all(json.loads(line)["type"] == "ADDED" for line in rest.splitlines())
    assert await asyncio.to_thread(server.process.wait, 15) == 0


def test_the_kubernetes_service_has_the_advertised_endpoint(start_api_server: Start) -> None:
    server = start_api_server(FLAG, "--advertise-address=192.0.2.7")
    endpoints = server.request("GET", "/api/v1/namespaces/default/endpoints/kubernetes").json()
    assert endpoints["subsets"][0]["addresses"] == [{"ip": "192.0.2.7"}]
    path = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/kubernetes"
    assert server.request("GET", path).json()["endpoints"][0]["addresses"] == ["192.0.2.7"]


def test_servers_add_their_addresses_and_take_them_out_again(start_api_server: Start) -> None:
    first = start_api_server(FLAG, "--advertise-address=192.0.2.8")
    second = start_api_server(FLAG, "--advertise-address=192.0.2.9")
    path = "/api/v1/namespaces/default/endpoints/kubernetes"

    def addresses() -> set[str]:
        return {each["ip"] for each in first.request("GET", path).json()["subsets"][0]["addresses"]}

    assert addresses() >= {"192.0.2.8", "192.0.2.9"}
    second.process.terminate()
    assert second.process.wait(20) == 0
    assert "192.0.2.9" not in addresses()


async def test_too_many_requests_at_a_time_are_told_to_come_back(start_api_server: Start) -> None:
    server = start_api_server(FLAG, "--max-requests-inflight=1")
    pods = f"{server.url}/api/v1/pods"
    headers = {"Authorization": "Bearer scheduler-token"}
    async with aiohttp.ClientSession(headers=headers) as session, asyncio.timeout(60):

        async def ask(query: str = "") -> tuple[int, str | None]:
            async with session.get(pods + query, ssl=False) as response:
                return response.status, response.headers.get("Retry-After")

        answers = []
        while (429, "1") not in answers:
            # a version that is yet to come is waited for, so this request is under way while the other asks
            waiting = asyncio.create_task(ask("?resourceVersion=999999999999"))
            while not waiting.done():
                answers.append(await ask())
            await waiting
        assert (await ask())[0] == 200, "one at a time is served"
    assert set(answers) <= {(200, None), (429, "1")}
