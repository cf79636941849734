"""Node selector terms over label columns.

An expression is judged once for each distinct value of its label, then spread over the nodes by the value's code.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from apimachinery.meta import JSON
from scheduler.cluster import Bools, Cluster


def _number(text: str) -> int | None:
    try:
        return int(text)
    except ValueError:
        return None


def _compares(values: list[str], larger: bool) -> Callable[[str], bool]:
    bound = _number(values[0]) if values else None

    def holds(text: str) -> bool:
        number = _number(text)
        return number is not None and bound is not None and (number > bound if larger else number < bound)

    return holds


# For each operator: whether a node without the label matches, and what a value must satisfy.
_OPERATORS: dict[str, tuple[bool, Callable[[list[str]], Callable[[str], bool]]]] = {
    "In": (False, lambda values: set(values).__contains__),
    "NotIn": (True, lambda values: lambda text: text not in values),
    "Exists": (False, lambda values: lambda text: True),
    "DoesNotExist": (True, lambda values: lambda text: False),
    "Gt": (False, lambda values: _compares(values, True)),
    "Lt": (False, lambda values: _compares(values, False)),
}


def matches_expression(cluster: Cluster, expression: JSON) -> Bools:
    """The rows whose labels satisfy one `matchExpressions` entry; an unknown operator matches nothing."""
    if expression.get("operator") not in _OPERATORS:
        return np.zeros(len(cluster.names), dtype=np.bool_)
    absent, predicate = _OPERATORS[expression["operator"]]
    holds = predicate(expression.get("values") or [])
    column = cluster.label_column(expression["key"])
    table = np.fromiter((holds(value) for value in column.values), dtype=np.bool_, count=len(column.values))
    return np.append(table, absent)[column.codes]  # code -1 reads the last entry


def _matches_field(cluster: Cluster, expression: JSON) -> Bools:
    names = set(expression.get("values") or ())
    found = np.array([name in names for name in cluster.names], dtype=np.bool_)
    return found if expression["operator"] == "In" else ~found


def matches_term(cluster: Cluster, term: JSON) -> Bools:
    """The rows that one NodeSelectorTerm selects: all its expressions hold; an empty term selects nothing."""
    masks = [matches_expression(cluster, expression) for expression in term.get("matchExpressions") or ()]
    masks += [_matches_field(cluster, expression) for expression in term.get("matchFields") or ()]
    if not masks:
        return np.zeros(len(cluster.names), dtype=np.bool_)
    return np.asarray(np.logical_and.reduce(masks), dtype=np.bool_)
