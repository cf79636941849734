"""RBAC: what bindings allow, what is remembered, and what a change forgets."""

from __future__ import annotations

from typing import Any

import pytest

from apimachinery.meta import JSON
from apiserver.authorization import build_authorizer
from apiserver.authorization.authorizer import Authorizer
from apiserver.request import RequestInfo, User
from tests.apiserver.fake_storage import FakeStorage, obj

RBAC = "rbac.authorization.k8s.io/v1"


def rule(verbs: str, resources: str, group: str = "", **more: Any) -> JSON:
    return {"verbs": verbs.split(), "resources": resources.split(), "apiGroups": [group], **more}


def cluster_role(name: str, *rules: JSON, labels: dict[str, str] | None = None, **more: Any) -> JSON:
    return obj(RBAC, "ClusterRole", name, rules=list(rules), metadata={"labels": labels or {}}, **more)


def role(name: str, *rules: JSON, namespace: str = "team") -> JSON:
    return obj(RBAC, "Role", name, namespace=namespace, rules=list(rules))


def binding(role: str, subject: str, *, namespace: str = "", role_kind: str = "ClusterRole") -> JSON:
    kind, _, name = subject.partition(" ")
    where, _, name = name.rpartition("/")
    bound: JSON = {"kind": kind, "name": name} | ({"namespace": where} if where else {})
    return obj(
        RBAC,
        "RoleBinding" if namespace else "ClusterRoleBinding",
        f"{role}-{name}",
        namespace=namespace,
        subjects=[bound],
        roleRef={"kind": role_kind, "name": role},
    )


def ask(verb: str, resource: str, *, namespace: str = "", name: str = "", group: str = "") -> RequestInfo:
    resource, _, subresource = resource.partition("/")
    return RequestInfo(verb, True, "", group, "v1", resource, subresource, namespace, name)


def authorizer(*objects: JSON) -> tuple[Authorizer, FakeStorage]:
    storage = FakeStorage(*objects)
    return build_authorizer(storage, ["RBAC"]), storage  # type: ignore[arg-type]


JANE = User("jane", "", ("devs", "system:authenticated"))
ACCOUNT = User("system:serviceaccount:team:bot", "", ("system:serviceaccounts",))


@pytest.mark.parametrize(
    ("info", "allowed"),
    [
        (ask("get", "pods", namespace="team"), True),
        (ask("get", "pods", namespace="other"), False),
        (ask("get", "pods"), False),
        (ask("delete", "pods", namespace="team"), False),
        (ask("get", "pods/log", namespace="team"), False),
        (ask("get", "pods", namespace="team", group="apps"), False),
        (ask("list", "nodes"), True),
        (ask("update", "deployments/scale", namespace="team", group="apps"), True),
        (ask("get", "secrets", namespace="team", name="mine"), True),
        (ask("get", "secrets", namespace="team", name="yours"), False),
        (ask("list", "secrets", namespace="team"), False),
        (RequestInfo("get", False, "/metrics"), True),
        (RequestInfo("get", False, "/logs/kubelet"), True),
        (RequestInfo("get", False, "/log"), False),
        (RequestInfo("post", False, "/metrics"), False),
    ],
)
def test_rules_of_bound_roles_decide(info: RequestInfo, allowed: bool) -> None:
    subject, _ = authorizer(
        role("reader", rule("get list", "pods"), rule("get", "secrets", resourceNames=["mine"])),
        binding("reader", "User jane", namespace="team", role_kind="Role"),
        cluster_role("nodes", rule("list", "nodes"), {"verbs": ["get"], "nonResourceURLs": ["/metrics", "/logs/*"]}),
        binding("nodes", "Group devs"),
        cluster_role("scalers", rule("update", "*/scale", "*")),
        binding("scalers", "Group devs", namespace="team"),
    )
    for _ in range(2):  # worked out, then remembered
        assert subject.authorize(JANE, info).allowed is allowed


def test_a_cluster_role_bound_in_a_namespace_holds_only_there() -> None:
    subject, _ = authorizer(cluster_role("all", rule("*", "*", "*")), binding("all", "User jane", namespace="team"))
    assert subject.authorize(JANE, ask("delete", "pods", namespace="team")).allowed
    assert not subject.authorize(JANE, ask("delete", "pods", namespace="default")).allowed
    assert not subject.authorize(JANE, ask("delete", "nodes")).allowed


def test_service_accounts_are_bound_by_namespace_and_name() -> None:
    subject, _ = authorizer(cluster_role("r", rule("get", "pods")), binding("r", "ServiceAccount team/bot"))
    assert subject.authorize(ACCOUNT, ask("get", "pods", namespace="x")).allowed
    assert not subject.authorize(User("bot"), ask("get", "pods", namespace="x")).allowed


def test_a_change_of_role_or_binding_counts_at_once() -> None:
    subject, storage = authorizer(cluster_role("r", rule("get", "pods")))
    question = ask("get", "pods", namespace="a")
    assert not subject.authorize(JANE, question).allowed
    key = storage.put(binding("r", "User jane"))
    assert subject.authorize(JANE, question).allowed
    storage.put(cluster_role("r", rule("list", "pods")))
    assert not subject.authorize(JANE, question).allowed
    storage.put(cluster_role("r", rule("get", "pods")))
    assert subject.authorize(JANE, question).allowed
    storage.remove(key)
    assert not subject.authorize(JANE, question).allowed


def test_aggregation_goes_through_roles_that_aggregate() -> None:
    def aggregating(name: str, label: str, labels: dict[str, str] | None = None) -> JSON:
        made = cluster_role(name, labels=labels)
        made["aggregationRule"] = {"clusterRoleSelectors": [{"matchLabels": {label: "true"}}]}
        return made

    subject, storage = authorizer(
        aggregating("admin", "to-admin"),
        aggregating("view", "to-view", labels={"to-admin": "true"}),
        cluster_role("part", rule("get", "pods"), labels={"to-view": "true"}),
        binding("admin", "User jane"),
    )
    assert subject.authorize(JANE, ask("get", "pods")).allowed
    storage.put(cluster_role("crontabs", rule("get", "crontabs", "stable"), labels={"to-view": "true"}))
    assert subject.authorize(JANE, ask("get", "crontabs", group="stable")).allowed
    resources, _, error = subject.rules_for(JANE, "default")
    assert [each["resources"] for each in resources] == [["pods"], ["crontabs"]]
    assert error == ""


def test_reasons_name_the_binding_or_the_missing_role() -> None:
    subject, _ = authorizer(
        cluster_role("r", rule("get", "pods")), binding("r", "Group devs"), binding("lost", "User jane")
    )
    assert subject.authorize(JANE, ask("get", "pods")).reason == (
        'RBAC: allowed by ClusterRoleBinding "r-devs" of ClusterRole "r" to Group "devs"'
    )
    refusal = subject.authorize(JANE, ask("get", "nodes"))
    assert refusal.reason == 'RBAC: clusterrole.rbac.authorization.k8s.io "lost" not found'


def test_one_user_with_other_groups_is_another_subject() -> None:
    subject, _ = authorizer(cluster_role("r", rule("get", "pods")), binding("r", "Group devs"))
    assert subject.authorize(JANE, ask("get", "pods")).allowed
    assert not subject.authorize(User("jane"), ask("get", "pods")).allowed
