"""Label selectors: `app=web,tier in (a,b),!old` in a query, matchLabels and matchExpressions in an object.

A selector is immutable, so it can be shared, cached and used as a key. `equalities` are the requirements that an index
over labels can answer; `matches` is still to be asked of what the index finds.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

# operators as LabelSelectorRequirement and NodeSelectorRequirement write them
IN, NOT_IN, EXISTS, DOES_NOT_EXIST, GT, LT = "In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"

_NAME: Final = r"[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?"
_KEY: Final = re.compile(rf"(?:[a-z0-9](?:[-a-z0-9.]*[a-z0-9])?/)?{_NAME}")
_VALUE: Final = re.compile(rf"(?:{_NAME})?")
_TERM: Final = re.compile(
    r"""\s*(?:
        (?P<absent>!)\s*(?P<absent_key>[^\s,!=<>()]+)
      | (?P<set_key>[^\s,!=<>()]+)\s+(?P<set>in|notin)\s*\((?P<values>[^()]*)\)
      | (?P<key>[^\s,!=<>()]+)\s*(?:(?P<op>==|=|!=|>|<)\s*(?P<value>[^\s,!=<>()]*))?
    )\s*(?:,(?=\s*\S)|$)""",
    re.VERBOSE,
)

_TOKEN: Final = re.compile(r"[!=]=|[!=<>(),]|[^\s,!=<>()]+")


@dataclass(frozen=True, slots=True)
class Requirement:
    """One condition on one label."""

    key: str
    operator: str
    values: tuple[str, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        value = labels.get(self.key)
        match self.operator:
            case "In":
                return value is not None and value in self.values
            case "NotIn":
                return value is None or value not in self.values
            case "Exists":
                return value is not None
            case "DoesNotExist":
                return value is None
        try:
            difference = int(value or "") - int(self.values[0])
        except ValueError:
            return False
        return difference > 0 if self.operator == GT else difference < 0

    def __str__(self) -> str:
        match self.operator:
            case "In" if len(self.values) == 1:
                return f"{self.key}={self.values[0]}"
            case "NotIn" if len(self.values) == 1:
                return f"{self.key}!={self.values[0]}"
            case "In" | "NotIn":
                return f"{self.key} {self.operator.lower()} ({','.join(sorted(self.values))})"
            case "Exists":
                return self.key
            case "DoesNotExist":
                return f"!{self.key}"
        return f"{self.key}{'>' if self.operator == GT else '<'}{self.values[0]}"


@dataclass(frozen=True, slots=True)
class Selector:
    """Requirements that all have to hold. Without any it matches everything, `nothing` matches nothing."""

    requirements: tuple[Requirement, ...] = ()
    nothing: bool = False
    equalities: dict[str, str] = field(init=False, repr=False, compare=False, hash=False)
    _others: tuple[Requirement, ...] = field(init=False, repr=False, compare=False, hash=False)

    def __post_init__(self) -> None:
        equalities: dict[str, str] = {}
        others = []
        for each in self.requirements:
            if each.operator == IN and len(each.values) == 1 and each.key not in equalities:
                equalities[each.key] = each.values[0]
            else:
                others.append(each)
        object.__setattr__(self, "equalities", equalities)
        object.__setattr__(self, "_others", tuple(others))

    @property
    def empty(self) -> bool:
        """Whether it matches everything."""
        return not self.requirements and not self.nothing

    def matches(self, labels: Mapping[str, str]) -> bool:
        if self.nothing:
            return False
        for key, value in self.equalities.items():
            if labels.get(key) != value:
                return False
        return not self._others or all(each.matches(labels) for each in self._others)

    def __str__(self) -> str:
        """The selector as a query writes it."""
        return ",".join(str(each) for each in self.requirements)


EVERYTHING: Final = Selector()
NOTHING: Final = Selector(nothing=True)


@lru_cache(maxsize=1024)
def parse(text: str) -> Selector:
    """The selector of a labelSelector parameter. Raises ValueError that says what can't be read."""
    requirements = []
    position = 0
    while position < len(text) and text[position:].strip():
        term = _TERM.match(text, position)
        if term is None:
            raise ValueError(f"unable to parse requirement: {_unexpected(text[position:])}")
        requirements.append(_requirement(term))
        position = term.end()
    return Selector(tuple(sorted(requirements, key=lambda each: each.key)))


def _unexpected(text: str) -> str:
    """Where a requirement that can't be read goes wrong, in the words that clients know."""
    tokens = iter(_TOKEN.findall(text))
    key = next(tokens, "")
    if key == "!":
        return f"found '{next(tokens, '')}', expected: identifier"
    if not key[:1].isalnum():
        return f"found '{key}', expected: !, identifier, or 'end of string'"
    operator = next(tokens, "")
    if operator not in _OPERATORS:
        return f"found '{operator}', expected: in, notin, =, ==, !=, gt, lt"
    found = next(tokens, "")
    if operator not in ("in", "notin"):
        return f"found '{next(tokens, '')}', expected: ',' or 'end of string'"
    if found != "(":
        return f"found '{found}' expected: '('"
    wrong = next((each for each in tokens if each != "," and not each[:1].isalnum()), "")
    return f"found '{wrong}', expected: ',' or ')'"


_OPERATORS: Final = {"=": IN, "==": IN, "!=": NOT_IN, ">": GT, "<": LT, "in": IN, "notin": NOT_IN}


def _requirement(term: re.Match[str]) -> Requirement:
    if term["absent"]:
        return _checked(Requirement(term["absent_key"], DOES_NOT_EXIST))
    if term["set"]:
        values = dict.fromkeys(value.strip() for value in term["values"].split(","))
        return _checked(Requirement(term["set_key"], _OPERATORS[term["set"]], tuple(values)))
    if term["op"]:
        return _checked(Requirement(term["key"], _OPERATORS[term["op"]], (term["value"],)))
    return _checked(Requirement(term["key"], EXISTS))


def _checked(requirement: Requirement) -> Requirement:
    key = requirement.key
    if not _KEY.fullmatch(key) or len(key.rpartition("/")[2]) > 63:
        raise ValueError(f'unable to parse requirement: key: Invalid value: "{key}": not a qualified name')
    for value in requirement.values:
        if requirement.operator in (GT, LT):
            if not re.fullmatch(r"-?\d+", value):
                raise ValueError(f"unable to parse requirement: values[0]: Invalid value: {value!r}: not an integer")
        elif not _VALUE.fullmatch(value) or len(value) > 63:
            raise ValueError(f'unable to parse requirement: values[0][{key}]: Invalid value: "{value}"')
    return requirement


def from_label_selector(selector: Mapping[str, Any] | None) -> Selector:
    """The selector of a metav1.LabelSelector: None matches nothing, an empty one everything. Raises ValueError."""
    if selector is None:
        return NOTHING
    requirements = [
        Requirement(key, IN, (value,)) for key, value in sorted((selector.get("matchLabels") or {}).items())
    ]
    for expression in selector.get("matchExpressions") or ():
        operator, values = expression.get("operator"), tuple(expression.get("values") or ())
        if operator not in (IN, NOT_IN, EXISTS, DOES_NOT_EXIST):
            raise ValueError(f'"{operator}" is not a valid label selector operator')
        if bool(values) != (operator in (IN, NOT_IN)):
            raise ValueError(f"values of operator {operator} must be {'empty' if values else 'given'}")
        requirements.append(Requirement(expression["key"], operator, values))
    return Selector(tuple(sorted(requirements, key=lambda each: each.key))) if requirements else EVERYTHING


def from_labels(labels: Mapping[str, str] | None) -> Selector:
    """The selector of a plain map, as Services and ReplicationControllers have it: none or empty matches nothing."""
    if not labels:
        return NOTHING
    return Selector(tuple(Requirement(key, IN, (value,)) for key, value in sorted(labels.items())))
