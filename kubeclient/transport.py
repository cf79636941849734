"""The connections under `rest.Client`: TLS, credentials and their renewal, the pool, and one mapping of errors.

Credentials in files are looked at once a minute: a token is read again, a changed certificate makes a new TLS context,
and with it new connections. A peer that has vanished without a word is found by TCP keep-alive within half a minute,
so that a watch never hangs on a dead server.
"""

import asyncio
import os
import socket
import ssl
import time
from collections.abc import Mapping
from typing import Any

import aiohttp
from yarl import URL

from componentbase import defaults
from componentbase.metrics import METRICS
from kubeclient.config import ClientConfig
from kubeclient.errors import ConfigError, Unreachable

CREDENTIALS_PERIOD_SECONDS = 60.0
REQUEST_TIMEOUT_SECONDS = 60.0
CONNECT_TIMEOUT_SECONDS = 10.0
MAX_CONNECTIONS = 512
READ_BUFFER_BYTES = 1 << 20
REQUESTS = METRICS.counter(
    "rest_client_requests_total",
    "Number of HTTP requests, by status code, method and host.",
    ("code", "method", "host"),
)
_NETWORK_ERRORS = (aiohttp.ClientError, TimeoutError, OSError)


class Transport:
    """Sends requests as one user to one server."""

    def __init__(self, config: ClientConfig, user_agent: str) -> None:
        self._config = config
        self._host = config.server.partition("://")[2]
        self._agent = f"{user_agent}/{defaults.GIT_VERSION} ({defaults.DISTRIBUTION})"
        self._session: aiohttp.ClientSession | None = None
        self._tls: ssl.SSLContext | bool = True
        self._token = config.token
        self._read_at = float("-inf")
        self._stamps: tuple[float, ...] = ()

    async def open(self) -> None:
        """Make the pool and read the credentials. Raises ConfigError."""
        self._refresh()
        connector = aiohttp.TCPConnector(
            limit=MAX_CONNECTIONS, limit_per_host=0, keepalive_timeout=90, socket_factory=_keepalive_socket
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            headers={"User-Agent": self._agent, "Accept": "application/json", "Accept-Encoding": "identity"},
            read_bufsize=READ_BUFFER_BYTES,
            max_field_size=64 * 1024,
        )

    async def close(self) -> None:
        """Close every connection."""
        if self._session:
            await self._session.close()

    async def send(
        self,
        method: str,
        target: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_seconds: float | None = REQUEST_TIMEOUT_SECONDS,
    ) -> aiohttp.ClientResponse:
        """Send, and give the response with its body still to read; `target` is the path and query, encoded."""
        session = self._opened()
        timeout = aiohttp.ClientTimeout(total=timeout_seconds, sock_connect=CONNECT_TIMEOUT_SECONDS)
        try:
            response = await session.request(
                method,
                URL(self._config.server + target, encoded=True),
                data=body,
                headers={**self.credentials(), **(headers or {})},
                ssl=self._tls,
                server_hostname=self._config.tls_server_name or None,
                timeout=timeout,
                allow_redirects=False,
            )
        except _NETWORK_ERRORS as error:
            REQUESTS.labels("<error>", method, self._host).inc()
            raise self.unreachable(method, target, error) from error
        REQUESTS.labels(response.status, method, self._host).inc()
        return response

    async def websocket(self, target: str, *, protocols: tuple[str, ...]) -> aiohttp.ClientWebSocketResponse[bool]:
        """Open a WebSocket. Raises aiohttp.WSServerHandshakeError when the server answers otherwise."""
        session = self._opened()
        try:
            return await session.ws_connect(
                URL(self._config.server + target, encoded=True),
                protocols=protocols,
                headers=self.credentials(),
                ssl=self._tls,
                server_hostname=self._config.tls_server_name or None,
                max_msg_size=0,
                autoping=True,
            )
        except aiohttp.WSServerHandshakeError:
            raise
        except _NETWORK_ERRORS as error:
            raise self.unreachable("GET", target, error) from error

    def unreachable(self, method: str, target: str, error: Exception) -> Unreachable:
        """The error to raise for network trouble; the query is left out of it."""
        return Unreachable(f"{method} {self._config.server}{target.partition('?')[0]}: {_said(error)}")

    def credentials(self) -> dict[str, str]:
        """The headers that say who we are, refreshed when due."""
        if time.monotonic() - self._read_at > CREDENTIALS_PERIOD_SECONDS:
            self._refresh()
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        if self._config.impersonate:
            headers["Impersonate-User"] = self._config.impersonate
        return headers

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise RuntimeError("the client is not open: use it with `async with`")
        return self._session

    def _refresh(self) -> None:
        config = self._config
        self._read_at = time.monotonic()
        files = [file for file in (config.ca_file, config.certificate_file, config.key_file) if file]
        try:
            if config.token_file:
                with open(config.token_file) as stream:
                    self._token = stream.read().strip()
            stamps = tuple(os.stat(file).st_mtime for file in files)
            if config.server.startswith("https:") and (self._tls is True or stamps != self._stamps):
                self._tls, self._stamps = _context(config), stamps
        except (OSError, ssl.SSLError) as error:
            if self._session is None:  # later on, the old credentials are better than none
                raise ConfigError(f"cannot load the client's credentials: {error}") from error


def _context(config: ClientConfig) -> ssl.SSLContext:
    if config.insecure:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    elif config.ca_data or config.ca_file:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cafile=config.ca_file or None, cadata=config.ca_data.decode() or None)
    else:
        context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if config.certificate_data:
        _load_chain(context, config.certificate_data, config.key_data)
    elif config.certificate_file:
        context.load_cert_chain(config.certificate_file, config.key_file or None)
    return context


def _load_chain(context: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    """Load inline PEM through a file in memory: the binding takes names only, and keys stay off the disk."""
    descriptor = os.memfd_create("client-certificate", os.MFD_CLOEXEC)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(certificate + b"\n" + key)
        stream.flush()
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")


def _keepalive_socket(address: Any) -> socket.socket:
    family, kind, protocol, _, _ = address
    made = socket.socket(family, kind, protocol)
    made.setblocking(False)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 15)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 30_000)
    return made


def _said(error: Exception) -> str:
    """What went wrong, in one short line."""
    if isinstance(error, aiohttp.ClientPayloadError | aiohttp.ServerDisconnectedError):
        return "the server closed the connection"
    if isinstance(error, aiohttp.ClientConnectorError):
        return (error.os_error.strerror or str(error.os_error)) if error.os_error else "cannot connect"
    return (str(error) or type(error).__name__).partition("\n")[0]


async def read(response: aiohttp.ClientResponse) -> bytes:
    """A response's whole body. Raises Unreachable when the connection breaks."""
    try:
        return await response.read()
    except _NETWORK_ERRORS as error:
        raise Unreachable(f"{response.method} {response.url.path}: {_said(error)}") from error


async def read_some(response: aiohttp.ClientResponse, *, timeout_seconds: float) -> bytes:
    """What has arrived of a stream, at least a byte; b"" at its end. Raises Unreachable."""
    try:
        async with asyncio.timeout(timeout_seconds):
            return await response.content.readany()
    except _NETWORK_ERRORS as error:
        raise Unreachable(f"{response.method} {response.url.path}: {_said(error)}") from error
