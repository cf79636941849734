"""Quantities: exact, canonical, and safe with whatever is given."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apimachinery import quantity

CANONICAL = [
    ("100m", "100m"),
    ("1000m", "1"),
    ("0.5", "500m"),
    ("1500m", "1500m"),
    ("1024Ki", "1Mi"),
    ("1.5Gi", "1536Mi"),
    ("512Ki", "512Ki"),
    ("1023", "1023"),
    ("1000", "1k"),
    ("1200", "1200"),
    ("0", "0"),
    ("-5m", "-5m"),
    ("0.1n", "1n"),
    ("1e3", "1e3"),
    ("1E", "1E"),
    ("+1", "1"),
    (2, "2"),
    (0.25, "250m"),
    ("0.5Ki", "512"),
    ("1.5", "1500m"),
]


@pytest.mark.parametrize(("given_text", "shown"), CANONICAL)
def test_canonical_form_is_the_api_servers(given_text: str, shown: str) -> None:
    assert quantity.canonical(given_text) == shown


@pytest.mark.parametrize("text", ["", "a", "1.2.3", "1 Gi", "Gi", "1gi", "--1", "1e", "e3", "1" * 200, True])
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="quantities must match"):
        quantity.parse(text)


def test_milli_and_value_round_up() -> None:
    assert quantity.milli("1") == 1000
    assert quantity.milli("100u") == 1
    assert quantity.value("1Gi") == 2**30
    assert quantity.value("100m") == 1


def test_huge_exponents_cost_nothing() -> None:
    assert quantity.value("1e999999999") == 2**63 - 1
    assert quantity.canonical("1e-999999999") == "1e-9"


amounts = st.builds(Fraction, st.integers(-(2**62), 2**62).map(lambda n: Fraction(n, 10**9)))


@given(amounts, st.sampled_from(["decimal", "exponent"]))
def test_formatting_and_parsing_are_inverse(amount: Fraction, notation: str) -> None:
    assert quantity.parse(quantity.format_amount(amount, notation)) == amount


@given(st.integers(-(2**62), 2**62))
def test_binary_form_is_exact(amount: int) -> None:
    assert quantity.parse(quantity.format_amount(amount, "binary")) == amount


texts = st.builds(
    lambda number, suffix: f"{number}{suffix}",
    st.decimals(-(10**6), 10**6, places=3),
    st.sampled_from(["", "m", "k", "M", "G", "Ki", "Mi", "Gi", "u", "e3", "E-2"]),
)


@given(texts)
def test_canonical_keeps_the_amount_and_is_stable(text: str) -> None:
    once = quantity.canonical(text)
    assert quantity.parse(once) == quantity.parse(text)
    assert quantity.canonical(once) == once


@given(st.text(max_size=40))
def test_any_text_parses_or_raises_value_error(text: str) -> None:
    try:
        quantity.parse(text)
    except ValueError:
        pass
