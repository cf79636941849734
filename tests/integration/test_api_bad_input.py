"""Whatever a client sends is answered as its mistake (4xx), never as the server's (5xx)."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from typing import Any

import pytest

from tests.fixtures.apiserver import APIServerProcess

pytestmark = pytest.mark.integration
SEED = 20261124
TRIES = 40
NAMESPACED = "/api/v1/namespaces/default"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
WRONG: list[Any] = [
    None, 0, -1, 1e9, "x", "", [], {}, True, ["x"], [None], [{}], [[]], {"a": 1}, "a/b/c", 2**70, "\x00",
    {"name": None},
]  # fmt: skip
POD: dict[str, Any] = {
    "metadata": {"name": "p", "labels": {"a": "b"}, "annotations": {"c": "d"}},
    "spec": {
        "affinity": {
            "podAntiAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": [
                    {"topologyKey": "zone", "labelSelector": {"matchLabels": {"a": "b"}}}
                ]
            }
        },
        "tolerations": [{"key": "a", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 3}],
        "containers": [
            {
                "name": "c",
                "image": "i",
                "ports": [{"containerPort": 80}],
                "env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
                "resources": {"limits": {"cpu": "1"}, "requests": {"memory": "1Gi"}},
                "livenessProbe": {"httpGet": {"port": 80}},
                "volumeMounts": [{"name": "v", "mountPath": "/v"}],
            }
        ],
        "volumes": [{"name": "v", "emptyDir": {}}],
    },
}
DEPLOYMENT: dict[str, Any] = {
    "metadata": {"name": "d"},
    "spec": {
        "replicas": 2,
        "selector": {"matchLabels": {"a": "b"}},
        "strategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": "25%"}},
        "template": {"metadata": {"labels": {"a": "b"}}, "spec": POD["spec"]},
    },
}
SERVICE: dict[str, Any] = {
    "metadata": {"name": "s"},
    "spec": {"type": "NodePort", "selector": {"a": "b"}, "ports": [{"name": "x", "port": 80, "targetPort": "http"}]},
}


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield at
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in items:
        yield from places(each, (*at, key))


def spoiled(value: Any, dice: random.Random) -> Any:
    """`value` with something wrong at a random place."""
    *way, last = dice.choice([each for each in places(value) if each])
    made = copy.deepcopy(value)
    inner = made
    for key in way:
        inner = inner[key]
    inner[last] = dice.choice(WRONG)
    return made


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (f"{NAMESPACED}/pods", POD),
        (DEPLOYMENTS, DEPLOYMENT),
        (f"{NAMESPACED}/services", SERVICE),
        (f"{NAMESPACED}/secrets", {"metadata": {"name": "x"}, "data": {"a": "Yg=="}, "type": "Opaque"}),
        ("/api/v1/nodes", {"metadata": {"name": "n"}, "spec": {"taints": [{"key": "a", "effect": "NoSchedule"}]}}),
    ],
)
def test_creating(api_server: APIServerProcess, path: str, body: Any) -> None:
    dice = random.Random(SEED)
    for _ in range(TRIES):
        sent = spoiled(body, dice)
        answer = api_server.request("POST", f"{path}?dryRun=All", sent)
        assert answer.code < 500, (SEED, json.dumps(sent), answer.body)


@pytest.mark.parametrize("kind", ["json", "merge", "strategic-merge", "apply"])
def test_patching(api_server: APIServerProcess, kind: str) -> None:
    dice = random.Random(SEED)
    api_server.request("POST", DEPLOYMENTS, DEPLOYMENT)
    content_type = f"application/{kind}-patch+{'yaml' if kind == 'apply' else 'json'}"
    more = "&fieldManager=x&force=true" if kind == "apply" else ""
    for number in range(TRIES):
        subresource, body = (("", DEPLOYMENT), ("/scale", {"spec": {"replicas": 1}}))[number % 2]
        sent = spoiled(body, dice)
        if kind == "json":
            sent = [{"op": "replace", "path": dice.choice(["/spec", "/metadata", ""]), "value": dice.choice(WRONG)}]
        path = f"{DEPLOYMENTS}/d{subresource}?dryRun=All{more}"
        answer = api_server.request("PATCH", path, sent, content_type=content_type)
        assert answer.code < 500, (SEED, json.dumps(sent), answer.body)
