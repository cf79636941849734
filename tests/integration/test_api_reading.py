"""Lists, watches, representations, and who is let in."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from tests.fixtures.apiserver import APIServerProcess

pytestmark = pytest.mark.integration
JSON = dict[str, Any]
MAPS = "/api/v1/namespaces/reading/configmaps"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"


@pytest.fixture(scope="module")
def server(api_server: APIServerProcess) -> APIServerProcess:
    """A namespace with five ConfigMaps."""
    api_server.request("POST", "/api/v1/namespaces", {"metadata": {"name": "reading"}})
    for number in range(5):
        body = {"metadata": {"name": f"m{number}", "labels": {"parity": str(number % 2)}}, "data": {"n": str(number)}}
        assert api_server.request("POST", MAPS, body).code == 201
    return api_server


def names(answer: JSON) -> list[str]:
    return [each["metadata"]["name"] for each in answer["items"]]


def test_a_list_has_its_version_and_all_items(server: APIServerProcess) -> None:
    answer = server.request("GET", MAPS).json()
    assert (answer["kind"], answer["apiVersion"]) == ("ConfigMapList", "v1")
    assert names(answer) == ["m0", "m1", "m2", "m3", "m4"]
    assert int(answer["metadata"]["resourceVersion"]) > 0


def test_pages_cover_the_list(server: APIServerProcess) -> None:
    first = server.request("GET", f"{MAPS}?limit=2").json()
    assert (names(first), first["metadata"]["remainingItemCount"]) == (["m0", "m1"], 3)
    second = server.request("GET", f"{MAPS}?limit=3&continue={first['metadata']['continue']}").json()
    assert names(second) == ["m2", "m3", "m4"]
    assert "continue" not in second["metadata"]


def test_selectors(server: APIServerProcess) -> None:
    assert names(server.request("GET", f"{MAPS}?labelSelector=parity%3D1").json()) == ["m1", "m3"]
    assert names(server.request("GET", f"{MAPS}?labelSelector=parity+in+(0)").json()) == ["m0", "m2", "m4"]
    assert names(server.request("GET", f"{MAPS}?fieldSelector=metadata.name%3Dm2").json()) == ["m2"]
    wrong = server.request("GET", f"{MAPS}?fieldSelector=data.n%3D1")
    assert wrong.code == 400 and '"data.n" is not a known field selector' in wrong.json()["message"]


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("resourceVersion=0", 200),
        ("resourceVersionMatch=Exact", 422),
        ("resourceVersion=0&resourceVersionMatch=Exact", 422),
        ("resourceVersion=1&resourceVersionMatch=Newest", 422),
        ("resourceVersion=0&resourceVersionMatch=NotOlderThan", 200),
        ("resourceVersion=abc", 400),
        ("limit=x", 400),
        ("watch=true&resourceVersionMatch=NotOlderThan", 422),
        ("watch=true&sendInitialEvents=true", 422),
    ],
)
def test_version_parameters_go_together_as_documented(server: APIServerProcess, query: str, code: int) -> None:
    assert server.request("GET", f"{MAPS}?{query}").code == code


def test_a_table_has_columns_cells_and_metadata(server: APIServerProcess) -> None:
    answer = server.request("GET", MAPS, headers={"Accept": TABLE})
    assert answer.headers["Content-Type"] == "application/json;as=Table;g=meta.k8s.io;v=v1"
    table = answer.json()
    assert [each["name"] for each in table["columnDefinitions"]] == ["Name", "Data", "Age"]
    assert table["rows"][0]["cells"][:2] == ["m0", 1]
    assert table["rows"][0]["object"]["kind"] == "PartialObjectMetadata"
    bare = server.request("GET", f"{MAPS}?includeObject=None", headers={"Accept": TABLE}).json()
    assert not bare["rows"][0].get("object")
    whole = server.request("GET", f"{MAPS}/m1?includeObject=Object", headers={"Accept": TABLE}).json()
    assert whole["rows"][0]["object"]["data"] == {"n": "1"}


def test_metadata_only(server: APIServerProcess) -> None:
    accept = {"Accept": "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"}
    answer = server.request("GET", MAPS, headers=accept).json()
    assert answer["kind"] == "PartialObjectMetadataList"
    assert set(answer["items"][0]) == {"kind", "apiVersion", "metadata"}


def test_what_is_not_acceptable_is_406(server: APIServerProcess) -> None:
    answer = server.request("GET", MAPS, headers={"Accept": "application/vnd.kubernetes.protobuf"})
    assert (answer.code, answer.json()["reason"]) == (406, "NotAcceptable")
    offered = "application/vnd.kubernetes.protobuf, application/json"
    assert server.request("GET", MAPS, headers={"Accept": offered}).code == 200


def test_unknown_paths_and_methods(server: APIServerProcess) -> None:
    assert server.request("GET", "/api/v1/namespaces/reading/nothings").code == 404
    assert server.request("GET", "/nowhere").code == 404
    assert server.request("POST", f"{MAPS}/m0", {}).code == 405
    assert server.request("GET", f"{MAPS}/m0/status").code == 404


def test_who_is_let_in(server: APIServerProcess) -> None:
    assert server.request("GET", MAPS, token="wrong").code == 401
    refused = server.request("GET", MAPS, token="jane-token")
    assert refused.code == 403
    assert refused.json()["message"] == (
        'configmaps is forbidden: User "jane" cannot list resource "configmaps" in API group "" '
        'in the namespace "reading"'
    )
    assert (
        server.request("GET", MAPS, token="")
        .json()["message"]
        .startswith('configmaps is forbidden: User "system:anonymous"')
    )
    as_jane = server.request("GET", MAPS, headers={"Impersonate-User": "jane"})
    assert as_jane.code == 403 and 'User "jane"' in as_jane.json()["message"]


def test_large_lists_are_compressed_when_asked(server: APIServerProcess) -> None:
    for number in range(3):
        body = {"metadata": {"name": f"large{number}"}, "data": {"x": "y" * 100_000}}
        server.request("POST", "/api/v1/namespaces/default/configmaps", body)
    answer = server.request("GET", "/api/v1/configmaps", headers={"Accept-Encoding": "gzip"})
    assert answer.headers["Content-Encoding"] == "gzip"
    assert len(answer.body) < 20_000


async def watched(server: APIServerProcess, path: str, accept: str = "application/json") -> AsyncIterator[JSON]:
    """The events of a watch."""
    headers = {"Authorization": f"Bearer {server.token}", "Accept": accept}
    async with aiohttp.ClientSession(headers=headers) as session:
        async with session.get(server.url + path, ssl=False) as response:
            assert response.status == 200, await response.text()
            async for line in response.content:
                yield json.loads(line)


async def collect(server: APIServerProcess, path: str, count: int, **more: str) -> list[JSON]:
    found: list[JSON] = []
    async with asyncio.timeout(20):
        async for event in watched(server, path, **more):
            found.append(event)
            if len(found) == count:
                break
    return found


async def test_a_watch_shows_what_is_there_then_what_changes(server: APIServerProcess) -> None:
    path = "/api/v1/namespaces/default/secrets"
    version = server.request("GET", path).json()["metadata"]["resourceVersion"]
    watching = asyncio.create_task(collect(server, f"{path}?watch=true&resourceVersion={version}", 3))
    made = await asyncio.to_thread(server.request, "POST", path, {"metadata": {"name": "seen"}})
    assert made.code == 201
    patch = {"metadata": {"labels": {"a": "b"}}}
    merge = "application/merge-patch+json"
    await asyncio.to_thread(lambda: server.request("PATCH", f"{path}/seen", patch, content_type=merge))
    await asyncio.to_thread(server.request, "DELETE", f"{path}/seen")
    events = await watching
    assert [each["type"] for each in events] == ["ADDED", "MODIFIED", "DELETED"]
    versions = [int(each["object"]["metadata"]["resourceVersion"]) for each in events]
    assert versions == sorted(set(versions))


async def test_a_watch_without_a_version_begins_with_what_is_there(server: APIServerProcess) -> None:
    events = await collect(server, f"{MAPS}?watch=1", 5)
    assert [each["object"]["metadata"]["name"] for each in events] == ["m0", "m1", "m2", "m3", "m4"]


async def test_a_watch_list_marks_the_end_of_the_initial_events(server: APIServerProcess) -> None:
    query = "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
    events = await collect(server, f"{MAPS}?{query}", 6)
    assert [each["type"] for each in events] == ["ADDED"] * 5 + ["BOOKMARK"]
    assert events[-1]["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}


async def test_a_table_watch_has_columns_on_its_first_event_only(server: APIServerProcess) -> None:
    events = await collect(server, f"{MAPS}?watch=1", 2, accept=TABLE)
    assert events[0]["object"]["columnDefinitions"]
    assert not events[1]["object"]["columnDefinitions"]
    assert events[1]["object"]["rows"][0]["cells"][0] == "m1"


async def test_a_watch_ends_after_its_timeout(server: APIServerProcess) -> None:
    async with asyncio.timeout(10):
        events = [each async for each in watched(server, f"{MAPS}?watch=1&timeoutSeconds=1")]
    assert len(events) == 5


async def test_a_watch_over_websocket(server: APIServerProcess) -> None:
    headers = {"Authorization": f"Bearer {server.token}"}
    async with aiohttp.ClientSession(headers=headers) as session, asyncio.timeout(10):
        async with session.ws_connect(f"{server.url}{MAPS}?watch=1", ssl=False) as socket:
            found = [json.loads((await socket.receive()).data)["object"]["metadata"]["name"] for _ in range(5)]
    assert found == ["m0", "m1", "m2", "m3", "m4"]
