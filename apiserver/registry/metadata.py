"""The rules of `metadata`, the same for every kind.

What the server alone sets (uid, creationTimestamp, generation, deletionTimestamp) is put here, never taken from the
client; labels, annotations, owners and finalizers are checked here with upstream's wording.
"""

from __future__ import annotations

import random
from functools import lru_cache

from apimachinery import field, names
from apimachinery.field import FieldError
from apimachinery.meta import JSON

ANNOTATIONS_LIMIT_BYTES = 256 * 1024
_SYSTEM_FIELDS = ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink")
_KEPT_ON_UPDATE = ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation")
_EMPTIABLE = ("labels", "annotations", "ownerReferences", "finalizers", "generateName")
_STANDARD_FINALIZERS = frozenset({"kubernetes", "orphan", "foregroundDeletion"})
_OWNER_FIELDS = (("apiVersion", "version"), ("kind", "kind"), ("name", "name"), ("uid", "uid"))
FINALIZER_ORPHAN = "orphan"
FINALIZER_FOREGROUND = "foregroundDeletion"

_qualified = lru_cache(maxsize=8192)(names.qualified_name)
_label_value = lru_cache(maxsize=8192)(names.label_value)


def drop_empty(metadata: JSON) -> None:
    """Empty maps and lists say nothing, and aren't kept."""
    for name in _EMPTIABLE:
        if name in metadata and not metadata[name]:
            del metadata[name]


def new_uid() -> str:
    """A random UUID (RFC 4122, version 4) as text. It has to be unique, not secret: no system call for each."""
    digits = f"{random.getrandbits(128):032x}"
    variant = "89ab"[int(digits[16], 16) & 3]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"


def stamp_new(metadata: JSON, now: str) -> None:
    """Give a new object what only the server decides."""
    drop_empty(metadata)
    for name in _SYSTEM_FIELDS:
        metadata.pop(name, None)
    metadata.pop("generation", None)
    metadata["uid"] = new_uid()
    metadata["creationTimestamp"] = now


def keep_system_fields(metadata: JSON, old: JSON) -> None:
    """An update never changes what the server set, whatever the client sent."""
    metadata.pop("selfLink", None)
    drop_empty(metadata)
    for name in _KEPT_ON_UPDATE:
        if name in old:
            metadata[name] = old[name]
        else:
            metadata.pop(name, None)


def validate(metadata: JSON, *, namespaced: bool, check_name: names.Check) -> list[FieldError]:
    """Every fault of an object's metadata, all at once."""
    errors: list[FieldError] = []
    name = metadata.get("name") or ""
    if not name:
        errors.append(field.required("metadata.name", "name or generateName is required"))
    else:
        errors += [field.invalid("metadata.name", name, message) for message in check_name(name)]
    namespace = metadata.get("namespace") or ""
    if namespaced:
        if not namespace:
            errors.append(field.required("metadata.namespace", ""))
        else:
            errors += [field.invalid("metadata.namespace", namespace, text) for text in names.dns1123_label(namespace)]
    elif namespace:
        errors.append(field.forbidden("metadata.namespace", "not allowed on this type"))
    for key, value in (metadata.get("labels") or {}).items():
        errors += [field.invalid("metadata.labels", key, text) for text in _qualified(key)]
        errors += [field.invalid("metadata.labels", value, text) for text in _label_value(value)]
    errors += _annotations(metadata.get("annotations") or {})
    errors += _owners(metadata.get("ownerReferences") or [])
    errors += _finalizers(metadata.get("finalizers") or [])
    return errors


def _annotations(annotations: JSON) -> list[FieldError]:
    errors = [
        field.invalid("metadata.annotations", key, text) for key in annotations for text in _qualified(key.lower())
    ]
    size = sum(len(key) + len(value) for key, value in annotations.items())
    if size > ANNOTATIONS_LIMIT_BYTES:
        errors.append(field.too_long("metadata.annotations", ANNOTATIONS_LIMIT_BYTES))
    return errors


def _owners(owners: list[JSON]) -> list[FieldError]:
    errors: list[FieldError] = []
    controller: JSON | None = None
    path = "metadata.ownerReferences"
    for owner in owners:
        for required, called in _OWNER_FIELDS:
            if not owner.get(required):
                errors.append(field.invalid(f"{path}.{required}", "", f"{called} must not be empty"))
        if owner.get("controller"):
            if controller is not None:
                text = (
                    'Only one reference can have Controller set to true. Found "true" in references for '
                    f"{controller.get('kind')}/{controller.get('name')} and {owner.get('kind')}/{owner.get('name')}"
                )
                errors.append(field.invalid(path, owners, text))
            controller = controller or owner
    return errors


def _finalizers(finalizers: list[str]) -> list[FieldError]:
    errors: list[FieldError] = []
    for index, name in enumerate(finalizers):
        errors += [field.invalid("metadata.finalizers", name, text) for text in _qualified(name)]
        if "/" not in name and name not in _STANDARD_FINALIZERS:
            text = "name is neither a standard finalizer name nor is it fully qualified"
            errors.append(field.invalid(f"metadata.finalizers[{index}]", name, text))
    if FINALIZER_ORPHAN in finalizers and FINALIZER_FOREGROUND in finalizers:
        text = f"finalizers {FINALIZER_ORPHAN} and {FINALIZER_FOREGROUND} cannot be both set"
        errors.append(field.invalid("metadata.finalizers", finalizers, text))
    return errors


def validate_update(metadata: JSON, old: JSON) -> list[FieldError]:
    """What an update may not do to metadata: rename, move, or add finalizers to an object that is going."""
    errors: list[FieldError] = []
    for name in ("name", "namespace"):
        if (metadata.get(name) or "") != (old.get(name) or ""):
            errors.append(field.invalid(f"metadata.{name}", metadata.get(name) or "", "field is immutable"))
    if old.get("deletionTimestamp"):
        added = sorted(set(metadata.get("finalizers") or ()) - set(old.get("finalizers") or ()))
        if added:
            text = "no new finalizers can be added if the object is being deleted, found new finalizers "
            errors.append(field.forbidden("metadata.finalizers", text + f"[]string{{{_quoted(added)}}}"))
    return errors


def _quoted(values: list[str]) -> str:
    return ", ".join(f'"{value}"' for value in values)
