"""API errors: one class per reason, each carrying the metav1.Status that goes on the wire.

The server raises them and answers with `.status`; the client makes the same classes of what it receives
(`from_status`), so both ends catch by class. The functions at the end word what is common exactly as clients and
scripts expect it.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

from apimachinery.field import FieldError

JSON = dict[str, Any]
MODIFIED = "the object has been modified; please apply your changes to the latest version and try again"


class StatusError(Exception):
    """An answer other than success. `.status` is the metav1.Status, whole."""

    reason: ClassVar[str] = ""
    code: int = 500

    def __init__(
        self,
        message: str,
        *,
        details: JSON | None = None,
        causes: Sequence[JSON] | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message)
        details = dict(details or {})
        if causes:
            details["causes"] = list(causes)
        if retry_after is not None:
            details["retryAfterSeconds"] = retry_after
        self.status: JSON = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": message,
            "reason": self.reason,
            "details": details,
            "code": self.code,
        }
        if not details:
            del self.status["details"]
        if not self.reason:
            del self.status["reason"]

    @property
    def message(self) -> str:
        return str(self.status.get("message") or "")

    @property
    def details(self) -> JSON:
        return self.status.get("details") or {}

    @property
    def causes(self) -> list[JSON]:
        return self.details.get("causes") or []

    @property
    def retry_after(self) -> int | None:
        """Seconds to wait before the same request is worth sending again."""
        return self.details.get("retryAfterSeconds")


class BadRequest(StatusError):
    reason, code = "BadRequest", 400


class Unauthorized(StatusError):
    reason, code = "Unauthorized", 401

    def __init__(self, message: str = "Unauthorized", **more: Any) -> None:
        super().__init__(message, **more)


class Forbidden(StatusError):
    reason, code = "Forbidden", 403


class NotFound(StatusError):
    reason, code = "NotFound", 404


class MethodNotAllowed(StatusError):
    reason, code = "MethodNotAllowed", 405


class NotAcceptable(StatusError):
    reason, code = "NotAcceptable", 406


class AlreadyExists(StatusError):
    reason, code = "AlreadyExists", 409


class Conflict(StatusError):
    reason, code = "Conflict", 409


class Gone(StatusError):
    reason, code = "Gone", 410


class Expired(StatusError):
    """The version asked for, to list or watch from, is no longer there."""

    reason, code = "Expired", 410


class RequestEntityTooLarge(StatusError):
    reason, code = "RequestEntityTooLarge", 413


class UnsupportedMediaType(StatusError):
    reason, code = "UnsupportedMediaType", 415


class Invalid(StatusError):
    reason, code = "Invalid", 422


class TooManyRequests(StatusError):
    reason, code = "TooManyRequests", 429

    def __init__(self, message: str, *, retry_after: int | None = 1, **more: Any) -> None:
        super().__init__(message, retry_after=retry_after, **more)


class InternalError(StatusError):
    reason, code = "InternalError", 500

    def __init__(self, message: str, **more: Any) -> None:
        super().__init__(f"Internal error occurred: {message}", causes=[{"message": message}], **more)


class ServerTimeout(StatusError):
    """The server could not do it in time; it was not begun."""

    reason, code = "ServerTimeout", 500


class ServiceUnavailable(StatusError):
    reason, code = "ServiceUnavailable", 503


class Timeout(StatusError):
    """Not known whether it was done."""

    reason, code = "Timeout", 504

    def __init__(self, message: str, *, retry_after: int | None = 1, **more: Any) -> None:
        super().__init__(f"Timeout: {message}", retry_after=retry_after, **more)


_CLASSES = StatusError.__subclasses__()
_REASONS: dict[str, type[StatusError]] = {each.reason: each for each in _CLASSES}
# Of several with one code the first, but for 409, which most often is a lost race.
_CODES: dict[int, type[StatusError]] = {each.code: each for each in reversed(_CLASSES)} | {409: Conflict}


def from_status(status: JSON, code: int = 0) -> StatusError:
    """The error of a received Status; `code` is the HTTP status, for answers that say nothing else."""
    code = status.get("code") or code or 500
    cls = _REASONS.get(status.get("reason") or "") or _CODES.get(code, StatusError)
    error = cls.__new__(cls)
    Exception.__init__(error, status.get("message") or f"the server answered {code}")
    error.status = status
    error.code = code
    return error


def qualified(group: str, plural: str) -> str:
    """ "pods", "deployments.apps"; also for kinds: "Pod", "Deployment.apps"."""
    return f"{plural}.{group}" if group else plural


def _details(group: str, kind: str, name: str) -> JSON:
    full = {"name": name, "group": group, "kind": kind}
    return {key: value for key, value in full.items() if value}


def not_found(group: str, plural: str, name: str) -> NotFound:
    return NotFound(f'{qualified(group, plural)} "{name}" not found', details=_details(group, plural, name))


def already_exists(group: str, plural: str, name: str) -> AlreadyExists:
    return AlreadyExists(f'{qualified(group, plural)} "{name}" already exists', details=_details(group, plural, name))


def conflict(group: str, plural: str, name: str, message: str | None = None) -> Conflict:
    """Optimistic locking lost, or what `message` says."""
    what = f'{qualified(group, plural)} "{name}"'
    return Conflict(
        f"Operation cannot be fulfilled on {what}: {message or MODIFIED}", details=_details(group, plural, name)
    )


def forbidden(group: str, plural: str, name: str, message: str) -> Forbidden:
    """The resource may be "" (non-resource paths), the name too (collections)."""
    what = f'{qualified(group, plural)} "{name}" is ' if name else f"{qualified(group, plural)} is " if plural else ""
    return Forbidden(f"{what}forbidden: {message}", details=_details(group, plural, name))


def invalid(group: str, kind: str, name: str, errs: Sequence[FieldError]) -> Invalid:
    """Every field error of one object, in one Status with a cause each."""
    distinct = {error.message(): error for error in errs}  # the schema and the rules may both say it
    messages = list(distinct)
    listed = messages[0] if len(messages) == 1 else f"[{', '.join(messages)}]"
    return Invalid(
        f'{qualified(group, kind)} "{name}" is invalid: {listed}',
        details=_details(group, kind, name),
        causes=[error.to_cause() for error in distinct.values()],
    )


def server_timeout(group: str, plural: str, action: str, retry_after: int = 1) -> ServerTimeout:
    return ServerTimeout(
        f"The {action} operation against {qualified(group, plural)} could not be completed at this time, "
        "please try again.",
        details=_details(group, plural, ""),
        retry_after=retry_after,
    )
