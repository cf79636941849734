"""Every kind's strategy leaves alone what it isn't given to change."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from apimachinery import kinds
from apimachinery.kinds import Kind
from apiserver.registry.table import ACTIONS, STRATEGIES, _load, strategy_for
from tests.apiserver.registry.objects import context, made, pod_spec, template

SELECTOR = {"matchLabels": {"app": "a"}}
WORKLOAD = {"spec": {"selector": SELECTOR, "template": template()}}
# An object of each kind whose strategy changes what it is given.
BODIES: list[tuple[Kind, dict[str, Any]]] = [
    (kinds.POD, {"spec": pod_spec(tolerations=[{"operator": "Exists"}], volumes=[{"name": "v"}])}),
    (kinds.DEPLOYMENT, WORKLOAD),
    (kinds.REPLICA_SET, WORKLOAD),
    (kinds.DAEMON_SET, WORKLOAD),
    (kinds.STATEFUL_SET, WORKLOAD),
    (kinds.JOB, {"spec": {"template": template(restartPolicy="Never")}}),
    (
        kinds.SERVICE,
        {"spec": {"type": "NodePort", "clusterIP": "10.96.0.9", "ports": [{"port": 80, "nodePort": 30001}]}},
    ),
    (kinds.NAMESPACE, {}),
    (kinds.NODE, {"spec": {"podCIDR": "10.0.0.0/24"}}),
    (kinds.SECRET, {"stringData": {"a": "b"}}),
    (kinds.LIMIT_RANGE, {"spec": {"limits": [{"type": "Container", "max": {"cpu": "1"}}]}}),
    (kinds.HORIZONTAL_POD_AUTOSCALER, {"spec": {"maxReplicas": 2, "behavior": {}}}),
    (kinds.NETWORK_POLICY, {"spec": {"ingress": [{"ports": [{"port": 1}]}]}}),
    (kinds.ROLE_BINDING, {"roleRef": {"kind": "Role", "name": "r"}, "subjects": [{"kind": "User", "name": "a"}]}),
    (kinds.CERTIFICATE_SIGNING_REQUEST, {"spec": {"usages": ["client auth"]}}),
]


@pytest.mark.parametrize(("kind", "body"), BODIES, ids=[kind.kind for kind, _ in BODIES])
def test_the_stored_object_stays_as_it_is(kind: Kind, body: dict[str, Any]) -> None:
    """A patched object shares what the patch didn't touch with the object it was made from."""
    strategy = strategy_for(kind)
    old = made(kind, body)
    kept = copy.deepcopy(old)
    for subresource in ("", "status"):
        if subresource and not strategy.has_status:
            continue
        new = {**old, "metadata": dict(old["metadata"])}
        strategy.default(new)
        if subresource:
            strategy.prepare_subresource(subresource, new, old, context())
            list(strategy.validate_subresource(subresource, new, old))
        else:
            strategy.prepare_update(new, old, context())
            list(strategy.validate_update(new, old))
        assert old == kept


@pytest.mark.parametrize(("kind", "body"), BODIES, ids=[kind.kind for kind, _ in BODIES])
def test_defaults_are_idempotent(kind: Kind, body: dict[str, Any]) -> None:
    once = made(kind, body)
    twice = copy.deepcopy(once)
    strategy_for(kind).default(twice)
    assert twice == once


def test_every_row_names_code_that_exists() -> None:
    for (group, plural), name in STRATEGIES.items():
        assert isinstance(kinds.by_resource(group, plural), Kind)
        assert callable(_load(name))
    assert all(callable(_load(name)) for name in ACTIONS.values())
