"""From what a user types to kinds and names: `pods`, `po/web`, `deploy web db`, `svc,ep`, `all`.

Official kinds come from the table, everything else (custom resources) from the server's discovery, asked only when the
table doesn't know a word.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from apimachinery.errors import StatusError
from apimachinery.kinds import GVK, KINDS, Kind, by_gvk
from kubeclient.rest import Client

JSON = dict[str, Any]
_DISCOVERY: Final = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


class UnknownKind(ValueError):
    """The server has no such resource type; the message is kubectl's."""


@dataclass(frozen=True, slots=True)
class Target:
    """Some objects of one kind; no names: all of them."""

    kind: Kind
    names: tuple[str, ...] = ()


class Catalog:
    """The kinds of one server."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._custom: tuple[Kind, ...] | None = None

    async def find(self, word: str) -> Kind:
        """The kind that a word means: plural, singular, short name, kind, each also with its group."""
        return _match(word, KINDS) or _match(word, await self._others()) or _raise(word)

    async def of(self, api_version: str, kind: str) -> Kind | None:
        """The kind of a manifest, its first version the one asked for; None if the server hasn't it."""
        gvk = GVK.of(api_version, kind)
        try:
            row: Kind | None = by_gvk(gvk)
        except KeyError:
            found = [each for each in await self._others() if each.group == gvk.group and each.kind == kind]
            row = next((each for each in found if gvk.version in each.versions), None)
        return replace(row, versions=(gvk.version,)) if row else None

    async def targets(self, arguments: Sequence[str]) -> list[Target]:
        """What `TYPE[,TYPE] [NAME...]` or `TYPE/NAME ...` names."""
        if not arguments:
            raise UnknownKind("You must specify the type of resource to get.")
        if any("/" in word for word in arguments):
            targets = []
            for word in arguments:
                type_, _, name = word.partition("/")
                if not type_ or not name:
                    raise UnknownKind(
                        "there is no need to specify a resource type as a separate argument when passing arguments in "
                        "resource/name form (e.g. 'get resource/<resource_name>' instead of 'get resource "
                        "resource/<resource_name>'"
                    )
                targets.append(Target(await self.find(type_), (name,)))
            return targets
        kinds: list[Kind] = []
        for word in arguments[0].split(","):
            members = [row for row in KINDS if word in row.categories and row.served]
            kinds += members or [await self.find(word)]
        return [Target(kind, tuple(arguments[1:])) for kind in kinds]

    async def everything(self) -> list[Kind]:
        """All that the server has: the table's rows and the custom ones."""
        return [row for row in KINDS if row.served] + list(await self._others())

    async def _others(self) -> tuple[Kind, ...]:
        if self._custom is None:
            try:
                listed = await self._client.request("GET", "/apis", headers={"Accept": _DISCOVERY})
            except StatusError:
                listed = {}
            known = {(row.group, row.plural) for row in KINDS}
            found = [row for group in listed.get("items") or () for row in _rows(group)]
            self._custom = tuple(row for row in found if (row.group, row.plural) not in known)
        return self._custom


def _rows(group: JSON) -> list[Kind]:
    rows: dict[str, Kind] = {}
    for version in group.get("versions") or ():
        for resource in version.get("resources") or ():
            plural = resource["resource"]
            if plural in rows:
                rows[plural] = replace(rows[plural], versions=(*rows[plural].versions, version["version"]))
                continue
            rows[plural] = Kind(
                group=group["metadata"]["name"],
                versions=(version["version"],),
                kind=(resource.get("responseKind") or {}).get("kind") or "",
                plural=plural,
                singular=resource.get("singularResource") or "",
                namespaced=resource.get("scope") == "Namespaced",
                short_names=tuple(resource.get("shortNames") or ()),
                categories=tuple(resource.get("categories") or ()),
                verbs=tuple(resource.get("verbs") or ()),
            )
    return list(rows.values())


def _match(word: str, rows: Sequence[Kind]) -> Kind | None:
    name, _, rest = word.lower().partition(".")
    for row in rows:
        names = (row.plural, row.singular, row.kind.lower(), *row.short_names)
        groups = ("", row.group, *(f"{version}.{row.group}" for version in row.versions))
        if row.served and name in names and rest.rstrip(".") in groups:
            return row
    return None


def _raise(word: str) -> Kind:
    raise UnknownKind(f'the server doesn\'t have a resource type "{word}"')


def shown(kind: Kind, name: str) -> str:
    """ "pod/web", "deployment.apps/web": how messages name an object."""
    return f"{kind.singular}.{kind.group}/{name}" if kind.group else f"{kind.singular}/{name}"


def quoted(kind: Kind, name: str) -> str:
    """'deployment.apps "web"': how deletions name one."""
    return f'{kind.singular}.{kind.group} "{name}"' if kind.group else f'{kind.singular} "{name}"'
