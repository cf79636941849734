"""One wrong field of an object: what kind of wrong, where, which value, why.

Validators collect every error rather than stop at the first; `errors.invalid` turns the list into one Status whose
causes carry these. Types and wording are the API's own, because scripts match on them.
"""

from dataclasses import dataclass
from typing import Any, Final

import orjson

# reason in a Status cause -> words in a message
WORDS: Final = {
    "FieldValueNotFound": "Not found",
    "FieldValueRequired": "Required value",
    "FieldValueDuplicate": "Duplicate value",
    "FieldValueInvalid": "Invalid value",
    "FieldValueTypeInvalid": "Invalid value",
    "FieldValueNotSupported": "Unsupported value",
    "FieldValueForbidden": "Forbidden",
    "FieldValueTooLong": "Too long",
    "FieldValueTooMany": "Too many",
    "InternalError": "Internal error",
}
VALUELESS: Final = frozenset({"FieldValueRequired", "FieldValueForbidden", "FieldValueTooLong", "InternalError"})


@dataclass(frozen=True, slots=True)
class FieldError:
    """`type` is a key of WORDS, `field` a path such as spec.containers[0].name."""

    type: str
    field: str
    value: Any = None
    detail: str = ""

    def body(self) -> str:
        """The message without the path, as a Status cause has it."""
        text = WORDS[self.type]
        if self.type not in VALUELESS:
            text += f": {_shown(self.value)}"
        return f"{text}: {self.detail}" if self.detail else text

    def message(self) -> str:
        return f"{self.field}: {self.body()}"

    def to_cause(self) -> dict[str, str]:
        return {"reason": self.type, "message": self.body(), "field": self.field}


def _shown(value: Any) -> str:
    """Strings quoted, the rest as JSON: `"a"`, 5, true, {"a":"b"}."""
    if value is None:
        return "null"
    return orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


def required(path: str, detail: str = "") -> FieldError:
    return FieldError("FieldValueRequired", path, None, detail)


def invalid(path: str, value: Any, detail: str) -> FieldError:
    return FieldError("FieldValueInvalid", path, value, detail)


def not_supported(path: str, value: Any, valid: list[str] | tuple[str, ...]) -> FieldError:
    listed = ", ".join(f'"{one}"' for one in valid)
    return FieldError("FieldValueNotSupported", path, value, f"supported values: {listed}" if valid else "")


def duplicate(path: str, value: Any) -> FieldError:
    return FieldError("FieldValueDuplicate", path, value)


def forbidden(path: str, detail: str) -> FieldError:
    return FieldError("FieldValueForbidden", path, None, detail)


def not_found(path: str, value: Any) -> FieldError:
    return FieldError("FieldValueNotFound", path, value)


def too_long(path: str, limit: int) -> FieldError:
    return FieldError("FieldValueTooLong", path, None, f"may not be more than {limit} bytes")


def too_many(path: str, actual: int, limit: int) -> FieldError:
    return FieldError("FieldValueTooMany", path, actual, f"must have at most {limit} items")
