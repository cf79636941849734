"""JSON Patch (RFC 6902) and JSON Merge Patch (RFC 7386), as pure functions of parsed JSON.

Neither argument is changed. The result *shares* with them every part that the patch did not touch: a patch of one
annotation costs three small dict copies, not a copy of the Pod, and `old is new` tells later steps (managed fields,
no-op detection) which parts need no look at all. Only the root and its `metadata` are always fresh dicts, for those who
stamp versions and times afterwards; anyone who edits deeper replaces instead of mutating.

Errors are the API server's: a malformed patch is a BadRequest, a well-formed one that does not fit is Invalid.
"""

from collections.abc import Sequence
from typing import Any, Final

from apimachinery import field
from apimachinery.errors import BadRequest, Invalid, RequestEntityTooLarge, invalid

JSON = dict[str, Any]

MAX_OPERATIONS: Final = 10_000
_FROM: Final = ("move", "copy")
_OPERATIONS: Final = ("add", "replace", "test", "remove", *_FROM)
_REJECTED: Final = "the server rejected our request due to an error in our request"


def merge_patch(doc: JSON, patch: JSON) -> JSON:
    """`doc` with `patch` merged: null deletes, objects merge, everything else replaces."""
    if not isinstance(patch, dict):
        raise invalid("", "", "", [field.invalid("patch", patch, "a merge patch of an object must be an object")])
    return fresh(_merge(doc, patch))


def _merge(doc: JSON, patch: JSON) -> JSON:
    merged = doc.copy()
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, dict):
            current = merged.get(key)
            merged[key] = _merge(current if isinstance(current, dict) else {}, value)
        else:
            merged[key] = value
    return merged


def fresh(doc: JSON) -> JSON:
    """`doc` with root and metadata as dicts of its own, the rest shared."""
    copied = doc.copy()
    if isinstance(metadata := copied.get("metadata"), dict):
        copied["metadata"] = metadata.copy()
    return copied


def json_patch(doc: JSON, ops: Sequence[JSON]) -> JSON:
    """`doc` after all of `ops`, in order. Raises without effect if one of them fails."""
    if not isinstance(ops, list):
        raise BadRequest("error decoding patch: a JSON patch must be a list of operations")
    if len(ops) > MAX_OPERATIONS:
        raise RequestEntityTooLarge(
            f"The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {len(ops)}"
        )
    document = _Document(doc)
    for op in ops:
        _check(op)
        document.run(op)
    if not isinstance(document.root, dict):
        raise _unfit("the patched document is not an object")
    return fresh(document.root)


def _check(op: Any) -> None:
    if not isinstance(op, dict):
        raise BadRequest("error decoding patch: an operation must be an object")
    name = op.get("op")
    if name not in _OPERATIONS:
        raise _unfit(f"Unexpected kind: {name}")
    for argument in ("path", "from") if name in _FROM else ("path",):
        if not isinstance(op.get(argument), str):
            raise _unfit(f"{name} operation does not apply: it has no {argument}")


def _unfit(why: str) -> Invalid:
    return Invalid(_REJECTED, causes=[{"reason": "UnexpectedServerResponse", "message": why, "field": "patch"}])


def _tokens(pointer: str) -> list[str]:
    """The steps of a JSON pointer (RFC 6901)."""
    if not pointer:
        return []
    if not pointer.startswith("/"):
        raise _unfit(f'path "{pointer}" does not start with "/"')
    return [step.replace("~1", "/").replace("~0", "~") for step in pointer[1:].split("/")]


class _Document:
    """A document under change. Containers are copied when first written to, then known by id as ours to change."""

    def __init__(self, root: Any) -> None:
        self.root = root
        self._ours: dict[int, Any] = {}  # id -> container; holding it keeps the id from being used again

    def run(self, op: JSON) -> None:
        name, path, value = op["op"], op["path"], op.get("value")
        if name == "test":
            if self._get(path, name) != value or _differs_in_type(self._get(path, name), value):
                raise _unfit(f"testing value {path} failed: test failed")
        elif name == "remove":
            self._remove(path, name)
        elif name == "replace":
            self._get(path, name)
            self._put(path, value, name, insert=False)
        elif name == "add":
            self._put(path, value, name, insert=True)
        elif name == "copy":
            self._put(path, self._shared(op["from"], name), name, insert=True)
        elif not (path + "/").startswith(op["from"] + "/"):
            value = self._shared(op["from"], name)
            self._remove(op["from"], name)
            self._put(path, value, name, insert=True)
        elif path != op["from"]:
            raise _unfit(f"move operation does not apply: {op['from']} contains {path}")

    def _shared(self, path: str, name: str) -> Any:
        """The value there, from now on reachable twice: so nothing in it is ours any more."""
        self._ours.clear()
        return self._get(path, name)

    def _get(self, path: str, name: str) -> Any:
        value = self.root
        for token in _tokens(path):
            value = _child(value, token, path, name)
        return value

    def _parent(self, path: str, name: str) -> tuple[Any, str]:
        """The container that holds `path`, writable, and the last step."""
        *steps, last = _tokens(path)
        self.root = container = self._own(self.root)
        for token in steps:
            child = self._own(_child(container, token, path, name))
            container[int(token) if isinstance(container, list) else token] = child
            container = child
        if not isinstance(container, (dict, list)):
            raise _missing(path, name)
        return container, last

    def _own(self, container: Any) -> Any:
        if id(container) in self._ours or not isinstance(container, (dict, list)):
            return container
        copied = container.copy()
        self._ours[id(copied)] = copied
        return copied

    def _remove(self, path: str, name: str) -> None:
        if not path:
            raise _unfit("remove operation does not apply: the whole document can not be removed")
        container, last = self._parent(path, name)
        _child(container, last, path, name)
        del container[int(last) if isinstance(container, list) else last]

    def _put(self, path: str, value: Any, name: str, *, insert: bool) -> None:
        if not path:
            self.root = value
            return
        container, last = self._parent(path, name)
        if isinstance(container, dict):
            container[last] = value
        elif not insert:
            container[_index(container, last, path, name)] = value
        elif last == "-":
            container.append(value)
        else:
            container.insert(_index(container, last, path, name, end=1), value)


def _child(container: Any, token: str, path: str, name: str) -> Any:
    if isinstance(container, dict):
        if token in container:
            return container[token]
        raise _missing(path, name)
    if isinstance(container, list):
        return container[_index(container, token, path, name)]
    raise _missing(path, name)


def _index(items: list[Any], token: str, path: str, name: str, *, end: int = 0) -> int:
    canonical = token.isascii() and token.isdigit() and (token == "0" or token[0] != "0")
    if not canonical or int(token) >= len(items) + end:
        raise _unfit(f'{name} operation does not apply: doc is missing path: "{path}": invalid index {token}')
    return int(token)


def _missing(path: str, name: str) -> Invalid:
    return _unfit(f'{name} operation does not apply: doc is missing path: "{path}": missing value')


def _differs_in_type(left: Any, right: Any) -> bool:
    """Python holds True and 1 for equal; JSON does not."""
    if isinstance(left, dict) and isinstance(right, dict):
        return any(_differs_in_type(value, right[key]) for key, value in left.items())
    if isinstance(left, list) and isinstance(right, list):
        return any(map(_differs_in_type, left, right))
    return isinstance(left, bool) != isinstance(right, bool)
