"""Merging an applied configuration into an object, and taking fields out of it again.

Granular maps merge by name and lists by key, atomic ones are replaced whole. Both functions copy only what they change.
"""

from typing import Any

from apimachinery.structured.extract import keyed
from apimachinery.structured.fieldset import SELF, FieldSet, is_member
from apimachinery.structured.plan import Plan

JSON = dict[str, Any]


def merge(live: Any, config: Any, plan: Plan) -> Any:
    """`live` as `config` wants it; what `config` doesn't mention stays."""
    if plan.fields is None:
        return _merge_list(live, config, plan)
    merged = live.copy()
    for name, each in config.items():
        _, inner = plan.fields[name]
        current = merged.get(name)
        if each is None:
            if inner is None or not current or not inner.fits(current):
                merged.pop(name, None)
        elif inner is not None and inner.fits(each):
            merged[name] = merge(current if current and inner.fits(current) else type(each)(), each, inner)
        else:
            merged[name] = each
    return merged


def _merge_list(live: list[Any], config: list[Any], plan: Plan) -> list[Any]:
    theirs, ours = keyed(live, plan), keyed(config, plan)
    if theirs is None or ours is None:
        return config
    merged: list[Any] = []
    for key in _order(list(theirs), list(ours)):
        there, each = theirs.get(key), ours.get(key)
        if key not in ours:
            merged.extend(there if isinstance(there, tuple) else (there,))
        elif plan.item is not None and plan.item.fits(each):
            merged.append(merge(there if isinstance(there, dict) else {}, each, plan.item))
        else:
            merged.append(each)
    return merged


def _order(theirs: list[str], ours: list[str]) -> list[str]:
    """Our items in our order; items only they have keep their place before the shared item that they stood before."""
    own, present = set(ours), set(theirs)
    shared = iter([key for key in ours if key in present])
    awaited = next(shared, None)
    ordered: list[str] = []
    done = 0
    for key in theirs:
        if key not in own:
            ordered.append(key)
        elif key == awaited:
            until = ours.index(key, done) + 1
            ordered += ours[done:until]
            done, awaited = until, next(shared, None)
    return ordered + ours[done:]


def remove(value: Any, fields: FieldSet, plan: Plan) -> Any:
    """`value` without the members of `fields`; what is emptied by that goes too, as None."""
    if plan.fields is not None:
        left = value.copy()
        for name in value:
            key, inner = plan.fields[name]
            if (node := fields.get(key)) is None or key == SELF:
                continue
            kept = _kept(value[name], node, inner)
            if kept is None:
                del left[name]
            else:
                left[name] = kept
        return left or (None if value else left)
    items = keyed(value, plan)
    if items is None:
        return value
    rest: list[Any] = []
    for key, each in items.items():
        kept = _kept(each, fields[key], plan.item) if key in fields else each
        if kept is not None:
            rest.extend(kept if isinstance(kept, tuple) else (kept,))
    return rest or (None if value else rest)


def _kept(value: Any, node: FieldSet, plan: Plan | None) -> Any:
    """What is left of a value from which `node` is removed, None for nothing."""
    if is_member(node):
        return None
    return remove(value, node, plan) if plan is not None and plan.fits(value) else value


def with_named_fields(fields: FieldSet, plan: Plan | None) -> FieldSet:
    """The set with every declared field on the way to a member made a member: who owns a part holds up the whole."""
    if plan is None:
        return fields
    full: FieldSet = {}
    for key, node in fields.items():
        inner: Plan | None = plan.item
        named = False
        if plan.fields is not None and key.startswith("f:"):
            name = key[2:]
            inner, named = plan.fields[name][1], plan.fields.declares(name)
        full[key] = with_named_fields(node, inner) if node else node
        if node and named and SELF not in node:
            full[key] = {SELF: {}, **full[key]}
    return full
