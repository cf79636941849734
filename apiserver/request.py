"""What a request is about, before anything looks at its body.

`RequestInfo` is what authorisation, metrics and dispatch read; it is worked out from the method and the raw target
by hand, since this runs for every request: one split, no regular expressions, no URL object. `Call` carries the
request through filters and endpoints. The rules (verbs, the legacy `/watch/` prefix, namespaces as both scope and
resource, the name taken from a `metadata.name` field selector) are upstream's, see the API concepts page.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from urllib.parse import parse_qsl, unquote

from aiohttp import web

_VERBS = {
    "GET": "get",
    "HEAD": "get",
    "POST": "create",
    "PUT": "update",
    "PATCH": "patch",
    "DELETE": "delete",
}
_NAMESPACE_SUBRESOURCES = frozenset({"status", "finalize"})
TRUE = frozenset({"", "1", "t", "T", "true", "True", "TRUE"})  # as Go's ParseBool has it, and a bare `?watch`
LONG_RUNNING_SUBRESOURCES = frozenset({"exec", "attach", "portforward", "proxy", "log"})


@dataclass(frozen=True, slots=True)
class User:
    """Who asks: the outcome of authentication (or impersonation)."""

    name: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)


@dataclass(slots=True)
class RequestInfo:
    """What is asked: verb and target. For non-resource paths only `verb` and `path` are set."""

    verb: str
    is_resource: bool
    path: str
    group: str = ""
    version: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    field_selector: str = ""
    label_selector: str = ""

    @property
    def long_running(self) -> bool:
        """Streams: they end when the client goes, so they don't count as in flight."""
        return self.verb == "watch" or self.subresource in LONG_RUNNING_SUBRESOURCES


@dataclass(slots=True)
class Call:
    """One request on its way through filters and endpoints."""

    request: web.BaseRequest
    info: RequestInfo
    query: Mapping[str, str]  # the first value of each parameter
    raw_query: str
    user: User
    warnings: list[str] = field(default_factory=list)

    def values(self, name: str) -> list[str]:
        """Every value of a repeated parameter (`command=ls&command=-l`)."""
        return [value for key, value in parse_qsl(self.raw_query, keep_blank_values=True) if key == name]

    def flag(self, name: str) -> bool:
        """A boolean parameter as Go's ParseBool reads it, a bare `?watch` included."""
        value = self.query.get(name)
        return value is not None and value in TRUE


@lru_cache(maxsize=1024)
def parse_query(raw: str) -> Mapping[str, str]:
    """The first value of each parameter; shared, so never written to."""
    found: dict[str, str] = {}
    for key, value in parse_qsl(raw, keep_blank_values=True):
        found.setdefault(key, value)
    return found


_NO_QUERY: Mapping[str, str] = {}


def parse(method: str, target: str) -> tuple[RequestInfo, Mapping[str, str], str]:
    """(info, query, raw query) of a request target such as `/api/v1/pods?watch=true`."""
    path, mark, raw_query = target.partition("?")
    query = parse_query(raw_query) if mark and raw_query else _NO_QUERY
    if "%" in path:
        path = unquote(path)
    parts = path.split("/")
    if parts[-1] == "":
        parts.pop()
    # parts[0] is "" before the leading slash
    if len(parts) > 3 and parts[1] == "api":
        info = _resource(method, path, "", parts[2], parts[3:], query)
    elif len(parts) > 4 and parts[1] == "apis":
        info = _resource(method, path, parts[2], parts[3], parts[4:], query)
    else:
        info = RequestInfo(method.lower(), False, path)
    return info, query, raw_query


def _resource(
    method: str, path: str, group: str, version: str, parts: list[str], query: Mapping[str, str]
) -> RequestInfo:
    verb = _VERBS.get(method, "")
    if parts[0] == "watch" and len(parts) > 1:
        verb, parts = "watch", parts[1:]
    info = RequestInfo(verb, True, path, group, version)
    count = len(parts)
    if parts[0] == "namespaces" and count > 1:
        info.namespace = parts[1]
        if count > 2 and parts[2] not in _NAMESPACE_SUBRESOURCES:
            parts = parts[2:]
            count -= 2
    info.resource = parts[0]
    if count > 1:
        info.name = parts[1]
        if count > 2:
            info.subresource = parts[2]
        return info
    if verb == "get":
        watching = query.get("watch") if query else None
        info.verb = "watch" if watching is not None and watching in TRUE else "list"
    elif verb == "delete":
        info.verb = "deletecollection"
    if query:
        info.label_selector = query.get("labelSelector", "")
    if query and (selector := query.get("fieldSelector")):
        info.field_selector = selector
        info.name = _selected_name(selector)
    return info


def _selected_name(selector: str) -> str:
    """`metadata.name=x` asks about one object: authorisation by resourceNames applies."""
    for term in selector.split(","):
        key, equals, value = term.partition("=")
        if equals and key == "metadata.name":
            return value.removeprefix("=")
    return ""
