"""What every new pod gets beside its account: tolerations for a lost node, and the number behind its priority class."""

from __future__ import annotations

from apimachinery import kinds, meta
from apimachinery.meta import JSON
from apiserver.admission.chain import CREATE, DELETE, UPDATE, Attributes, Plugin, refused
from apiserver.storage import Storage

NOT_READY, UNREACHABLE = "node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"
_TOLERATION_SECONDS = 300
SYSTEM_CLASSES = {
    "system-cluster-critical": (
        2_000_000_000,
        "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.",
    ),
    "system-node-critical": (
        2_000_001_000,
        "Used for system critical pods that must not be moved from their current node.",
    ),
}


_USUAL: tuple[JSON, ...] = tuple(
    {"key": taint, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": _TOLERATION_SECONDS}
    for taint in (NOT_READY, UNREACHABLE)
)


class DefaultTolerationSeconds(Plugin):
    """A pod leaves a node that is not ready or unreachable after five minutes, unless it says otherwise."""

    watched = {("", "pods", ""): (CREATE, UPDATE)}

    async def admit(self, a: Attributes) -> None:
        """Add a toleration for each of the two taints that none of the pod's own tolerates."""
        spec = a.object.get("spec")
        if not spec:
            return
        tolerations: list[JSON] = spec.get("tolerations") or []
        lacking = [dict(each) for each in _USUAL if not _tolerates(tolerations, each["key"])]
        if lacking:
            a.object["spec"] = {**spec, "tolerations": [*tolerations, *lacking]}


def _tolerates(tolerations: list[JSON], taint: str) -> bool:
    return any(
        toleration.get("key", "") in (taint, "") and toleration.get("effect", "") in ("NoExecute", "")
        for toleration in tolerations
    )


class Priority(Plugin):
    """spec.priorityClassName → spec.priority; and there is at most one class that pods get by default."""

    watched = {
        ("", "pods", ""): (CREATE, UPDATE),
        ("scheduling.k8s.io", "priorityclasses", ""): (CREATE, UPDATE, DELETE),
    }

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._classes: dict[str, JSON] = {}
        self._default: JSON | None = None
        storage.listen(kinds.PRIORITY_CLASS, self._on_class)

    def _on_class(self, event: str, key: str, obj: JSON | None) -> None:
        name = key.rpartition("/")[2]
        if event == "DELETED" or obj is None:
            self._classes.pop(name, None)
        else:
            self._classes[name] = obj
        defaults = [each for each in self._classes.values() if each.get("globalDefault")]
        self._default = min(defaults, key=lambda each: int(each.get("value") or 0), default=None)

    async def admit(self, a: Attributes) -> None:
        """Resolve the pod's class."""
        if a.kind.plural != "pods":
            return
        spec = a.object.get("spec") or {}
        if a.operation == UPDATE:
            old = (a.old or {}).get("spec") or {}
            for field in ("priority", "preemptionPolicy"):  # a client that doesn't know them may leave them out
                if spec.get(field) is None and old.get(field) is not None:
                    spec = {**spec, field: old[field]}
            a.object["spec"] = spec
            return
        found = await self._resolve(a, spec)
        value = int(found.get("value") or 0) if found is not None else 0
        policy = (found or {}).get("preemptionPolicy") or "PreemptLowerPriority"
        if spec.get("priority") is not None and spec["priority"] != value:
            raise refused(
                a,
                f"the integer value of priority ({spec['priority']}) must not be provided in pod spec; "
                "priority admission controller computed "
                f"{value} from the given PriorityClass name",
            )
        if spec.get("preemptionPolicy") is not None and spec["preemptionPolicy"] != policy:
            raise refused(
                a,
                "the string value of PreemptionPolicy must not be provided in pod spec; priority "
                f"admission controller computed {policy} from the given PriorityClass name",
            )
        spec["priority"] = value
        spec["preemptionPolicy"] = policy

    async def _resolve(self, a: Attributes, spec: JSON) -> JSON | None:
        name = spec.get("priorityClassName") or ""
        if not name:
            if self._default is not None:
                spec["priorityClassName"] = meta.name(self._default)
            return self._default
        found = self._classes.get(name)
        if found is None:
            entry = await self._storage.get_live(kinds.PRIORITY_CLASS.registry_prefix + name)
            if entry is None:
                raise refused(a, f"no PriorityClass with name {name} was found")
            found = entry.parsed()
        return found

    async def validate(self, a: Attributes) -> None:
        """System classes stay, and only one class may be the default."""
        if a.kind.plural != "priorityclasses":
            return
        if a.operation == DELETE:
            if a.name in SYSTEM_CLASSES:
                raise refused(a, "this is a system priority class and cannot be deleted")
            return
        default = self._default
        if a.object.get("globalDefault") and default is not None and meta.name(default) != meta.name(a.object):
            raise refused(
                a, f"PriorityClass {meta.name(default)} is already marked as default. Only one default can exist"
            )
