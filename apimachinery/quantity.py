"""Quantities: 100m, 1.5Gi, 1e3. Exact arithmetic, and the canonical form the API shows.

Parsing happens for every container of every pod in the scheduler, the quota and the kubelet, and there are few
different texts, so results are cached. Amounts below a nano are rounded up to one, as the API does.
"""

import re
from fractions import Fraction
from functools import lru_cache
from math import ceil
from typing import Final

Quantity = str | int | float

_PATTERN: Final = re.compile(r"([+-]?)(\d+\.?\d*|\.\d+)(?:([KMGTPE]i|[numkMGTPE])|[eE]([+-]?\d{1,9}))?")
_DECIMAL: Final = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY: Final = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_NANO: Final = Fraction(1, 10**9)
_LARGEST: Final = Fraction(2**63 - 1)
_MOST_CHARACTERS: Final = 128
_MOST_EXPONENT: Final = 30  # beyond it everything is the largest, or less than a nano
WRONG: Final = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"


@lru_cache(maxsize=4096)
def parse(quantity: Quantity) -> Fraction:
    """The exact amount. Raises ValueError."""
    return _read(quantity)[0]


@lru_cache(maxsize=4096)
def milli(quantity: Quantity) -> int:
    """Thousandths, rounded up: CPU as the scheduler counts it."""
    return ceil(parse(quantity) * 1000)


@lru_cache(maxsize=4096)
def value(quantity: Quantity) -> int:
    """Units, rounded up: bytes, pods."""
    return ceil(parse(quantity))


@lru_cache(maxsize=4096)
def canonical(quantity: Quantity) -> str:
    """The shortest text without a fraction, in the notation it was given in: "1000m" is "1", "1024Ki" is "1Mi"."""
    amount, notation = _read(quantity)
    return format_amount(amount, notation)


def format_amount(amount: Fraction | int, notation: str = "decimal") -> str:
    """An amount as text; notation is "decimal" (k, M), "binary" (Ki, Mi) or "exponent" (e3)."""
    amount = Fraction(amount)
    if not amount:
        return "0"
    if notation == "binary" and abs(amount) >= 1024 and amount.denominator == 1:
        return _scaled(amount.numerator, 1024, [(suffix, power // 10) for suffix, power in _BINARY.items()])
    nanos = ceil(amount / _NANO) if amount > 0 else -ceil(-amount / _NANO)
    if notation == "exponent":
        steps = [(f"e{power}" if power else "", (power + 9) // 3) for power in range(-6, 40, 3)]
        return _scaled(nanos, 1000, steps, least="e-9")
    return _scaled(nanos, 1000, [(suffix, (power + 9) // 3) for suffix, power in _DECIMAL.items()][1:], least="n")


def _scaled(number: int, base: int, steps: list[tuple[str, int]], *, least: str = "") -> str:
    """The number with the largest suffix that leaves it whole; steps are (suffix, power of base), ascending."""
    best = (least, 0)
    for suffix, power in steps:
        if number % base**power:
            break
        best = (suffix, power)
    return f"{number // base ** best[1]}{best[0]}"


def _read(quantity: Quantity) -> tuple[Fraction, str]:
    text = str(quantity).strip() if isinstance(quantity, int | float) else quantity
    match = _PATTERN.fullmatch(text) if len(text) <= _MOST_CHARACTERS else None
    if match is None:
        raise ValueError(WRONG)
    sign, digits, suffix, exponent = match.groups()
    amount = Fraction(digits if digits[-1] != "." else digits[:-1])
    notation = "decimal"
    if suffix in _BINARY:
        notation, amount = "binary", amount * 2 ** _BINARY[suffix]
    elif exponent is not None:
        notation, amount = "exponent", amount * Fraction(10) ** max(-_MOST_EXPONENT, min(_MOST_EXPONENT, int(exponent)))
    elif suffix:
        amount *= Fraction(10) ** _DECIMAL[suffix]
    if amount.denominator > 1 and (amount / _NANO).denominator > 1:
        amount = ceil(amount / _NANO) * _NANO
    amount = min(amount, _LARGEST)
    return (-amount if sign == "-" else amount), notation
