"""What an object leaves to the cluster: the storage class, the ingress class, the runtime's share.

Each plugin fills in a choice that the administrator has made once (a class marked as default, a RuntimeClass), so that
the object afterwards says what it got.
"""

from __future__ import annotations

from apimachinery import kinds, meta, quantity
from apimachinery.kinds import Kind
from apimachinery.meta import JSON
from apiserver.admission.chain import CREATE, Attributes, Plugin, refused
from apiserver.storage import Storage


class _DefaultClass(Plugin):
    """Names the class that is marked as default in the objects that name none; the newest one if there are several."""

    classes: Kind
    annotation = ""
    field = ""

    def __init__(self, storage: Storage) -> None:
        self._defaults: dict[str, JSON] = {}
        storage.listen(self.classes, self._on_class)

    def _on_class(self, event: str, key: str, obj: JSON | None) -> None:
        if event != "DELETED" and obj is not None and meta.annotations(obj).get(self.annotation) == "true":
            self._defaults[key] = obj
        else:
            self._defaults.pop(key, None)

    async def admit(self, a: Attributes) -> None:
        """Fill in the class."""
        spec: JSON = a.object.setdefault("spec", {})
        if spec.get(self.field) is not None or not self._defaults or self.named_otherwise(a.object):
            return
        newest = max(self._defaults.values(), key=lambda each: (meta.metadata(each).get("creationTimestamp") or "",))
        spec[self.field] = meta.name(newest)

    def named_otherwise(self, obj: JSON) -> bool:
        """Whether an annotation of former days names the class."""
        return False


class DefaultStorageClass(_DefaultClass):
    """Of claims."""

    watched = {("", "persistentvolumeclaims", ""): (CREATE,)}
    classes = kinds.STORAGE_CLASS
    annotation, field = "storageclass.kubernetes.io/is-default-class", "storageClassName"

    def named_otherwise(self, obj: JSON) -> bool:
        return "volume.beta.kubernetes.io/storage-class" in meta.annotations(obj)


class DefaultIngressClass(_DefaultClass):
    """Of ingresses."""

    watched = {("networking.k8s.io", "ingresses", ""): (CREATE,)}
    classes = kinds.INGRESS_CLASS
    annotation, field = "ingressclass.kubernetes.io/is-default-class", "ingressClassName"

    def named_otherwise(self, obj: JSON) -> bool:
        return "kubernetes.io/ingress.class" in meta.annotations(obj)


class RuntimeClass(Plugin):
    """A pod's RuntimeClass says what its sandbox costs and on which nodes it may run."""

    watched = {("", "pods", ""): (CREATE,)}

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    async def admit(self, a: Attributes) -> None:
        """Take over overhead, node selector and tolerations of the class."""
        spec = a.object.get("spec") or {}
        name = spec.get("runtimeClassName") or ""
        if not name:
            if spec.get("overhead"):
                raise refused(a, "pod rejected: Pod Overhead set without corresponding RuntimeClass Overhead")
            return
        key = kinds.RUNTIME_CLASS.registry_prefix + name
        entry = await self._storage.get(key) or await self._storage.get_live(key)
        if entry is None:
            raise refused(a, f'pod rejected: RuntimeClass "{name}" not found')
        wanted = entry.parsed()
        overhead = (wanted.get("overhead") or {}).get("podFixed") or {}
        if spec.get("overhead") and not _same_amounts(spec["overhead"], overhead):
            raise refused(a, "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead")
        if overhead:
            spec["overhead"] = overhead
        scheduling = wanted.get("scheduling") or {}
        selector: dict[str, str] = spec.get("nodeSelector") or {}
        for label, value in (scheduling.get("nodeSelector") or {}).items():
            if selector.get(label, value) != value:
                raise refused(
                    a,
                    f"pod rejected: conflict: runtimeClass.scheduling.nodeSelector[{label}] = {value}; "
                    f"pod.spec.nodeSelector[{label}] = {selector[label]}",
                )
            selector = {**selector, label: value}
        if selector:
            spec["nodeSelector"] = selector
        tolerations = spec.get("tolerations") or []
        added = [each for each in scheduling.get("tolerations") or () if each not in tolerations]
        if added:
            spec["tolerations"] = [*tolerations, *added]


def _same_amounts(left: JSON, right: JSON) -> bool:
    if left.keys() != right.keys():
        return False
    return all(quantity.parse(left[each]) == quantity.parse(right[each]) for each in left)
