"""The authorizer that the request path asks: the configured modes in order, and impersonation, which is a question.

The group system:masters passes before any mode is asked. Everything here is synchronous: a decision is two dict
look-ups when it is remembered (see `rbac`), so it costs less than a task switch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol
from urllib.parse import unquote

from multidict import CIMultiDict

from apimachinery import errors
from apimachinery.meta import JSON
from apiserver.authorization.decision import NO_OPINION, Decision, denied
from apiserver.authorization.rbac import RBAC
from apiserver.request import RequestInfo, User

SUPERUSERS = "system:masters"
AUTHENTICATED = "system:authenticated"
UNAUTHENTICATED = "system:unauthenticated"
ANONYMOUS = "system:anonymous"
SERVICE_ACCOUNTS = "system:serviceaccounts"
_SERVICE_ACCOUNT_PREFIX = "system:serviceaccount:"
_EXTRA_PREFIX = "impersonate-extra-"
_ALLOWED = Decision(True)
_IMPERSONATED_REMEMBERED = 1024


class Mode(Protocol):
    """One authorization mode."""

    def authorize(self, user: User, info: RequestInfo) -> Decision: ...


class Always:
    """AlwaysAllow and AlwaysDeny."""

    def __init__(self, decision: Decision) -> None:
        self._decision = decision

    def authorize(self, user: User, info: RequestInfo) -> Decision:
        return self._decision


class Authorizer:
    """The first mode that allows decides."""

    def __init__(self, modes: Sequence[Mode], rbac: RBAC) -> None:
        self.rbac = rbac
        self._modes = tuple(modes)
        self._impersonated: dict[tuple[object, ...], User] = {}

    def authorize(self, user: User, info: RequestInfo) -> Decision:
        """Whether any mode allows it; the reason of a refusal joins those of all modes."""
        if SUPERUSERS in user.groups:
            return _ALLOWED
        reasons = ""
        for mode in self._modes:
            decision = mode.authorize(user, info)
            if decision.allowed:
                return decision
            if decision.reason:
                reasons = f"{reasons}, {decision.reason}" if reasons else decision.reason
        return Decision(False, reasons) if reasons else NO_OPINION

    def check(self, user: User, info: RequestInfo) -> None:
        """Raise Forbidden, worded for the client, unless it is allowed."""
        decision = self.authorize(user, info)
        if not decision.allowed:
            raise denied(user, info, decision.reason)

    def allows(
        self,
        user: User,
        verb: str,
        group: str,
        resource: str,
        *,
        name: str = "",
        namespace: str = "",
        subresource: str = "",
        version: str = "v1",
    ) -> bool:
        """The same question for what admission and reviews ask."""
        info = RequestInfo(verb, True, "", group, version, resource, subresource, namespace, name)
        return self.authorize(user, info).allowed

    def rules_for(self, user: User, namespace: str) -> tuple[list[JSON], list[JSON], str]:
        """(resource rules, non-resource rules, what could not be resolved) of RBAC, for SelfSubjectRulesReview."""
        everything: JSON = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}
        if SUPERUSERS in user.groups or any(isinstance(mode, Always) for mode in self._modes):
            return [everything], [{"verbs": ["*"], "nonResourceURLs": ["*"]}], ""
        rules, error = self.rbac.rules_for(user, namespace)
        resources = [rule for rule in rules if rule.get("resources")]
        paths = [
            {"verbs": rule["verbs"], "nonResourceURLs": rule["nonResourceURLs"]}
            for rule in rules
            if rule.get("nonResourceURLs")
        ]
        return resources, paths, error

    # -- impersonation ------------------------------------------------------------------------------------------

    def impersonated(self, user: User, headers: Mapping[str, str]) -> User:
        """Whom the request acts as: `user` itself, or whom the Impersonate-* headers name, if it may be."""
        for header in headers:
            if header[0] in "iI" and header[:12].lower() == "impersonate-":
                return self._impersonate(user, headers)
        return user

    def _impersonate(self, user: User, headers: Mapping[str, str]) -> User:
        wanted = CIMultiDict(headers)
        name, uid = wanted.get("Impersonate-User", ""), wanted.get("Impersonate-Uid", "")
        groups = tuple(wanted.getall("Impersonate-Group", ()))
        extra: dict[str, list[str]] = {}
        for header, value in wanted.items():
            if header.lower().startswith(_EXTRA_PREFIX):
                extra.setdefault(unquote(header[len(_EXTRA_PREFIX) :]).lower(), []).append(value)
        if not name:
            raise errors.BadRequest("impersonation of groups, a UID or extra fields needs Impersonate-User as well")
        for info in _questions(name, uid, groups, extra):
            self.check(user, info)
        known = (name, uid, groups, tuple((key, tuple(values)) for key, values in sorted(extra.items())))
        found = self._impersonated.get(known)
        if found is None:
            if len(self._impersonated) >= _IMPERSONATED_REMEMBERED:
                self._impersonated.clear()
            frozen = {key: tuple(values) for key, values in extra.items()}
            found = self._impersonated[known] = User(name, uid, _groups(name, groups), frozen)
        return found


def _questions(name: str, uid: str, groups: Sequence[str], extra: Mapping[str, list[str]]) -> list[RequestInfo]:
    """What the impersonator must be allowed to do, one question for each thing it claims."""

    def question(
        resource: str,
        name: str,
        *,
        group: str = "",
        namespace: str = "",
        subresource: str = "",
    ) -> RequestInfo:
        version = "v1" if group or resource in ("uids", "userextras") else ""
        return RequestInfo("impersonate", True, "", group, version, resource, subresource, namespace, name)

    account = service_account(name)
    if account is not None:
        asked = [question("serviceaccounts", account[1], namespace=account[0])]
    else:
        asked = [question("users", name)]
    asked += [question("groups", group) for group in groups]
    if uid:
        asked.append(question("uids", uid, group="authentication.k8s.io"))
    for key, values in extra.items():
        asked += [question("userextras", value, group="authentication.k8s.io", subresource=key) for value in values]
    return asked


def service_account(name: str) -> tuple[str, str] | None:
    """(namespace, name) of a service account's user name."""
    if not name.startswith(_SERVICE_ACCOUNT_PREFIX):
        return None
    namespace, colon, account = name[len(_SERVICE_ACCOUNT_PREFIX) :].partition(":")
    return (namespace, account) if colon and namespace and account and ":" not in account else None


def _groups(name: str, given: tuple[str, ...]) -> tuple[str, ...]:
    """The groups of an impersonated user: those given, or those that its name implies."""
    groups = list(given)
    account = service_account(name)
    if account is not None and not groups:
        groups = [SERVICE_ACCOUNTS, f"{SERVICE_ACCOUNTS}:{account[0]}"]
    if name == ANONYMOUS:
        if not groups:
            groups = [UNAUTHENTICATED]
    elif AUTHENTICATED not in groups and UNAUTHENTICATED not in groups:
        groups.append(AUTHENTICATED)
    return tuple(groups)
