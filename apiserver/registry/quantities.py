"""Quantities as they are stored: in canonical form, so that `0.5` and `500m` are the same object to every reader.

Upstream gets this from decoding into a Quantity and encoding it again, and refuses a body it can't decode; here the
defaults do both, at the fields that hold quantities. The texts are few and come again, so each is worked out once.
"""

from __future__ import annotations

from functools import lru_cache

from apimachinery import errors, quantity
from apimachinery.meta import JSON


@lru_cache(maxsize=8192)
def canonical_of(amount: str | int | float) -> str:
    """The canonical text of a quantity. BadRequest if it is none."""
    try:
        return quantity.canonical(amount)
    except ValueError as error:
        raise errors.BadRequest(str(error)) from error


def canonical_list(holder: JSON, name: str) -> None:
    """Puts the resource list `holder[name]` in canonical form; the dict that was there stays as it is."""
    amounts = holder[name]
    for amount in amounts.values():
        if canonical_of(amount) != amount:
            break
    else:
        return
    holder[name] = {resource: canonical_of(amount) for resource, amount in amounts.items()}
