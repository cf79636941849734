"""The ops server: metrics, health in upstream's words, and who may see what."""

import asyncio
import re

import aiohttp
import pytest

from componentbase import metrics, tls
from componentbase.health import Checks
from componentbase.serving import serve_ops


@pytest.fixture
def checks():
    made = Checks()
    made.add("etcd", _fails, endpoints=("readyz",))
    return made


async def _fails():
    raise OSError("the secret reason")


@pytest.fixture
async def get(checks):
    mine = metrics.Metrics()
    mine.counter("things_total", "Things.", ("kind",)).labels("a").inc()
    server = await serve_ops("127.0.0.1", 0, checks=checks, metrics=mine)
    async with aiohttp.ClientSession(f"http://127.0.0.1:{server.port}") as session:

        async def request(path):
            async with session.get(path) as response:
                return response.status, await response.text()

        yield request
    await server.stop()


@pytest.mark.parametrize(
    ("path", "code", "text"),
    [
        ("/healthz", 200, "ok"),
        ("/livez?verbose", 200, "[+]ping ok\nlivez check passed\n"),
        ("/readyz", 500, "[+]ping ok\n[-]etcd failed: reason withheld\nreadyz check failed\n"),
        ("/readyz?exclude=etcd", 200, "ok"),
        ("/readyz/etcd", 500, "internal server error: reason withheld\n"),
        ("/livez/etcd", 404, "404 page not found"),
        ("/nothing", 404, "404 page not found"),
    ],
)
async def test_health(get, path, code, text):
    assert await get(path) == (code, text)


async def test_checks_that_hang_are_asked_at_once():
    together = asyncio.Barrier(2)

    async def hangs_alone():
        async with asyncio.timeout(10):
            await together.wait()

    checks = Checks()
    for name in ("etcd", "watch-cache"):
        checks.add(name, hangs_alone)
    assert (await checks.report("readyz")).code == 200


async def test_metrics_and_version(get):
    code, text = await get("/metrics")
    assert code == 200
    assert 'things_total{kind="a"} 1.0' in text
    assert "_created" not in text
    assert re.search(r"^process_resident_memory_bytes ", text, re.MULTILINE)
    assert '"gitVersion":"v1.37' in (await get("/version"))[1]


async def test_what_needs_permission_is_refused_and_health_is_not(checks):
    async def nobody(_):
        return False

    server = await serve_ops(
        "127.0.0.1", 0, checks=checks, authorize=nobody, ssl_context=tls.self_signed_context("tester")
    )
    async with aiohttp.ClientSession(f"https://127.0.0.1:{server.port}") as session:
        for path, code in (("/metrics", 403), ("/healthz", 200)):
            async with session.get(path, ssl=False) as response:
                assert response.status == code
    await server.stop()
