"""The default policy as data: complete, consistent, and adding only what is missing."""

from __future__ import annotations

import pytest

from apiserver.authorization import build_authorizer
from apiserver.authorization.authorizer import Authorizer
from apiserver.authorization.policy import CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, ROLE_BINDINGS, ROLES
from apiserver.authorization.policy_controllers import CONTROLLER_BINDINGS, CONTROLLER_ROLES
from apiserver.authorization.reconciling import binding_object, completed, role_object
from apiserver.request import RequestInfo, User
from tests.apiserver.fake_storage import FakeStorage


@pytest.fixture(scope="module")
def authorizer() -> Authorizer:
    roles = [role_object(spec) for spec in (*CLUSTER_ROLES, *CONTROLLER_ROLES, *ROLES)]
    bindings = [binding_object(spec) for spec in (*CLUSTER_ROLE_BINDINGS, *CONTROLLER_BINDINGS, *ROLE_BINDINGS)]
    return build_authorizer(FakeStorage(*roles, *bindings), ["Node", "RBAC"])  # type: ignore[arg-type]


def test_every_binding_names_a_role_that_there_is() -> None:
    cluster = {spec.name for spec in (*CLUSTER_ROLES, *CONTROLLER_ROLES)}
    roles = {(spec.namespace, spec.name) for spec in ROLES}
    for binding in (*CLUSTER_ROLE_BINDINGS, *CONTROLLER_BINDINGS, *ROLE_BINDINGS):
        known = (
            binding.role in cluster
            if binding.role_kind == "ClusterRole"
            else ((binding.namespace, binding.role) in roles)
        )
        assert known, binding


def test_only_cluster_admin_is_bound_to_the_masters() -> None:
    assert [each.role for each in CLUSTER_ROLE_BINDINGS if "Group system:masters" in each.subjects] == ["cluster-admin"]


MANAGER, SCHEDULER, PROXY = "system:kube-controller-manager", "system:kube-scheduler", "system:kube-proxy"


@pytest.mark.parametrize(
    ("user", "verb", "resource", "group", "allowed"),
    [
        (MANAGER, "create", "pods", "", True),
        (MANAGER, "update", "replicasets/status", "apps", True),
        (MANAGER, "patch", "nodes/status", "", True),
        (MANAGER, "create", "serviceaccounts", "", True),
        (MANAGER, "list", "anything", "example.com", True),
        (MANAGER, "delete", "anything", "example.com", True),  # the garbage collector's
        (MANAGER, "create", "anything", "example.com", False),
        (MANAGER, "create", "configmaps", "", True),
        (MANAGER, "update", "namespaces/finalize", "", True),
        (MANAGER, "update", "certificatesigningrequests/approval", "certificates.k8s.io", True),
        (MANAGER, "create", "clusterrolebindings", "rbac.authorization.k8s.io", False),
        (SCHEDULER, "create", "pods/binding", "", True),
        (SCHEDULER, "delete", "pods", "", True),
        (SCHEDULER, "create", "pods", "", False),
        (SCHEDULER, "patch", "pods/status", "", True),
        (SCHEDULER, "get", "secrets", "", False),
        (PROXY, "watch", "endpointslices", "discovery.k8s.io", True),
        (PROXY, "watch", "networkpolicies", "networking.k8s.io", True),
        (PROXY, "update", "services", "", False),
        ("system:serviceaccount:kube-system:deployment-controller", "create", "replicasets", "apps", True),
        ("system:serviceaccount:kube-system:deployment-controller", "create", "pods", "", False),
        ("system:serviceaccount:kube-system:kube-dns", "watch", "services", "", True),
    ],
)
def test_components_may_what_they_need(
    authorizer: Authorizer, user: str, verb: str, resource: str, group: str, allowed: bool
) -> None:
    plural, _, subresource = resource.partition("/")
    found = authorizer.allows(User(user), verb, group, plural, namespace="x", subresource=subresource)
    assert found is allowed


@pytest.mark.parametrize(
    ("role", "verb", "resource", "allowed"),
    [
        ("view", "get", "pods", True),
        ("view", "get", "secrets", False),
        ("view", "create", "pods", False),
        ("edit", "create", "pods", True),
        ("edit", "get", "secrets", True),
        ("edit", "create", "rolebindings", False),
        ("admin", "create", "rolebindings", True),
        ("admin", "get", "pods", True),
        ("admin", "update", "resourcequotas", False),
    ],
)
def test_user_facing_roles_build_on_each_other(
    authorizer: Authorizer, role: str, verb: str, resource: str, allowed: bool
) -> None:
    group = "rbac.authorization.k8s.io" if resource == "rolebindings" else ""
    rules = authorizer.rbac.role_rules("ClusterRole", role, "") or ()
    assert any(rule.matches(verb, group, resource) for rule in rules) is allowed


def test_anyone_sees_health_and_only_users_see_discovery(authorizer: Authorizer) -> None:
    anonymous = User("system:anonymous", "", ("system:unauthenticated",))
    user = User("x", "", ("system:authenticated",))
    assert authorizer.authorize(anonymous, RequestInfo("get", False, "/healthz")).allowed
    assert not authorizer.authorize(anonymous, RequestInfo("get", False, "/apis")).allowed
    assert authorizer.authorize(user, RequestInfo("get", False, "/apis/apps/v1")).allowed


def test_reconciling_adds_what_is_missing_and_keeps_what_was_added() -> None:
    wanted = role_object(next(spec for spec in CLUSTER_ROLES if spec.name == "system:node-proxier"))
    stored = role_object(next(spec for spec in CLUSTER_ROLES if spec.name == "system:node-proxier"))
    assert completed(stored, wanted) is None
    own = {"verbs": ["get"], "apiGroups": ["example.com"], "resources": ["x"]}
    stored["rules"] = [own, *stored["rules"][1:]]
    changed = completed(stored, wanted)
    assert changed is not None
    assert own in changed["rules"]
    assert wanted["rules"][0] in changed["rules"]
    stored["rules"] = []
    stored["metadata"]["annotations"]["rbac.authorization.kubernetes.io/autoupdate"] = "false"
    assert completed(stored, wanted) is None
