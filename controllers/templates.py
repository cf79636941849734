"""A Deployment's pod template and the ReplicaSets made from it: equality, hash, revision, annotations.

The hash names a template; it need not be upstream's (whose input is Go's printing of a struct), only stable, and
different when the template is. Equality decides which ReplicaSet is the new one, never the hash.
"""

from collections.abc import Iterable
from typing import Any

import orjson

from apimachinery import meta
from controllers import objects

JSON = dict[str, Any]
HASH_LABEL = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"
REVISION_HISTORY = "deployment.kubernetes.io/revision-history"
DESIRED_REPLICAS = "deployment.kubernetes.io/desired-replicas"
MAX_REPLICAS = "deployment.kubernetes.io/max-replicas"
_NOT_COPIED = {
    "kubectl.kubernetes.io/last-applied-configuration",
    "deprecated.deployment.rollback.to",
    REVISION,
    REVISION_HISTORY,
    DESIRED_REPLICAS,
    MAX_REPLICAS,
}
_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"  # no vowels: a hash shall not spell a word
_HISTORY_LENGTH = 2000


def normal(value: Any) -> Any:
    """A value without what means the same as nothing: nulls, empty lists, empty objects."""
    if isinstance(value, dict):
        pruned = {key: normal(each) for key, each in value.items()}
        return {key: each for key, each in pruned.items() if each not in (None, {}, [])}
    return [normal(each) for each in value] if isinstance(value, list) else value


def bare(template: JSON) -> JSON:
    """The template as a user wrote it, without the hash label."""
    metadata = dict(template.get("metadata") or {})
    metadata.pop("creationTimestamp", None)
    metadata["labels"] = {key: value for key, value in (metadata.get("labels") or {}).items() if key != HASH_LABEL}
    made: JSON = normal({**template, "metadata": metadata})
    return made


def hash_of(template: JSON, collisions: int | None) -> str:
    """The template's hash (FNV-1a, 32 bits); a number of collisions makes it another one."""
    state = 0x811C9DC5
    data = orjson.dumps(bare(template), option=orjson.OPT_SORT_KEYS)
    for byte in data + (str(collisions).encode() if collisions else b""):
        state = (state ^ byte) * 0x01000193 & 0xFFFFFFFF
    return "".join(_ALPHABET[int(digit) % len(_ALPHABET)] for digit in str(state))


def newest(deployment: JSON, replica_sets: Iterable[JSON]) -> JSON | None:
    """The oldest ReplicaSet that has the Deployment's template: the one that a rollout goes to."""
    wanted = bare(deployment["spec"]["template"])
    for candidate in sorted(replica_sets, key=objects.creation_order):
        if bare(candidate["spec"]["template"]) == wanted:
            return candidate
    return None


def revision(obj: JSON) -> int:
    """The revision that an object is annotated with, 0 if none."""
    text = meta.annotations(obj).get(REVISION, "0")
    return int(text) if text.isdigit() else 0


def annotations_for(deployment: JSON, present: dict[str, str], *, revision: int) -> dict[str, str]:
    """The annotations of the new ReplicaSet: the Deployment's own, the revision, and which it had before."""
    made = {**present, **{key: value for key, value in meta.annotations(deployment).items() if key not in _NOT_COPIED}}
    old = present.get(REVISION)
    if old is None or (old.isdigit() and int(old) < revision):
        made[REVISION] = str(revision)
        if old:
            history = [each for each in present.get(REVISION_HISTORY, "").split(",") if each]
            if old not in history:
                made[REVISION_HISTORY] = ",".join([*history, old])[-_HISTORY_LENGTH:]
    return made


def size_annotations(desired: int, surge: int) -> dict[str, str]:
    """What a proportional scaling reads later: how large the Deployment was when this ReplicaSet was scaled."""
    return {DESIRED_REPLICAS: str(desired), MAX_REPLICAS: str(desired + surge)}


def replica_set_for(deployment: JSON, *, replicas: int, revision: int, surge: int) -> JSON:
    """A new ReplicaSet for the Deployment's template."""
    spec = deployment["spec"]
    template = objects.copied(spec["template"])
    hashed = hash_of(template, (deployment.get("status") or {}).get("collisionCount"))
    metadata = template.setdefault("metadata", {})
    metadata["labels"] = {**(metadata.get("labels") or {}), HASH_LABEL: hashed}
    selector = objects.copied(spec["selector"])
    selector["matchLabels"] = {**(selector.get("matchLabels") or {}), HASH_LABEL: hashed}
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": f"{meta.name(deployment)}-{hashed}",
            "namespace": meta.namespace(deployment),
            "labels": metadata["labels"],
            "annotations": {
                **annotations_for(deployment, {}, revision=revision),
                **size_annotations(int(spec.get("replicas", 1)), surge),
            },
            "ownerReferences": [meta.owner_reference(deployment)],
        },
        "spec": {
            "replicas": replicas,
            **({"minReadySeconds": spec["minReadySeconds"]} if spec.get("minReadySeconds") else {}),
            "selector": selector,
            "template": template,
        },
    }
