"""gRPC probes against a real gRPC server, with the words that users see."""

from collections.abc import AsyncIterator
from typing import Any

import grpc.aio
import pytest

from kubelet.handlers import Handlers, Outcome, Target

ANSWERS = {b"": b"\x08\x01", b"\x0a\x03bad": b"\x08\x02"}  # by the request: the server as a whole, and a service


async def check(request: bytes, context: Any) -> bytes:
    if request not in ANSWERS:
        await context.abort(grpc.StatusCode.NOT_FOUND, "unknown service")
    return ANSWERS[request]


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """Of a server with a health service."""
    server = grpc.aio.server()
    method = grpc.unary_unary_rpc_method_handler(check)
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("grpc.health.v1.Health", {"Check": method})])
    bound = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield bound
    await server.stop(None)


async def probe(port: int, **action: Any) -> Outcome:
    handlers = Handlers(None)  # type: ignore[arg-type]
    target = Target(container={}, run_id="", ip="127.0.0.1")
    return await handlers.perform({"grpc": {"port": port, **action}}, target, timeout_seconds=5)


@pytest.mark.parametrize(
    ("service", "outcome"),
    [
        ("", Outcome(True)),
        ("bad", Outcome(False, 'service unhealthy (responded with "NOT_SERVING")')),
        ("none", Outcome(False, "error: health rpc probe failed: unknown service")),
    ],
)
async def test_a_service_says_how_it_is(port: int, service: str, outcome: Outcome) -> None:
    assert await probe(port, service=service) == outcome
