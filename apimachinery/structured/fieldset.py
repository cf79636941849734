"""Sets of fields, in the very form they have on the wire (FieldsV1), and their algebra.

A set is a trie of dicts: `f:name` a field, `k:{"name":"x"}` the list item with these keys, `v:"x"` the item with this
value; a node is in the set if it is empty or holds ".". Nothing is decoded or encoded: what etcd gave back is the set.
Sets are never changed once made and share nodes freely; only the empty root is the empty set.
"""

from collections.abc import Iterator
from typing import Any, Final

import orjson

FieldSet = dict[str, Any]

MEMBER: Final[FieldSet] = {}
SELF: Final = "."


def is_member(node: FieldSet) -> bool:
    return not node or SELF in node


def union(left: FieldSet, right: FieldSet) -> FieldSet:
    if not left or left is right:
        return right
    merged = left.copy()
    for key, node in right.items():
        mine = merged.get(key)
        merged[key] = node if mine is None else _union_node(mine, node)
    return merged


def _union_node(left: FieldSet, right: FieldSet) -> FieldSet:
    if left and right:
        return union(left, right)
    inner = left or right
    return inner if is_member(inner) else {SELF: MEMBER, **inner}


def difference(left: FieldSet, right: FieldSet) -> FieldSet:
    """What is in `left` and not in `right`. `left` itself if that is all of it."""
    rest: FieldSet | None = None
    for key in left.keys() & right.keys() if right else ():
        node = left[key]
        kept = _difference_node(node, right[key])
        if kept is node:
            continue
        rest = left.copy() if rest is None else rest
        if kept is None:
            del rest[key]
        else:
            rest[key] = kept
    return left if rest is None else rest


def _difference_node(left: FieldSet, right: FieldSet) -> FieldSet | None:
    if not left:
        return None if is_member(right) else left
    if not right:
        right = {SELF: MEMBER}
    return _normal(difference(left, right))


def _normal(node: FieldSet) -> FieldSet | None:
    """The node as it may stand in a set: None for one that holds nothing."""
    if not node:
        return None
    return MEMBER if len(node) == 1 and SELF in node else node


def intersection(left: FieldSet, right: FieldSet) -> FieldSet:
    shared: FieldSet = {}
    for key in left.keys() & right.keys():
        node = _intersection_node(left[key], right[key])
        if node is not None:
            shared[key] = node
    return shared


def _intersection_node(left: FieldSet, right: FieldSet) -> FieldSet | None:
    if left and right:
        return _normal(intersection(left, right))
    return MEMBER if is_member(left) and is_member(right) else None


def paths(fields: FieldSet, prefix: str = "") -> Iterator[str]:
    """Every member as clients see it: .spec.containers[name="web"].image, in the order of the elements."""
    for key in sorted(fields):
        if key == SELF:
            continue
        path, node = prefix + shown(key), fields[key]
        if is_member(node):
            yield path
        yield from paths(node, path)


def shown(element: str) -> str:
    """An element as paths show it: .name, [name="x"], [="value"]."""
    kind, _, rest = element.partition(":")
    if kind == "f":
        return f".{rest}"
    if kind == "k":
        keys = sorted(orjson.loads(rest).items())
        return f"[{','.join(f'{name}={orjson.dumps(value).decode()}' for name, value in keys)}]"
    return f"[={rest}]" if kind == "v" else f"[{rest}]"


def is_valid(fields: Any) -> bool:
    """Whether something a client sent is a field set."""
    if not isinstance(fields, dict):
        return False
    return all(_is_element(key) and is_valid(node) for key, node in fields.items())


def _is_element(key: str) -> bool:
    if key == SELF or key.startswith("f:"):
        return True
    kind, _, rest = key.partition(":")
    if kind == "i":
        return rest.isdigit()
    try:
        value = orjson.loads(rest)
    except orjson.JSONDecodeError:
        return False
    return kind == "v" or (kind == "k" and isinstance(value, dict))
