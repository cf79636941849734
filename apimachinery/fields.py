"""Field selectors: `status.phase=Running,spec.nodeName!=a`, over the few fields a kind selects by.

Which fields those are is data in the kind's row; refusing others is for whoever knows the kind (`unknown`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple

ALWAYS: Final = ("metadata.name", "metadata.namespace")


class FieldRequirement(NamedTuple):
    field: str
    op: str  # "=" or "!="
    value: str


@dataclass(frozen=True, slots=True)
class FieldSelector:
    """Requirements that all have to hold; an absent field counts as ""."""

    requirements: tuple[FieldRequirement, ...] = ()

    @property
    def empty(self) -> bool:
        return not self.requirements

    def matches(self, fields: Mapping[str, str]) -> bool:
        return all((fields.get(field, "") == value) is (op == "=") for field, op, value in self.requirements)

    def exact(self, field: str) -> str | None:
        """The value the field must have, None where it may have several."""
        return next((each.value for each in self.requirements if each.field == field and each.op == "="), None)

    def unknown(self, selectable: Iterable[str]) -> str | None:
        """The first field that is neither one of these nor selectable in every kind."""
        allowed = {*ALWAYS, *selectable}
        return next((each.field for each in self.requirements if each.field not in allowed), None)

    def __str__(self) -> str:
        return ",".join(f"{field}{op}{_escape(value)}" for field, op, value in self.requirements)


@lru_cache(maxsize=1024)
def parse(text: str) -> FieldSelector:
    """The selector of a fieldSelector parameter. Raises ValueError that says what can't be read."""
    requirements = []
    for term in _split(text):
        if not term:
            continue
        name, op, value = _operator(term, text)
        requirements.append(FieldRequirement(name.strip(), op, _unescape(value, text)))
    return FieldSelector(tuple(requirements))


def _split(text: str) -> list[str]:
    """The terms between unescaped commas, still escaped."""
    terms, start, position = [], 0, 0
    while position < len(text):
        if text[position] == "\\":
            position += 1
        elif text[position] == ",":
            terms.append(text[start:position])
            start = position + 1
        position += 1
    terms.append(text[start:])
    return terms


def _operator(term: str, whole: str) -> tuple[str, str, str]:
    for position in range(len(term)):
        for written, op in (("!=", "!="), ("==", "="), ("=", "=")):
            if term.startswith(written, position):
                return term[:position], op, term[position + len(written) :]
    raise ValueError(f"invalid selector: '{whole}'; can't understand '{term}'")


def _escape(value: str) -> str:
    return "".join(f"\\{char}" if char in "\\,=" else char for char in value)


def _unescape(value: str, whole: str) -> str:
    plain, escaped = [], False
    for char in value:
        if escaped:
            if char not in "\\,=":
                raise ValueError(f"invalid selector: '{whole}'; invalid escape sequence '\\{char}'")
            plain.append(char)
            escaped = False
        elif char == "\\":
            escaped = True
        elif char == "=":
            raise ValueError(f"invalid selector: '{whole}'; unescaped '=' in '{value}'")
        else:
            plain.append(char)
    if escaped:
        raise ValueError(f"invalid selector: '{whole}'; ends in an escape")
    return "".join(plain)
