"""The verbs, their paths, and what is tried again."""

import pytest
from aiohttp import web

from apimachinery import errors, kinds
from componentbase.metrics import METRICS
from kubeclient import rest
from kubeclient.config import ClientConfig
from kubeclient.errors import Unreachable
from kubeclient.rest import Client, resource_path

CONFIG_MAP = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "default"}}


@pytest.mark.parametrize(
    ("arguments", "path"),
    [
        ({"kind": kinds.POD}, "/api/v1/pods"),
        ({"kind": kinds.POD, "namespace": "x", "name": "y", "subresource": "log"}, "/api/v1/namespaces/x/pods/y/log"),
        ({"kind": kinds.NODE, "namespace": "ignored", "name": "n"}, "/api/v1/nodes/n"),
        ({"kind": kinds.DEPLOYMENT, "namespace": "x"}, "/apis/apps/v1/namespaces/x/deployments"),
        ({"kind": kinds.POD, "version": "v2", "name": "a/b"}, "/api/v2/pods/a%2Fb"),
    ],
)
def test_paths(arguments, path):
    assert resource_path(arguments.pop("kind"), **arguments) == path


async def test_create_get_update_delete(client):
    made = await client.create(kinds.CONFIG_MAP, CONFIG_MAP)
    assert (await client.get(kinds.CONFIG_MAP, "a", namespace="default")) == made
    with pytest.raises(errors.AlreadyExists):
        await client.create(kinds.CONFIG_MAP, CONFIG_MAP)
    changed = await client.update(kinds.CONFIG_MAP, {**made, "data": {"k": "v"}})
    with pytest.raises(errors.Conflict):
        await client.update(kinds.CONFIG_MAP, made)
    assert (await client.list(kinds.CONFIG_MAP))["items"] == [changed]
    await client.delete(kinds.CONFIG_MAP, "a", namespace="default", uid="u", grace_period_seconds=0)
    with pytest.raises(errors.NotFound):
        await client.get(kinds.CONFIG_MAP, "a", namespace="default")


async def test_lists_follow_continue(api, client):
    pages = [
        {"metadata": {"resourceVersion": "1", "continue": "c"}, "items": [1]},
        {"metadata": {"resourceVersion": "1"}, "items": [2]},
    ]
    api.failures += [web.json_response(page) for page in pages]
    assert (await client.list(kinds.POD, resource_version="0"))["items"] == [1, 2]
    assert api.requests[1] == "GET /api/v1/pods?continue=c"


async def test_throttled_requests_are_sent_again(api, client, monkeypatch):
    monkeypatch.setattr(rest, "MAX_RETRY_AFTER_SECONDS", 0.0)
    api.failures += [web.Response(status=429, headers={"Retry-After": "1"}) for _ in range(3)]
    await client.create(kinds.CONFIG_MAP, CONFIG_MAP)
    assert len(api.requests) == 4


async def test_an_eviction_refused_by_a_budget_is_not_sent_again(api, client):
    status = errors.TooManyRequests("no", causes=[{"reason": "DisruptionBudget"}]).status
    api.failures.append(web.json_response(status, status=429))
    with pytest.raises(errors.TooManyRequests):
        await client.create(kinds.POD, {}, namespace="x", name="p", subresource="eviction")
    assert len(api.requests) == 1


async def test_no_server_is_unreachable_and_says_which():
    async with Client(ClientConfig(server="http://127.0.0.1:1")) as client:
        with pytest.raises(Unreachable, match=r"POST http://127\.0\.0\.1:1/api/v1/pods"):
            await client.request("POST", "/api/v1/pods", body={}, params={"secret": "x"})


async def test_an_answer_that_is_no_status_keeps_its_code(api, client):
    api.failures.append(web.Response(status=503, text="upstream is down"))
    with pytest.raises(errors.ServiceUnavailable, match="upstream is down"):
        await client.get(kinds.NODE, "n")


async def test_watch_raises_the_error_event(api, client):
    await api.put("/api/v1/namespaces/default/configmaps/a", CONFIG_MAP)
    await api.break_watches(forget=True)
    with pytest.raises(errors.Expired):
        async for _ in client.watch(kinds.CONFIG_MAP, resource_version="1"):
            pass


async def test_requests_are_counted_by_code_and_those_without_an_answer_as_errors(api, client):
    def counted(code, url):
        name, labels = "rest_client_requests_total", {"code": code, "method": "GET", "host": url.partition("://")[2]}
        return METRICS.registry.get_sample_value(name, labels) or 0

    before = counted("200", api.url)  # an earlier test's server may have had this port
    await api.put("/api/v1/namespaces/default/configmaps/a", CONFIG_MAP)
    await client.get(kinds.CONFIG_MAP, "a", namespace="default")
    assert counted("200", api.url) == before + 1
    nobody = "http://127.0.0.1:1"
    async with Client(ClientConfig(server=nobody)) as lost:
        with pytest.raises(Unreachable):
            await lost.get(kinds.POD, "a", namespace="default")
    assert counted("<error>", nobody) >= 1
