"""Names and label syntax: each check says what is wrong in the API's words, or nothing.

A check takes a text and returns messages, [] where it is right. The patterns are RFC 1123's and RFC 1035's, as
Kubernetes narrows them.
"""

import re
import secrets
from collections.abc import Callable
from typing import Final

Check = Callable[[str], list[str]]

SUBDOMAIN_LENGTH: Final = 253
LABEL_LENGTH: Final = 63
_LABEL: Final = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN: Final = rf"{_LABEL}(\.{_LABEL})*"
_QUALIFIED: Final = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_ALPHABET: Final = "bcdfghjklmnpqrstvwxz2456789"  # no vowels, nothing that reads as another: no words by accident
_BASE_LENGTH: Final = 58
_START_END: Final = "and must start and end with an alphanumeric character"


def _pattern_check(pattern: str, limit: int, message: str, *examples: str) -> Check:
    """A check of length and form; the message ends as the API's do: examples, then the expression."""
    compiled = re.compile(pattern)
    shown = " or ".join(f"'{each}', " for each in examples)
    text = f"{message} (e.g. {shown}regex used for validation is '{pattern}')"

    def check(value: str) -> list[str]:
        if len(value) > limit:  # not matched too: what a client sends may be long
            return [f"must be no more than {limit} bytes"]
        return [] if compiled.fullmatch(value) else [text]

    return check


dns1123_label: Final = _pattern_check(
    _LABEL,
    LABEL_LENGTH,
    f"a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', {_START_END}",
    "my-name",
    "123-abc",
)
dns1123_subdomain: Final = _pattern_check(
    _SUBDOMAIN,
    SUBDOMAIN_LENGTH,
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', "
    "and must start and end with an alphanumeric character",
    "example.com",
)
dns1035_label: Final = _pattern_check(
    "[a-z]([-a-z0-9]*[a-z0-9])?",
    LABEL_LENGTH,
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic "
    "character, and end with an alphanumeric character",
    "my-name",
    "abc-123",
)
label_value: Final = _pattern_check(
    f"({_QUALIFIED})?",
    LABEL_LENGTH,
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', "
    "and must start and end with an alphanumeric character",
    "MyValue",
    "my_value",
    "12345",
)
config_map_key: Final = _pattern_check(
    "[-._a-zA-Z0-9]+",
    SUBDOMAIN_LENGTH,
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
    "key.name",
    "KEY_NAME",
    "key-name",
)
_qualified_part: Final = _pattern_check(
    _QUALIFIED,
    LABEL_LENGTH,
    "name part must consist of alphanumeric characters, '-', '_' or '.', "
    "and must start and end with an alphanumeric character",
    "MyName",
    "my.name",
    "123-abc",
)


def qualified_name(value: str) -> list[str]:
    """A label key, annotation key, resource or condition name: a name with an optional DNS prefix and a slash."""
    prefix, slash, name = value.rpartition("/")
    if "/" in prefix:
        return [
            "a qualified name must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an "
            "alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
            f"'{_QUALIFIED}') with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
        ]
    problems = []
    if slash and not prefix:
        problems.append("prefix part must be non-empty")
    elif slash:
        problems += [f"prefix part {each}" for each in dns1123_subdomain(prefix)]
    if not name:
        problems.append("name part must be non-empty")
    problems += _qualified_part(name)
    return problems


def path_segment(value: str) -> list[str]:
    """Names of RBAC objects and others that only have to fit into a URL."""
    if value in (".", ".."):
        return [f"may not be '{value}'"]
    return [f"may not contain '{char}'" for char in "/%" if char in value]


def port_name(value: str) -> list[str]:
    """A container port's name (an IANA service name)."""
    problems = []
    if len(value) > 15:
        problems.append("must be no more than 15 characters")
    if not re.fullmatch("[-a-z0-9]+", value):
        problems.append("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
    if not re.search("[a-z]", value):
        problems.append("must contain at least one letter (a-z)")
    if "--" in value:
        problems.append("must not contain consecutive hyphens")
    if value.startswith("-") or value.endswith("-"):
        problems.append("must not begin or end with a hyphen")
    return problems


def generate(base: str) -> str:
    """`base` with five random characters, cut so that the whole fits a label: what `generateName` becomes."""
    return base[:_BASE_LENGTH] + "".join(secrets.choice(_ALPHABET) for _ in range(5))
