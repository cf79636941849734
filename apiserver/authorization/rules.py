"""One policy rule of a Role or ClusterRole, compiled for matching, and the question whether rules cover rules.

`covered` is what keeps privilege from growing: who writes a role or binding must already hold what it grants. The
granted rules are broken into single (verb, group, resource, name) pieces, since one broad rule may be covered by
several narrow ones together.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product

from apimachinery.meta import JSON

_ALL = "*"


@dataclass(frozen=True, slots=True)
class Rule:
    """What a PolicyRule says, as sets."""

    verbs: frozenset[str]
    groups: frozenset[str] = frozenset()
    resources: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()
    urls: frozenset[str] = frozenset()

    def has_verb(self, verb: str) -> bool:
        return verb in self.verbs or _ALL in self.verbs

    def has_group(self, group: str) -> bool:
        return group in self.groups or _ALL in self.groups

    def has_resource(self, resource: str, subresource: str) -> bool:
        """`resource` itself, `resource/subresource`, `*` for everything, `*/subresource` for that one everywhere."""
        if _ALL in self.resources:
            return True
        if not subresource:
            return resource in self.resources
        return f"{resource}/{subresource}" in self.resources or f"*/{subresource}" in self.resources

    def has_url(self, path: str) -> bool:
        """Non-resource paths: exact, or a prefix ending in `*`."""
        return any(url == path or (url.endswith(_ALL) and path.startswith(url[:-1])) for url in self.urls)

    def matches(self, verb: str, group: str, resource: str, subresource: str = "") -> bool:
        """Whether the rule speaks of this resource and verb, whatever the object's name."""
        return self.has_verb(verb) and self.has_group(group) and self.has_resource(resource, subresource)

    def matches_path(self, verb: str, path: str) -> bool:
        return self.has_verb(verb) and self.has_url(path)


def compile_rule(rule: JSON) -> Rule:
    """A PolicyRule from the wire; absent lists are empty."""
    return Rule(
        frozenset(rule.get("verbs") or ()),
        frozenset(rule.get("apiGroups") or ()),
        frozenset(rule.get("resources") or ()),
        frozenset(rule.get("resourceNames") or ()),
        frozenset(rule.get("nonResourceURLs") or ()),
    )


def compile_rules(rules: Iterable[JSON] | None) -> tuple[Rule, ...]:
    return tuple(compile_rule(rule) for rule in rules or ())


@dataclass(frozen=True, slots=True, order=True)
class _Piece:
    """The smallest thing that can be granted: one verb on one resource (perhaps of one name) or one URL."""

    group: str
    resource: str
    name: str
    url: str
    verb: str


def _pieces(rule: Rule) -> Iterable[_Piece]:
    for verb, url in product(rule.verbs, rule.urls):
        yield _Piece("", "", "", url, verb)
    for verb, group, resource, name in product(rule.verbs, rule.groups, rule.resources, rule.names or ("",)):
        yield _Piece(group, resource, name, "", verb)


def _holds(rule: Rule, piece: _Piece) -> bool:
    if not rule.has_verb(piece.verb):
        return False
    if piece.url:
        return rule.has_url(piece.url)
    resource, _, subresource = piece.resource.partition("/")
    named = not rule.names or (bool(piece.name) and piece.name in rule.names)
    return named and rule.has_group(piece.group) and rule.has_resource(resource, subresource)


def uncovered(held: Sequence[Rule], granted: Iterable[Rule]) -> list[str]:
    """What of `granted` is not in `held`, one line for each resource as upstream prints it; empty if all is."""
    missing: dict[_Piece, set[str]] = {}
    for rule in granted:
        for piece in _pieces(rule):
            if not any(_holds(mine, piece) for mine in held):
                rest = _Piece(piece.group, piece.resource, piece.name, piece.url, "")
                missing.setdefault(rest, set()).add(piece.verb)
    return [_describe(piece, sorted(verbs)) for piece, verbs in sorted(missing.items())]


def _describe(piece: _Piece, verbs: list[str]) -> str:
    def quoted(values: list[str]) -> str:
        return "[" + ", ".join(f'"{value}"' for value in values) + "]"

    if piece.url:
        return f"{{NonResourceURLs:{quoted([piece.url])}, Verbs:{quoted(verbs)}}}"
    names = f", ResourceNames:{quoted([piece.name])}" if piece.name else ""
    return f"{{APIGroups:{quoted([piece.group])}, Resources:{quoted([piece.resource])}{names}, Verbs:{quoted(verbs)}}}"


def covers(held: Sequence[Rule], granted: Rule) -> bool:
    return all(any(_holds(mine, piece) for mine in held) for piece in _pieces(granted))
