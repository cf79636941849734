"""YAML's plain scalars, as `kubectl annotate --local -o json` shows that Go's library reads them."""

from typing import Any

import pytest

from apimachinery import yamls

READ_AS: dict[str, Any] = {
    "y": True, "Y": True, "yes": True, "YES": True, "on": True, "true": True, "TRUE": True,
    "n": False, "no": False, "Off": False, "False": False,
    "tRue": "tRue", "yEs": "yEs", "yesterday": "yesterday",
    "~": None, "Null": None, "": None,
    "017": 15, "0o17": 15, "08": 8, "0x1f": 31, "-0x1f": -31, "0b11": 3, "1_000": 1000, "0777_1": 4089, "+12": 12,
    "1e3": 1000, "1E3": 1000, "12e03": 12000, "1_0.5": 10.5, ".5": 0.5, "5.": 5, "3.0": 3, "1e": "1e", ".": ".",
    "1:30": "1:30", "1:30.5": "1:30.5", "2001-01-01": "2001-01-01", "=": "=", "1.2.3.4": "1.2.3.4", "_1": "_1",
}  # fmt: skip


@pytest.mark.parametrize("text", READ_AS)
def test_plain_scalars_are_what_go_takes_them_for(text: str) -> None:
    read = yamls.load(f"a: {text}")["a"]
    assert (read, type(read)) == (READ_AS[text], type(READ_AS[text]))


def test_quoted_scalars_are_text_and_keys_are() -> None:
    read = yamls.load('{a: "y", b: !!str 1, 2: x, true: z}')
    assert read == {"a": "y", "b": "1", "2": "x", "true": "z"}


def test_an_anchor_is_copied() -> None:
    read = yamls.load("a: &x {k: 1}\nb: {<<: *x, l: 2}\nc: *x")
    read["c"]["k"] = 5
    assert read == {"a": {"k": 1}, "b": {"k": 1, "l": 2}, "c": {"k": 5}}


def test_what_json_cannot_say_is_a_value_error() -> None:
    with pytest.raises(ValueError):
        yamls.load("a: !!binary aGk=")
