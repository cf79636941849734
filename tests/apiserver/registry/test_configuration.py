"""ConfigMaps, Secrets, quotas and limits."""

from __future__ import annotations

import base64
import copy
from typing import Any

import pytest

from apimachinery import kinds
from apimachinery.kinds import Kind
from apiserver.registry.table import strategy_for
from tests.apiserver.registry.objects import changed, made, refused

KEY = (
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  "
    "or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
)
MEBIBYTE = 1024 * 1024


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


REFUSED: list[tuple[Kind, dict[str, Any], list[str]]] = [
    (kinds.CONFIG_MAP, {"data": {"a.b-C_1": "x"}}, []),
    (kinds.CONFIG_MAP, {"data": {"a b": "x"}}, [f'data[a b]: Invalid value: "a b": {KEY}']),
    (
        kinds.CONFIG_MAP,
        {"data": {"a": "x"}, "binaryData": {"a": "eA=="}},
        ['data[a]: Invalid value: "a": duplicate of key present in binaryData'],
    ),
    (kinds.CONFIG_MAP, {"data": {"a": "x" * MEBIBYTE}}, []),
    (kinds.CONFIG_MAP, {"data": {"a": "x" * (MEBIBYTE + 1)}}, ["[]: Too long: may not be more than 1048576 bytes"]),
    (
        kinds.SECRET,
        {"data": {"a": encoded("x" * 2 * MEBIBYTE)}},
        ["data: Too long: may not be more than 1048576 bytes"],
    ),
    (
        kinds.SECRET,
        {"type": "kubernetes.io/tls", "data": {"tls.crt": ""}},
        ["data[tls.key]: Required value"],
    ),
    (
        kinds.SECRET,
        {"type": "kubernetes.io/dockerconfigjson", "data": {".dockerconfigjson": encoded("{")}},
        ['data[.dockerconfigjson]: Invalid value: "<secret contents redacted>": invalid JSON'],
    ),
    (
        kinds.SECRET,
        {"type": "kubernetes.io/service-account-token"},
        ["metadata.annotations[kubernetes.io/service-account.name]: Required value"],
    ),
]


@pytest.mark.parametrize(("kind", "body", "wanted"), REFUSED)
def test_refused(kind: Kind, body: dict[str, Any], wanted: list[str]) -> None:
    assert refused(kind, body) == wanted


def test_a_secrets_plain_strings_are_stored_encoded() -> None:
    obj = made(kinds.SECRET, {"data": {"a": "eA=="}, "stringData": {"b": "y"}})
    assert (obj["type"], obj["data"]) == ("Opaque", {"a": "eA==", "b": "eQ=="})
    assert "stringData" not in obj


STEPS: list[tuple[Kind, dict[str, Any], dict[str, Any], list[str]]] = [
    (kinds.CONFIG_MAP, {"data": {"a": "1"}}, {"data": {"a": "2"}, "immutable": True}, []),
    (
        kinds.CONFIG_MAP,
        {"data": {"a": "1"}, "immutable": True},
        {"data": {"a": "2"}},
        ["data: Forbidden: field is immutable when `immutable` is set"],
    ),
    (
        kinds.SECRET,
        {"immutable": True},
        {"immutable": False},
        ["immutable: Forbidden: field is immutable when `immutable` is set"],
    ),
    (kinds.SECRET, {}, {"type": "other"}, ['type: Invalid value: "other": field is immutable']),
]


@pytest.mark.parametrize(("kind", "before", "change", "wanted"), STEPS)
def test_what_never_changes(kind: Kind, before: dict[str, Any], change: dict[str, Any], wanted: list[str]) -> None:
    old = made(kind, before)
    assert changed(strategy_for(kind), old, {**copy.deepcopy(old), **change})[1] == wanted


def test_limits_follow_from_each_other() -> None:
    limit = {"type": "Container", "max": {"cpu": "2000m"}, "min": {"memory": "1024Ki"}}
    obj = made(kinds.LIMIT_RANGE, {"spec": {"limits": [limit, {"type": "Pod", "max": {"cpu": "4"}}]}})
    assert obj["spec"]["limits"] == [
        {
            "type": "Container",
            "max": {"cpu": "2"},
            "min": {"memory": "1Mi"},
            "default": {"cpu": "2"},
            "defaultRequest": {"cpu": "2", "memory": "1Mi"},
        },
        {"type": "Pod", "max": {"cpu": "4"}},
    ]


def test_a_quota_is_stored_in_canonical_form() -> None:
    obj = made(kinds.RESOURCE_QUOTA, {"spec": {"hard": {"cpu": "1000m", "pods": 5}}})
    assert obj["spec"]["hard"] == {"cpu": "1", "pods": "5"}
