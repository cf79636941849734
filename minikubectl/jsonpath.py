"""kubectl's JSONPath templates: `{.items[*].metadata.name}`, `{range .items[*]}{.a}{end}`, `[?(@.type=="Ready")]`.

A template is text with expressions in braces; an expression is a chain of steps, each from a list of values to a list
of values. Compiled once (`compile`), rendered for each object.
"""

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

Step = Callable[[list[Any]], list[Any]]

_COMPARE: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}
_STRING: Final = r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'"
_TOKEN: Final = re.compile(
    rf"""
      \.\.(?P<deep>[^.\[\]{{}}\s]*)
    | \.?(?P<all>\*)
    | \.(?P<field>(?:[^.\[\]{{}}\s\\]|\\.)+)
    | \[\?\((?P<filter>(?:{_STRING}|[^()])*)\)\]
    | \[(?P<quoted>{_STRING})\]
    | \[(?P<index>[^\]]*)\]
    | (?P<here>[@$.])
    """,
    re.VERBOSE,
)
_FILTER: Final = re.compile(
    rf"^\s*(?P<left>{_STRING}|\S+?)\s*(?:(?P<op>==|!=|<=|>=|<|>)\s*(?P<right>{_STRING}|\S+)\s*)?$"
)


class TemplateError(ValueError):
    """The template makes no sense; the message says where."""


@dataclass(slots=True)
class Template:
    """Parts: text, an expression's steps, or a loop (expression, template)."""

    parts: "list[str | list[Step] | tuple[list[Step], Template]]" = field(default_factory=list)

    def render(self, value: Any) -> str:
        out: list[str] = []
        for part in self.parts:
            if isinstance(part, str):
                out.append(part)
            elif isinstance(part, tuple):
                out += [part[1].render(each) for each in _evaluate(part[0], value)]
            else:
                out.append(" ".join(_text(each) for each in _evaluate(part, value)))
        return "".join(out)


def compile(text: str) -> Template:
    """A template such as -o jsonpath takes. Raises TemplateError."""
    root = Template()
    open_: list[Template] = [root]
    for literal, expression in _pieces(text):
        if literal:
            open_[-1].parts.append(literal)
        word = expression.strip() if expression is not None else ""
        if not word:
            continue
        if word == "end":
            if len(open_) == 1:
                raise TemplateError("not in range, nothing to end")
            open_.pop()
        elif word.startswith("range "):
            inner = Template()
            open_[-1].parts.append((_steps(word[6:].strip()), inner))
            open_.append(inner)
        elif word[0] in "\"'":
            open_[-1].parts.append(_unquoted(word))
        else:
            open_[-1].parts.append(_steps(word))
    return root


def find(expression: str, value: Any) -> list[Any]:
    """The values at a path such as `.status.phase`, `{.status.phase}` or `status.phase`."""
    path = expression.strip().removeprefix("{").removesuffix("}")
    return _evaluate(_steps(path if path[:1] in (".", "[", "@", "$") else f".{path}"), value)


def _pieces(text: str) -> list[tuple[str, str | None]]:
    pieces = re.split(rf"\{{((?:{_STRING}|[^{{}}\"'])*)\}}", text)
    if any("{" in literal for literal in pieces[::2]):
        raise TemplateError(f"unclosed action in {text!r}")
    return [
        (literal, pieces[at + 1] if at + 1 < len(pieces) else None) for at, literal in enumerate(pieces) if at % 2 == 0
    ]


def _steps(path: str) -> list[Step]:
    steps: list[Step] = []
    place = 0
    if path and path[0] not in ".[@$*":
        path = f".{path}"
    while place < len(path):
        found = _TOKEN.match(path, place)
        if not found:
            raise TemplateError(f"unrecognized character in action: {path[place:]!r}")
        place = found.end()
        if found["deep"] is not None:
            steps += [_deep, *([_field(found["deep"])] if found["deep"] else [])]
        elif found["all"]:
            steps.append(_all)
        elif found["field"] is not None:
            steps.append(_field(re.sub(r"\\(.)", r"\1", found["field"])))
        elif found["filter"] is not None:
            steps.append(_filter(found["filter"]))
        elif found["quoted"] is not None:
            steps.append(_field(_unquoted(found["quoted"])))
        elif found["index"] is not None:
            steps.append(_all if found["index"] == "*" else _index(found["index"]))
    return steps


def _evaluate(steps: list[Step], value: Any) -> list[Any]:
    values = [value]
    for step in steps:
        values = step(values)
    return values


def _field(name: str) -> Step:
    return lambda values: [each[name] for each in values if isinstance(each, dict) and name in each]


def _all(values: list[Any]) -> list[Any]:
    return [
        inner
        for each in values
        if isinstance(each, (dict, list))
        for inner in (each.values() if isinstance(each, dict) else each)
    ]


def _deep(values: list[Any]) -> list[Any]:
    found = []
    for each in values:
        found += [each, *_deep(_all([each]))]
    return found


def _index(text: str) -> Step:
    try:
        parts = [int(part) if part.strip() else None for part in text.split(":")]
    except ValueError:
        raise TemplateError(f"invalid array index {text}") from None
    chosen: slice | None = slice(*parts) if len(parts) > 1 else None

    def pick(values: list[Any]) -> list[Any]:
        found: list[Any] = []
        for each in values:
            if isinstance(each, list):
                if chosen is not None:
                    found += each[chosen]
                elif parts[0] is not None and -len(each) <= parts[0] < len(each):
                    found.append(each[parts[0]])
        return found

    return pick


def _filter(text: str) -> Step:
    found = _FILTER.match(text)
    if not found:
        raise TemplateError(f"unrecognized filter {text!r}")
    left, right = _operand(found["left"]), _operand(found["right"]) if found["op"] else None
    compare = _COMPARE.get(found["op"] or "")

    def holds(item: Any) -> bool:
        ours = left(item)
        if compare is None or right is None:
            return bool(ours)
        theirs = right(item)
        try:
            return bool(ours) and bool(theirs) and bool(compare(ours[0], theirs[0]))
        except TypeError:
            return False

    return lambda values: [item for item in _all(values) if holds(item)]


def _operand(text: str) -> Callable[[Any], list[Any]]:
    if text[0] in "\"'":
        quoted = _unquoted(text)
        return lambda item: [quoted]
    if text[0] == "@":
        steps = _steps(text)
        return lambda item: _evaluate(steps, item)
    try:
        literal = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise TemplateError(f"unrecognized operand {text!r}") from None
    return lambda item: [literal]


def _unquoted(text: str) -> str:
    escapes = {"n": "\n", "t": "\t", "r": "\r"}
    return re.sub(r"\\(.)", lambda found: escapes.get(found[1], found[1]), text[1:-1])


def _text(value: Any) -> str:
    return (
        value
        if isinstance(value, str)
        else ""
        if value is None
        else orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
    )
