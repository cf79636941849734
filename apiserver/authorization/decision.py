"""The answer to "may this user do this?", and how a refusal is worded.

An authorizer allows or has no opinion; nothing here denies outright, so a chain of authorizers is a search for the
first that allows. The reasons of those that didn't are kept: they end up in the 403 and in SubjectAccessReview.
"""

from __future__ import annotations

from dataclasses import dataclass

from apimachinery import errors
from apiserver.request import RequestInfo, User


@dataclass(frozen=True, slots=True)
class Decision:
    """`reason` explains an allowance, or why nothing allowed it (often empty)."""

    allowed: bool
    reason: str = ""


NO_OPINION = Decision(False)


def go_quote(text: str) -> str:
    """A string as Go's %q prints it, for the characters that names have."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def denied(user: User, info: RequestInfo, reason: str) -> errors.StatusError:
    """The 403 for a request that nothing allowed, in the words that scripts match on."""
    who = f"User {go_quote(user.name)} cannot {info.verb}"
    if not info.is_resource:
        return errors.forbidden("", "", "", _with(f"{who} path {go_quote(info.path)}", reason))
    resource = f"{info.resource}/{info.subresource}" if info.subresource else info.resource
    scope = f"in the namespace {go_quote(info.namespace)}" if info.namespace else "at the cluster scope"
    message = f"{who} resource {go_quote(resource)} in API group {go_quote(info.group)} {scope}"
    return errors.forbidden(info.group, info.resource, info.name, _with(message, reason))


def _with(message: str, reason: str) -> str:
    return f"{message}: {reason}" if reason else message
