"""Storage: volumes, claims, and the classes and drivers they come from."""

from __future__ import annotations

from apimachinery import field, quantity, volumes
from apimachinery.field import FieldError
from apimachinery.meta import JSON
from apiserver.registry.quantities import canonical_list
from apiserver.registry.strategy import Context, Strategy

_IMMUTABLE = "field is immutable"
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

    def validate(self, obj: JSON) -> list[FieldError]:
        choices = (
            ("reclaimPolicy", ("Delete", "Retain")),
            ("volumeBindingMode", ("Immediate", "WaitForFirstConsumer")),
        )
        missing = [] if obj.get("provisioner") else [field.required("provisioner")]
        return missing + [
            field.not_supported(name, obj.get(name), valid) for name, valid in choices if obj.get(name) not in valid
        ]

    def validate_update(self, obj: JSON, old: JSON) -> list[FieldError]:
        faults = self.validate(obj) + [
            field.forbidden(name, f"updates to {name} are forbidden.")
            for name in ("parameters", "provisioner", "reclaimPolicy")
            if obj.get(name) != old.get(name)
        ]
        if obj["volumeBindingMode"] != old.get("volumeBindingMode"):
            faults.append(field.invalid("volumeBindingMode", obj["volumeBindingMode"], _IMMUTABLE))
        return faults


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

    def validate(self, obj: JSON) -> list[FieldError]:
        spec = obj.get("spec") or {}
        faults = _access_modes(spec, "")
        if not (spec.get("capacity") or {}).get("storage"):
            faults.append(field.required("spec.capacity"))
            faults.append(field.not_supported("spec.capacity", spec.get("capacity") or {}, ("storage",)))
        sources = [name for name in spec if name not in _NOT_SOURCES and spec[name] is not None]
        if not sources:
            faults.append(field.required("spec", "must specify a volume type"))
        faults += [field.forbidden(f"spec.{n}", "may not specify more than 1 volume type") for n in sources[1:]]
        for name in sorted(_PATHS.intersection(sources)):
            if ".." in str(spec[name].get("path") or "").split("/"):
                faults.append(field.invalid(f"spec.{name}.path", spec[name]["path"], "must not contain '..'"))
        if "local" in sources and not (spec.get("nodeAffinity") or {}).get("required"):
            faults.append(field.required("spec.nodeAffinity", "Local volume requires node affinity"))
        for name, valid in _CHOICES.items():
            if spec.get(name) not in valid:
                faults.append(field.not_supported(f"spec.{name}", spec.get(name), valid))
        return faults

    def validate_update(self, obj: JSON, old: JSON) -> list[FieldError]:
        now, before = (
            {name: value for name, value in (each.get("spec") or {}).items() if name not in _NOT_SOURCES}
            for each in (obj, old)
        )
        path = "spec.persistentvolumesource"
        changed = [field.forbidden(path, f"{path} is immutable after creation")] if now != before else []
        return self.validate(obj) + changed


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

    def validate(self, obj: JSON) -> list[FieldError]:
        spec = obj.get("spec") or {}
        faults = _access_modes(spec, "at least 1 access mode is required")
        size = ((spec.get("resources") or {}).get("requests") or {}).get("storage")
        if not size:
            faults.append(field.required("spec.resources[storage]"))
        elif quantity.parse(size) <= 0:
            faults.append(field.invalid("spec.resources[storage]", size, "must be greater than zero"))
        return faults

    def validate_update(self, obj: JSON, old: JSON) -> list[FieldError]:
        now, before = obj.get("spec") or {}, old.get("spec") or {}
        settable = [name for name in ("volumeName", "storageClassName") if not before.get(name)]
        if (old.get("status") or {}).get("phase") == "Bound":
            settable += ["resources", "volumeAttributesClassName"]
        faults = self.validate(obj)
        if any(now.get(name) != before.get(name) for name in (now.keys() | before.keys()).difference(settable)):
            text = (
                "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound "
                "claims"
            )
            faults.append(field.forbidden("spec", text))
        asked = volumes.requested(obj)
        given = quantity.value(((old.get("status") or {}).get("capacity") or {}).get("storage") or 0)
        if asked < volumes.requested(old) and asked <= given:
            path = "spec.resources.requests.storage"
            faults.append(field.forbidden(path, "field can not be less than status.capacity"))
        return faults


def _access_modes(spec: JSON, detail: str) -> list[FieldError]:
    modes = spec.get("accessModes") or []
    if not modes:
        return [field.required("spec.accessModes", detail)]
    return [field.not_supported("spec.accessModes", mode, _ACCESS_MODES) for mode in modes if mode not in _ACCESS_MODES]
