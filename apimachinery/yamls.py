"""YAML as Kubernetes reads it, on the way to JSON.

Clients and servers of Kubernetes read YAML with Go's library, whose plain scalars are those of YAML 1.1 with some of
1.2: `y` and `on` are true, `0o17` and `1e3` are numbers; `1:30`, `2001-01-01` and `=` are text, which PyYAML takes for
a number, a time and something of its own. Keys become text.
"""

import re
from typing import Any, Final

import orjson
import yaml

_PLAIN: Final = "tag:yaml.org,2002:"
_KEPT: Final = (f"{_PLAIN}null", f"{_PLAIN}merge")
_TRUE: Final = ("y", "yes", "on", "true")
_FALSE: Final = ("n", "no", "off", "false")
_BOOL: Final = "|".join(form for word in (*_TRUE, *_FALSE) for form in {word, word.capitalize(), word.upper()})
_WHOLE: Final = "0b[01_]+|0o[0-7_]+|0x[0-9a-fA-F_]+"
_DECIMAL: Final = r"(\.[0-9][0-9_]*|[0-9][0-9_]*(\.[0-9_]*)?)([eE][-+]?[0-9]+)?"
_OCTAL: Final = re.compile("[-+]?0[0-7]+")


class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """PyYAML's safe loader with those scalars."""

    yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag in _KEPT]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_number(self, node: yaml.ScalarNode) -> int | float:
        text = node.value.replace("_", "")
        if _OCTAL.fullmatch(text):
            return int(text, 8)
        try:
            return int(text, 0)
        except ValueError:  # 08, 1.5, 1e3
            number = float(text)
            return int(number) if number.is_integer() else number

    def construct_bool(self, node: yaml.ScalarNode) -> bool:
        return node.value.lower() in _TRUE


Loader.add_implicit_resolver(f"{_PLAIN}bool", re.compile(f"(?:{_BOOL})$"), list("yYnNtTfFoO"))
Loader.add_implicit_resolver(f"{_PLAIN}float", re.compile(f"[-+]?({_WHOLE}|{_DECIMAL})$"), list("-+.0123456789"))
Loader.add_constructor(f"{_PLAIN}bool", Loader.construct_bool)
for _kind in ("int", "float"):  # !!int "1", too
    Loader.add_constructor(f"{_PLAIN}{_kind}", Loader.construct_number)


def is_text(scalar: str) -> bool:
    """Whether a text, written without quotes, is read as text again."""
    patterns = Loader.yaml_implicit_resolvers.get(scalar[:1], ())
    return not any(pattern.match(scalar) for _, pattern in patterns)


def load(text: str | bytes, loader: type = Loader) -> Any:
    """The one document of a text, as JSON has it. Raises yaml.YAMLError, and ValueError for what JSON can't say."""
    try:
        # round trip: text keys only, and no object twice in the tree
        return orjson.loads(orjson.dumps(yaml.load(text, loader), option=orjson.OPT_NON_STR_KEYS))
    except (TypeError, RecursionError) as error:
        raise ValueError(str(error)) from error
