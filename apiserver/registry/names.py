"""Names of objects: the checks a strategy chooses from, and how `generateName` becomes a name."""

from __future__ import annotations

import secrets

from apimachinery.names import (
    Check as NameCheck,
)
from apimachinery.names import (
    dns1035_label as dns_1035_label,
)
from apimachinery.names import (
    dns1123_label as dns_label,
)
from apimachinery.names import (
    dns1123_subdomain as dns_subdomain,
)
from apimachinery.names import (
    label_value,
    path_segment,
    qualified_name,
)

__all__ = [
    "NameCheck",
    "dns_1035_label",
    "dns_label",
    "dns_subdomain",
    "generate",
    "label_value",
    "path_segment",
    "qualified_name",
]

_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"  # no vowels, nothing that reads as another: no words by accident
_BASE_LIMIT = 58


def generate(base: str) -> str:
    """`base` with five random characters, cut so that the whole fits a label."""
    return base[:_BASE_LIMIT] + "".join(secrets.choice(_ALPHABET) for _ in range(5))
