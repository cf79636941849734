"""Which fields an object has, and in which two versions of it differ, as field sets.

Two notions of "has": an apply configuration is asked for its leaves and list items (`fields_of`), while for an update
every container that appears is a change too (`added`), so its owner is the one who made it appear.
"""

from typing import Any, Final

from apimachinery.errors import BadRequest
from apimachinery.structured.fieldset import MEMBER, SELF, FieldSet, shown
from apimachinery.structured.plan import Plan

JSON = dict[str, Any]

_CONTAINERS: Final = (dict, list)


def fields_of(config: JSON, plan: Plan) -> FieldSet:
    """The set that an applier of `config` owns. Raises BadRequest for list items without keys or with the same ones."""
    return _fields_of(config, plan, "")


def _fields_of(value: Any, plan: Plan, path: str) -> FieldSet:
    node: FieldSet = {}
    if plan.fields is not None:
        for name, each in value.items():
            key, inner = plan.fields[name]
            if inner is None or not each or not inner.fits(each):
                node[key] = MEMBER
                continue
            node[key] = _fields_of(each, inner, f"{path}.{name}")
            if not plan.fields.declares(name):
                node[key][SELF] = MEMBER
        return node
    for index, each in enumerate(value):
        try:
            key = plan.element(each)
        except BadRequest as error:
            raise BadRequest(f"failed to create typed patch object: {path}: element {index}: {error.message}") from None
        if key in node:
            raise BadRequest(f"failed to create typed patch object: {path}: duplicate entries for key {shown(key)}")
        inner = plan.item
        taken_apart = inner is not None and each and inner.fits(each)
        node[key] = {**_fields_of(each, inner, f"{path}[{index}]"), SELF: MEMBER} if taken_apart and inner else MEMBER
    return node


def added(value: Any, plan: Plan | None) -> FieldSet:
    """The set of all that appears with `value`, itself included."""
    if plan is None or not value or not plan.fits(value):
        return MEMBER
    node: FieldSet = {SELF: MEMBER}
    if (fields := plan.fields) is not None:
        for name, each in value.items():
            key, inner = fields[name]
            node[key] = added(each, inner) if inner is not None and type(each) in _CONTAINERS else MEMBER
        return node
    items = keyed(value, plan)
    if items is None:
        return MEMBER
    for key, each in items.items():
        node[key] = added(each, plan.item) if type(each) is dict else MEMBER
    return node


def keyed(items: list[Any], plan: Plan) -> dict[str, Any] | None:
    """The items of a list by set element; those with the same keys as one tuple. None if an item lacks its keys."""
    found: dict[str, Any] = {}
    try:
        for each in items:
            key = plan.element(each)
            if key in found:
                twin = found[key]
                found[key] = (*twin, each) if isinstance(twin, tuple) else (twin, each)
            else:
                found[key] = each
    except BadRequest:
        return None
    return found


def compare(old: JSON, new: JSON, plan: Plan) -> tuple[FieldSet, FieldSet]:
    """(what was added or changed, what was removed). Parts that are the same dict in both cost nothing."""
    changed: FieldSet = {}
    removed: FieldSet = {}
    _compare(old, new, plan, changed, removed)
    return changed, removed


def _compare(old: Any, new: Any, plan: Plan, changed: FieldSet, removed: FieldSet) -> None:
    if (fields := plan.fields) is not None:
        for name, each in new.items():
            if name not in old:
                key, inner = fields[name]
                changed[key] = added(each, inner)
            elif (before := old[name]) is not each and before != each:
                _compare_value(before, each, *fields[name], changed, removed)
        for name, each in old.items():
            if name not in new:
                key, inner = fields[name]
                removed[key] = added(each, inner)
        return
    before_items, items = keyed(old, plan) or {}, keyed(new, plan) or {}
    for key, each in items.items():
        if key not in before_items:
            changed[key] = added(each, plan.item) if type(each) is dict else MEMBER
        elif before_items[key] != each:
            _compare_value(before_items[key], each, key, plan.item, changed, removed)
    for key, each in before_items.items():
        if key not in items:
            removed[key] = added(each, plan.item) if type(each) is dict else MEMBER


def _compare_value(old: Any, new: Any, key: str, plan: Plan | None, changed: FieldSet, removed: FieldSet) -> None:
    if plan is None or not plan.fits(new) or not plan.fits(old) or not _can_compare(old, new, plan):
        changed[key] = MEMBER
        return
    inner_changed: FieldSet = {}
    inner_removed: FieldSet = {}
    _compare(old, new, plan, inner_changed, inner_removed)
    if inner_changed:
        changed[key] = inner_changed
    if inner_removed:
        removed[key] = inner_removed


def _can_compare(old: Any, new: Any, plan: Plan) -> bool:
    return plan.fields is not None or (keyed(old, plan) is not None and keyed(new, plan) is not None)
