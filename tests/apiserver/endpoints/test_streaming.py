"""Logs and proxies: where a request goes, what is passed on, what is refused. Over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from apimachinery import errors
from apimachinery.meta import JSON
from apiserver import request as requests
from apiserver.endpoints.streaming import Streaming, container_name, log_query
from apiserver.endpoints.streaming_proxy import split_name
from apiserver.outbound.kubelet import KubeletClient
from apiserver.replies import error_reply
from tests.apiserver.fake_storage import FakeStorage, obj


@contextlib.asynccontextmanager
async def listening(handler: Any) -> AsyncIterator[int]:
    server = await asyncio.get_running_loop().create_server(web.Server(handler), "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


@contextlib.asynccontextmanager
async def api(*objects: JSON) -> AsyncIterator[str]:
    """A server with nothing but the streamed subresources; its URL."""
    streaming = Streaming(FakeStorage(*objects), KubeletClient())  # type: ignore[arg-type]

    async def handle(request: web.BaseRequest) -> object:
        info, _, _ = requests.parse(request.method, request.raw_path)
        try:
            return await streaming.serve(request, info)
        except errors.StatusError as error:
            return error_reply(error)

    async with listening(handle) as port:
        yield f"http://127.0.0.1:{port}"
    await streaming.close()


def node(port: int) -> JSON:
    status = {
        "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": 1}},
    }
    return obj("v1", "Node", "n", status=status)


async def echo(request: web.BaseRequest) -> web.Response:
    if request.path == "/away":
        return web.Response(status=302, headers={"Location": "/elsewhere?x=1"})
    body = await request.text()
    seen = {name: value for name, value in request.headers.items() if name in ("Authorization", "X-Own", "Cookie")}
    return web.Response(status=418, text=f"{request.method} {request.raw_path} {body} {seen}", headers={"X-Back": "1"})


async def test_a_request_is_passed_on_and_its_credentials_are_not() -> None:
    async with listening(echo) as port, api(node(port)) as url, aiohttp.ClientSession() as session:
        path = f"{url}/api/v1/nodes/n:{port}/proxy"
        headers = {"Authorization": "Bearer secret", "X-Own": "yes", "Impersonate-User": "root"}
        async with session.post(f"{path}/a/proxy/b?q=1&q=2", data=b"body", headers=headers) as answer:
            assert answer.status == 418
            assert answer.headers["X-Back"] == "1"
            assert await answer.text() == "POST /a/proxy/b?q=1&q=2 body {'X-Own': 'yes'}"
        async with session.get(path) as answer:
            assert (await answer.text()).startswith("GET / ")


async def test_redirects_stay_inside_the_proxy() -> None:
    async with listening(echo) as port, api(node(port)) as url, aiohttp.ClientSession() as session:
        path = f"/api/v1/nodes/n:{port}/proxy"
        async with session.get(f"{url}{path}/away", allow_redirects=False) as answer:
            assert answer.headers["Location"] == f"{path}/elsewhere?x=1"


async def test_a_websocket_goes_through_the_proxy_too() -> None:
    async def talk(request: web.BaseRequest) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_str(request.raw_path)
        await socket.close()
        return socket

    async with listening(talk) as port, api(node(port)) as url, aiohttp.ClientSession() as session:
        async with session.ws_connect(f"{url}/api/v1/nodes/n:{port}/proxy/ws?a=b") as socket:
            assert await socket.receive_str() == "/ws?a=b"


def pod(ip: str) -> JSON:
    return obj(
        "v1",
        "Pod",
        "web",
        namespace="team",
        spec={"containers": [{"name": "c", "ports": [{"containerPort": 80}]}]},
        status={"podIP": ip},
    )


@pytest.mark.parametrize(
    ("objects", "path", "code", "message"),
    [
        ([pod("127.0.0.1")], "pods/web/proxy/", 400, "address not allowed"),
        ([pod("169.254.169.254")], "pods/web:80/proxy/", 400, "address not allowed"),
        ([pod("")], "pods/web/proxy/", 400, "address not allowed"),
        ([], "pods/web/proxy/", 404, 'pods "web" not found'),
        (
            [obj("v1", "Service", "web", namespace="team", spec={"ports": [{"port": 80}]})],
            "services/web/proxy/",
            503,
            'no endpoints available for service "web"',
        ),
        (
            [obj("v1", "Service", "web", namespace="team", spec={"ports": [{"port": 80}]})],
            "services/web:81/proxy/",
            503,
            'no service port "81" found for service "web"',
        ),
        ([pod("")], "pods/ftp:web:1/proxy/", 400, 'invalid request name "ftp:web:1"'),
    ],
)
async def test_targets_that_are_refused(objects: list[JSON], path: str, code: int, message: str) -> None:
    async with api(*objects) as url, aiohttp.ClientSession() as session:
        async with session.get(f"{url}/api/v1/namespaces/team/{path}") as answer:
            assert (answer.status, (await answer.json(content_type=None))["message"]) == (code, message)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("web", ("", "web", "")),
        ("web:80", ("", "web", "80")),
        ("https:web:443", ("https", "web", "443")),
        ("https:web:", ("https", "web", "")),
    ],
)
def test_names_with_schemes_and_ports(text: str, parts: tuple[str, str, str]) -> None:
    assert split_name(text) == parts


def test_the_one_container_is_meant_and_several_are_listed() -> None:
    spec = {"containers": [{"name": "a"}], "initContainers": [{"name": "i"}]}
    one = obj("v1", "Pod", "p", namespace="team", spec=spec)
    assert container_name(one, "") == "a"
    assert container_name(one, "i") == "i"
    one["spec"]["containers"].append({"name": "b"})
    with pytest.raises(errors.BadRequest) as caught:
        container_name(one, "")
    assert caught.value.message == (
        "a container name must be specified for pod p, choose one of: [a b] or one of the init containers: [i]"
    )


def test_log_options_become_the_kubelets() -> None:
    options = {
        "follow": "true",
        "previous": "false",
        "tailLines": "5",
        "sinceTime": "2026-01-01T00:00:00Z",
        "stream": "All",
        "pretty": "true",
    }
    assert log_query(options) == [("follow", "true"), ("tailLines", "5"), ("sinceTime", "2026-01-01T00:00:00Z")]


@pytest.mark.parametrize(
    "options",
    [
        {"tailLines": "-1"},
        {"limitBytes": "0"},
        {"sinceSeconds": "0"},
        {"sinceSeconds": "5", "sinceTime": "2026-01-01T00:00:00Z"},
        {"stream": "Stdout", "tailLines": "1"},
    ],
)
def test_log_options_that_do_not_fit(options: dict[str, str]) -> None:
    with pytest.raises(errors.Invalid):
        log_query(options)


async def test_a_kubelet_that_cannot_be_reached_is_named() -> None:
    async def refuse(request: web.BaseRequest) -> web.Response:
        return web.Response(status=400, text='container "c" in pod "web" is waiting to start: ContainerCreating')

    # a kubelet speaks TLS: what can't be reached is an internal error that names it
    bound = pod("10.0.0.1")
    bound["spec"]["nodeName"] = "n"
    async with listening(refuse) as port:
        reached = node(port)
        reached["status"]["daemonEndpoints"]["kubeletEndpoint"]["Port"] = port
        async with api(bound, reached) as url, aiohttp.ClientSession() as session:
            async with session.get(f"{url}/api/v1/namespaces/team/pods/web/log") as answer:
                assert answer.status == 500
                assert f"https://127.0.0.1:{port}/containerLogs/team/web/c" in (await answer.text())
