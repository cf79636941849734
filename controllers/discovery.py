"""Which kinds the API server has, custom ones too, as rows like those of `apimachinery.kinds`.

For the two controllers that deal with everything: namespace deletion and the garbage collector.
"""

from typing import Any

from apimachinery.kinds import Kind
from kubeclient.rest import Client

JSON = dict[str, Any]
_ACCEPT = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


async def discover(client: Client, *, verbs: set[str]) -> list[Kind]:
    """A row for every resource that has all of `verbs`, in its group's preferred version of it.

    A group that can't be reached at the moment (an aggregated server) is marked stale by the server and left out.
    """
    found: dict[tuple[str, str], Kind] = {}
    for path in ("/api", "/apis"):
        document = await client.request("GET", path, headers={"Accept": _ACCEPT})
        for group in document.get("items") or ():
            for kind in _rows(group, verbs):
                found.setdefault((kind.group, kind.plural), kind)
    return list(found.values())


def _rows(group: JSON, verbs: set[str]) -> list[Kind]:
    name = (group.get("metadata") or {}).get("name") or ""
    return [
        _row(name, version["version"], resource)
        for version in group.get("versions") or ()
        if version.get("freshness") != "Stale"
        for resource in version.get("resources") or ()
        if verbs <= set(resource.get("verbs") or ())
    ]


def _row(group: str, version: str, resource: JSON) -> Kind:
    return Kind(
        group=group,
        versions=(version,),
        kind=(resource.get("responseKind") or {}).get("kind") or "",
        plural=resource["resource"],
        singular=resource.get("singularResource") or "",
        namespaced=resource.get("scope") == "Namespaced",
        verbs=tuple(resource.get("verbs") or ()),
    )
