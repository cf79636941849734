"""The chain of modes, the words of a 403, and impersonation."""

from __future__ import annotations

import pytest
from multidict import CIMultiDict

from apimachinery import errors
from apimachinery.meta import JSON
from apiserver.authorization import build_authorizer
from apiserver.authorization.authorizer import Authorizer
from apiserver.request import RequestInfo, User
from tests.apiserver.fake_storage import FakeStorage, obj

RBAC = "rbac.authorization.k8s.io/v1"
JANE = User("jane", "", ("system:authenticated",))


def authorizer(*rules: JSON) -> Authorizer:
    storage = FakeStorage(
        obj(RBAC, "ClusterRole", "r", rules=list(rules)),
        obj(
            RBAC,
            "ClusterRoleBinding",
            "b",
            subjects=[{"kind": "User", "name": "jane"}],
            roleRef={"kind": "ClusterRole", "name": "r"},
        ),
    )
    return build_authorizer(storage, ["Node", "RBAC"])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("info", "message"),
    [
        (
            RequestInfo("list", True, "", "", "v1", "pods", "", "default"),
            'pods is forbidden: User "jane" cannot list resource "pods" in API group "" in the namespace "default"',
        ),
        (
            RequestInfo("update", True, "", "apps", "v1", "deployments", "scale", "a", "web"),
            'deployments.apps "web" is forbidden: User "jane" cannot update resource "deployments/scale" in API group '
            '"apps" in the namespace "a"',
        ),
        (
            RequestInfo("list", True, "", "", "v1", "nodes"),
            'nodes is forbidden: User "jane" cannot list resource "nodes" in API group "" at the cluster scope',
        ),
        (RequestInfo("get", False, "/metrics"), 'forbidden: User "jane" cannot get path "/metrics"'),
    ],
)
def test_refusals_are_worded_as_scripts_expect(info: RequestInfo, message: str) -> None:
    with pytest.raises(errors.Forbidden) as refusal:
        authorizer().check(JANE, info)
    assert refusal.value.message == message
    assert refusal.value.code == 403


def test_masters_may_everything() -> None:
    authorizer().check(User("root", "", ("system:masters",)), RequestInfo("get", False, "/x"))


def test_a_superuser_group_is_not_implied_by_a_name() -> None:
    with pytest.raises(errors.Forbidden):
        authorizer().check(User("system:masters"), RequestInfo("get", False, "/x"))


def impersonate(subject: Authorizer, **headers: str) -> User:
    return subject.impersonated(JANE, CIMultiDict({f"Impersonate-{name}": value for name, value in headers.items()}))


def allow(resources: str, group: str = "") -> JSON:
    return {"verbs": ["impersonate"], "apiGroups": [group], "resources": resources.split()}


def test_without_headers_the_user_stays() -> None:
    assert authorizer().impersonated(JANE, CIMultiDict({"If-Match": "x"})) is JANE


@pytest.mark.parametrize(
    ("name", "groups"),
    [
        ("bob", ("system:authenticated",)),
        ("system:anonymous", ("system:unauthenticated",)),
        ("system:serviceaccount:a:b", ("system:serviceaccounts", "system:serviceaccounts:a", "system:authenticated")),
    ],
)
def test_an_impersonated_name_implies_its_groups(name: str, groups: tuple[str, ...]) -> None:
    user = impersonate(authorizer(allow("users serviceaccounts")), User=name)
    assert (user.name, user.groups) == (name, groups)


def test_groups_and_extra_need_permissions_of_their_own() -> None:
    some = authorizer(allow("users"))
    with pytest.raises(errors.Forbidden) as refusal:
        impersonate(some, User="bob", Group="admins")
    assert refusal.value.message == (
        'groups "admins" is forbidden: User "jane" cannot impersonate resource "groups" in API group "" at the '
        "cluster scope"
    )
    more = authorizer(allow("users groups"), allow("userextras/scopes", "authentication.k8s.io"))
    user = more.impersonated(
        JANE,
        CIMultiDict(
            [
                ("Impersonate-User", "bob"),
                ("Impersonate-Group", "x"),
                ("Impersonate-Group", "y"),
                ("Impersonate-Extra-Scopes", "view"),
            ]
        ),
    )
    assert user.groups == ("x", "y", "system:authenticated")
    assert user.extra == {"scopes": ("view",)}


def test_nobody_becomes_a_master_by_the_right_on_users_alone() -> None:
    with pytest.raises(errors.Forbidden):
        impersonate(authorizer(allow("users")), User="bob", Group="system:masters")


def test_groups_without_a_user_are_refused() -> None:
    with pytest.raises(errors.BadRequest):
        impersonate(authorizer(allow("users groups")), Group="x")
