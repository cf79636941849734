"""The patch of client-side apply: from what was applied last, what is applied now, and what the server has.

What the last manifest had and this one lacks is deleted, what differs from the server is set, all else on the server is
left alone. The result is a strategic merge patch (`strategic`) or, where there is no schema, a merge patch.
"""

from typing import Any

from apimachinery.definitions import Type
from apimachinery.strategic import DELETE_FROM, DIRECTIVE, RETAIN_KEYS, SET_ORDER, child, item, strategies

JSON = dict[str, Any]


def three_way(original: JSON, modified: JSON, current: JSON, type: Type | None) -> JSON:
    """The patch that takes `current` to `modified`, deleting what `original` had and `modified` lacks; {} for none."""
    deletions = _diff_map(original, modified, type, deletions=True)
    changes = _diff_map(current, modified, type, deletions=False)
    return _join(deletions, changes, type)


def _diff_map(old: JSON, new: JSON, type: Type | None, *, deletions: bool) -> JSON:
    """Either only what `new` lacks, or only what it adds and changes."""
    patch: JSON = {}
    for key, before in old.items():
        if new.get(key) is None:
            if deletions:
                patch[key] = None
            continue
        patch.update(_diff_value(key, before, new[key], child(type, key), deletions))
    if not deletions:
        patch.update({key: value for key, value in new.items() if value is not None and old.get(key) is None})
    return patch


def _diff_value(key: str, old: Any, new: Any, type: Type | None, deletions: bool) -> JSON:
    how = strategies(type)
    if isinstance(old, dict) and isinstance(new, dict) and "replace" not in how:
        inner = _diff_map(old, new, type, deletions=deletions)
        if inner and "retainKeys" in how:
            inner[RETAIN_KEYS] = sorted(name for name, value in new.items() if value is not None)
        return {key: inner} if inner else {}
    if isinstance(old, list) and isinstance(new, list) and "merge" in how and type is not None:
        return _diff_list(key, old, new, type, deletions)
    return {key: new} if not deletions and old != new else {}


def _diff_list(key: str, old: list[Any], new: list[Any], type: Type, deletions: bool) -> JSON:
    name = type.merge_key
    if not name:
        lost = [each for each in old if each not in new] if deletions else []
        added = [each for each in new if each not in old] if not deletions else []
        patch = {DELETE_FROM + key: lost, key: added}
        order = new
    else:
        before = {each.get(name): each for each in old}
        after = {each.get(name): each for each in new}
        items: list[JSON] = []
        for mark, each in after.items():
            inner = _diff_map(before[mark], each, item(type), deletions=deletions) if mark in before else None
            if inner is None and not deletions:
                items.append(each)
            elif inner:
                retained = {RETAIN_KEYS: sorted(each)} if "retainKeys" in strategies(type) else {}
                items.append({**retained, **inner, name: mark})
        if deletions:
            items += [{name: mark, DIRECTIVE: "delete"} for mark in before if mark not in after]
        patch = {key: items}
        order = [{name: mark} for mark in after]
    patch = {name: value for name, value in patch.items() if value}
    if patch or (not deletions and _reordered(old, new, name)):
        patch[SET_ORDER + key] = order
    return patch


def _reordered(old: list[Any], new: list[Any], name: str | None) -> bool:
    before = [each.get(name) if name else each for each in old]
    after = [each.get(name) if name else each for each in new]
    return [each for each in before if each in after] != [each for each in after if each in before]


def _join(left: JSON, right: JSON, type: Type | None) -> JSON:
    """Two patches as one: `left` deletes, `right` changes, so they meet only in maps and merged lists."""
    joined = {**left, **right}
    for key in left.keys() & right.keys():
        one, two, inner = left[key], right[key], child(type, key)
        if isinstance(one, dict) and isinstance(two, dict):
            joined[key] = _join(one, two, inner)
        elif isinstance(one, list) and isinstance(two, list) and inner and inner.merge_key and "$" not in key[:1]:
            order = right.get(SET_ORDER + key) or left.get(SET_ORDER + key) or []
            joined[key] = _join_lists(one, two, inner, order)
    return joined


def _join_lists(left: list[JSON], right: list[JSON], type: Type, order: list[JSON]) -> list[JSON]:
    name = type.merge_key or ""
    marks = [each[name] for each in order]
    both = {each[name]: each for each in left if DIRECTIVE not in each}
    for each in right:
        both[each[name]] = _join(both[each[name]], each, item(type)) if each[name] in both else each
    kept = sorted(both.values(), key=lambda each: marks.index(each[name]) if each[name] in marks else len(marks))
    return [*kept, *(each for each in left if DIRECTIVE in each)]
