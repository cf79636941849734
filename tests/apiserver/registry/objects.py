"""What the tests of strategies share: a strategy by kind, a context, and a write as the store runs it."""

from __future__ import annotations

import copy
from collections.abc import Iterable

from apimachinery.field import FieldError
from apimachinery.kinds import Kind
from apimachinery.meta import JSON
from apiserver.registry.strategy import Context, Strategy
from apiserver.registry.table import strategy_for
from apiserver.request import User

NOW = "2026-01-02T03:04:05Z"


def context(name: str = "jane", *groups: str) -> Context:
    return Context(user=User(name, f"uid-{name}", groups), now=NOW, manager="test")


def messages(faults: Iterable[FieldError]) -> list[str]:
    return [fault.message() for fault in faults]


def made(kind: Kind, body: JSON, ctx: Context | None = None) -> JSON:
    """The object as a create would store it, before allocation."""
    obj = copy.deepcopy(body)
    obj.setdefault("metadata", {}).setdefault("name", "x")
    obj["metadata"].setdefault("uid", "uid-x")
    strategy = strategy_for(kind)
    strategy.default(obj)
    strategy.prepare_create(obj, ctx or context())
    return obj


def refused(kind: Kind, body: JSON) -> list[str]:
    """What a create of this is told."""
    return messages(strategy_for(kind).validate(made(kind, body)))


def changed(strategy: Strategy, old: JSON, new: JSON, subresource: str = "") -> tuple[JSON, list[str]]:
    """An update from `old`, as the store runs it: the object to store, and what is wrong with it."""
    new = copy.deepcopy(new)
    strategy.default(new)
    if subresource:
        strategy.prepare_subresource(subresource, new, old, context())
        return new, messages(strategy.validate_subresource(subresource, new, old))
    strategy.prepare_update(new, old, context())
    return new, messages(strategy.validate_update(new, old))


def pod_spec(**more: object) -> JSON:
    return {"containers": [{"name": "c", "image": "nginx:1"}], **more}


def template(**more: object) -> JSON:
    return {"metadata": {"labels": {"app": "a"}}, "spec": pod_spec(**more)}
