"""What is not a resource: version, health, metrics, discovery, OpenAPI, and the list of paths at `/`."""

from __future__ import annotations

import platform
from collections.abc import Awaitable, Callable
from typing import Final

from apimachinery import errors
from apimachinery.meta import JSON
from apiserver.endpoints import discovery, openapi
from apiserver.parts import Parts
from apiserver.replies import Reply, json_reply, text_reply
from apiserver.request import Call
from componentbase import defaults, metrics
from componentbase.health import ENDPOINTS

Document = Callable[[Call, Parts], Awaitable[Reply]]

VERSION: Final[JSON] = {
    "major": defaults.MAJOR,
    "minor": defaults.MINOR,
    "emulationMajor": defaults.MAJOR,
    "emulationMinor": defaults.MINOR,
    "minCompatibilityMajor": defaults.MAJOR,
    "minCompatibilityMinor": str(int(defaults.MINOR) - 1),
    "gitVersion": defaults.GIT_VERSION,
    "gitCommit": "",
    "gitTreeState": "clean",
    "buildDate": "1970-01-01T00:00:00Z",
    "goVersion": "",
    "compiler": platform.python_implementation(),
    "platform": f"linux/{ {'x86_64': 'amd64', 'aarch64': 'arm64'}.get(platform.machine(), platform.machine()) }",
}


async def answer(call: Call, parts: Parts) -> Reply:
    """The document of a path, or NotFound."""
    path = call.info.path.rstrip("/") or "/"
    first = path.split("/")[1]
    document = _BY_PATH.get(path) or _BY_PREFIX.get(first)
    if document is None:
        raise errors.NotFound("the server could not find the requested resource")
    if call.info.verb not in ("get", "head"):
        raise errors.MethodNotAllowed("the server does not allow this method on the requested resource")
    return await document(call, parts)


async def _root(call: Call, parts: Parts) -> Reply:
    paths = set(_BY_PATH) | {f"/{endpoint}" for endpoint in ENDPOINTS} | {"/api", "/apis", "/openapi/v3"}
    for endpoint in ENDPOINTS:
        paths |= {f"/{endpoint}/{name}" for name in parts.checks.names(endpoint)}
    for row in parts.resources.rows():
        paths.add("/api/v1" if not row.gvk.group else f"/apis/{row.gvk.api_version}")
        if row.gvk.group:
            paths.add(f"/apis/{row.gvk.group}")
    return json_reply({"paths": sorted(paths - {"/"})})


async def _version(call: Call, parts: Parts) -> Reply:
    return json_reply(VERSION)


async def _metrics(call: Call, parts: Parts) -> Reply:
    return Reply(metrics.METRICS.render(), content_type=metrics.CONTENT_TYPE)


async def _etcd_metrics(call: Call, parts: Parts) -> Reply:
    return Reply(await parts.etcd_metrics.read(), content_type=metrics.CONTENT_TYPE)


async def _health(call: Call, parts: Parts) -> Reply:
    endpoint, _, check = call.info.path.strip("/").partition("/")
    if check:
        report = await parts.checks.report_one(endpoint, check)
        if report is None:
            raise errors.NotFound("the server could not find the requested resource")
    else:
        report = await parts.checks.report(endpoint, verbose="verbose" in call.query, exclude=call.values("exclude"))
    return text_reply(report.text, status=report.code)


async def _openid(call: Call, parts: Parts) -> Reply:
    if parts.authenticator.issuer is None:
        raise errors.NotFound("the server could not find the requested resource")
    if call.info.path.endswith("/jwks"):
        reply = json_reply(parts.authenticator.jwks())
        reply.content_type = "application/jwk-set+json"
        return reply
    return json_reply(parts.authenticator.openid_configuration())


_BY_PATH: Final[dict[str, Document]] = {
    "/": _root,
    "/version": _version,
    "/metrics": _metrics,
    "/metrics/etcd": _etcd_metrics,
    "/.well-known/openid-configuration": _openid,
    "/openid/v1/jwks": _openid,
}
_BY_PREFIX: Final[dict[str, Document]] = {
    "api": discovery.answer,
    "apis": discovery.answer,
    "openapi": openapi.answer,
    **dict.fromkeys(ENDPOINTS, _health),
}
