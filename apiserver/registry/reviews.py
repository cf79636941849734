"""The reviews: questions about who someone is and what they may do, answered and not stored.

TokenReview and SelfSubjectReview ask the authenticator; the SubjectAccessReview family and SelfSubjectRulesReview ask
the authorizer, the same one that the request path asks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from apimachinery import errors
from apimachinery.field import invalid
from apimachinery.meta import JSON
from apiserver.authorization import Authorizer
from apiserver.parts import Parts
from apiserver.request import Call, RequestInfo, User

_AUTHORIZATION = "authorization.k8s.io"
_ASKED = ("verb", "group", "version", "resource", "subresource", "namespace", "name")


async def token_review(call: Call, body: JSON, parts: Parts) -> JSON:
    """Whose token it is, and for which of the audiences asked."""
    spec = body.get("spec") or {}
    token = spec.get("token") or ""
    if not token:
        raise errors.BadRequest("token is required for TokenReview in authentication")
    asked = tuple(spec.get("audiences") or ())
    authenticator = parts.authenticator
    verified = await authenticator.verify(token)
    status: JSON = {"user": {}}
    if verified is None:
        status["error"] = "invalid bearer token"
    else:
        wanted = asked or authenticator.audiences
        common = [audience for audience in wanted if audience in verified.audiences]
        if not verified.audiences:  # a static token is for this server itself
            common = [audience for audience in wanted if audience in authenticator.audiences]
        if common:
            status = {"authenticated": True, "user": user_info(verified.user), "audiences": common}
        else:
            status["error"] = f"token audiences {list(verified.audiences)} is invalid for the target audiences"
    return _answered(body, "TokenReview", "authentication.k8s.io/v1", status)


async def self_subject_review(call: Call, body: JSON, parts: Parts) -> JSON:
    """Who the asking user is: `kubectl auth whoami`."""
    answer = _answered(body, "SelfSubjectReview", "authentication.k8s.io/v1", {"userInfo": user_info(call.user)})
    answer.pop("spec", None)
    return answer


async def subject_access_review(call: Call, body: JSON, parts: Parts) -> JSON:
    """Whether some user may do something."""
    return _access(body, "SubjectAccessReview", parts.authorizer, _subject(body, "SubjectAccessReview"))


async def local_subject_access_review(call: Call, body: JSON, parts: Parts) -> JSON:
    """The same within one namespace."""
    attributes = (body.get("spec") or {}).get("resourceAttributes") or {}
    if attributes.get("namespace") != call.info.namespace:
        fault = invalid(
            "spec.resourceAttributes.namespace", attributes.get("namespace") or "", "must match metadata.namespace"
        )
        raise errors.invalid(_AUTHORIZATION, "LocalSubjectAccessReview", "", [fault])
    return _access(body, "LocalSubjectAccessReview", parts.authorizer, _subject(body, "LocalSubjectAccessReview"))


async def self_subject_access_review(call: Call, body: JSON, parts: Parts) -> JSON:
    """Whether the asking user may do something: `kubectl auth can-i`."""
    return _access(body, "SelfSubjectAccessReview", parts.authorizer, call.user)


async def self_subject_rules_review(call: Call, body: JSON, parts: Parts) -> JSON:
    """What the asking user may do in a namespace: `kubectl auth can-i --list`."""
    namespace = (body.get("spec") or {}).get("namespace") or ""
    if not namespace:
        raise errors.BadRequest("no namespace on request")
    resources, paths, error = parts.authorizer.rules_for(call.user, namespace)
    status: JSON = {"resourceRules": resources, "nonResourceRules": paths, "incomplete": bool(error)}
    if error:
        status["evaluationError"] = error
    return _answered(body, "SelfSubjectRulesReview", f"{_AUTHORIZATION}/v1", status)


def user_info(user: User) -> JSON:
    """A UserInfo."""
    info: JSON = {"username": user.name}
    if user.uid:
        info["uid"] = user.uid
    if user.groups:
        info["groups"] = list(user.groups)
    if user.extra:
        info["extra"] = {key: list(values) for key, values in user.extra.items()}
    return info


def _answered(body: JSON, kind: str, version: str, status: JSON) -> JSON:
    metadata = {"creationTimestamp": None, **(body.get("metadata") or {})}
    return {"kind": kind, "apiVersion": version, "metadata": metadata, "spec": body.get("spec") or {}, "status": status}


def _access(body: JSON, kind: str, authorizer: Authorizer, user: User) -> JSON:
    decision = authorizer.authorize(user, _question(body, kind))
    status: JSON = {"allowed": decision.allowed}
    if decision.reason:
        status["reason"] = decision.reason
    return _answered(body, kind, f"{_AUTHORIZATION}/v1", status)


def _subject(body: JSON, kind: str) -> User:
    spec = body.get("spec") or {}
    name, groups = spec.get("user") or "", tuple(spec.get("groups") or ())
    if not name and not groups:
        fault = invalid("spec.user", "", "at least one of user or group must be specified")
        raise errors.invalid(_AUTHORIZATION, kind, "", [fault])
    extra: Mapping[str, Sequence[str]] = spec.get("extra") or {}
    return User(name, spec.get("uid") or "", groups, {key: tuple(values) for key, values in extra.items()})


def _question(body: JSON, kind: str) -> RequestInfo:
    """What is asked. Raises Invalid unless it is about exactly one of a resource or a path."""
    spec = body.get("spec") or {}
    resource: dict[str, Any] | None = spec.get("resourceAttributes")
    path: dict[str, Any] | None = spec.get("nonResourceAttributes")
    if resource is not None and path is not None:
        text = "cannot be specified in combination with resourceAttributes"
        raise errors.invalid(_AUTHORIZATION, kind, "", [invalid("spec.nonResourceAttributes", path, text)])
    if path is not None:
        return RequestInfo(path.get("verb") or "", False, path.get("path") or "")
    if resource is None:
        text = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
        raise errors.invalid(_AUTHORIZATION, kind, "", [invalid("spec.resourceAttributes", None, text)])

    given = {name: resource[name] for name in _ASKED if isinstance(resource.get(name), str)}
    return RequestInfo(is_resource=True, path="", **{"verb": "", **given})
