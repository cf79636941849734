"""Storage: volumes, claims, and the classes and drivers they come from."""

from __future__ import annotations

from collections.abc import Iterator

from apimachinery import field, quantity, volumes
from apimachinery.field import FieldError
from apimachinery.meta import JSON
from apiserver.registry import rulewords
from apiserver.registry.quantities import canonical_list
from apiserver.registry.strategy import Context, Strategy

_ACCESS_MODES = ("ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod")
_DRIVER_DEFAULTS: JSON = {
    "attachRequired": True, "podInfoOnMount": False, "storageCapacity": False, "requiresRepublish": False,
    "seLinuxMount": False, "fsGroupPolicy": "ReadWriteOnceWithFSType", "volumeLifecycleModes": ["Persistent"],
}  # fmt: skip
_CHOICES = {
    "persistentVolumeReclaimPolicy": ("Delete", "Recycle", "Retain"),
    "volumeMode": ("Block", "Filesystem"),
}
_PATHS = frozenset({"hostPath", "local"})
# What a PersistentVolume's spec holds beside its source.
_NOT_SOURCES = frozenset({
    "accessModes", "capacity", "claimRef", "mountOptions", "nodeAffinity", "persistentVolumeReclaimPolicy",
    "storageClassName", "volumeAttributesClassName", "volumeMode",
})  # fmt: skip


class StorageClassStrategy(Strategy):
    """storage.k8s.io/v1 StorageClass."""

    def default(self, obj: JSON) -> None:
        obj.setdefault("reclaimPolicy", "Delete")
        obj.setdefault("volumeBindingMode", "Immediate")

    def validate(self, obj: JSON) -> Iterator[FieldError]:
        choices = (
            ("reclaimPolicy", ("Delete", "Retain")),
            ("volumeBindingMode", ("Immediate", "WaitForFirstConsumer")),
        )
        if not obj.get("provisioner"):
            yield field.required("provisioner")
        for name, valid in choices:
            yield from rulewords.one_of(name, obj.get(name), valid)

    def validate_update(self, obj: JSON, old: JSON) -> Iterator[FieldError]:
        yield from self.validate(obj)
        for name in ("parameters", "provisioner", "reclaimPolicy"):
            if obj.get(name) != old.get(name):
                yield field.forbidden(name, f"updates to {name} are forbidden.")
        yield from rulewords.unchanged(obj, old, "volumeBindingMode")


class CSIDriverStrategy(Strategy):
    """storage.k8s.io/v1 CSIDriver."""

    def default(self, obj: JSON) -> None:
        obj["spec"] = {**_DRIVER_DEFAULTS, **(obj.get("spec") or {})}


class PersistentVolumeStrategy(Strategy):
    """v1 PersistentVolume."""

    def default(self, obj: JSON) -> None:
        spec = obj.get("spec") or {}
        if spec.get("capacity"):
            canonical_list(spec, "capacity")
        spec.setdefault("persistentVolumeReclaimPolicy", "Retain")
        spec.setdefault("volumeMode", "Filesystem")
        if spec.get("hostPath") is not None:
            spec["hostPath"].setdefault("type", "")

    def prepare_create(self, obj: JSON, ctx: Context) -> None:
        obj["status"] = {"phase": "Pending"}

    def validate(self, obj: JSON) -> Iterator[FieldError]:
        spec = obj.get("spec") or {}
        yield from _access_modes(spec, "")
        if not (spec.get("capacity") or {}).get("storage"):
            yield field.required("spec.capacity")
            yield field.not_supported("spec.capacity", spec.get("capacity") or {}, ("storage",))
        sources = [name for name in spec if name not in _NOT_SOURCES and spec[name] is not None]
        if not sources:
            yield field.required("spec", "must specify a volume type")
        yield from (field.forbidden(f"spec.{name}", "may not specify more than 1 volume type") for name in sources[1:])
        for name in sorted(_PATHS.intersection(sources)):
            if ".." in str(spec[name].get("path") or "").split("/"):
                yield field.invalid(f"spec.{name}.path", spec[name]["path"], "must not contain '..'")
        if "local" in sources and not (spec.get("nodeAffinity") or {}).get("required"):
            yield field.required("spec.nodeAffinity", "Local volume requires node affinity")
        for name, valid in _CHOICES.items():
            yield from rulewords.one_of(f"spec.{name}", spec.get(name), valid)

    def validate_update(self, obj: JSON, old: JSON) -> Iterator[FieldError]:
        now, before = (
            {name: value for name, value in (each.get("spec") or {}).items() if name not in _NOT_SOURCES}
            for each in (obj, old)
        )
        yield from self.validate(obj)
        if now != before:
            path = "spec.persistentvolumesource"
            yield field.forbidden(path, f"{path} is immutable after creation")


class PersistentVolumeClaimStrategy(Strategy):
    """v1 PersistentVolumeClaim."""

    def default(self, obj: JSON) -> None:
        if obj.get("spec") is not None:
            obj["spec"].setdefault("volumeMode", "Filesystem")
            for name in ("requests", "limits"):
                if (obj["spec"].get("resources") or {}).get(name):
                    canonical_list(obj["spec"]["resources"], name)

    def prepare_create(self, obj: JSON, ctx: Context) -> None:
        obj["status"] = {"phase": "Pending"}

    def validate(self, obj: JSON) -> Iterator[FieldError]:
        spec = obj.get("spec") or {}
        yield from _access_modes(spec, "at least 1 access mode is required")
        size = ((spec.get("resources") or {}).get("requests") or {}).get("storage")
        if not size:
            yield field.required("spec.resources[storage]")
        elif quantity.parse(size) <= 0:
            yield field.invalid("spec.resources[storage]", size, "must be greater than zero")

    def validate_update(self, obj: JSON, old: JSON) -> Iterator[FieldError]:
        now, before = obj.get("spec") or {}, old.get("spec") or {}
        settable = [name for name in ("volumeName", "storageClassName") if not before.get(name)]
        if (old.get("status") or {}).get("phase") == "Bound":
            settable += ["resources", "volumeAttributesClassName"]
        yield from self.validate(obj)
        if any(now.get(name) != before.get(name) for name in (now.keys() | before.keys()).difference(settable)):
            text = (
                "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound "
                "claims"
            )
            yield field.forbidden("spec", text)
        asked = volumes.requested(obj)
        given = quantity.value(((old.get("status") or {}).get("capacity") or {}).get("storage") or 0)
        if asked < volumes.requested(old) and asked <= given:
            path = "spec.resources.requests.storage"
            yield field.forbidden(path, "field can not be less than status.capacity")


def _access_modes(spec: JSON, detail: str) -> Iterator[FieldError]:
    if not spec.get("accessModes"):
        yield field.required("spec.accessModes", detail)
    for mode in spec.get("accessModes") or ():
        yield from rulewords.one_of("spec.accessModes", mode, _ACCESS_MODES)
