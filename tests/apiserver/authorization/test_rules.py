"""Rules that cover rules, and how what is missing is described."""

from __future__ import annotations

import pytest

from apimachinery.meta import JSON
from apiserver.authorization.rules import compile_rules, uncovered


def rule(verbs: str, resources: str, group: str = "", names: str = "") -> JSON:
    return {
        "verbs": verbs.split(),
        "resources": resources.split(),
        "apiGroups": [group],
        "resourceNames": names.split(),
    }


@pytest.mark.parametrize(
    ("held", "granted", "missing"),
    [
        ([rule("*", "*", "*")], [rule("get", "pods"), rule("*", "*", "*")], []),
        ([rule("get", "pods"), rule("list", "pods")], [rule("get list", "pods")], []),
        ([rule("get", "pods")], [rule("*", "pods")], ['{APIGroups:[""], Resources:["pods"], Verbs:["*"]}']),
        ([rule("get", "*/scale", "apps")], [rule("get", "deployments/scale", "apps")], []),
        ([rule("get", "pods")], [rule("get", "pods", names="a")], []),
        (
            [rule("get", "pods", names="a")],
            [rule("get", "pods", names="a b")],
            ['{APIGroups:[""], Resources:["pods"], ResourceNames:["b"], Verbs:["get"]}'],
        ),
        (
            [rule("get", "pods", names="a")],
            [rule("get", "pods")],
            ['{APIGroups:[""], Resources:["pods"], Verbs:["get"]}'],
        ),
        (
            [rule("get", "pods")],
            [rule("list get watch", "pods", "apps")],
            ['{APIGroups:["apps"], Resources:["pods"], Verbs:["get", "list", "watch"]}'],
        ),
        (
            [{"verbs": ["get"], "nonResourceURLs": ["/healthz*"]}],
            [{"verbs": ["get"], "nonResourceURLs": ["/healthz/etcd", "/metrics"]}],
            ['{NonResourceURLs:["/metrics"], Verbs:["get"]}'],
        ),
    ],
)
def test_uncovered(held: list[JSON], granted: list[JSON], missing: list[str]) -> None:
    assert uncovered(compile_rules(held), compile_rules(granted)) == missing
