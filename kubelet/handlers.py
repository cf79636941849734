"""What probes and lifecycle hooks do to a container: a command, an HTTP request, a TCP connection, a gRPC call.

The answers' wordings are upstream's: they end up in Unhealthy events and in why a container waits.
"""

import asyncio
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp

from apimachinery.meta import JSON

from .backoff import duration
from .engine import EngineError
from .runtime import Runtime

BODY_BYTES_MAX = 10_240
HEALTH = {b"": "UNKNOWN", b"\x08\x01": "SERVING", b"\x08\x02": "NOT_SERVING", b"\x08\x03": "SERVICE_UNKNOWN"}
USER_AGENT = "kube-probe/1.37"


@dataclass(frozen=True, slots=True)
class Outcome:
    """Whether it went well, and what there is to say."""

    ok: bool
    output: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The running container that an action is for."""

    container: JSON
    run_id: str
    ip: str


class Handlers:
    """Performs actions; owns the HTTP session. Use as an async context manager."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> "Handlers":
        connector = aiohttp.TCPConnector(ssl=False, force_close=True, limit=0)
        self._session = aiohttp.ClientSession(connector=connector, auto_decompress=False)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def perform(self, action: JSON, target: Target, *, timeout_seconds: float) -> Outcome:
        """Do what the first known field of `action` says (exec, httpGet, tcpSocket, grpc, sleep)."""
        for field, method in (
            ("exec", self._exec),
            ("httpGet", self._http_get),
            ("tcpSocket", self._tcp_socket),
            ("grpc", self._grpc),
        ):
            if action.get(field) is not None:
                return await method(action[field], target, timeout_seconds)
        if "sleep" in action:
            await asyncio.sleep(float(action["sleep"]["seconds"]))
        return Outcome(True)

    async def _exec(self, action: JSON, target: Target, timeout_seconds: float) -> Outcome:
        command = action.get("command") or []
        try:
            code, output = await self._runtime.exec(target.run_id, command, timeout_seconds=timeout_seconds)
        except TimeoutError:
            return Outcome(False, f'command timed out: "{" ".join(command)}" timed out after {timeout_seconds:g}s')
        except EngineError as error:
            return Outcome(False, f"rpc error: {error.message}")
        return Outcome(code == 0, output.decode(errors="replace"))

    async def _http_get(self, action: JSON, target: Target, timeout_seconds: float) -> Outcome:
        assert self._session is not None, "used before it was entered"
        scheme = action.get("scheme", "HTTP").lower()
        path = action.get("path") or "/"
        port = port_number(action["port"], target.container)
        address = f"{action.get('host') or target.ip}:{port}"
        url = f"{scheme}://{address}{path if path.startswith('/') else '/' + path}"
        headers = {"User-Agent": USER_AGENT, "Accept": "*/*"}
        headers |= {header["name"]: header.get("value", "") for header in action.get("httpHeaders") or []}
        timeout = aiohttp.ClientTimeout(total=timeout_seconds)
        try:
            async with self._session.get(url, headers=headers, timeout=timeout, allow_redirects=False) as response:
                body = await response.content.read(BODY_BYTES_MAX)
        except TimeoutError:
            return Outcome(
                False, f'Get "{url}": context deadline exceeded (Client.Timeout exceeded while awaiting headers)'
            )
        except (aiohttp.ClientError, OSError) as error:
            return Outcome(False, f'Get "{url}": {_dial_error(error, address)}')
        if 200 <= response.status < 400:
            return Outcome(True, body.decode(errors="replace"))
        return Outcome(False, f"HTTP probe failed with statuscode: {response.status}")

    async def _tcp_socket(self, action: JSON, target: Target, timeout_seconds: float) -> Outcome:
        host, port = action.get("host") or target.ip, port_number(action["port"], target.container)
        try:
            async with asyncio.timeout(timeout_seconds):
                _, writer = await asyncio.open_connection(host, port)
        except TimeoutError:
            return Outcome(False, f"dial tcp {host}:{port}: i/o timeout")
        except OSError as error:
            return Outcome(False, _dial_error(error, f"{host}:{port}"))
        writer.close()
        return Outcome(True)

    async def _grpc(self, action: JSON, target: Target, timeout_seconds: float) -> Outcome:
        import grpc.aio  # heavy, and rarely used

        service = (action.get("service") or "").encode()
        request = b"\x0a" + bytes([len(service)]) + service if service else b""
        address = f"{target.ip}:{action['port']}"
        try:
            async with grpc.aio.insecure_channel(address) as channel:
                check = channel.unary_unary("/grpc.health.v1.Health/Check")
                answer = await check(request, timeout=timeout_seconds)
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
                return Outcome(False, f"timeout: health rpc did not complete within {duration(timeout_seconds)}")
            if error.code() is grpc.StatusCode.UNIMPLEMENTED:
                protocol = "error: this server does not implement the grpc health protocol (grpc.health.v1.Health)"
                return Outcome(False, f"{protocol}: {error.details()}")
            return Outcome(False, f"error: health rpc probe failed: {error.details()}")
        status = HEALTH.get(bytes(answer), f"{bytes(answer).hex()}")
        return Outcome(
            status == "SERVING", "" if status == "SERVING" else f'service unhealthy (responded with "{status}")'
        )


def port_number(port: int | str, container: Mapping[str, Any]) -> int:
    """A port by number or by the name it has in the container."""
    if isinstance(port, int):
        return port
    for entry in container.get("ports") or []:
        if entry.get("name") == port:
            return int(entry["containerPort"])
    return int(port) if port.isdigit() else 0


def _dial_error(error: Exception, address: str) -> str:
    cause = getattr(error, "os_error", None) or error
    if isinstance(cause, ConnectionRefusedError):
        return f"dial tcp {address}: connect: connection refused"
    if isinstance(cause, OSError) and cause.errno:
        return f"dial tcp {address}: connect: {os.strerror(cause.errno).lower()}"
    return str(error) or "EOF"
