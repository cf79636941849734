"""Strategic merge patch: merge patch that knows which lists are merged by a key.

What the schema says (`x-kubernetes-patch-strategy`, `x-kubernetes-patch-merge-key`) decides per field; the patch itself
steers with directives: `$patch: replace|delete`, `$retainKeys`, `$setElementOrder/<list>` and
`$deleteFromPrimitiveList/<list>`. A type of None is a field without schema: maps merge, lists are replaced.

As in `patch`, nothing given is changed, and what the patch does not touch is shared with the result.
"""

from collections.abc import Callable
from typing import Any, Final

import orjson

from apimachinery.definitions import Type
from apimachinery.errors import BadRequest, Invalid
from apimachinery.patch import fresh

JSON = dict[str, Any]

DIRECTIVE: Final = "$patch"
RETAIN_KEYS: Final = "$retainKeys"
SET_ORDER: Final = "$setElementOrder/"
DELETE_FROM: Final = "$deleteFromPrimitiveList/"


def strategic_merge_patch(doc: JSON, patch: JSON, type: Type | None) -> JSON:
    """`doc` with `patch` merged as `type` says. Raises BadRequest or Invalid for a patch that makes no sense."""
    if not isinstance(patch, dict):
        raise BadRequest("error decoding patch: a strategic merge patch of an object must be an object")
    return fresh(_merge_map(doc, patch, type))


def strategies(type: Type | None) -> frozenset[str]:
    """The patch strategies of a field: among merge, replace, retainKeys."""
    return frozenset((type.patch_strategy or "").split(",")) if type else frozenset()


def child(type: Type | None, name: str) -> Type | None:
    return (type.fields.get(name) or (None if type.fields else type.item)) if type else None


def item(type: Type | None) -> Type | None:
    return type.item if type else None


def _merge_map(doc: JSON, patch: JSON, type: Type | None) -> JSON:
    if DIRECTIVE in patch:
        return _directed(patch)
    merged = _retained(doc, patch)
    orders: dict[str, list[Any]] = {}
    for key, value in patch.items():
        if key.startswith(SET_ORDER):
            orders[key[len(SET_ORDER) :]] = _listed(value, "setElementOrder")
        elif key.startswith(DELETE_FROM):
            name, gone = key[len(DELETE_FROM) :], _listed(value, "primitive list")
            if isinstance(current := merged.get(name), list):
                merged[name] = [each for each in current if each not in gone]
                if not merged[name]:
                    del merged[name]
        elif key == RETAIN_KEYS:
            continue
        elif value is None:
            merged.pop(key, None)
        elif f"{SET_ORDER}{key}" not in patch:
            merged[key] = _merge_value(merged.get(key), value, child(type, key), None)
    for name, order in orders.items():
        value, current = patch.get(name, []), merged.get(name)
        if name not in patch and "merge" not in strategies(child(type, name)):
            continue
        if value is not None and (value or current):
            _check_order(value, order, child(type, name))
            merged[name] = _merge_value(current, value, child(type, name), order)
    return merged


def _merge_value(current: Any, value: Any, type: Type | None, order: list[Any] | None) -> Any:
    """`value` is not null; `order` is what $setElementOrder says about a list."""
    if isinstance(value, dict):
        if isinstance(current, dict) and "replace" not in strategies(type):
            return _merge_map(current, value, type)
        return _merge_map({}, value, type)
    if not isinstance(value, list):
        return value
    if "merge" not in strategies(type):
        return [_plain(each, item(type)) for each in value]
    if not isinstance(current, list) and not any(isinstance(each, dict) and DIRECTIVE in each for each in value):
        return [_plain(each, item(type)) for each in value]
    return _merge_list(current if isinstance(current, list) else [], value, type, order)


def _directed(patch: JSON) -> JSON:
    match patch[DIRECTIVE]:
        case "replace":
            return {key: value for key, value in patch.items() if key != DIRECTIVE}
        case "delete":
            return {}
        case "merge":
            return _merge_map({}, {key: value for key, value in patch.items() if key != DIRECTIVE}, None)
        case other:
            raise BadRequest(f"unknown patch type: {other}")


def _retained(doc: JSON, patch: JSON) -> JSON:
    """A copy of `doc`, without what $retainKeys does not list."""
    if RETAIN_KEYS not in patch:
        return doc.copy()
    keep = patch[RETAIN_KEYS]
    if not isinstance(keep, list):
        raise BadRequest("invalid patch format of retainKeys")
    for key, value in patch.items():
        if value is not None and not key.startswith("$") and key not in keep:
            raise BadRequest("invalid patch format of retainKeys")
    return {key: value for key, value in doc.items() if key in keep}


def _listed(value: Any, what: str) -> list[Any]:
    if not isinstance(value, list):
        raise BadRequest(f"invalid patch format of {what}")
    return value


def _plain(value: Any, type: Type | None) -> Any:
    """A value that is new: without nulls and directives."""
    return _merge_map({}, value, type) if isinstance(value, dict) else value


def _identify(type: Type | None) -> Callable[[Any], Any]:
    """How items of a merged list are told apart: by the merge key, or by themselves."""
    key = type.merge_key if type else None
    if not key:
        return lambda each: each

    def identity(each: Any) -> Any:
        if not isinstance(each, dict) or each.get(key) is None:
            raise BadRequest(f"map: {orjson.dumps(each).decode()} does not contain declared merge key: {key}")
        return each[key]

    return identity


def _merge_list(original: list[Any], patch: list[Any], type: Type | None, order: list[Any] | None) -> list[Any]:
    if any(isinstance(each, list) for each in patch):
        raise Invalid("lists of lists are not supported")
    identity = _identify(type)
    wanted: list[Any] = []
    gone: list[Any] = []
    replace = False
    for each in patch:
        directive = each.get(DIRECTIVE) if isinstance(each, dict) else None
        match directive:
            case None:
                wanted.append(each)
            case "delete":
                gone.append(identity(each))
            case "replace":
                replace = True
                if len(each) > 1:
                    wanted.append({key: value for key, value in each.items() if key != DIRECTIVE})
            case "merge":
                raise BadRequest("merging lists cannot yet be specified in the patch")
            case other:
                raise BadRequest(f"unknown patch type: {other}")
    if replace:
        return wanted
    merged = [each for each in original if not gone or identity(each) not in gone]
    where = [identity(each) for each in merged]
    for each in wanted:
        if (mark := identity(each)) not in where:
            where.append(mark)
            merged.append(_plain(each, item(type)))
        elif isinstance(each, dict):
            place = where.index(mark)
            merged[place] = _merge_map(merged[place], each, item(type))
    first = [identity(each) for each in (wanted if order is None else order)]
    return _in_order(merged, where, first, [identity(each) for each in original])


def _in_order(merged: list[Any], where: list[Any], first: list[Any], before: list[Any]) -> list[Any]:
    """The patch's items in the patch's order; the others stay before those they stood before on the server."""
    patched = sorted((at for at, mark in enumerate(where) if mark in first), key=lambda at: first.index(where[at]))
    others = [at for at, mark in enumerate(where) if mark not in first]
    ordered: list[int] = []
    while patched and others:
        mark = where[patched[0]]
        other_leads = mark in before and before.index(where[others[0]]) < before.index(mark)
        ordered.append(others.pop(0) if other_leads else patched.pop(0))
    return [merged[at] for at in (*ordered, *patched, *others)]


def _check_order(patch: list[Any], order: list[Any], type: Type | None) -> None:
    """Every item of the patch stands in the order list, in that order."""
    identity = _identify(type)
    marks = [identity(each) for each in order]
    found = [identity(each) for each in _listed(patch, "list") if not (isinstance(each, dict) and DIRECTIVE in each)]
    places = [marks.index(mark) if mark in marks else -1 for mark in found]
    if -1 in places or places != sorted(places):
        raise BadRequest(f"The order in patch list:\n{patch}\n doesn't match setElementOrder list:\n{order}\n")
