"""The admission chain: plugins that may change a write, then plugins that may refuse it.

A plugin says which (kind, subresource, operation) it cares about, once; the chain remembers the answer, so that a
write of a kind that nobody cares about costs one dict look-up. Order is that of `PLUGINS` in the package, which is
upstream's. A plugin refuses by raising a StatusError, usually `refused(...)`: 403 with its reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from apimachinery import errors
from apimachinery.errors import StatusError
from apimachinery.kinds import Kind
from apimachinery.meta import JSON
from apiserver.request import User

CREATE, UPDATE, DELETE = "CREATE", "UPDATE", "DELETE"


@dataclass(slots=True)
class Attributes:
    """One write, as admission sees it. Plugins of the first phase change `obj` in place."""

    user: User
    operation: str
    kind: Kind
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    obj: JSON | None = None
    old: JSON | None = None
    dry_run: bool = False
    options: JSON = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    @property
    def resource(self) -> tuple[str, str]:
        return self.kind.group, self.kind.plural

    @property
    def object(self) -> JSON:
        """The object written; an empty one for operations without."""
        return self.obj if self.obj is not None else {}


def refused(a: Attributes, message: str) -> StatusError:
    """403: the plugin's no, worded as every admission refusal is."""
    name = a.name or ((a.obj or {}).get("metadata") or {}).get("name") or ""
    if not name:
        name = ((a.obj or {}).get("metadata") or {}).get("generateName") or "unknown"
    return errors.forbidden(a.kind.group, a.kind.plural, name, message)


class Plugin:
    """Base of all plugins: cares about nothing, changes nothing, refuses nothing.

    One that has an `admit` of its own is asked in the first phase, one with a `validate` in the second.
    """

    watched: ClassVar[Mapping[tuple[str, str, str], tuple[str, ...]]] = {}  # (group, plural, subresource): operations

    def cares(self, resource: tuple[str, str], subresource: str, operation: str) -> bool:
        """Whether `admit` or `validate` may have something to do; the answer is remembered."""
        return operation in self.watched.get((*resource, subresource), ())

    async def admit(self, a: Attributes) -> None:
        """Change `a.obj`, or refuse."""

    async def validate(self, a: Attributes) -> None:
        """Refuse what may not be written."""


class Chain:
    """The plugins in order."""

    def __init__(self, plugins: Sequence[Plugin]) -> None:
        self.plugins = tuple(plugins)
        self._chosen: dict[tuple[str, str, str, str], tuple[tuple[Plugin, ...], tuple[Plugin, ...]]] = {}

    def _choose(self, kind: Kind, subresource: str, operation: str) -> tuple[tuple[Plugin, ...], tuple[Plugin, ...]]:
        key = (kind.group, kind.plural, subresource, operation)
        chosen = self._chosen.get(key)
        if chosen is None:
            caring = [each for each in self.plugins if each.cares((kind.group, kind.plural), subresource, operation)]
            chosen = self._chosen[key] = (
                tuple(each for each in caring if type(each).admit is not Plugin.admit),
                tuple(each for each in caring if type(each).validate is not Plugin.validate),
            )
        return chosen

    def interested(self, kind: Kind, subresource: str, operation: str) -> bool:
        """Whether any plugin cares; if not, the caller can spare itself the rest."""
        mutating, validating = self._choose(kind, subresource, operation)
        return bool(mutating or validating)

    async def admit(self, a: Attributes) -> None:
        """Let the plugins change `a.obj`. Raises StatusError."""
        for plugin in self._choose(a.kind, a.subresource, a.operation)[0]:
            await plugin.admit(a)

    async def validate(self, a: Attributes) -> None:
        """Let the plugins refuse the final object. Raises StatusError."""
        for plugin in self._choose(a.kind, a.subresource, a.operation)[1]:
            await plugin.validate(a)
