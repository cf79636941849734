"""Discovery: which groups, versions, resources and verbs there are.

Newer clients ask `/api` and `/apis` for everything at once (apidiscovery.k8s.io); older ones walk from the list of
groups to each group-version's resources. All documents are made from the table of served resources, kept as bytes
with a strong ETag, and made again when the table changes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import lru_cache
from itertools import groupby
from typing import Final

import orjson

from apimachinery import errors
from apimachinery.kinds import GVK
from apimachinery.meta import JSON
from apiserver.endpoints import negotiation
from apiserver.parts import Parts
from apiserver.replies import Reply
from apiserver.request import Call
from apiserver.resources import Resource, Resources

_AGGREGATED: Final = "APIGroupDiscoveryList"
# How groups are ordered: what stands first is preferred where short names clash.
_FIRST: Final = ("", "apps", "events.k8s.io", "authentication.k8s.io", "authorization.k8s.io", "autoscaling", "batch")


async def answer(call: Call, parts: Parts) -> Reply:
    """`/api`, `/apis` and what is below them."""
    path = call.info.path.rstrip("/")
    aggregated = _aggregated_version(call) if path in ("/api", "/apis") else ""
    body, etag = _document(parts.resources, parts.resources.generation, path, aggregated, _address(parts))
    content_type = "application/json"
    if aggregated:
        content_type = f"application/json;g=apidiscovery.k8s.io;v={aggregated};as={_AGGREGATED}"
    headers = {"ETag": etag, "Vary": "Accept"} if path in ("/api", "/apis") else {}
    if headers and call.request.headers.get("If-None-Match") == etag:
        return Reply(b"", status=304, content_type="", headers=headers)
    return Reply(body, content_type=content_type, headers=headers)


def _address(parts: Parts) -> str:
    return f"{parts.options.advertise_address or '127.0.0.1'}:{parts.options.secure_port}"


def _aggregated_version(call: Call) -> str:
    """The version of aggregated discovery that the client prefers to the legacy document, "" if it wants the latter."""
    for media, parameters in negotiation.accepted(call.request.headers.get("Accept", "*/*")):
        if media not in ("application/json", "*/*", "application/*"):
            continue
        if not parameters.get("as"):
            return ""
        version = parameters.get("v", "")
        if parameters["as"] == _AGGREGATED and version in negotiation.DISCOVERY_FORMS:
            return version
    raise errors.NotAcceptable("only the following media types are accepted: application/json")


@lru_cache(maxsize=256)
def _document(resources: Resources, generation: int, path: str, aggregated: str, address: str) -> tuple[bytes, str]:
    """(body, ETag). `generation` is there for the cache."""
    body = orjson.dumps(_made(resources, path, aggregated, address))
    return body, f'"{hashlib.sha256(body).hexdigest().upper()}"'


def _made(resources: Resources, path: str, aggregated: str, address: str) -> JSON:
    groups = grouped(resources.rows())
    pieces = path.strip("/").split("/")
    if aggregated:
        wanted = [(g, v) for g, v in groups.items() if bool(g) == (pieces[0] == "apis")]
        return {
            "kind": _AGGREGATED,
            "apiVersion": f"apidiscovery.k8s.io/{aggregated}",
            "metadata": {},
            "items": [_group_item(group, versions) for group, versions in wanted],
        }
    if pieces == ["api"]:
        addresses = [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}]
        return {"kind": "APIVersions", "versions": list(groups.get("", {})), "serverAddressByClientCIDRs": addresses}
    if pieces == ["apis"]:
        listed = [_group(group, versions) for group, versions in groups.items() if group]
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": listed}
    if len(pieces) == 2 and pieces[0] == "apis" and pieces[1] in groups and pieces[1]:
        return {"kind": "APIGroup", "apiVersion": "v1", **_group(pieces[1], groups[pieces[1]])}
    group, version = ("", pieces[-1]) if pieces[0] == "api" else (pieces[1], pieces[-1])
    rows = groups.get(group, {}).get(version) if len(pieces) == (2 if pieces[0] == "api" else 3) else None
    if rows is None:
        raise errors.NotFound("the server could not find the requested resource")
    return _resource_list(GVK(group, version, "").api_version, rows)


def grouped(rows: Iterable[Resource]) -> dict[str, dict[str, list[Resource]]]:
    """Resources by group and version: groups in their order, the preferred version first."""

    def rank(row: Resource) -> tuple[int, str, int, str]:
        place = _FIRST.index(row.kind.group) if row.kind.group in _FIRST else len(_FIRST)
        return place, row.kind.group, -_stability(row.gvk.version), row.kind.plural

    found: dict[str, dict[str, list[Resource]]] = {}
    for group, members in groupby(sorted(rows, key=rank), key=lambda row: row.kind.group):
        versions: dict[str, list[Resource]] = {}
        for row in members:
            versions.setdefault(row.gvk.version, []).append(row)
        found[group] = versions
    return found


def _stability(version: str) -> int:
    """v2 over v1 over v1beta1 over v1alpha1."""
    major, _, rest = version.removeprefix("v").partition("beta")
    if not rest:
        major, _, alpha = version.removeprefix("v").partition("alpha")
        if not alpha:
            return 1_000_000 + int(major) if major.isdigit() else 0
        return 1_000 * int(major) + int(alpha)
    return 100_000 + 1_000 * int(major) + int(rest)


def _group_item(group: str, versions: dict[str, list[Resource]]) -> JSON:
    return {
        "metadata": {"name": group, "creationTimestamp": None} if group else {"creationTimestamp": None},
        "versions": [
            {"version": version, "resources": [_resource_item(row) for row in rows], "freshness": "Current"}
            for version, rows in versions.items()
        ],
    }


def _response_kind(gvk: GVK) -> JSON:
    return {"group": gvk.group, "version": gvk.version, "kind": gvk.kind}


def _resource_item(row: Resource) -> JSON:
    kind = row.kind
    item: JSON = {
        "resource": kind.plural,
        "responseKind": _response_kind(row.gvk),
        "scope": "Namespaced" if kind.namespaced else "Cluster",
        "singularResource": kind.singular,
        "verbs": sorted(kind.verbs),
    }
    if kind.short_names:
        item["shortNames"] = list(kind.short_names)
    if kind.categories:
        item["categories"] = list(kind.categories)
    if kind.subresources:
        item["subresources"] = [
            {
                "subresource": each.name,
                "responseKind": _response_kind(own_version(each.gvk, row)),
                "verbs": sorted(each.verbs),
            }
            for each in kind.subresources
        ]
    return item


def own_version(gvk: GVK, row: Resource) -> GVK:
    """A subresource that shows its parent's kind shows it in the parent's version."""
    return row.gvk if (gvk.group, gvk.kind) == (row.gvk.group, row.gvk.kind) else gvk


def _group(group: str, versions: dict[str, list[Resource]]) -> JSON:
    listed = [{"groupVersion": f"{group}/{version}", "version": version} for version in versions]
    return {"name": group, "versions": listed, "preferredVersion": listed[0]}


def _resource_list(api_version: str, rows: list[Resource]) -> JSON:
    listed: list[JSON] = []
    for row in rows:
        kind = row.kind
        entry: JSON = {
            "name": kind.plural,
            "singularName": kind.singular,
            "namespaced": kind.namespaced,
            "kind": kind.kind,
            "verbs": sorted(kind.verbs),
        }
        if kind.short_names:
            entry["shortNames"] = list(kind.short_names)
        if kind.categories:
            entry["categories"] = list(kind.categories)
        listed.append(entry)
        for each in kind.subresources:
            gvk = own_version(each.gvk, row)
            shown: JSON = {
                "name": f"{kind.plural}/{each.name}",
                "singularName": "",
                "namespaced": kind.namespaced,
                "kind": gvk.kind,
                "verbs": sorted(each.verbs),
            }
            if gvk.api_version != api_version:
                shown |= {"group": gvk.group, "version": gvk.version}
            listed.append(shown)
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": api_version, "resources": listed}
