"""Names: what may be one, and how one is made from `generateName`.

The rules are RFC 1123 and RFC 1035 labels as the API conventions word them; every check answers with messages that
become the detail of a field error.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable

NameCheck = Callable[[str], list[str]]

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?\Z")
_LABEL_1035 = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?\Z")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\Z")
_QUALIFIED = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]\Z")
_LABEL_VALUE = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?\Z")

_LABEL_TEXT = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end "
    "with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
_LABEL_1035_TEXT = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, "
    "and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is "
    "'[a-z]([-a-z0-9]*[a-z0-9])?')"
)
_SUBDOMAIN_TEXT = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start "
    "and end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
_QUALIFIED_TEXT = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
    "character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
_LABEL_VALUE_TEXT = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start "
    "and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation "
    "is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)


def _too_long(limit: int) -> str:
    return f"must be no more than {limit} characters"


def _checked(name: str, *, limit: int, pattern: re.Pattern[str], text: str) -> list[str]:
    messages = [] if len(name) <= limit else [_too_long(limit)]
    if not pattern.match(name):
        messages.append(text)
    return messages


def dns_label(name: str) -> list[str]:
    """RFC 1123 label: namespaces, container names."""
    return _checked(name, limit=63, pattern=_LABEL, text=_LABEL_TEXT)


def dns_1035_label(name: str) -> list[str]:
    """RFC 1035 label: Services."""
    return _checked(name, limit=63, pattern=_LABEL_1035, text=_LABEL_1035_TEXT)


def dns_subdomain(name: str) -> list[str]:
    """RFC 1123 subdomain: most objects."""
    return _checked(name, limit=253, pattern=_SUBDOMAIN, text=_SUBDOMAIN_TEXT)


def path_segment(name: str) -> list[str]:
    """Anything that can stand in a URL path: RBAC's roles and bindings."""
    if name in (".", ".."):
        return [f"may not be '{name}'"]
    return [f"may not contain '{bad}'" for bad in ("/", "%") if bad in name]


def qualified_name(name: str) -> list[str]:
    """A label or annotation key: `[prefix/]name`."""
    prefix, slash, last = name.rpartition("/")
    messages = []
    if slash:
        if not prefix:
            messages.append("prefix part must be non-empty")
        else:
            messages += [f"prefix part {message}" for message in dns_subdomain(prefix)]
    if not last:
        messages.append("name part must be non-empty")
    elif len(last) > 63:
        messages.append(f"name part {_too_long(63)}")
    if not _QUALIFIED.match(last):
        messages.append(_QUALIFIED_TEXT)
    return messages


def label_value(value: str) -> list[str]:
    """A label's value: empty, or 63 characters of a name."""
    return _checked(value, limit=63, pattern=_LABEL_VALUE, text=_LABEL_VALUE_TEXT)


_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"  # no vowels, nothing that reads as another: no words by accident
_BASE_LIMIT = 58


def generate(base: str) -> str:
    """`base` with five random characters, cut so that the whole fits a label."""
    return base[:_BASE_LIMIT] + "".join(secrets.choice(_ALPHABET) for _ in range(5))
