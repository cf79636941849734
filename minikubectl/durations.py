"""Durations as flags write them: 30s, 1m30s, 2h, 100ms; a bare number is seconds."""

import re
from typing import Final

from minikubectl.session import Failed

_UNITS: Final = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001, "us": 1e-6, "ns": 1e-9}
_WHOLE: Final = re.compile(r"(?:\d+(?:\.\d+)?(?:h|ms|us|ns|m|s))+")
_PART: Final = re.compile(r"(\d+(?:\.\d+)?)(h|ms|us|ns|m|s)")


def parse_duration(text: str) -> float:
    """Seconds. Raises Failed. A negative one is a week, as for `kubectl wait`; 0 is 0."""
    if text.startswith("-"):
        return 7 * 24 * 3600.0
    if text.isdigit():
        return float(text)
    if not _WHOLE.fullmatch(text):
        raise Failed(f'time: invalid duration "{text}"')
    return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))
