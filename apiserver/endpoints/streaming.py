"""pods/log, exec, attach and portforward: found, checked, and passed on to the pod's kubelet.

The kubelet terminates the streams; this server only says to which one a request goes, under which path, and what is
wrong with it beforehand. `streaming_proxy` has the proxies for pods, Services and nodes.
"""

from __future__ import annotations

from urllib.parse import quote, urlencode

import aiohttp
from aiohttp import web

from apimachinery import errors, kinds, meta
from apimachinery.field import FieldError, forbidden, invalid
from apimachinery.meta import JSON
from apiserver.endpoints.streaming_proxy import Proxy
from apiserver.outbound.kubelet import KubeletClient
from apiserver.outbound.tunnel import dial_error, is_upgrade, tunnel
from apiserver.registry.store import existing
from apiserver.replies import Done, Reply
from apiserver.request import TRUE, RequestInfo, parse_query
from apiserver.storage import Storage

Answer = Reply | Done | web.StreamResponse
_CHUNK_BYTES = 64 * 1024
_METHODS = {
    "log": ("GET",),
    "exec": ("GET", "POST"),
    "attach": ("GET", "POST"),
    "portforward": ("GET", "POST"),
}
_LOG_FLAGS = ("follow", "previous", "timestamps")
_LOG_NUMBERS = {"tailLines": 0, "sinceSeconds": 1, "limitBytes": 1}  # option: least value
_STREAM_FLAGS = (("stdin", "input"), ("stdout", "output"), ("stderr", "error"), ("tty", "tty"))


class Streaming:
    """Answers every streamed subresource. `close` ends the client session."""

    def __init__(self, storage: Storage, kubelets: KubeletClient) -> None:
        self._storage = storage
        self._kubelets = kubelets
        self._session: aiohttp.ClientSession | None = None
        self._proxy = Proxy(storage, kubelets, self.session)

    def session(self) -> aiohttp.ClientSession:
        """The session for requests to kubelets and pods, opened when first asked for."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                auto_decompress=False,
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=30),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session

    async def close(self) -> None:
        """End what is open to kubelets."""
        if self._session is not None:
            await self._session.close()

    async def serve(self, request: web.BaseRequest, info: RequestInfo) -> Answer:
        """Answer one request for a streamed subresource. Raises StatusError."""
        if info.subresource == "proxy":
            return await self._proxy.serve(request, info)
        if request.method not in _METHODS[info.subresource]:
            raise errors.MethodNotAllowed("the server does not allow this method on the requested resource")
        raw_query = request.raw_path.partition("?")[2]
        options = dict(parse_query(raw_query)) if raw_query else {}
        pod = await existing(self._storage, kinds.POD, info.namespace, info.name)
        if info.subresource == "log":
            return await self._log(request, pod, options)
        if info.subresource == "portforward":
            path = f"/portForward/{info.namespace}/{info.name}"
            ports = [value for key, value in request.query.items() if key == "ports"]
            query = [("port", ",".join(ports))] if ports else []
        else:
            container = container_name(pod, options.get("container", ""))
            path = f"/{info.subresource}/{info.namespace}/{info.name}/{quote(container)}"
            query = [(there, "1") for here, there in _STREAM_FLAGS if options.get(here, "0") in TRUE]
            query += [("command", value) for key, value in request.query.items() if key == "command"]
        target = self._kubelets.target(await self._node(pod, f"pod {info.name} does not have a host assigned"))
        if not is_upgrade(request):
            raise errors.BadRequest("Upgrade request required")
        return await tunnel(request, target, f"{path}?{urlencode(query)}" if query else path)

    # -- logs ---------------------------------------------------------------------------------------------------

    async def _log(self, request: web.BaseRequest, pod: JSON, options: dict[str, str]) -> Answer:
        query = log_query(options)
        container = container_name(pod, options.get("container", ""))
        if not (pod.get("spec") or {}).get("nodeName"):
            return Reply(b"", status=204, content_type="")
        verify = options.get("insecureSkipTLSVerifyBackend", "0") not in TRUE
        target = self._kubelets.target(await self._node(pod, ""), verify=verify)
        path = f"/containerLogs/{meta.namespace(pod)}/{meta.name(pod)}/{quote(container)}"
        url = target.url(f"{path}?{urlencode(query)}" if query else path)
        try:
            async with self.session().get(url, ssl=target.tls or False) as answer:
                if answer.status != 200:
                    body = await answer.content.read(_CHUNK_BYTES)
                    raise _kubelet_error(answer.status, body, meta.name(pod))
                return await _stream(request, answer)
        except aiohttp.ClientConnectorError as error:
            raise errors.StatusError(f'Get "{url}": {dial_error(target, error)}') from error
        except aiohttp.ClientError as error:
            raise errors.StatusError(f'Get "{url}": {error}') from error

    async def _node(self, pod: JSON, unbound: str) -> JSON:
        node = (pod.get("spec") or {}).get("nodeName") or ""
        if not node:
            raise errors.BadRequest(unbound)
        return await existing(self._storage, kinds.NODE, "", node)


def container_name(pod: JSON, wanted: str) -> str:
    """The container meant. Raises BadRequest if it isn't one, or if the pod has several and none is named."""
    spec = pod.get("spec") or {}

    def names(field: str) -> list[str]:
        return [container.get("name", "") for container in spec.get(field) or ()]

    containers, init, ephemeral = names("containers"), names("initContainers"), names("ephemeralContainers")
    if wanted:
        if wanted not in (*containers, *init, *ephemeral):
            raise errors.BadRequest(f"container {wanted} is not valid for pod {meta.name(pod)}")
        return wanted
    if len(containers) == 1:
        return containers[0]
    if not containers:
        raise errors.BadRequest(f"a container name must be specified for pod {meta.name(pod)}")
    message = f"a container name must be specified for pod {meta.name(pod)}, choose one of: [{' '.join(containers)}]"
    if init:
        message += f" or one of the init containers: [{' '.join(init)}]"
    if ephemeral:
        message += f" or one of the ephemeral containers: [{' '.join(ephemeral)}]"
    raise errors.BadRequest(message)


def log_query(options: dict[str, str]) -> list[tuple[str, str]]:
    """The kubelet's query for a client's PodLogOptions. Raises Invalid, or BadRequest for what is no number."""
    faults: list[FieldError] = []
    query: list[tuple[str, str]] = [(flag, "true") for flag in _LOG_FLAGS if options.get(flag, "0") in TRUE]
    for option, least in _LOG_NUMBERS.items():
        text = options.get(option)
        if not text:
            continue
        try:
            number = int(text)
        except ValueError as error:
            raise errors.BadRequest(f'strconv.ParseInt: parsing "{text}": invalid syntax') from error
        if number < least:
            detail = "must be greater than 0" if least else "must be greater than or equal to 0"
            faults.append(invalid(option, number, detail))
        query.append((option, str(number)))
    if since := options.get("sinceTime"):
        query.append(("sinceTime", since))
        if options.get("sinceSeconds"):
            faults.append(forbidden("sinceSeconds", "at most one of `sinceTime` or `sinceSeconds` may be specified"))
    stream = options.get("stream")
    if stream and stream != "All":
        query.append(("stream", stream))
        if options.get("tailLines"):
            faults.append(forbidden("", "`tailLines` and specific `stream` are mutually exclusive for now"))
    if faults:
        raise errors.invalid("", "PodLogOptions", "", faults)
    return query


async def _stream(request: web.BaseRequest, answer: aiohttp.ClientResponse) -> web.StreamResponse:
    """Pass a log on as it comes."""
    response = web.StreamResponse(headers={"Content-Type": "text/plain", "Cache-Control": "no-cache, private"})
    response.enable_chunked_encoding()
    await response.prepare(request)
    async for chunk in answer.content.iter_any():
        await response.write(chunk)
    await response.write_eof()
    return response


def _kubelet_error(status: int, body: bytes, name: str) -> errors.StatusError:
    """What the kubelet said, as a Status."""
    text = body.decode(errors="replace").strip()
    if status == 400:
        return errors.BadRequest(text)
    if status == 404:
        return errors.NotFound(text or f"the server could not find the requested resource ( pods/log {name})")
    return errors.InternalError(text or f"the kubelet answered {status}")
