"""The proxies: `pods/x/proxy`, `services/x/proxy`, `nodes/x/proxy`, over plain HTTP or upgraded.

A name may carry a scheme and a port: `https:web:8443`. A Service's request goes to one of its ready endpoints, chosen
at random; a node's to its kubelet, with this server's certificate unless another port is named. Addresses of this
machine are refused, so that the API can't be used to reach what listens on loopback here.
"""

from __future__ import annotations

import ipaddress
import random
from collections.abc import Callable
from urllib.parse import urlsplit

import aiohttp
from aiohttp import web
from yarl import URL

from apimachinery import errors, kinds, labels
from apiserver.outbound.kubelet import KubeletClient, Target
from apiserver.outbound.tunnel import is_upgrade, passed_headers, tunnel
from apiserver.registry.store import existing
from apiserver.replies import Done, Reply
from apiserver.request import RequestInfo
from apiserver.storage import Storage

_HOP_BY_HOP = frozenset(
    {"connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer", "transfer-encoding",
     "upgrade"}
)  # fmt: skip
_CHUNK_BYTES = 64 * 1024
_DEPTH = len(["", "api", "v1", "nodes", "NAME", "proxy"])
_DEPTH_NAMESPACED = len(["", "api", "v1", "namespaces", "NAMESPACE", "pods", "NAME", "proxy"])


class Proxy:
    """Resolves a proxied name to a target and passes the request on."""

    def __init__(self, storage: Storage, kubelets: KubeletClient, session: Callable[[], aiohttp.ClientSession]) -> None:
        self._storage = storage
        self._kubelets = kubelets
        self._session = session

    async def serve(self, request: web.BaseRequest, info: RequestInfo) -> Reply | Done | web.StreamResponse:
        """Answer one proxied request. Raises StatusError."""
        scheme, name, port = split_name(info.name)
        match info.resource:
            case "pods":
                target = await self._pod(info.namespace, name, scheme=scheme, port=port)
            case "services":
                target = await self._service(info.namespace, name, scheme=scheme, port=port)
            case _:
                target = await self._node(name, scheme=scheme, port=port)
        # The path as it was sent: what is escaped stays escaped.
        sent, mark, query = request.raw_path.partition("?")
        segments = sent.split("/")
        depth = _DEPTH_NAMESPACED if info.namespace else _DEPTH
        prefix, rest = "/".join(segments[:depth]), "/".join(segments[depth:])
        path = f"/{rest}{mark}{query}"
        if is_upgrade(request):
            return await tunnel(request, target, path)
        return await self._pass(request, target, path, prefix)

    async def _pod(self, namespace: str, name: str, *, scheme: str, port: str) -> Target:
        pod = await existing(self._storage, kinds.POD, namespace, name)
        if not port:
            ports = [
                each
                for container in (pod.get("spec") or {}).get("containers") or ()
                for each in container.get("ports") or ()
            ]
            port = str(ports[0]["containerPort"]) if ports else ""
        return self._target(scheme, (pod.get("status") or {}).get("podIP") or "", port)

    async def _service(self, namespace: str, name: str, *, scheme: str, port: str) -> Target:
        service = await existing(self._storage, kinds.SERVICE, namespace, name)
        unavailable = errors.ServiceUnavailable(f'no endpoints available for service "{name}"')
        ports = (service.get("spec") or {}).get("ports") or []
        if port:
            ports = [each for each in ports if port in (each.get("name"), str(each.get("port")))]
        elif len(ports) > 1:
            ports = [each for each in ports if not each.get("name")]
        if not ports:
            raise errors.ServiceUnavailable(f'no service port "{port}" found for service "{name}"')
        selector = labels.from_labels({"kubernetes.io/service-name": name})
        found = await self._storage.list(
            kinds.ENDPOINT_SLICE, namespace=namespace, labels=selector, fields=None, resource_version=0, match=None
        )
        wanted = ports[0].get("name") or ""
        choices = [
            (address, each["port"])
            for piece in (entry.parsed() for entry in found.entries)
            for each in piece.get("ports") or ()
            if (each.get("name") or "") == wanted and each.get("port")
            for endpoint in piece.get("endpoints") or ()
            if (endpoint.get("conditions") or {}).get("ready") is not False
            for address in endpoint.get("addresses") or ()
        ]
        if not choices:
            raise unavailable
        address, number = random.choice(choices)
        return self._target(scheme, address, str(number))

    async def _node(self, name: str, *, scheme: str, port: str) -> Target:
        node = await existing(self._storage, kinds.NODE, "", name)
        kubelet = self._kubelets.target(node)
        if not port or port == str(kubelet.port):
            return kubelet
        return self._target(scheme, kubelet.host, port, checked=False)

    def _target(self, scheme: str, address: str, port: str, *, checked: bool = True) -> Target:
        if not port.isdigit():
            port = {"": "443" if scheme == "https" else "80"}.get(port, port)
        if not address or not port.isdigit():
            raise errors.BadRequest("address not allowed" if port.isdigit() else f'invalid port "{port}"')
        parsed = ipaddress.ip_address(address)
        if checked and (parsed.is_loopback or parsed.is_link_local or parsed.is_unspecified or parsed.is_multicast):
            raise errors.BadRequest("address not allowed")
        return Target(address, int(port), self._kubelets.unverified if scheme == "https" else None)

    async def _pass(self, request: web.BaseRequest, target: Target, path: str, prefix: str) -> web.StreamResponse:
        headers = [(name, value) for name, value in passed_headers(request.headers) if name.lower() not in _HOP_BY_HOP]
        headers += [("X-Forwarded-For", request.remote or ""), ("X-Forwarded-Uri", request.raw_path)]
        body = request.content.iter_any() if request.can_read_body else None
        try:
            async with self._session().request(
                request.method,
                URL(target.url(path), encoded=True),
                headers=headers,
                data=body,
                allow_redirects=False,
                ssl=target.tls or False,
                skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding"),
            ) as answer:
                return await _stream(request, answer, target, prefix)
        except aiohttp.ClientConnectionError as error:
            raise errors.ServiceUnavailable(f"error trying to reach service: {error}") from error


def split_name(text: str) -> tuple[str, str, str]:
    """(scheme, name, port) of `name`, `name:port` or `scheme:name:port`. Raises BadRequest."""
    parts = text.split(":")
    if len(parts) == 1:
        return "", parts[0], ""
    if len(parts) == 2:
        return "", parts[0], parts[1]
    if len(parts) == 3 and parts[0] in ("", "http", "https"):
        return parts[0], parts[1], parts[2]
    raise errors.BadRequest(f'invalid request name "{text}"')


async def _stream(
    request: web.BaseRequest, answer: aiohttp.ClientResponse, target: Target, prefix: str
) -> web.StreamResponse:
    """Pass the answer on as it comes; redirects to the target's own host stay inside the proxy."""
    response = web.StreamResponse(status=answer.status, reason=answer.reason)
    for name, value in answer.headers.items():
        if name.lower() in _HOP_BY_HOP or name.lower() == "content-length":
            continue
        if name.lower() == "location":
            where = urlsplit(value)
            if value.startswith("/") or where.netloc == target.authority:
                value = prefix + where.path + (f"?{where.query}" if where.query else "")
        response.headers.add(name, value)
    length = answer.headers.get("Content-Length")
    if length is not None and length.isdigit():
        response.content_length = int(length)
    elif request.method != "HEAD":
        response.enable_chunked_encoding()
    await response.prepare(request)
    async for chunk in answer.content.iter_chunked(_CHUNK_BYTES):
        await response.write(chunk)
    await response.write_eof()
    return response
