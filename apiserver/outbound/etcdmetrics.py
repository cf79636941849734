"""etcd's own figures, for `/metrics/etcd`.

Whoever holds a client certificate of etcd can read every Secret, so a Prometheus must not have one; the API server has
one anyway, and its authorizer knows who may read metrics. It asks the first etcd that it was given: beside it, as a
rule, so that each of several control planes shows its own member.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Final

import aiohttp

from apimachinery import errors
from apiserver.options import Options

_SECONDS: Final = 5.0
_PLAIN: Final = {"Accept-Encoding": "identity"}  # the session passes on what it gets, and undoes no compression


class EtcdMetrics:
    """Relays the `/metrics` of one etcd."""

    def __init__(self, options: Options, session: Callable[[], aiohttp.ClientSession]) -> None:
        first = options.etcd_servers[0]
        self._url = f"{first if '//' in first else f'http://{first}'}/metrics"
        self._session = session
        self._tls: ssl.SSLContext | bool = True
        if self._url.startswith("https:"):
            self._tls = ssl.create_default_context(cafile=options.etcd_cafile or None)
            if options.etcd_certfile:
                self._tls.load_cert_chain(options.etcd_certfile, options.etcd_keyfile)

    async def read(self) -> bytes:
        """The text that etcd serves. Raises ServiceUnavailable if it doesn't in time."""
        timeout = aiohttp.ClientTimeout(total=_SECONDS)
        try:
            async with self._session().get(self._url, ssl=self._tls, headers=_PLAIN, timeout=timeout) as answer:
                answer.raise_for_status()
                return await answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise errors.ServiceUnavailable(f"{self._url}: {error or type(error).__name__}") from error
