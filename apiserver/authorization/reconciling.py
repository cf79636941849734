"""Default policy, brought up to date at every start.

What is missing is added: absent objects, and rules or subjects that a default has and the stored object hasn't, unless
its annotation `rbac.authorization.kubernetes.io/autoupdate` says otherwise. What an administrator added stays. Several
servers may do this at once: a lost race means the other one did it.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from typing import Any

from apimachinery import kinds, meta
from apimachinery.kinds import Kind
from apimachinery.meta import JSON
from apiserver.authorization.policy import (
    CLUSTER_ROLE_BINDINGS,
    CLUSTER_ROLES,
    GROUP,
    ROLE_BINDINGS,
    ROLES,
    BindingSpec,
    RoleSpec,
)
from apiserver.authorization.policy_controllers import CONTROLLER_BINDINGS, CONTROLLER_ROLES
from apiserver.authorization.rules import compile_rule, compile_rules, covers
from apiserver.storage import Storage, StorageConflict, StorageExists

AUTOUPDATE = "rbac.authorization.kubernetes.io/autoupdate"
_BOOTSTRAPPING = "kubernetes.io/bootstrapping"
_ATTEMPTS = 5
_log = logging.getLogger(__name__)


async def ensure_default_policy(storage: Storage) -> None:
    """Create or complete every default role and binding."""
    async with asyncio.TaskGroup() as group:  # together, so that they share the storage's commits
        for role in (*CLUSTER_ROLES, *CONTROLLER_ROLES, *ROLES):
            kind = kinds.ROLE if role.namespace else kinds.CLUSTER_ROLE
            group.create_task(ensure(storage, kind, role_object(role)))
        for binding in (*CLUSTER_ROLE_BINDINGS, *CONTROLLER_BINDINGS, *ROLE_BINDINGS):
            kind = kinds.ROLE_BINDING if binding.namespace else kinds.CLUSTER_ROLE_BINDING
            group.create_task(ensure(storage, kind, binding_object(binding)))


async def ensure(storage: Storage, kind: Kind, wanted: JSON) -> None:
    """Create `wanted`, or add to the stored object what it lacks."""
    key = kind.registry_prefix + meta.key(wanted)
    for attempt in range(_ATTEMPTS):
        entry = await (storage.get_live(key) if attempt else storage.get(key, consistent=False))
        try:
            if entry is None:
                await storage.create(key, {**wanted, "metadata": _stamped(wanted["metadata"])})
                return
            changed = completed(entry.parsed(), wanted)
            if changed is not None:
                await storage.update(key, changed, version=entry.version)
            return
        except (StorageConflict, StorageExists):
            continue
    _log.warning("default policy: %s %s keeps changing, left as it is", kind.kind, meta.key(wanted))


def _stamped(metadata: JSON) -> JSON:
    return {**metadata, "uid": str(uuid.uuid4()), "creationTimestamp": meta.now()}


def role_object(spec: RoleSpec) -> JSON:
    """The Role or ClusterRole of a row."""
    obj = _object("Role" if spec.namespace else "ClusterRole", spec.name, spec.namespace)
    obj["metadata"]["labels"] |= dict(spec.labels)
    if spec.aggregate:
        obj["aggregationRule"] = {"clusterRoleSelectors": [{"matchLabels": {spec.aggregate: "true"}}]}
    obj["rules"] = list(spec.rules) or _summed(spec)
    return obj


def _summed(spec: RoleSpec) -> list[JSON]:
    """The rules of the default roles that an aggregating one sums up, for who reads the object."""
    parts = [each for each in CLUSTER_ROLES if spec.aggregate and (spec.aggregate, "true") in each.labels]
    found: list[JSON] = []
    for part in parts:
        found += [rule for rule in (list(part.rules) or _summed(part)) if rule not in found]
    return found


def binding_object(spec: BindingSpec) -> JSON:
    """The RoleBinding or ClusterRoleBinding of a row."""
    obj = _object("RoleBinding" if spec.namespace else "ClusterRoleBinding", spec.name, spec.namespace)
    obj["roleRef"] = {"apiGroup": GROUP, "kind": spec.role_kind, "name": spec.role}
    if spec.subjects:
        obj["subjects"] = [_subject(*each.split(" ", 1)) for each in spec.subjects]
    return obj


def _object(kind: str, name: str, namespace: str) -> JSON:
    metadata: JSON = {"name": name, "labels": {_BOOTSTRAPPING: "rbac-defaults"}, "annotations": {AUTOUPDATE: "true"}}
    if namespace:
        metadata["namespace"] = namespace
    return {"apiVersion": f"{GROUP}/v1", "kind": kind, "metadata": metadata}


def _subject(kind: str, name: str) -> JSON:
    if kind == "ServiceAccount":
        namespace, _, account = name.partition("/")
        return {"kind": kind, "name": account, "namespace": namespace}
    return {"apiGroup": GROUP, "kind": kind, "name": name}


def completed(stored: JSON, wanted: JSON) -> JSON | None:
    """`stored` with what it lacks of `wanted`; None if it lacks nothing or doesn't want updates."""
    if meta.annotations(stored).get(AUTOUPDATE) == "false":
        return None
    changed = False
    if "rules" in wanted:
        held = compile_rules(stored.get("rules"))
        lacking = [rule for rule in wanted["rules"] if not covers(held, compile_rule(rule))]
        if lacking:
            stored["rules"] = [*(stored.get("rules") or ()), *lacking]
            changed = True
        if "aggregationRule" in wanted and not stored.get("aggregationRule"):
            stored["aggregationRule"] = wanted["aggregationRule"]
            changed = True
    if "subjects" in wanted and stored.get("roleRef") == wanted["roleRef"]:
        present = [_identity(subject) for subject in stored.get("subjects") or ()]
        missing = [subject for subject in wanted["subjects"] if _identity(subject) not in present]
        if missing:
            stored["subjects"] = [*(stored.get("subjects") or ()), *missing]
            changed = True
    for field in ("labels", "annotations"):
        have: dict[str, Any] = stored["metadata"].setdefault(field, {})
        for key, value in wanted["metadata"][field].items():
            if key not in have:
                have[key] = value
                changed = True
    return stored if changed else None


def _identity(subject: JSON) -> tuple[str, str, str]:
    return subject.get("kind", ""), subject.get("namespace", ""), subject.get("name", "")
